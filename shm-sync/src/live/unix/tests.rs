use super::*;
use std::os::{fd::FromRawFd, unix::fs::FileExt};

fn memfd() -> OwnedFd {
    crate::testing::memfd(0)
}

fn again(file: &OwnedFd) -> OwnedFd {
    let fd = system::open_again(file.as_raw_fd()).unwrap();
    // SAFETY: just opened, and nobody else has it.
    unsafe { OwnedFd::from_raw_fd(fd) }
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
fn a_thread_keeps_its_id_and_shares_it_with_no_other() {
    let (one, other) = (Live::over(memfd()).unwrap(), Live::over(memfd()).unwrap());
    let mine = one.this_thread().unwrap();
    other.this_thread().unwrap();
    assert_eq!(one.this_thread().unwrap(), mine);
    let theirs = std::thread::spawn(|| one.this_thread().unwrap()).join().unwrap();
    assert_ne!(mine, theirs);
    assert!(one.is_alive(theirs), "its process lives");
}

#[test]
fn a_retired_owner_is_dead_for_all() {
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
    File::from(again(&file)).write_all_at(&Owner::MAX.to_le_bytes(), 8).unwrap();
    live.new_owner().unwrap();
    assert_eq!(live.new_owner(), Err(SyncError::NoIds));
}

#[test]
fn another_file_is_refused() {
    let file = std::fs::File::from(memfd());
    file.write_all_at(b"something else", 0).unwrap();
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
fn threads_that_open_one_file_at_once_get_one_live_file() {
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

/// What a file of the live files' folder is taken for, as one that others may write to or not.
fn id_of(folder: &Path, class: Class) -> u32 {
    let home = Home::open(folder, geteuid().as_raw()).unwrap();
    let file = home.file(&class.file_name(Home::LIVE), Some(class)).unwrap();
    let identity = Identity::of(&file).unwrap();
    Counter(file.as_fd()).file_id(identity, belief_in(class)).unwrap().id
}

#[test]
fn a_copy_of_a_live_file_is_another_live_file() {
    let (folder, other) = (crate::testing::Folder::new(), crate::testing::Folder::new());
    for class in [Class::Owner, Class::Everybody] {
        let id = id_of(folder.path(), class);
        let name = class.file_name(Home::LIVE);
        std::fs::copy(folder.path().join(&name), other.path().join(&name)).unwrap();
        assert_ne!(id_of(other.path(), class), id);
        assert_eq!(id_of(folder.path(), class), id);
    }
}

#[test]
fn damage_to_a_live_file_is_repaired() {
    let folder = crate::testing::Folder::new();
    for class in [Class::Owner, Class::Everybody] {
        let (id, path) = (id_of(folder.path(), class), folder.path().join(class.file_name(Home::LIVE)));
        let whole = std::fs::read(&path).unwrap();
        for damaged in [&b""[..], b"sy", b"nothing of the kind", &whole[..10], &[0; 4096]] {
            std::fs::write(&path, damaged).unwrap();
            assert_eq!(id_of(folder.path(), class), id, "{damaged:?}");
        }
        let mut forged = whole.clone();
        forged[4..8].fill(0xab);
        std::fs::write(&path, forged).unwrap();
        assert_eq!(id_of(folder.path(), class), id);
    }
}

#[test]
fn the_file_of_an_earlier_version_keeps_its_id_where_only_its_user_writes() {
    let folder = crate::testing::Folder::new();
    let earlier = [b's', b'y', b'L', 1, 1, 2, 3, 4, 7, 0, 0, 0];
    let id_with = |class: Class| {
        std::fs::write(folder.path().join(class.file_name(Home::LIVE)), earlier).unwrap();
        id_of(folder.path(), class)
    };
    assert_eq!(id_with(Class::Owner), 0x0403_0201);
    assert_eq!(id_of(folder.path(), Class::Owner), 0x0403_0201, "and once more");
    assert_ne!(id_with(Class::Everybody), 0x0403_0201);
    // A later version's file is left alone.
    std::fs::write(folder.path().join("live"), [b's', b'y', b'L', 2]).unwrap();
    assert!(matches!(Live::in_folder(folder.path()), Err(SyncError::LiveFile(_))));
}

#[test]
fn ids_go_on_after_the_file_was_cut_short() {
    let file = memfd();
    let live = Live::over(again(&file)).unwrap();
    let before = live.new_owner().unwrap();
    File::from(again(&file)).set_len(0).unwrap();
    let after = live.new_owner().unwrap();
    assert_ne!(before, after);
    assert!(live.is_alive(before) && live.is_alive(after));
    assert_eq!(Live::over(again(&file)).unwrap().file_id(), live.file_id());
}

#[test]
fn ids_that_another_process_locked_without_drawing_are_skipped() {
    let file = memfd();
    let live = Live::over(again(&file)).unwrap();
    let first = live.new_owner().unwrap();
    let stranger = again(&file);
    ofd_lock::set(&stranger, i64::from(first.get()) + 1, 5, LockKind::Read).unwrap();
    assert!(live.new_owner().unwrap().get() > first.get() + 5);
}

#[test]
fn a_number_that_stands_for_another_description_of_the_live_file_is_neither_used_nor_closed() {
    let folder = crate::testing::Folder::new();
    let live = Live::in_folder(folder.path()).unwrap();
    let mine = live.new_owner().unwrap();
    let theirs = File::options().read(true).write(true).open(folder.path().join(Home::LIVE)).unwrap();
    ofd_lock::set(&theirs, Owner::MAX.into(), 1, LockKind::Write).unwrap();
    // As if the program had closed it, and then another copy of this library had opened the file.
    let take = || {
        let number = live.space.file.get().unwrap().as_raw_fd();
        // SAFETY: both are files of this test.
        assert_eq!(unsafe { libc::dup2(theirs.as_raw_fd(), number) }, number);
        number
    };
    let used = take();
    assert!(live.is_alive(Owner::from_word(Owner::MAX)), "an owner of the other copy");
    assert!(live.is_alive(mine) && live.is_alive(live.new_owner().unwrap()));
    let closed = take();
    live.space.file.renew_in_child();
    for number in [used, closed] {
        // SAFETY: it is a descriptor of this test.
        assert_eq!(unsafe { libc::close(number) }, 0, "nobody else has closed it");
    }
}
