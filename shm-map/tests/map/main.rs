//! What a map promises to its users, through its public API.
#![cfg(target_os = "linux")]

mod alone;
mod common;
mod hostile;
mod loads;
mod shared;
mod storm;
