use super::*;
use crate::testing::Memory;
use std::{
    sync::{
        atomic::Ordering,
        mpsc::{self, Receiver, Sender},
    },
    time::Instant,
};

const GENEROUS: Duration = Duration::from_secs(60);
const EVERYWHERE: Range<usize> = 0..usize::MAX;

/// Every way that works here. The tests run each.
fn engines() -> Vec<Box<dyn Engine>> {
    let mut engines = vec![by_name("sliced").unwrap().unwrap()];
    for name in if cfg!(windows) { &["pool"][..] } else { &["waitv", "uring"] } {
        match by_name(name) {
            Some(Ok(engine)) => engines.push(engine),
            Some(Err(error)) => crate::testing::skip(&error.to_string()),
            None => crate::testing::skip(&format!("this system has no {name}")),
        }
    }
    engines
}

struct Waits {
    send: Sender<(u64, Ended)>,
    ended: Receiver<(u64, Ended)>,
}

impl Waits {
    fn new() -> Self {
        let (send, ended) = mpsc::channel();
        Self { send, ended }
    }

    fn request(&self, cell: &AtomicU32, timeout: Option<Duration>, token: u64) -> Request {
        let send = self.send.clone();
        let completion = Box::new(move |ended| send.send((token, ended)).unwrap());
        Request { cell, expected: 0, timeout, token, completion }
    }

    fn submit(
        &self,
        engine: &dyn Engine,
        cell: &AtomicU32,
        timeout: Option<Duration>,
        token: u64,
    ) -> Result<(), SyncError> {
        // SAFETY: the tests keep their memory until their engine is gone.
        unsafe { engine.submit(self.request(cell, timeout, token)) }
    }

    fn next(&self) -> (u64, Ended) {
        self.ended.recv_timeout(GENEROUS).unwrap()
    }
}

fn wake_one(cell: &AtomicU32) {
    let start = Instant::now();
    while crate::notify(cell, 1) == 0 {
        assert!(start.elapsed() < GENEROUS);
        std::thread::yield_now();
    }
}

#[test]
fn a_wait_ends_by_notify_by_value_by_time_or_by_cancel() {
    let memory = Memory::new(4096);
    for engine in engines() {
        let waits = Waits::new();
        let cell = memory.region().cell(0).unwrap();
        cell.store(0, Ordering::SeqCst);
        waits.submit(&*engine, cell, None, 1).unwrap();
        wake_one(cell);
        assert_eq!(waits.next(), (1, Ended::Woken), "{engine:?}");
        waits.submit(&*engine, cell, Some(Duration::from_millis(25)), 2).unwrap();
        assert_eq!(waits.next(), (2, Ended::TimedOut), "{engine:?}");
        waits.submit(&*engine, cell, Some(Duration::ZERO), 3).unwrap();
        assert_eq!(waits.next(), (3, Ended::TimedOut), "{engine:?}");
        waits.submit(&*engine, cell, Some(Duration::MAX), 4).unwrap();
        assert!(engine.cancel(4));
        assert_eq!(waits.next(), (4, Ended::Cancelled), "{engine:?}");
        waits.submit(&*engine, cell, Some(GENEROUS), 5).unwrap();
        wake_one(cell);
        assert_eq!(waits.next(), (5, Ended::Woken), "{engine:?}");
        cell.store(1, Ordering::SeqCst);
        waits.submit(&*engine, cell, None, 6).unwrap();
        assert_eq!(waits.next(), (6, Ended::NotEqual), "{engine:?}");
        assert!(!engine.cancel(6), "it is over");
        assert_eq!(engine.pending(), 0);
    }
}

#[test]
fn thousands_of_waits_can_be_pending_and_each_is_woken() {
    let memory = Memory::new(1 << 16);
    for engine in engines() {
        let count = match engine.name() {
            "io_uring" => 10_000,
            // There a slice is several calls of the kernel.
            Sliced::NAME if cfg!(windows) => 100,
            _ => 2000,
        };
        let waits = Waits::new();
        let cells: Vec<_> = (0..count).map(|at| memory.region().cell(at * 4).unwrap()).collect();
        for (token, cell) in cells.iter().enumerate() {
            cell.store(0, Ordering::SeqCst);
            waits.submit(&*engine, cell, None, token as u64).unwrap();
        }
        assert_eq!(engine.pending(), count);
        for cell in &cells {
            cell.store(1, Ordering::SeqCst);
            crate::notify(*cell, 1);
        }
        let mut tokens: Vec<_> = (0..count)
            .map(|_| {
                let (token, ended) = waits.next();
                // A thread may not have slept yet when the value changed.
                assert!(matches!(ended, Ended::Woken | Ended::NotEqual), "{ended:?}");
                token
            })
            .collect();
        tokens.sort_unstable();
        assert!(tokens.into_iter().eq(0..count as u64));
    }
}

#[test]
fn waits_on_memory_that_is_about_to_be_unmapped_are_cancelled_and_end_before() {
    for engine in engines() {
        let (stays, goes) = (Memory::new(4096), Memory::new(4096));
        let waits = Waits::new();
        waits.submit(&*engine, stays.region().cell(0).unwrap(), None, 0).unwrap();
        for token in 1..=50 {
            let cell = goes.region().cell(token as usize * 8).unwrap();
            waits.submit(&*engine, cell, None, token).unwrap();
        }
        let start = goes.region().as_ptr().addr().get();
        assert_eq!(engine.cancel_in(start..start + 4096), 50);
        assert!(engine.wait_out(start..start + 4096, GENEROUS));
        drop(goes);
        for _ in 0..50 {
            let (token, ended) = waits.next();
            assert!(token > 0 && ended == Ended::Cancelled);
        }
        assert_eq!(engine.pending(), 1);
        assert!(!engine.wait_out(EVERYWHERE, Duration::from_millis(5)));
    }
}

#[test]
fn dropping_the_engine_ends_all_its_waits() {
    let memory = Memory::new(4096);
    for engine in engines() {
        let waits = Waits::new();
        for token in 0..20 {
            waits.submit(&*engine, memory.region().cell(0).unwrap(), None, token).unwrap();
        }
        drop(engine);
        assert_eq!(waits.ended.try_iter().filter(|ended| ended.1 == Ended::Cancelled).count(), 20);
    }
}

#[test]
fn a_token_names_one_wait_at_a_time() {
    let memory = Memory::new(4096);
    for engine in engines() {
        let waits = Waits::new();
        let cell = memory.region().cell(0).unwrap();
        waits.submit(&*engine, cell, None, 7).unwrap();
        assert_eq!(waits.submit(&*engine, cell, None, 7), Err(SyncError::TokenInUse(7)));
        let refused = waits.submit(&*engine, cell, None, 1 << 63);
        assert!(matches!(refused, Err(SyncError::OutOfRange { .. })));
        assert!(engine.cancel(7));
        waits.next();
        waits.submit(&*engine, cell, None, 7).unwrap();
    }
}

#[test]
fn a_wait_outlives_the_thread_that_began_it() {
    let memory = Memory::new(4096);
    for engine in engines() {
        let waits = Waits::new();
        let cell = memory.region().cell(0).unwrap();
        for timeout in [None, Some(GENEROUS)] {
            cell.store(0, Ordering::SeqCst);
            std::thread::scope(|scope| {
                let request = waits.request(cell, timeout, 1);
                // SAFETY: the memory outlives the engine.
                scope.spawn(|| unsafe { engine.submit(request) }.unwrap());
            });
            assert!(waits.ended.recv_timeout(Duration::from_millis(40)).is_err(), "{engine:?}");
            cell.store(1, Ordering::SeqCst);
            crate::notify(cell, 1);
            assert!(matches!(waits.next(), (1, Ended::Woken | Ended::NotEqual)));
        }
    }
}

#[test]
fn a_wake_up_that_meets_a_cancellation_is_not_lost() {
    let memory = Memory::new(4096);
    for engine in engines() {
        let waits = Waits::new();
        let cell = memory.region().cell(0).unwrap();
        for round in 0..200 {
            waits.submit(&*engine, cell, None, round).unwrap();
            let woken = std::thread::scope(|scope| {
                let waker = scope.spawn(|| crate::notify(cell, 1));
                engine.cancel(round);
                waker.join().unwrap()
            });
            let (_, ended) = waits.next();
            assert_eq!(ended == Ended::Woken, woken == 1, "{engine:?}: {ended:?}, {woken} woken");
        }
    }
}

#[test]
fn a_panic_in_a_completion_does_not_affect_other_waits() {
    let memory = Memory::new(4096);
    for engine in engines() {
        let waits = Waits::new();
        let cell = memory.region().cell(0).unwrap();
        let completion = Box::new(|_| std::panic::resume_unwind(Box::new("as a test")));
        let request = Request { completion, ..waits.request(cell, Some(Duration::ZERO), 1) };
        // SAFETY: the memory outlives the engine.
        unsafe { engine.submit(request) }.unwrap();
        waits.submit(&*engine, cell, Some(Duration::from_millis(20)), 2).unwrap();
        assert_eq!(waits.next(), (2, Ended::TimedOut));
    }
}

#[test]
fn too_many_waits_are_an_error() {
    let memory = Memory::new(4096);
    let Some(Ok(engine)) = by_name("uring") else { return };
    let waits = Waits::new();
    let cell = memory.region().cell(0).unwrap();
    for token in 0..MOST_PENDING as u64 {
        waits.submit(&*engine, cell, None, token).unwrap();
    }
    let refused = waits.submit(&*engine, cell, None, u64::MAX >> 1);
    assert_eq!(refused, Err(SyncError::TooManyWaits { pending: MOST_PENDING }));
    // More completions at once than the queue holds.
    assert_eq!(crate::notify(cell, u32::MAX), MOST_PENDING);
    for _ in 0..MOST_PENDING {
        assert_eq!(waits.next().1, Ended::Woken);
    }
}

#[test]
fn choose_returns_an_engine_that_works() {
    let engine = choose().unwrap();
    let memory = Memory::new(4096);
    let waits = Waits::new();
    waits.submit(&*engine, memory.region().cell(0).unwrap(), Some(Duration::ZERO), 1).unwrap();
    assert_eq!(waits.next(), (1, Ended::TimedOut));
}

#[test]
fn a_wait_keeps_its_time_limit_while_others_come_and_go() {
    for engine in engines() {
        let memory = Memory::new(4096);
        let ended = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
        let (mut begun, start) = (0, Instant::now());
        let request = |token: u64, expected, timeout| {
            let ended = ended.clone();
            let completion = Box::new(move |how| {
                assert!(matches!(how, Ended::TimedOut | Ended::NotEqual), "{how:?}");
                ended.fetch_add(1, Ordering::SeqCst);
            });
            let cell = memory.region().cell((token % 512 * 8) as usize).unwrap();
            Request { cell, expected, timeout, token, completion }
        };
        // Threads are slower to make than entries of a ring.
        let most = if engine.name() == "io_uring" { 20_000 } else { 1_000 };
        while start.elapsed() < Duration::from_millis(1500) && begun < 50 * most {
            while begun - ended.load(Ordering::SeqCst) > most / 10 {
                std::thread::yield_now();
            }
            for (expected, timeout) in [(7, None), (0, Some(Duration::from_millis(10)))] {
                // SAFETY: the memory stays until the engine is gone.
                unsafe { engine.submit(request(begun.into(), expected, timeout)) }.unwrap();
                begun += 1;
            }
        }
        let stopped = Instant::now();
        while ended.load(Ordering::SeqCst) < begun {
            let missing = begun - ended.load(Ordering::SeqCst);
            assert!(stopped.elapsed() < GENEROUS, "{engine:?}: {missing} of {begun} never ended");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod polled {
    use super::*;
    use std::{
        os::fd::{AsFd, AsRawFd},
        sync::atomic::AtomicBool,
    };

    fn polled() -> Option<Polled> {
        Polled::new().inspect_err(|error| crate::testing::skip(&error.to_string())).ok()
    }

    fn is_readable(engine: &Polled, within: Duration) -> bool {
        let fd = engine.as_fd().as_raw_fd();
        let mut polled = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        // SAFETY: one entry, on our stack.
        unsafe { libc::poll(&raw mut polled, 1, within.as_millis() as i32) == 1 }
    }

    #[test]
    fn the_descriptor_is_readable_when_waits_have_ended_and_harvest_reports_them() {
        let Some(engine) = polled() else { return };
        let memory = Memory::new(4096);
        let cell = memory.region().cell(0).unwrap();
        let waits = Waits::new();
        for (token, timeout) in [(1, None), (2, Some(Duration::from_millis(5))), (3, None)] {
            waits.submit(&engine, cell, timeout, token).unwrap();
            assert!(token == 2 || !is_readable(&engine, Duration::ZERO));
            match token {
                1 => wake_one(cell),
                3 => assert!(engine.cancel(token)),
                _ => {}
            }
            assert!(is_readable(&engine, GENEROUS));
            assert_eq!(waits.ended.try_iter().count(), 0, "nobody has harvested");
            engine.harvest();
            let ended = [Ended::Woken, Ended::TimedOut, Ended::Cancelled][token as usize - 1].clone();
            assert_eq!(waits.ended.try_iter().collect::<Vec<_>>(), [(token, ended)]);
            engine.harvest();
            assert!(!is_readable(&engine, Duration::ZERO), "all of it was told");
        }
    }

    #[test]
    fn more_ended_waits_than_the_queue_holds_are_all_reported() {
        let Some(engine) = polled() else { return };
        let memory = Memory::new(4096);
        let waits = Waits::new();
        let cell = memory.region().cell(0).unwrap();
        for token in 0..5000 {
            waits.submit(&engine, cell, None, token).unwrap();
        }
        assert_eq!(crate::notify(cell, u32::MAX), 5000);
        let mut told = 0;
        while told < 5000 {
            assert!(is_readable(&engine, GENEROUS), "only {told} were told");
            engine.harvest();
            let more = waits.ended.try_iter().filter(|(_, ended)| *ended == Ended::Woken).count();
            assert_ne!(more, 0, "it is readable, and nothing is told");
            assert!(more < 5000, "the loop has no turn");
            told += more;
        }
        assert!(!is_readable(&engine, Duration::ZERO));
        assert_eq!(engine.pending(), 0);
    }

    /// Ends the waits of a thread that is busy with something else.
    fn another_thread_ends_the_waits_of_a_thread_that(is_busy: impl Fn(&AtomicBool) + Sync) {
        let Some(engine) = polled() else { return };
        let memory = Memory::new(4096);
        let (waits, begun, over) = (Waits::new(), AtomicBool::new(false), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let request = |token| {
                waits.request(memory.region().cell(0).unwrap(), (token > 25).then_some(GENEROUS), token)
            };
            let requests: Vec<_> = (0..50).map(request).collect();
            let engine = &engine;
            let (begun, over, is_busy) = (&begun, &over, &is_busy);
            scope.spawn(move || {
                for request in requests {
                    // SAFETY: the memory outlives the engine.
                    unsafe { engine.submit(request) }.unwrap();
                }
                begun.store(true, Ordering::SeqCst);
                is_busy(over);
            });
            while !begun.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            let start = memory.region().as_ptr().addr().get();
            let cancelled = engine.cancel_in(start..start + 4096);
            let ended = engine.wait_out(start..start + 4096, GENEROUS);
            over.store(true, Ordering::SeqCst);
            assert_eq!((cancelled, ended), (50, true));
        });
        assert_eq!(engine.pending(), 0);
        assert_eq!(waits.ended.try_iter().filter(|(_, ended)| *ended == Ended::Cancelled).count(), 50);
    }

    #[test]
    fn another_thread_ends_the_waits_of_a_thread_that_makes_no_system_call() {
        another_thread_ends_the_waits_of_a_thread_that(|over| {
            while !over.load(Ordering::SeqCst) {
                std::hint::spin_loop();
            }
        });
    }

    #[test]
    fn another_thread_ends_the_waits_of_a_thread_that_sleeps() {
        another_thread_ends_the_waits_of_a_thread_that(|over| {
            while !over.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(50));
            }
        });
    }

    #[test]
    fn another_thread_ends_the_waits_of_a_thread_that_has_ended() {
        another_thread_ends_the_waits_of_a_thread_that(|_| {});
    }

    #[test]
    fn threads_that_harvest_at_once_report_each_wait_once() {
        let Some(engine) = polled() else { return };
        let memory = Memory::new(4096);
        let waits = Waits::new();
        let cell = memory.region().cell(0).unwrap();
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !over.load(Ordering::SeqCst) {
                        engine.harvest();
                        std::thread::yield_now();
                    }
                });
            }
            for token in 0..2000 {
                waits.submit(&engine, cell, (token % 2 == 0).then_some(GENEROUS), token).unwrap();
                if token % 3 == 0 {
                    engine.cancel(token);
                }
                crate::notify(cell, 1);
            }
            crate::notify(cell, u32::MAX);
            let mut tokens: Vec<_> = (0..2000).map(|_| waits.next().0).collect();
            over.store(true, Ordering::SeqCst);
            tokens.sort_unstable();
            assert!(tokens.into_iter().eq(0..2000));
        });
    }
}
