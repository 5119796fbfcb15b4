//! The event loop of an environment, which can wait for the ends of waits itself: no thread stands between the kernel
//! and JavaScript then.

use napi::Env;
use shm_sync::engine::Engine;
use std::sync::Arc;

cfg_if::cfg_if! {
    if #[cfg(all(target_os = "linux", target_pointer_width = "64"))] {
        mod libuv;
        mod linux;
        use linux as system;
    } else {
        mod elsewhere;
        use elsewhere as system;
    }
}

/// Called in the event loop when waits may have ended, with a function that calls their completions.
pub(crate) type Ready = Box<dyn Fn(&dyn Fn())>;

/// An engine that the environment's event loop drives until the environment ends. It does not keep the loop alive.
/// `None` if the runtime or the kernel cannot do it, or lacks a resource.
pub(crate) fn drive(env: &Env, ready: Ready) -> Option<Arc<dyn Engine>> {
    system::drive(env, ready)
}
