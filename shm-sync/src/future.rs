//! Futures, for any executor. A future takes the steps of an operation, and waits between them in the engine of this
//! process.

use crate::engine::{self, Ended, Engine, Request};
use crate::{PATIENCE, Pause, Step, SyncError, live, notify};
use parking_lot::Mutex;
use std::{
    fmt,
    marker::PhantomData,
    ops::Range,
    pin::Pin,
    ptr::{self, NonNull},
    sync::{
        Arc,
        atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

/// With many waits pending, a future checks less often which owners live.
const PATIENCE_PER_WAIT: Duration = Duration::from_micros(100);
/// How long [`end_waits`] waits. They take microseconds.
const AT_MOST: Duration = Duration::from_secs(5);

static ENGINE: AtomicPtr<OfGeneration> = AtomicPtr::new(ptr::null_mut());
static TOKENS: AtomicU64 = AtomicU64::new(1);

/// The engine of this process. A forked child has no threads of its parent, so it makes its own engine.
#[derive(Debug)]
struct OfGeneration {
    generation: u32,
    engine: Box<dyn Engine>,
}

fn engine() -> Result<&'static dyn Engine, SyncError> {
    let generation = live::generation();
    let mut seen = ENGINE.load(Ordering::Acquire);
    // SAFETY: it is null, or was leaked below.
    if let Some(known) = unsafe { seen.as_ref() }
        && known.generation == generation
    {
        return Ok(&*known.engine);
    }
    let made = Box::into_raw(Box::new(OfGeneration { generation, engine: engine::choose()? }));
    match ENGINE.compare_exchange(seen, made, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => seen = made,
        Err(found) => {
            // SAFETY: made above, and nobody else has seen it.
            drop(unsafe { Box::from_raw(made) });
            seen = found;
        }
    }
    // SAFETY: it was leaked, here or by the thread that came first.
    Ok(&*unsafe { &*seen }.engine)
}

/// Ends all waits of futures on words in a range of addresses, and waits until they have ended. Call it before you
/// detach a segment: afterwards everything that a wait keeps, see [`steps_to_future`], has been dropped. Do not call
/// it from within a waker.
pub fn end_waits(addresses: Range<usize>) {
    // SAFETY: it is null, or was leaked by `engine`.
    let Some(known) = (unsafe { ENGINE.load(Ordering::Acquire).as_ref() }) else { return };
    if known.generation == live::generation()
        && known.engine.pending() > 0
        && known.engine.cancel_in(addresses.clone()) > 0
    {
        known.engine.wait_out(addresses, AT_MOST);
    }
}

/// Takes steps until one is ready, and waits between them without blocking a thread of the caller.
/// [`block_on`](crate::block_on) is the same for a thread.
///
/// If you drop the future, its wait is cancelled. If the wait was woken already, the wake-up is passed on to another
/// waiter on the same word, so that no waiter sleeps on because of a dropped future.
///
/// # Safety
///
/// The words on which the steps wait stay mapped as long as any clone of `keep` lives. (The engine has one until its
/// wait has ended, even if the future is leaked.)
pub unsafe fn steps_to_future<'a, T, K, F>(keep: K, step: F) -> StepFuture<'a, K, F>
where
    K: Clone + Send + 'static,
    F: FnMut() -> Result<Step<'a, T>, SyncError>,
{
    StepFuture { keep, step, wait: None, refused: false, steps: PhantomData }
}

/// An operation in progress: see [`steps_to_future`].
#[must_use = "a future does nothing unless it is polled"]
pub struct StepFuture<'a, K, F> {
    keep: K,
    step: F,
    wait: Option<Wait>,
    /// Whether the system refused the last wait. The next step finds out why, if it can, as for a thread that blocks.
    refused: bool,
    steps: PhantomData<Pause<'a>>,
}

impl<K, F> fmt::Debug for StepFuture<'_, K, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepFuture").field("wait", &self.wait).finish_non_exhaustive()
    }
}

// Nothing of it is ever pinned.
impl<K, F> Unpin for StepFuture<'_, K, F> {}

impl<'a, T, K, F> Future for StepFuture<'a, K, F>
where
    K: Clone + Send + 'static,
    F: FnMut() -> Result<Step<'a, T>, SyncError>,
{
    type Output = Result<T, SyncError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if let Some(wait) = &this.wait {
            let Poll::Ready(refused) = wait.poll(context.waker()) else { return Poll::Pending };
            this.wait = None;
            if let Some(error) = refused {
                if this.refused {
                    return Poll::Ready(Err(error));
                }
                this.refused = true;
            } else {
                this.refused = false;
            }
        }
        match (this.step)()? {
            Step::Ready(value) => Poll::Ready(Ok(value)),
            Step::Wait(pause) => {
                // SAFETY: by the promise to `steps_to_future`.
                let wait = unsafe { Wait::begin(engine()?, pause, this.keep.clone(), context.waker()) };
                this.wait = Some(wait?);
                Poll::Pending
            }
        }
    }
}

/// A wait in the engine. Dropping it cancels it, if it is pending, and passes on its wake-up, if it has one.
#[derive(Debug)]
struct Wait {
    engine: &'static dyn Engine,
    token: u64,
    generation: u32,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
enum State {
    Pending(Waker),
    /// Woken, and not polled since: the wake-up is to be passed on, together with what keeps the word mapped.
    Woken(PassOn),
    Over(Option<SyncError>),
    Dropped,
}

/// Wakes another waiter on the word.
struct PassOn(Box<dyn FnOnce() + Send>);

impl fmt::Debug for PassOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PassOn")
    }
}

#[derive(Clone, Copy)]
struct Word(NonNull<AtomicU32>);

// SAFETY: an atomic word is any thread's.
unsafe impl Send for Word {}

impl Wait {
    /// # Safety
    ///
    /// The word stays mapped for as long as `keep` lives.
    unsafe fn begin(
        engine: &'static dyn Engine,
        Pause { cell, expected }: Pause<'_>,
        keep: impl Send + 'static,
        waker: &Waker,
    ) -> Result<Self, SyncError> {
        let state = Arc::new(Mutex::new(State::Pending(waker.clone())));
        let token = TOKENS.fetch_add(1, Ordering::Relaxed);
        let word = Word(NonNull::from(cell));
        let pass_on = PassOn(Box::new(move || {
            let (Word(word), _keep) = (word, &keep);
            // SAFETY: `keep` lives.
            notify(unsafe { word.as_ref() }, 1);
        }));
        let of_completion = state.clone();
        let completion = Box::new(move |ended| {
            let over = match ended {
                Ended::Woken => State::Woken(pass_on),
                Ended::Failed(error) => State::Over(Some(error.into())),
                Ended::NotEqual | Ended::TimedOut | Ended::Cancelled => State::Over(None),
            };
            let before = std::mem::replace(&mut *of_completion.lock(), over);
            match before {
                State::Pending(waker) => waker.wake(),
                // Nobody polls it any more.
                _ => State::drop_over(&of_completion),
            }
        });
        let timeout = PATIENCE.max(PATIENCE_PER_WAIT.saturating_mul(engine.pending() as u32));
        let request = Request { cell, expected, timeout: Some(timeout), token, completion };
        // SAFETY: the completion has `keep` until it was called.
        unsafe { engine.submit(request) }?;
        Ok(Self { engine, token, generation: live::generation(), state })
    }

    /// Whether the wait is over, and the error if the system refused it.
    fn poll(&self, waker: &Waker) -> Poll<Option<SyncError>> {
        // After a fork, nothing ends the parent's wait in the child: the next step is due.
        if self.generation != live::generation() {
            return Poll::Ready(None);
        }
        let mut state = self.state.lock();
        match &mut *state {
            State::Pending(known) => {
                known.clone_from(waker);
                Poll::Pending
            }
            over => match std::mem::replace(over, State::Dropped) {
                State::Over(refused) => Poll::Ready(refused),
                _ => Poll::Ready(None),
            },
        }
    }
}

impl State {
    /// The wait is over, or will be, and nobody wants to know.
    fn drop_over(state: &Mutex<Self>) {
        if let Self::Woken(PassOn(pass_on)) = std::mem::replace(&mut *state.lock(), Self::Dropped) {
            pass_on();
        }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        // After a fork, the waits are the parent's, and in the child their locks may stay locked without end.
        if self.generation == live::generation() {
            State::drop_over(&self.state);
            self.engine.cancel(self.token);
        }
    }
}

#[cfg(test)]
mod tests;
