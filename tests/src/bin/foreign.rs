//! A process that shares memory as a C program does, and knows nothing of the library. Commands:
//!
//! ```text
//! make PATH SIZE      map PATH      map-open PATH      shmmake KEY SIZE      shmat KEY
//! unlink PATH         resize PATH SIZE      remove KEY        shut KEY        fill FILE
//! move PATH PATH      folder PATH           seize FILE
//! unmap               read OFFSET LENGTH                  write OFFSET TEXT
//! chgrp BACKEND KEY GID
//! which
//! ```
//!
//! `map-open` keeps its descriptor, as Python does, until `unmap`. `which` tells the inode or the id of what is mapped,
//! if it still had its name then.

use nix::{
    errno::Errno,
    fcntl::OFlag,
    sys::{
        mman::{MapFlags, ProtFlags, mmap, munmap, shm_open, shm_unlink},
        stat::{Mode, fstat},
    },
    unistd::ftruncate,
};
use shm_lifetime::ofd_lock;
use shm_tests::stage::{Answer, refusal, serve};
use std::{
    fs,
    io::{self, ErrorKind, Write},
    mem::MaybeUninit,
    num::NonZeroUsize,
    os::fd::OwnedFd,
    ptr::NonNull,
};

/// sys/shm.h; the libc crate does not have it.
const SHM_DEST: u32 = 0o1000;

/// Mapped memory: where, how long, whether by `shmat`, and which segment it was, if it still had its name.
struct Mapped(NonNull<u8>, usize, bool, Option<u64>);

fn main() {
    let mut mapped: Option<Mapped> = None;
    let mut opened: Option<OwnedFd> = None;
    serve(|words| {
        let done: nix::Result<Mapped> = match *words {
            ["make", name, size] => make(name, number(size)),
            ["map", name] => map(name).map(|(mapped, _)| mapped),
            ["map-open", name] => map(name).map(|(mapped, file)| {
                opened = Some(file);
                mapped
            }),
            ["shmmake", key, size] => attach(key, number(size), libc::IPC_CREAT | libc::IPC_EXCL | 0o600),
            ["shmat", key] => attach(key, 0, 0),
            ["unlink", name] => return Some(unlink(name)),
            ["resize", name, size] => return Some(resize(name, number(size))),
            ["move", from, to] => return Some(answer(fs::rename(from, to))),
            ["folder", path] => return Some(answer(fs::create_dir(path))),
            ["fill", path] => return Some(fill(path)),
            ["seize", path] => return Some(seize(path)),
            ["chgrp", backend, key, gid] => return Some(change_group(backend, key, number(gid) as u32)),
            ["remove", key] => return Some(remove(key)),
            ["shut", key] => return Some(shut(key)),
            ["which"] => return Some(which(mapped.as_ref()?)),
            ["unmap"] => {
                opened = None;
                return Some(unmap(mapped.take()?));
            }
            ["read", offset, length] => return Some(read(mapped.as_ref()?, number(offset), number(length))),
            ["write", offset, text] => {
                write(mapped.as_ref()?, number(offset), text.as_bytes());
                return Some(Ok(String::new()));
            }
            _ => return None,
        };
        Some(done.map_err(refused).map(|new| {
            let size = new.1.to_string();
            mapped = Some(new);
            size
        }))
    });
}

fn number(digits: &str) -> usize {
    digits.parse().unwrap_or_else(|error| panic!("{digits}: {error}"))
}

fn answer(done: io::Result<()>) -> Answer {
    done.map(|()| String::new()).map_err(|error| refusal(error.kind(), error))
}

fn refused(errno: Errno) -> String {
    refusal(format_args!("{errno:?}"), errno.desc())
}

fn make(name: &str, size: usize) -> nix::Result<Mapped> {
    let file =
        shm_open(name, OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_RDWR, Mode::from_bits_truncate(0o600))?;
    ftruncate(&file, size as i64)?;
    whole(&file)
}

fn map(name: &str) -> nix::Result<(Mapped, OwnedFd)> {
    let file = shm_open(name, OFlag::O_RDWR, Mode::empty())?;
    Ok((whole(&file)?, file))
}

fn resize(name: &str, size: usize) -> Answer {
    let file = shm_open(name, OFlag::O_RDWR, Mode::empty()).map_err(refused)?;
    ftruncate(&file, size as i64).map(|()| String::new()).map_err(refused)
}

fn whole(file: &OwnedFd) -> nix::Result<Mapped> {
    let size = NonZeroUsize::new(fstat(file)?.st_size as usize).ok_or(Errno::EINVAL)?;
    let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: the kernel chooses where.
    let start = unsafe { mmap(None, size, protection, MapFlags::MAP_SHARED, file, 0) }?;
    let mapped = fstat(file)?;
    Ok(Mapped(start.cast(), size.get(), false, (mapped.st_nlink > 0).then_some(mapped.st_ino)))
}

fn attach(key: &str, size: usize, flags: i32) -> nix::Result<Mapped> {
    let key = key.parse::<u32>().map_err(|_| Errno::EINVAL)? as i32;
    // SAFETY: shmget takes no pointers.
    let id = Errno::result(unsafe { libc::shmget(key, size, flags) })?;
    // SAFETY: the kernel chooses where.
    let start = unsafe { libc::shmat(id, std::ptr::null(), 0) };
    if start.addr() == usize::MAX {
        return Err(Errno::last());
    }
    let stat = stat(id)?;
    let named = (u32::from(stat.shm_perm.mode) & SHM_DEST == 0).then_some(id as u64);
    Ok(Mapped(NonNull::new(start.cast()).ok_or(Errno::EINVAL)?, stat.shm_segsz, true, named))
}

fn which(memory: &Mapped) -> Answer {
    memory.3.map(|id| id.to_string()).ok_or_else(|| refusal("gone", "it lost its name before it was mapped"))
}

fn unlink(name: &str) -> Answer {
    shm_unlink(name).map(|()| String::new()).map_err(refused)
}

/// Makes a file that takes all the room there is.
fn fill(path: &str) -> Answer {
    let failed = |error: std::io::Error| refusal("io", error);
    let mut file = std::fs::File::create(path).map_err(failed)?;
    loop {
        match file.write_all(&[b'x'; 4096]) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(String::new()),
            Err(error) => return Err(failed(error)),
        }
    }
}

/// Locks every byte of a file, for as long as this process lives.
fn seize(path: &str) -> Answer {
    let failed = |error: std::io::Error| {
        refusal(format_args!("{:?}", Errno::from_raw(error.raw_os_error().unwrap_or(0))), error)
    };
    let file = std::fs::File::options().read(true).write(true).open(path).map_err(failed)?;
    // fcntl(2): 0 means "lock all bytes starting at the location specified".
    ofd_lock::set(&file, 0, 0, ofd_lock::LockKind::Write).map_err(refused)?;
    std::mem::forget(file);
    Ok(String::new())
}

fn remove(key: &str) -> Answer {
    let key = number(key) as u32 as i32;
    // SAFETY: shmget takes no pointers.
    let found = Errno::result(unsafe { libc::shmget(key, 0, 0) });
    // SAFETY: IPC_RMID ignores the pointer.
    let done =
        found.and_then(|id| Errno::result(unsafe { libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut()) }));
    done.map(|_| String::new()).map_err(refused)
}

/// Sets a segment's mode to 0.
fn shut(key: &str) -> Answer {
    set(key, |new| new.shm_perm.mode = 0)
}

/// Gives a segment to another group.
fn change_group(backend: &str, key: &str, gid: u32) -> Answer {
    if backend == "sysv" {
        return set(key, |new| new.shm_perm.gid = gid);
    }
    let object = format!("/dev/shm{key}");
    std::os::unix::fs::chown(object, None, Some(gid))
        .map(|()| String::new())
        .map_err(|error| refusal("io", error))
}

fn set(key: &str, change: impl FnOnce(&mut libc::shmid_ds)) -> Answer {
    let key = number(key) as u32 as i32;
    // SAFETY: shmget takes no pointers.
    let found = Errno::result(unsafe { libc::shmget(key, 0, 0) });
    let done = found.and_then(|id| {
        let mut new = stat(id)?;
        change(&mut new);
        // SAFETY: the structure is filled in.
        Errno::result(unsafe { libc::shmctl(id, libc::IPC_SET, &raw mut new) })
    });
    done.map(|_| String::new()).map_err(refused)
}

fn stat(id: i32) -> nix::Result<libc::shmid_ds> {
    let mut stat = MaybeUninit::uninit();
    // SAFETY: IPC_STAT fills in the structure.
    Errno::result(unsafe { libc::shmctl(id, libc::IPC_STAT, stat.as_mut_ptr()) })?;
    // SAFETY: it did.
    Ok(unsafe { stat.assume_init() })
}

fn unmap(Mapped(start, size, by_shmat, _): Mapped) -> Answer {
    let done = if by_shmat {
        // SAFETY: it was attached there, and is used no more.
        Errno::result(unsafe { libc::shmdt(start.as_ptr().cast()) }).map(drop)
    } else {
        // SAFETY: it was mapped there, and is used no more.
        unsafe { munmap(start.cast(), size) }
    };
    done.map(|()| String::new()).map_err(refused)
}

fn read(memory: &Mapped, offset: usize, length: usize) -> Answer {
    assert!(offset + length <= memory.1);
    // SAFETY: it lies inside.
    let start = unsafe { memory.0.add(offset) };
    // SAFETY: it lies inside, and the test has nobody write meanwhile.
    let bytes = unsafe { std::slice::from_raw_parts(start.as_ptr(), length) };
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

fn write(memory: &Mapped, offset: usize, text: &[u8]) {
    assert!(offset + text.len() <= memory.1);
    // SAFETY: it lies inside.
    let start = unsafe { memory.0.add(offset) };
    // SAFETY: it lies inside, and the test has nobody else write meanwhile.
    unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), start.as_ptr(), text.len()) };
}
