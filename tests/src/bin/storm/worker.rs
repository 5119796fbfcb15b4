//! One that uses the library, until it is killed.

use crate::{
    random::Random,
    scene::{SIZE, Scene},
    tally::Tally,
};
use shm_api::{AttachError, Backend, CreateError, CreateOptions, Detached, Key, Mode, Segment, Sweep};
use shm_posix::Posix;
use shm_sysv::SysV;
use std::{
    num::NonZeroUsize,
    sync::atomic::{AtomicU64, Ordering::SeqCst},
    thread,
    time::Duration,
};

/// Works in some threads at once: they share the process's descriptors, and so its file locks.
pub(crate) fn work(scene: &Scene, tally: &Tally, number: usize, threads: usize) {
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(|| work_alone(scene, tally, number)))));
}

fn work_alone(scene: &Scene, tally: &Tally, number: usize) {
    let mut random = Random::of_this_process();
    let (sysv, posix) = (SysV::new(), Posix::new());
    // The first call sweeps; some begin with an explicit sweep.
    if number.is_multiple_of(2) {
        sweep(&sysv, tally);
        sweep(&posix, tally);
    }
    while !tally.is_over() {
        let (mut of_sysv, mut of_posix) = (Vec::new(), Vec::new());
        for _ in 0..1 + random.below(3) {
            let number = random.below(scene.keys().into()) as u32;
            if random.one_in(2) {
                of_sysv.extend(hold(
                    &sysv,
                    &scene.sysv_key(number),
                    scene.is_foreign(number),
                    tally,
                    &mut random,
                ));
            } else {
                of_posix.extend(hold(
                    &posix,
                    &scene.posix_key(number),
                    scene.is_foreign(number),
                    tally,
                    &mut random,
                ));
            }
        }
        check(&of_sysv, tally);
        check(&of_posix, tally);
        match random.below(16) {
            0 => thread::sleep(Duration::from_micros(random.below(200))),
            1..4 => thread::yield_now(),
            _ => {}
        }
        if random.one_in(64) {
            sweep(&sysv, tally);
            sweep(&posix, tally);
        }
        leave(of_sysv, tally, &mut random);
        leave(of_posix, tally, &mut random);
    }
}

/// A segment, the number that its first word held when it was attached, and whether it is a stranger's.
type Held<S> = (S, u64, bool);

/// Attaches the key's segment, or creates it.
fn hold<B: Backend>(
    backend: &B,
    key: &Key,
    foreign: bool,
    tally: &Tally,
    random: &mut Random,
) -> Option<Held<B::Segment>> {
    // Most let strangers in; those that do not are locked in another file.
    let mode = Mode::new(if random.one_in(4) { 0o600 } else { 0o666 }).expect("nine bits");
    let options = CreateOptions::new(NonZeroUsize::new(SIZE).expect("not 0")).mode(mode);
    loop {
        let segment = match backend.attach(key) {
            Err(AttachError::NotFound { .. }) if !foreign => match backend.create(key, &options) {
                Ok(segment) => {
                    tally.creates.one();
                    Ok(segment)
                }
                Err(CreateError::Exists { .. }) => continue,
                Err(CreateError::Os(error)) if error.errno() == libc::EBUSY => Err(None),
                Err(error) => Err(Some(error.to_string())),
            },
            Err(AttachError::Os(error)) if error.errno() == libc::EBUSY || is_unfinished(error.errno()) => {
                Err(None)
            }
            Err(error) => Err(Some(error.to_string())),
            Ok(segment) => Ok(segment),
        };
        let segment = match segment {
            Ok(segment) => segment,
            Err(None) => {
                tally.busy.one();
                return None;
            }
            Err(Some(error)) => {
                eprintln!("{error}");
                tally.errors.one();
                return None;
            }
        };
        tally.attaches.one();
        if segment.size().get() != SIZE {
            tally.missized.one();
        }
        // The first process numbers the contents.
        let word = segment.atomic::<AtomicU64>(0).expect("the first word");
        let new = tally.generation.one();
        let number = match word.compare_exchange(0, new, SeqCst, SeqCst) {
            Ok(_) => new,
            Err(number) => number,
        };
        return Some((segment, number, foreign));
    }
}

/// The key still names what we hold, and nobody has changed it: nobody calls `destroy` here.
fn check<S: Segment>(held: &[Held<S>], tally: &Tally) {
    for (segment, number, _) in held {
        if !segment.is_current() {
            tally.taken.one();
        }
        if segment.atomic::<AtomicU64>(0).expect("the first word").load(SeqCst) != *number {
            tally.changed.one();
        }
    }
}

fn leave<S: Segment>(held: Vec<Held<S>>, tally: &Tally, random: &mut Random) {
    for held in held {
        check(std::slice::from_ref(&held), tally);
        let (segment, _, foreign) = held;
        let detached = match random.below(3) {
            0 => segment.detach(),
            1 => segment.let_go_in_place(&|| false).0,
            _ => {
                drop(segment);
                continue;
            }
        };
        match detached {
            // A stranger's segment is never destroyed by a detach.
            Detached::Destroyed if foreign => tally.taken.one(),
            Detached::Destroyed => tally.destroyed.one(),
            Detached::Outlives(_) => tally.kept.one(),
            // It vanished while it was held.
            Detached::Gone => tally.taken.one(),
        };
    }
}

fn sweep<B: Sweep>(backend: &B, tally: &Tally) {
    match backend.sweep() {
        Ok(count) => tally.swept.add(count),
        Err(error) => {
            eprintln!("{error}");
            tally.errors.one();
        }
    }
}

/// A creator died before its object had a size, and a stranger has it open: only so where it has its name from the
/// start.
fn is_unfinished(errno: i32) -> bool {
    use shm_lifetime::fault::{cannot_name_objects, lacks_unnamed_objects};
    (lacks_unnamed_objects() || cannot_name_objects()) && errno == libc::EAGAIN
}
