//! What the library promises, shown with real processes. They look at `/dev/shm` and `/proc`, and take namespaces.
#![cfg(target_os = "linux")]

mod cast;
mod cycles;
mod full;
mod grounds;
mod hostile;
mod lifetimes;
mod limits;
mod missing;
mod planted;
mod shrink;
mod users;
