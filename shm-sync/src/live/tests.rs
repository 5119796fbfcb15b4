use super::*;
use std::os::fd::AsFd;

fn memfd() -> OwnedFd {
    crate::testing::memfd(0)
}

fn again(file: &OwnedFd) -> OwnedFd {
    forks::description_of_its_own(file.as_fd()).unwrap()
}

#[test]
fn ids_are_never_used_twice() {
    let file = memfd();
    let live = Live::over(again(&file)).unwrap();
    let ids: Vec<_> = (0..5000).map(|_| live.new_owner().unwrap()).collect();
    let mut distinct = ids.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), ids.len());
    assert!(ids.iter().all(|&id| live.is_ours(id) && live.is_alive(id)));
}

#[test]
fn the_same_file_is_opened_once() {
    let file = memfd();
    let first = Live::over(again(&file)).unwrap();
    assert!(ptr::eq(first, Live::over(again(&file)).unwrap()));
    assert_ne!(first.file_id(), Live::over(memfd()).unwrap().file_id());
}

#[test]
fn a_thread_keeps_its_id_and_shares_it_with_nobody() {
    let (one, other) = (Live::over(memfd()).unwrap(), Live::over(memfd()).unwrap());
    let mine = one.this_thread().unwrap();
    other.this_thread().unwrap();
    assert_eq!(one.this_thread().unwrap(), mine);
    let theirs = std::thread::spawn(|| one.this_thread().unwrap()).join().unwrap();
    assert_ne!(mine, theirs);
    assert!(one.is_alive(theirs), "its process lives");
}

#[test]
fn a_retired_owner_is_dead_to_all() {
    let file = memfd();
    let live = Live::over(again(&file)).unwrap();
    let owner = live.new_owner().unwrap();
    let is_locked = || ofd_lock::is_locked(again(&file), owner.get().into()).unwrap();
    assert!(is_locked());
    live.retire(owner);
    assert!(!live.is_alive(owner) && !live.is_ours(owner));
    assert!(!is_locked());
}

#[test]
fn an_id_that_nobody_drew_is_dead() {
    let live = Live::over(memfd()).unwrap();
    assert!(!live.is_alive(Owner::from_word(0)));
    assert!(!live.is_alive(Owner::from_word(Owner::MAX)));
}

#[test]
fn used_up_ids_are_an_error() {
    let file = memfd();
    let live = Live::over(again(&file)).unwrap();
    Counter(&file).advance(Owner::MAX).unwrap();
    assert_eq!(live.new_owner(), Err(SyncError::NoIds));
}

#[test]
fn another_file_is_refused() {
    let file = std::fs::File::from(memfd());
    std::os::unix::fs::FileExt::write_all_at(&file, b"something else", 0).unwrap();
    assert!(matches!(Live::over(file.into()), Err(SyncError::LiveFile(_))));
}

#[test]
fn a_planted_link_or_fifo_is_refused() {
    let folder = crate::testing::Folder::new();
    let live = folder.path().join("live");
    std::os::unix::fs::symlink("/etc/passwd", &live).unwrap();
    let refused = || Live::in_folder(folder.path()).unwrap_err().errno();
    assert_eq!(refused(), Some(libc::EPERM));
    std::fs::remove_file(&live).unwrap();
    nix::unistd::mkfifo(&live, nix::sys::stat::Mode::S_IRUSR).unwrap();
    assert_eq!(refused(), Some(libc::EPERM));
    std::fs::remove_file(&live).unwrap();
    assert!(Live::in_folder(folder.path()).is_ok());
}

#[test]
fn threads_that_come_at_once_with_one_file_have_one() {
    for _ in 0..100 {
        let (file, barrier) = (memfd(), std::sync::Barrier::new(2));
        let open = || {
            let file = again(&file);
            barrier.wait();
            Live::over(file).unwrap()
        };
        let (one, other) = std::thread::scope(|scope| {
            let other = scope.spawn(open);
            (open(), other.join().unwrap())
        });
        assert!(ptr::eq(one, other));
    }
}
