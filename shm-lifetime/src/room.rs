//! How much memory our control group and the machine have left.
//!
//! A reservation beyond the limit of a memory cgroup does not fail: the OOM killer ends the process. The same happens
//! beyond the memory of the machine, if `/dev/shm` is that large. So a large reservation is compared with both first.
//! The answer is advisory, because other processes allocate meanwhile.

use parking_lot::Mutex;
use shm_api::OsError;
use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Reservations below this are not worth reading files for.
const SMALL: u64 = 1 << 20;

/// Below this, the machine itself is assumed to have room, because its table is slow to read.
const LARGE: u64 = 64 << 20;

/// Whether a sweep may free what is missing: room in a full file system or table, or in a used-up quota of this user, or
/// memory.
pub const fn orphans_may_hold(errno: i32) -> bool {
    matches!(errno, libc::ENOSPC | libc::EDQUOT | libc::ENOMEM)
}

/// Checks that `size` bytes fit into what the machine, our memory cgroup and its ancestors have free.
///
/// # Errors
///
/// `ENOMEM` if they do not. If a number cannot be read, that part is assumed to have room.
pub fn check_room(call: &'static str, size: u64) -> Result<(), OsError> {
    if size < SMALL {
        return Ok(());
    }
    let refused = |advice| Err(OsError::new(call, libc::ENOMEM).advise(advice));
    let machine = if size < LARGE { None } else { free_of_machine() };
    match (machine, free_of_groups()) {
        (Some(free), _) if free < size => refused(format!(
            "Asked for {size} bytes; this machine has {free} left. Ask for less, or pass `reserve: false` to take \
             pages as they are touched."
        )),
        (_, Some(free)) if free < size => refused(format!(
            "Asked for {size} bytes; the memory cgroup of this process has {free} left. Ask for less, raise its \
             limit, or pass `reserve: false` to take pages as they are touched."
        )),
        _ => Ok(()),
    }
}

/// proc(5), /proc/meminfo: MemAvailable is "an estimate of how much memory is available for starting new
/// applications, without swapping".
fn free_of_machine() -> Option<u64> {
    let table = fs::read_to_string("/proc/meminfo").ok()?;
    let line = |name| {
        table.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
    };
    let (available, swap): (u64, u64) = (line("MemAvailable:")?, line("SwapFree:").unwrap_or(0));
    Some((available + swap) << 10)
}

fn free_of_groups() -> Option<u64> {
    /// A user who raises a limit for a running process does not create a segment in the same second.
    const FRESH: Duration = Duration::from_secs(1);
    static GROUPS: Mutex<Option<(Instant, Vec<Group>)>> = Mutex::new(None);
    // Where another thread is at it (or was, in the parent of this process), we look for ourselves.
    let (mut shared, mut own) = (GROUPS.try_lock(), None);
    let groups = shared.as_deref_mut().unwrap_or(&mut own);
    if groups.as_ref().is_none_or(|(read, _)| read.elapsed() > FRESH) {
        let lines = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        *groups = Some((Instant::now(), lines.lines().flat_map(groups_of_line).collect()));
    }
    groups.as_ref().and_then(|(_, groups)| free_of(groups))
}

/// What all of the groups have free: each is a limit of its own.
fn free_of(groups: &[Group]) -> Option<u64> {
    groups.iter().filter_map(Group::free).min()
}

/// One level of the hierarchy that this process is in, if it has a limit; most have none.
struct Group {
    folder: PathBuf,
    files: &'static Files,
    limit: u64,
}

/// What a version of cgroups calls its numbers.
struct Files {
    root: &'static str,
    limit: &'static str,
    usage: &'static str,
    /// Page cache that the kernel gives up before it kills, a line of `memory.stat`.
    reclaimable: &'static str,
}

const V1: Files = Files {
    root: "/sys/fs/cgroup/memory",
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    reclaimable: "total_inactive_file ",
};
const V2: Files = Files {
    root: "/sys/fs/cgroup",
    limit: "memory.max",
    usage: "memory.current",
    reclaimable: "inactive_file ",
};

/// The groups of one line of `/proc/self/cgroup` (cgroups(7)): `hierarchy-ID:controller-list:cgroup-path`.
fn groups_of_line(line: &str) -> Vec<Group> {
    let mut fields = line.splitn(3, ':');
    let (Some(id), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
        return Vec::new();
    };
    let files = match controllers {
        "" if id == "0" => &V2,
        _ if controllers.split(',').any(|controller| controller == "memory") => &V1,
        _ => return Vec::new(),
    };
    groups_of(path, Path::new(files.root), files)
}

/// The group at `path` below the mount, and those above it, as far as they have a limit.
fn groups_of(path: &str, mount: &Path, files: &'static Files) -> Vec<Group> {
    // In a cgroup namespace the path may lie outside what is mounted; the mount's own root still counts.
    let group = mount.join(path.trim_start_matches('/'));
    let levels = group.ancestors().take_while(|folder| folder.starts_with(mount));
    levels
        .filter_map(|folder| {
            /// "No limit" is the largest number of pages in v1, and the word "max" in v2.
            const NO_LIMIT: u64 = 1 << 62;
            let limit = number(&folder.join(files.limit)).filter(|limit| *limit < NO_LIMIT)?;
            Some(Group { folder: folder.to_owned(), files, limit })
        })
        .collect()
}

impl Group {
    fn free(&self) -> Option<u64> {
        let used = number(&self.folder.join(self.files.usage))?;
        let stat = fs::read_to_string(self.folder.join("memory.stat")).unwrap_or_default();
        let reclaimable = |line: &str| line.strip_prefix(self.files.reclaimable)?.parse().ok();
        Some(self.limit.saturating_sub(used.saturating_sub(stat.lines().find_map(reclaimable).unwrap_or(0))))
    }
}

fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    /// A folder like a mount of that version, with the groups `outer` and `outer/inner`, each with its limit, what it
    /// uses and how much of that can be reclaimed; what is free to a process in the inner one.
    fn free_in(files: &'static Files, groups: [(&str, u64, u64); 2]) -> Option<u64> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Relaxed);
        let mount = std::env::temp_dir().join(format!("shm-room-{}-{count}", std::process::id()));
        for (path, (limit, used, reclaimable)) in ["outer", "outer/inner"].into_iter().zip(groups) {
            let folder = mount.join(path);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join(files.limit), format!("{limit}\n")).unwrap();
            fs::write(folder.join(files.usage), format!("{used}\n")).unwrap();
            let others = "cache 4096\nactive_file 4096\ninactive_anon 4096\n";
            let stat = format!("{others}{}{reclaimable}\nunevictable 4096\n", files.reclaimable);
            fs::write(folder.join("memory.stat"), stat).unwrap();
        }
        let free = free_of(&groups_of("/outer/inner", &mount, files));
        fs::remove_dir_all(mount).unwrap();
        free
    }

    #[test]
    fn of_nested_groups_the_one_with_the_least_free_memory_counts() {
        for (files, none) in [(&V1, "9223372036854771712"), (&V2, "max")] {
            assert_eq!(free_in(files, [("1000", 100, 0), ("5000", 50, 0)]), Some(900));
            assert_eq!(free_in(files, [("5000", 100, 0), ("1000", 50, 0)]), Some(950));
            assert_eq!(
                free_in(files, [("5000", 4990, 0), ("1000", 50, 0)]),
                Some(10),
                "what others use there"
            );
            assert_eq!(free_in(files, [("1000", 100, 0), (none, 50, 0)]), Some(900));
            assert_eq!(free_in(files, [(none, 100, 0), ("1000", 50, 0)]), Some(950));
            assert_eq!(free_in(files, [(none, 100, 0), (none, 50, 0)]), None);
        }
    }

    #[test]
    fn page_cache_that_the_kernel_can_reclaim_counts_as_free() {
        for files in [&V1, &V2] {
            assert_eq!(free_in(files, [("1000", 1000, 800), ("1000", 1000, 800)]), Some(800));
            assert_eq!(free_in(files, [("1000", 1000, 0), ("1000", 1000, 0)]), Some(0));
        }
    }

    #[test]
    fn a_small_reservation_is_never_refused() {
        assert_eq!(check_room("fallocate", 4096), Ok(()));
    }

    #[test]
    fn a_reservation_larger_than_the_machine_is_refused() {
        let error = check_room("fallocate", 1 << 60).unwrap_err();
        assert_eq!(error.errno(), libc::ENOMEM);
        assert!(error.to_string().contains("this machine has"), "{error}");
    }

    #[test]
    fn a_lack_of_room_is_worth_a_sweep_and_a_limit_on_files_is_not() {
        assert!([libc::ENOSPC, libc::EDQUOT, libc::ENOMEM].into_iter().all(orphans_may_hold));
        assert!(!orphans_may_hold(libc::EFBIG) && !orphans_may_hold(libc::EMFILE));
    }

    #[test]
    fn lines_of_other_controllers_are_ignored() {
        for line in ["7:blkio:/", "4:cpu,cpuacct:/x", "nonsense", ""] {
            assert!(groups_of_line(line).is_empty(), "{line}");
        }
    }
}
