//! What a map promises to its users, through its public API.
#![cfg(any(target_os = "linux", windows))]

mod alone;
mod common;
#[cfg(target_os = "linux")]
mod hostile;
#[cfg(target_os = "linux")]
mod layout;
mod loads;
mod shared;
mod storm;
