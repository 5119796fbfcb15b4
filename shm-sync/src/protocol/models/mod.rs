//! Every interleaving of a few threads, as far as the checker's bounds go:
//! `RUSTFLAGS="--cfg loom" cargo test --release -p shm-sync --lib`
//!
//! One file a structure. `word` and `futex` are what the algorithms stand on here.

pub(super) mod word;

cfg_if::cfg_if! {
    if #[cfg(test)] {
        mod barrier;
        mod broadcast;
        mod channel;
        mod condition;
        mod futex;
        mod mutex;
        mod once;
        mod rw_lock;
        mod semaphore;

        use super::{
            memory::{AtomicU32, Memory},
            owner::Owner,
            step::{Patience, Pause, Peers, Step},
        };
        use std::collections::BTreeMap;
    }
}

/// The few words that a model needs, by byte offset; all zero, as fresh memory.
#[cfg(test)]
#[derive(Clone, Copy)]
struct Words(&'static BTreeMap<u32, AtomicU32>);

#[cfg(test)]
impl Memory<'static> for Words {
    fn word(self, offset: u32) -> &'static AtomicU32 {
        &self.0[&offset]
    }

    fn wake(word: &AtomicU32, count: u32) -> usize {
        futex::wake(word, count)
    }
}

/// All live, or all but owner 9, of whom everybody finds out at once.
#[cfg(test)]
#[derive(Clone, Copy)]
enum Those {
    Live,
    Die,
}

#[cfg(test)]
impl Peers for Those {
    fn is_alive(self, owner: Owner) -> bool {
        owner.get() != 9
    }

    fn is_over(self, _: &mut Patience) -> bool {
        matches!(self, Self::Die)
    }
}

/// Runs a model. The words are freed after each interleaving, when its threads have ended.
#[cfg(test)]
fn check(
    preemptions: usize,
    offsets: impl Fn() -> Vec<u32> + Sync + Send + 'static,
    model: impl Fn(Words) + Sync + Send + 'static,
) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 100_000;
    builder.check(move || {
        let words = offsets().into_iter().map(|offset| (offset, AtomicU32::new(0))).collect();
        let words: *mut BTreeMap<u32, AtomicU32> = Box::into_raw(Box::new(words));
        // SAFETY: just made, and freed below only.
        model(Words(unsafe { &*words }));
        // SAFETY: made above; the model joined its threads.
        drop(unsafe { Box::from_raw(words) });
    });
}

#[cfg(test)]
fn owner(id: u32) -> Owner {
    Owner::from_word(id)
}

/// Takes steps until one is ready. Nothing ever times out, so a lost wake-up is a deadlock that the checker finds.
#[cfg(test)]
fn drive<'a, T, E>(mut step: impl FnMut() -> Result<Step<'a, T>, E>) -> Result<T, E> {
    loop {
        match step()? {
            Step::Ready(value) => return Ok(value),
            Step::Wait(Pause { cell, expected }) => futex::wait(cell, expected),
        }
    }
}
