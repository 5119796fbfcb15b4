//! An `io_uring` whose descriptor libuv watches.

use super::{Ready, libuv::Libuv};
use napi::Env;
use shm_sync::engine::{Engine, Polled};
use std::{
    os::fd::{AsFd, AsRawFd},
    sync::Arc,
};

pub(super) fn drive(env: &Env, ready: Ready) -> Option<Arc<dyn Engine>> {
    let libuv = Libuv::of(env)?;
    let ring = Arc::new(Polled::new().ok()?);
    let watched = ring.clone();
    let descriptor = ring.as_fd().as_raw_fd();
    // SAFETY: the closure keeps the ring, and so its descriptor.
    let watches = unsafe { libuv.watch(env, descriptor, Box::new(move || ready(&|| _ = watched.harvest()))) };
    watches.then_some(ring)
}
