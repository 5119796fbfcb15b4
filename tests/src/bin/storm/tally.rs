//! What happened, counted by all processes together.

use nix::sys::{
    mman::{MapFlags, ProtFlags, mmap_anonymous},
    signal::Signal,
    wait::WaitStatus,
};
use std::{
    fmt,
    num::NonZeroUsize,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

macro_rules! counts {
    ($($(#[doc = $doc:expr])+ $name:ident)+) => {
        /// Counts, in memory that all processes of the storm share.
        #[derive(Debug, Default)]
        pub(crate) struct Tally {
            stopped: AtomicBool,
            $($(#[doc = $doc])+ pub(crate) $name: Count,)+
        }
    };
}

counts! {
    /// The last number given to a segment's contents.
    generation
    /// Segments created.
    creates
    /// Segments attached, those created included.
    attaches
    /// Segments that the last holder destroyed.
    destroyed
    /// Detaches that left a segment to other holders.
    kept
    /// Segments that a sweep destroyed.
    swept
    /// Processes that died at a step of the protocol.
    died_at_steps
    /// Segments that a stranger mapped.
    visits
    /// Strangers that came while the kernel was asked.
    refused
    /// Names that went while only a stranger held the object, where the kernel does not see it.
    unnamed
    /// Calls that gave up on a lock.
    busy
    /// Violation: a key that no longer names the segment that is held.
    taken
    /// Violation: bytes that changed under a holder.
    changed
    /// Violation: a segment of the wrong size.
    missized
    /// Violation: a segment removed while a stranger held it, where the kernel sees it, or its memory anywhere.
    robbed
    /// Violation: an error that nothing explains.
    errors
    /// Violation: a process that ended in another way than by SIGKILL.
    panics
}

/// One of them.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    /// Counts one more, and returns how many it is.
    pub(crate) fn one(&self) -> u64 {
        self.0.fetch_add(1, Relaxed) + 1
    }

    pub(crate) fn add(&self, count: usize) {
        self.0.fetch_add(count as u64, Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Tally {
    /// One that children of a fork share.
    pub(crate) fn shared() -> &'static Self {
        let size = NonZeroUsize::new(size_of::<Self>()).expect("it has fields");
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: the kernel chooses where.
        let start = unsafe { mmap_anonymous(None, size, protection, MapFlags::MAP_SHARED) }.expect("a page");
        // SAFETY: it is as large as asked, aligned to a page, never unmapped, and all zero: no counts yet.
        unsafe { start.cast().as_ref() }
    }

    pub(crate) fn stop(&self) {
        self.stopped.store(true, Relaxed);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.stopped.load(Relaxed)
    }

    /// Counts how a worker ended: killed by us, or at a step of its own.
    pub(crate) fn count_end(&self, ended: WaitStatus, by_us: bool) {
        match ended {
            WaitStatus::Signaled(_, Signal::SIGKILL, _) if by_us => {}
            WaitStatus::Signaled(_, Signal::SIGKILL, _) => drop(self.died_at_steps.one()),
            WaitStatus::Exited(_, 0) if self.is_over() => {}
            _ => {
                eprintln!("a worker ended: {ended:?}");
                self.panics.one();
            }
        }
    }

    pub(crate) fn violations(&self) -> u64 {
        [&self.taken, &self.changed, &self.missized, &self.robbed, &self.errors, &self.panics]
            .iter()
            .map(|count| count.get())
            .sum()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { died_at_steps, creates, attaches, destroyed, swept, kept, .. } = self;
        let Self { visits, refused, unnamed, busy, taken, changed, missized, robbed, errors, panics, .. } =
            self;
        let all = [died_at_steps, creates, attaches, destroyed, swept, kept, visits, refused, unnamed, busy];
        let [died_at_steps, creates, attaches, destroyed, swept, kept, visits, refused, unnamed, busy] =
            all.map(Count::get);
        let [taken, changed, missized, robbed, errors, panics] =
            [taken, changed, missized, robbed, errors, panics].map(Count::get);
        write!(
            f,
            "{died_at_steps} at steps, {creates} creates, {attaches} attaches, {destroyed} destroyed by the last \
             holder and {swept} by a sweep, {kept} times left to others, {visits} visits of strangers ({refused} \
             refused, {unnamed} whose name went), {busy} times busy\n  while held: {taken} taken, {changed} changed, {missized} of a wrong \
             size, {robbed} strangers robbed; {errors} errors, {panics} panics"
        )
    }
}
