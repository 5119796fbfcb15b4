//! Asking the kernel who holds a segment in the ledger.

use crate::sys::{self, GUARD, Id, Stat};
use nix::errno::Errno;
use shm_api::Detached;
use shm_lifetime::{
    BackendId, Entry, EntryName, Kernel, Lifetime, OUTLIVES,
    fault::{Check, skips, step},
};
use std::num::{NonZeroU32, NonZeroUsize};

/// System V counts attachments in `shm_nattch`. Only zero means something: fork and mprotect raise it too.
#[derive(Debug)]
pub(crate) struct SysVKernel;

impl Kernel for SysVKernel {
    const BACKEND: BackendId = BackendId::SysV;
    const COUNTS: bool = true;

    fn destroy_unheld(lifetime: &Lifetime, entry: &Entry) -> Detached {
        let ours = lifetime.namespaces();
        if entry.namespace != ours.ipc {
            // The id belongs to another namespace.
            return if ours.has_ended(entry.namespace) { Detached::Gone } else { OUTLIVES };
        }
        let (id, stat) = match find(entry, ours.pid) {
            // This process may have entered another namespace a moment ago.
            Found::Gone if ours.is_ipc_still_ours() => return Detached::Gone,
            Found::Gone | Found::Unknown => return OUTLIVES,
            Found::It(id, stat) => (id, stat),
        };
        // A process of ours that died in the guard below may have left this mode.
        let mode = if stat.mode() == GUARD { entry.mode } else { stat.mode() };
        if entry.persist {
            return stays(id, &stat, mode, stat.mode() != mode);
        }
        destroy_unheld(id, &stat, mode).unwrap_or(OUTLIVES)
    }
}

/// Removes a segment if nobody holds it. A segment that stays gets `mode`. An error if this user may not ask about it.
pub(crate) fn destroy_unheld(id: Id, stat: &Stat, mode: u32) -> Result<Detached, Errno> {
    let free = |stat: &Stat| stat.holders() == 0 || skips(Check::Holders);
    if !free(stat) {
        return Ok(stays(id, stat, mode, stat.mode() != mode));
    }
    if !skips(Check::ModeGuard) {
        // A program that does not use our locks may attach between the question and the removal. With this mode the
        // kernel refuses it (shmat(2): EACCES). A process that attached before is counted when we ask again.
        sys::set_mode(id, stat, GUARD)?;
        step();
        match sys::stat(id) {
            Ok(stat) if free(&stat) => {}
            Ok(stat) => return Ok(stays(id, &stat, mode, true)),
            Err(Errno::EINVAL | Errno::EIDRM) => return Ok(Detached::Gone),
            // Before Linux 4.17, mode 0 keeps the owner from asking too. Without an answer, nothing is destroyed.
            Err(_) => return Ok(stays(id, stat, mode, true)),
        }
    } else {
        std::thread::yield_now();
    }
    step();
    match sys::remove(id) {
        Ok(()) => Ok(Detached::Destroyed),
        Err(Errno::EINVAL | Errno::EIDRM) => Ok(Detached::Gone),
        Err(_) => Ok(stays(id, stat, mode, true)),
    }
}

/// A segment that stays. It gets its mode back if the mode was changed.
fn stays(id: Id, stat: &Stat, mode: u32, guarded: bool) -> Detached {
    if guarded {
        let _ = sys::set_mode(id, stat, mode);
    }
    held(stat)
}

enum Found {
    It(Id, Stat),
    Gone,
    Unknown,
}

/// Finds the segment that an entry stands for.
fn find(entry: &Entry, pid_namespace: u64) -> Found {
    let EntryName::Key(key) = entry.name else { return Found::Unknown };
    let Some(key) = NonZeroU32::new(key) else { return Found::Gone };
    let id = match entry.object {
        Some(id) => Id(id.number as i32),
        // The creator died between shmget and writing the id. The segment that has the key now is the one of the entry
        // if that process made it. A pid has a meaning only in its own namespace.
        None => match sys::find(key) {
            Ok(id) => id,
            Err(Errno::ENOENT) => return Found::Gone,
            Err(_) => return Found::Unknown,
        },
    };
    match sys::stat(id) {
        Ok(stat) if stat.destroyed() || stat.key() != key.get() => Found::Gone,
        Ok(_) if entry.object.is_none() && (pid_namespace == 0 || pid_namespace != entry.pid_namespace) => {
            Found::Unknown
        }
        Ok(stat) if !is_made_by(&stat, entry, pid_namespace) => Found::Gone,
        Ok(stat) => Found::It(id, stat),
        Err(Errno::EINVAL | Errno::EIDRM) => Found::Gone,
        Err(_) => Found::Unknown,
    }
}

/// Whether a segment can be that of an entry. When an IPC namespace ends, its number is given to another one, in which
/// another program may have the same key and id. And two threads of one process may create one key at once, with modes
/// that are locked in different files. If the process died before it wrote an id, only the mode says which thread made
/// the segment.
pub(crate) fn is_made_by(stat: &Stat, entry: &Entry, pid_namespace: u64) -> bool {
    let knows_pids = pid_namespace != 0 && pid_namespace == entry.pid_namespace;
    let has_its_mode = stat.mode() == entry.mode || stat.mode() == GUARD;
    (entry.size == 0 || stat.size() as u64 == entry.size)
        && (!knows_pids || stat.creator() == entry.pid)
        && (entry.object.is_some() || has_its_mode)
}

/// A segment that stays, for the holders that the kernel counts.
pub(crate) fn held(stat: &Stat) -> Detached {
    NonZeroUsize::new(stat.holders() as usize).map_or(OUTLIVES, Detached::Outlives)
}

/// What became of a segment that we may not destroy.
pub(crate) fn look(id: Id, key: u32) -> Detached {
    match sys::stat(id) {
        Ok(stat) if stat.destroyed() || stat.key() != key => Detached::Gone,
        Ok(stat) => held(&stat),
        Err(Errno::EINVAL | Errno::EIDRM) => Detached::Gone,
        Err(_) => OUTLIVES,
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use shm_api::CreateOptions;
    use std::num::NonZeroUsize;

    fn key(number: u32) -> NonZeroU32 {
        NonZeroU32::new(0x5300_0000 | number << 16 | std::process::id() & 0xffff).unwrap()
    }

    /// It was looked at, and somebody attached it before it was to be destroyed.
    #[test]
    fn a_segment_that_was_attached_since_it_was_looked_at_stays_with_its_mode() {
        let id = sys::create(key(1), 100, 0o640).unwrap();
        let looked_at = sys::stat(id).unwrap();
        let start = sys::attach(id).unwrap();
        let outcome = destroy_unheld(id, &looked_at, looked_at.mode());
        let mode = sys::stat(id).map(|stat| stat.mode());
        // SAFETY: nobody uses it.
        unsafe { sys::detach(start) }.unwrap();
        let _ = sys::remove(id);
        assert_eq!(outcome, Ok(Detached::Outlives(NonZeroUsize::MIN)));
        assert_eq!(mode, Ok(0o640));
    }

    /// A process whose threads created one key at once, with modes that are locked in different files, died before one
    /// of them heard that it was taken.
    #[test]
    fn the_segment_of_one_thread_is_not_taken_for_that_of_another_by_its_process() {
        let lifetime = Lifetime::current().unwrap();
        let key = key(4);
        let id = sys::create(key, 100, 0o640).unwrap();
        let entry = |mode| {
            let options = CreateOptions::new(NonZeroUsize::new(100).unwrap());
            let options = options.mode(shm_api::Mode::new(mode).unwrap());
            let name = EntryName::Key(key.get());
            Entry::of_this_process(name, &lifetime, &options, lifetime.namespaces().ipc)
        };
        let of_another_thread = SysVKernel::destroy_unheld(&lifetime, &entry(0o600));
        let mode = sys::stat(id).map(|stat| stat.mode());
        let ours = SysVKernel::destroy_unheld(&lifetime, &entry(0o640));
        let _ = sys::remove(id);
        assert_eq!((of_another_thread, mode), (Detached::Gone, Ok(0o640)));
        assert_eq!(ours, Detached::Destroyed);
    }

    /// The kernel finds a segment by the lower part of its id, which a new one has again.
    #[test]
    fn an_old_id_does_not_lead_to_the_segment_that_has_its_place() {
        let (key, place) = (key(2), |id: Id| id.0 % 0x8000);
        let old = sys::create(key, 100, 0o600).unwrap();
        sys::remove(old).unwrap();
        // Other programs may take the place meanwhile.
        let new = (0..1000).find_map(|_| {
            let new = sys::create(key, 100, 0o600).unwrap();
            if place(new) == place(old) && new != old {
                return Some(new);
            }
            sys::remove(new).unwrap();
            None
        });
        let new = new.expect("the kernel gives away the lowest free place");
        let (stat, left) = (sys::stat(old).map(|stat| stat.size()), look(old, key.get()));
        sys::remove(new).unwrap();
        assert_eq!(stat, Err(Errno::EIDRM));
        assert_eq!(left, Detached::Gone);
    }

    /// An entry of an earlier IPC namespace of our number, where another program has made this segment since.
    #[test]
    fn a_segment_of_another_program_is_not_taken_for_one_that_had_its_id() {
        let lifetime = Lifetime::current().unwrap();
        let key = key(3);
        let id = sys::create(key, 100, 0o600).unwrap();
        let options = |size| CreateOptions::new(NonZeroUsize::new(size).unwrap());
        let ipc = lifetime.namespaces().ipc;
        let entry = |size| {
            let mut entry = Entry::of_this_process(EntryName::Key(key.get()), &lifetime, &options(size), ipc);
            entry.object = Some(id.into());
            entry
        };
        let of_another_size = SysVKernel::destroy_unheld(&lifetime, &entry(101));
        let mut of_another_process = entry(100);
        of_another_process.pid += 1;
        let of_another_process = SysVKernel::destroy_unheld(&lifetime, &of_another_process);
        let ours = SysVKernel::destroy_unheld(&lifetime, &entry(100));
        let _ = sys::remove(id);
        assert_eq!((of_another_size, of_another_process), (Detached::Gone, Detached::Gone));
        assert_eq!(ours, Detached::Destroyed);
    }
}
