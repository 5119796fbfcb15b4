//! The algorithms, each in the file of its structure. They get everything that they need as arguments.
//!
//! [`memory::Memory`] gives the words, and wakes. [`step::Peers`] tells which owners live, and how long a wait has
//! lasted. An algorithm does not sleep: it returns on which word to sleep ([`step::Step::Wait`]). So the algorithms
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
