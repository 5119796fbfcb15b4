//! The wake-up of a future that was dropped is not lost.

use super::*;
use std::sync::mpsc;

const GENEROUS: Duration = Duration::from_secs(60);

fn poll<T>(future: &mut (impl Future<Output = T> + Unpin)) -> Poll<T> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Steps that wait on a word while it is 0.
fn while_zero<'a>(cell: &'a AtomicU32) -> impl FnMut() -> Result<Step<'a, ()>, SyncError> {
    move || match cell.load(Ordering::SeqCst) {
        0 => Ok(Step::Wait(Pause { cell, expected: 0 })),
        _ => Ok(Step::Ready(())),
    }
}

#[test]
fn the_wake_up_of_a_dropped_future_wakes_another_waiter() {
    let memory = Memory::new(64);
    let cell = memory.region().cell(0).unwrap();
    for dropped_first in [true, false] {
        let engine = Obedient::new();
        let wait = begin(engine, cell, ());
        expect_a_wake_up(&memory, || {
            if dropped_first {
                drop(wait);
                engine.end(Ended::Woken);
            } else {
                engine.end(Ended::Woken);
                drop(wait);
            }
        });
    }
}

#[test]
fn the_wake_up_of_a_real_wait_is_passed_on_too() {
    let memory = Memory::new(64);
    let cell = memory.region().cell(0).unwrap();
    // SAFETY: the memory outlives the waits: the last line waits for them.
    let mut future = unsafe { steps_to_future((), while_zero(cell)) };
    // A wait lasts for 10 ms, so this may meet the end of one: then the next begins.
    loop {
        assert!(poll(&mut future).is_pending());
        if notify(cell, 1) == 1 {
            break;
        }
    }
    expect_a_wake_up(&memory, || drop(future));
    let start = memory.region().as_ptr().addr().get();
    end_waits(start..start + 64);
}

/// Sleeps on the word at 0 without a time limit, and has `what` wake it.
fn expect_a_wake_up(memory: &Memory, what: impl FnOnce()) {
    let (cell, aside) = (memory.region().cell(0).unwrap(), memory.region().cell(60).unwrap());
    let (tell, woken) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || tell.send(crate::wait(aside, 0, None)).unwrap());
        // It has gone to sleep when it can be moved over to the word.
        while requeue(aside, cell) == 0 {
            thread::yield_now();
        }
        what();
        let woken = woken.recv_timeout(GENEROUS);
        notify(cell, u32::MAX); // so that a failure ends, too
        assert_eq!(woken, Ok(Ok(crate::Outcome::Woken)));
    });
}

/// Moves one who sleeps on a word that is 0 over to another; tells how many were there.
fn requeue(from: &AtomicU32, to: &AtomicU32) -> libc::c_long {
    // SAFETY: both words are mapped, and the kernel only compares the first.
    unsafe {
        libc::syscall(libc::SYS_futex, from.as_ptr(), libc::FUTEX_CMP_REQUEUE, 0, 1usize, to.as_ptr(), 0)
    }
}
