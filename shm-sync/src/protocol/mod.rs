//! The algorithms, each in the file of its structure, and nothing else: what they need is given to them.
//!
//! The words and the way to wake come through [`memory::Memory`], who lives and how long one has waited through
//! [`step::Peers`], and instead of sleeping an algorithm says on which word to sleep ([`step::Step::Wait`]). So they
//! import nothing of the crate above them, and a model checker can run them: see `models`.

pub(crate) mod barrier;
pub(crate) mod broadcast;
pub(crate) mod channel;
pub(crate) mod condition;
pub(crate) mod event_count;
pub mod layout;
pub(crate) mod memory;
#[cfg(loom)]
mod models;
pub(crate) mod mutex;
pub(crate) mod once;
pub(crate) mod owner;
pub(crate) mod rw_lock;
pub(crate) mod semaphore;
pub(crate) mod stamp;
pub(crate) mod step;
