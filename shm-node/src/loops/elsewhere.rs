//! Systems that have no descriptor for waits on words.

use super::Ready;
use napi::Env;
use shm_sync::engine::Engine;
use std::sync::Arc;

pub(super) fn drive(_env: &Env, _ready: Ready) -> Option<Arc<dyn Engine>> {
    None
}
