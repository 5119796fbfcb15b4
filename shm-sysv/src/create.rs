//! Creating: put the segment in the ledger, make it, and attach it, under its name's lock.

use crate::{
    SysVSegment,
    attachment::Attachment,
    destroy::destroy,
    failed::{attach_failed, failed, refused},
    kernel::{SysVKernel, destroy_unheld},
    limits, number, sys,
};
use nix::errno::Errno;
use shm_api::{CreateError, CreateOptions, Key, Segment};
use shm_lifetime::{Entry, EntryName, Hold, Lifetime, check_room, fault::step, orphans_may_hold};
use std::{num::NonZeroU32, sync::Arc};

/// Creates a segment. If there is no room, it sweeps, because orphans may take the room, and tries once more.
pub(crate) fn create(key: &Key, options: &CreateOptions) -> Result<SysVSegment, CreateError> {
    let number = number::of_key(key)?;
    let mode = options.permissions();
    if mode.bits() & 0o400 == 0 {
        return Err(CreateError::Unreadable { key: key.clone(), mode });
    }
    if options.persists() && limits::all_go_with_their_last_holder() {
        return Err(failed("shmget", Errno::EOPNOTSUPP, key)
            .advise(
                "kernel.shm_rmid_forced is 1. So the kernel destroys each System V segment with its last attachment, \
                 and none can persist: set it to 0, or put the segment on the POSIX backend.",
            )
            .into());
    }
    let lifetime = Lifetime::current().map_err(|error| error.on(key))?;
    lifetime.sweep_once::<SysVKernel>();
    match create_once(&lifetime, key, number, options) {
        // Orphans may hold what is missing.
        Err(CreateError::Os(error))
            if orphans_may_hold(error.errno()) && lifetime.sweep::<SysVKernel>() > 0 =>
        {
            create_once(&lifetime, key, number, options)
        }
        created => created,
    }
}

fn create_once(
    lifetime: &Arc<Lifetime>,
    key: &Key,
    number: NonZeroU32,
    options: &CreateOptions,
) -> Result<SysVSegment, CreateError> {
    let (size, mode) = (options.size(), options.permissions());
    if options.reserves() || options.populates() {
        check_room("shmget", size.get() as u64).map_err(|error| error.on(key))?;
    }
    let name = EntryName::Key(number.get());
    let taken = || CreateError::Exists { key: key.clone() };
    let class = lifetime.class_to_create(options);
    let lock = lifetime.lock_to_create::<SysVKernel>(&name, class).map_err(|error| error.on(key))?;
    let Some(lock) = lock else { return Err(taken()) };
    let entry = Entry::of_this_process(name, lifetime, options, lifetime.namespaces().ipc);
    let (id, (found, attachment)) = lifetime.enter(&entry, |_| {
        let found = sys::create(number, size.get(), mode.bits()).map_err(|errno| match errno {
            Errno::EEXIST => taken(),
            errno => refused(errno, key, size).into(),
        })?;
        step();
        let attachment = Attachment::of(found, size).map_err(|errno| {
            let _ = sys::remove(found);
            attach_failed(errno, key)
        })?;
        Ok::<_, CreateError>(((found, attachment), found.into()))
    })?;
    let hold = Hold::new(lifetime, Some(id), lifetime.lock_file(class), &name, found.into(), true);
    drop(lock); // taking pages may be slow
    if options.wants_huge_pages() {
        // SAFETY: it was just attached with that size.
        unsafe { shm_lifetime::ask_for_huge_pages(attachment.start(), size, options.reserves()) };
    }
    let segment = SysVSegment::new(key, number, attachment, size, hold);
    if options.populates()
        && let Err(error) = segment.populate()
    {
        drop(segment);
        undo(key, found);
        return Err(error.into());
    }
    Ok(segment)
}

/// Destroys a segment that was just created, unless another segment has its key by now, or another process holds it.
#[cold]
fn undo(key: &Key, made: sys::Id) {
    let remove = |found| {
        if found != made {
            return Err(Errno::EIDRM);
        }
        let stat = sys::stat(found)?;
        destroy_unheld(found, &stat, stat.mode())
    };
    let _ = destroy(key, remove);
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// A create that failed after it had its key destroys what it made, and nothing that has the key by now.
    #[test]
    fn a_create_that_is_undone_leaves_another_segment_of_its_key() {
        let number = NonZeroU32::new(0x5500_0000 | std::process::id() & 0xffff).unwrap();
        let made = sys::create(number, 100, 0o600).unwrap();
        undo(&Key::Id(number), sys::Id(made.0 + 1));
        let left = sys::find(number);
        undo(&Key::Id(number), made);
        assert_eq!((left, sys::find(number)), (Ok(made), Err(Errno::ENOENT)));
    }

    /// It had its key for a moment, in which another process attached it.
    #[test]
    fn a_create_that_is_undone_leaves_what_another_process_holds() {
        let number = NonZeroU32::new(0x5600_0000 | std::process::id() & 0xffff).unwrap();
        let made = sys::create(number, 100, 0o600).unwrap();
        let start = sys::attach(made).unwrap();
        undo(&Key::Id(number), made);
        let left = sys::find(number);
        // SAFETY: nobody uses it.
        unsafe { sys::detach(start) }.unwrap();
        undo(&Key::Id(number), made);
        assert_eq!((left, sys::find(number)), (Ok(made), Err(Errno::ENOENT)));
    }
}
