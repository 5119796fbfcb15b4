//! Every interleaving of a few threads, as far as the checker's bounds go.
