//! One that knows nothing of the library, maps what it finds, and checks that it is not taken away.

use crate::{
    random::Random,
    scene::{SIZE, Scene},
    tally::Tally,
};
use nix::{
    fcntl::OFlag,
    sys::{
        mman::{MapFlags, ProtFlags, mmap, munmap, shm_open},
        stat::{Mode, fstat, stat},
    },
    unistd::getppid,
};
use std::{
    mem::MaybeUninit,
    num::NonZeroUsize,
    sync::atomic::{AtomicU64, Ordering::SeqCst},
    thread,
    time::Duration,
};

/// sys/shm.h; the libc crate does not have it.
const SHM_DEST: u32 = 0o1000;

pub(crate) fn visit(scene: &Scene, tally: &Tally, number: usize) {
    let mut random = Random::of_this_process();
    // The signal at a parent's death needs its permission, and it is another user by then.
    let parent = getppid();
    while !tally.is_over() && getppid() == parent {
        let name = random.below(scene.keys().into()) as u32;
        // POSIX takes no chances with a lease; System V's guard is a matter of microseconds, so more look at that.
        let visited = if number.is_multiple_of(4) {
            visit_posix(scene, name, tally, &mut random)
        } else {
            visit_sysv(scene.id(name), tally, &mut random)
        };
        match visited {
            Some(()) => {}
            None => thread::yield_now(),
        }
    }
}

fn visit_posix(scene: &Scene, number: u32, tally: &Tally, random: &mut Random) -> Option<()> {
    let name = scene.name(number);
    let file = shm_open(name.as_c_str(), OFlag::O_RDWR, Mode::empty()).ok()?;
    let size = NonZeroUsize::new(SIZE).expect("not 0");
    let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: the kernel chooses where.
    let start = unsafe { mmap(None, size, protection, MapFlags::MAP_SHARED, &file, 0) }.ok()?;
    let opened = fstat(&file).ok()?;
    drop(file);
    // One whose creator is not done is empty.
    if opened.st_nlink > 0 && opened.st_size as usize == SIZE {
        tally.visits.one();
        let path = format!("/dev/shm{}", name.to_str().expect("digits"));
        let has_name = || stat(path.as_str()).is_ok_and(|now| now.st_ino == opened.st_ino);
        // SAFETY: a mapping is aligned to a page, and the object has its size, which nobody changes here.
        let word = unsafe { start.cast::<AtomicU64>().as_ref() };
        let number = word.load(SeqCst);
        let (mut named, mut kept) = (true, true);
        stay(random, || {
            named &= has_name();
            // The first one numbers it, and the number never changes.
            kept &= number == 0 || word.load(SeqCst) == number;
            kept && (named || scene.hides_strangers())
        });
        match (kept, named) {
            (true, true) => {}
            (true, false) if scene.hides_strangers() => drop(tally.unnamed.one()),
            _ => drop(tally.robbed.one()),
        }
    }
    // SAFETY: it was mapped there, and is used no more.
    unsafe { munmap(start, SIZE) }.ok()
}

fn visit_sysv(key: u32, tally: &Tally, random: &mut Random) -> Option<()> {
    // SAFETY: shmget takes no pointers.
    let id = unsafe { libc::shmget(key as i32, 0, 0) };
    if id < 0 {
        return None;
    }
    // SAFETY: the kernel chooses where.
    let start = unsafe { libc::shmat(id, std::ptr::null(), 0) };
    if start.addr() == usize::MAX {
        tally.refused.one();
        return None;
    }
    tally.visits.one();
    if !stay(random, || !is_removed(id)) {
        tally.robbed.one();
    }
    // SAFETY: it was attached there, and is used no more.
    unsafe { libc::shmdt(start) };
    Some(())
}

/// Whether a segment that is attached has been marked for removal.
fn is_removed(id: i32) -> bool {
    let mut stat = MaybeUninit::<libc::shmid_ds>::uninit();
    // SAFETY: IPC_STAT fills in the structure, or fails.
    if unsafe { libc::shmctl(id, libc::IPC_STAT, stat.as_mut_ptr()) } != 0 {
        return false; // its mode is 0 for the moment
    }
    // SAFETY: it did not fail.
    let mode = unsafe { stat.assume_init() }.shm_perm.mode;
    u32::from(mode) & SHM_DEST != 0
}

/// Looks a few times; false as soon as `is_there` is.
fn stay(random: &mut Random, mut is_there: impl FnMut() -> bool) -> bool {
    let long = random.one_in(4);
    (0..4).all(|_| {
        let is_there = is_there();
        if is_there && long {
            thread::sleep(Duration::from_micros(random.below(400)));
        }
        is_there
    })
}
