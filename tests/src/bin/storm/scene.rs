//! What they fight over, and what is left of it.

use nix::{
    errno::Errno,
    fcntl::OFlag,
    sys::{
        mman::{shm_open, shm_unlink},
        stat::{Mode, fchmod},
    },
    unistd::ftruncate,
};
use shm_api::{Backend, CreateOptions, Key};
use shm_lifetime::{Entry, EntryName, Lifetime};
use shm_posix::Posix;
use shm_sysv::SysV;
use shm_tests::stage::Ground;
use std::{ffi::CString, fs, num::NonZeroUsize, process};

/// The size of every segment.
pub(crate) const SIZE: usize = 8192;

/// The keys, told apart from those of other programs by this process's id.
#[derive(Debug)]
pub(crate) struct Scene {
    names: u32,
    id: u32,
    ground: Ground,
}

impl Scene {
    /// With `names` keys on each backend, the last of them a stranger's own segment.
    pub(crate) fn new(names: u32, ground: Ground) -> Self {
        let scene = Self { names, id: process::id(), ground };
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_RDWR;
        let file = shm_open(scene.name(names).as_c_str(), flags, Mode::S_IRUSR).expect("a fresh name");
        fchmod(&file, Mode::from_bits_truncate(0o666)).expect("our file");
        ftruncate(&file, SIZE as i64).expect("our file");
        let flags = libc::IPC_CREAT | libc::IPC_EXCL | 0o666;
        // SAFETY: shmget takes no pointers.
        Errno::result(unsafe { libc::shmget(scene.id(names) as i32, SIZE, flags) }).expect("a fresh key");
        scene
    }

    /// How many keys there are; the last is a stranger's.
    pub(crate) const fn keys(&self) -> u32 {
        self.names + 1
    }

    pub(crate) const fn is_foreign(&self, number: u32) -> bool {
        number == self.names
    }

    /// Whether an object may lose its name while only strangers hold it: where the kernel does not see them.
    pub(crate) const fn hides_strangers(&self) -> bool {
        matches!(self.ground, Ground::Overlayfs | Ground::OverlayfsOfTwo)
    }

    /// The integer key of this number.
    pub(crate) const fn id(&self, number: u32) -> u32 {
        self.id << 8 | number
    }

    /// The POSIX name of this number, with its slash.
    pub(crate) fn name(&self, number: u32) -> CString {
        CString::new(format!("/shm-storm-{}-{number}", self.id)).expect("no NUL")
    }

    pub(crate) fn sysv_key(&self, number: u32) -> Key {
        Key::id(self.id(number)).expect("a process id is not 0")
    }

    pub(crate) fn posix_key(&self, number: u32) -> Key {
        Key::name(self.name(number).to_str().expect("digits")).expect("a valid name")
    }

    /// Fills the ledger's first level with entries of another IPC namespace, which are left alone. An entry goes to the
    /// place that its name's lock byte points to, where that is free.
    pub(crate) fn crowd(&self) {
        const FIRST_LEVEL: u32 = 128;
        const ELSEWHERE: u64 = 1;
        let lifetime = Lifetime::current().expect("our folder");
        let ledger = lifetime.ledger().expect("room for it");
        let options = CreateOptions::new(NonZeroUsize::MIN);
        // The first place is the header's.
        for place in 1..FIRST_LEVEL {
            let is_there = |name: &EntryName| name.lock_byte() % FIRST_LEVEL == place;
            let name = (1..).map(EntryName::Key).find(is_there).expect("some key leads there");
            let entry = Entry::of_this_process(name, &lifetime, &options, ELSEWHERE);
            ledger.insert(&entry).expect("a place is free");
        }
        assert_eq!(ledger.capacity(), ledger.taken().count(), "all of its places, and no others");
    }

    /// What a process calls first; it sweeps what others left.
    pub(crate) fn call(&self) {
        let nobody = Key::random().expect("random numbers");
        let missing = (SysV::new().attach(&nobody).is_err(), Posix::new().attach(&nobody).is_err());
        assert_eq!(missing, (true, true));
    }

    /// How many of our segments exist, asked of the kernel.
    pub(crate) fn left(&self) -> usize {
        let sysv = (0..self.names).filter(|number| exists(self.id(*number))).count();
        let ours = (0..self.names).map(|number| self.name(number));
        let posix = ours.filter(|name| fs::symlink_metadata(path(name)).is_ok()).count();
        sysv + posix
    }

    /// How many entries of our segments the ledger holds.
    pub(crate) fn entries(&self) -> usize {
        let lifetime = Lifetime::current().expect("our folder");
        let Some(ledger) = lifetime.existing_ledger() else { return 0 };
        let ours = |name: &EntryName| match name {
            EntryName::Key(key) => *key >> 8 == self.id & 0xff_ffff,
            EntryName::Name(_) => {
                (0..=self.names).any(|n| self.name(n).to_bytes()[1..] == *name.as_c_str().to_bytes())
            }
        };
        ledger.taken().filter(|(id, ..)| ledger.get(*id).is_none_or(|entry| ours(&entry.name))).count()
    }

    /// How many of the strangers' own segments are gone.
    pub(crate) fn foreign_gone(&self) -> usize {
        let sysv = exists(self.id(self.names));
        let posix = fs::symlink_metadata(path(&self.name(self.names))).is_ok();
        usize::from(!sysv) + usize::from(!posix)
    }

    /// Removes everything, also what a mutant left.
    pub(crate) fn clear(&self) {
        for number in 0..self.keys() {
            let _ = shm_unlink(self.name(number).as_c_str());
            // SAFETY: shmget takes no pointers.
            let id = unsafe { libc::shmget(self.id(number) as i32, 0, 0) };
            // SAFETY: IPC_RMID ignores the pointer.
            unsafe { libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut()) };
        }
    }
}

fn exists(key: u32) -> bool {
    // SAFETY: shmget takes no pointers.
    unsafe { libc::shmget(key as i32, 0, 0) >= 0 }
}

fn path(name: &CString) -> String {
    format!("/dev/shm{}", name.to_str().expect("digits"))
}
