//! What a map promises to its users, through its public API.
#![cfg(target_os = "linux")]

mod alone;
mod common;
mod hostile;
mod layout;
mod loads;
mod shared;
mod storm;
