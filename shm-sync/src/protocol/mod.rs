//! The algorithms, over words that the model checker can supply too (`cargo test` with `--cfg loom`).

pub(crate) mod cell;
pub(crate) mod event_count;
#[cfg(not(loom))]
pub(crate) mod futex;
#[cfg(loom)]
#[path = "model_futex.rs"]
pub(crate) mod futex;
pub(crate) mod latest;
pub(crate) mod lock_word;
#[cfg(loom)]
mod model_cell;
#[cfg(all(test, loom))]
mod models;
pub(crate) mod owner;
pub(crate) mod ring;
pub(crate) mod rw_word;
pub(crate) mod slots;
pub(crate) mod stamp;
pub(crate) mod step;
