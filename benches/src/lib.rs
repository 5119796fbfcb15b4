//! The limit: what the bare system calls cost, with none of the library's promises.

pub mod alternate;
pub mod pair;
pub mod posix;
pub mod sysv;
pub mod zipf;
