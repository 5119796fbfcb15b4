//! Structures own their segment; guards tell what a dead or panicking owner left.

use shm_segments::{
    Channel, ChannelOptions, Condition, Error, Mutex, Producers, Receiver, RwLock, Segment, Sender,
    api::AttachError,
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    thread,
    time::Duration,
};

const OPTIONS: ChannelOptions = ChannelOptions { capacity: 1024, producers: Producers::Many };

fn is_gone(key: &shm_segments::Key) -> bool {
    matches!(Segment::attach(key.clone()), Err(Error::Attach(AttachError::NotFound { .. })))
}

fn panic_with<T>(what: T) {
    let panics = AssertUnwindSafe(move || {
        let _what = what;
        resume_unwind(Box::new(()));
    });
    assert!(catch_unwind(panics).is_err());
}

/// A struct has a segment and what lies in it, in any order.
struct App {
    sender: Sender,
    segment: Segment,
    receiver: Receiver,
    total: Mutex<u64>,
}

impl App {
    fn open() -> Result<Self, Error> {
        let segment = Segment::create_anywhere(4096)?;
        let channel = Channel::open(&segment, 64, &OPTIONS)?;
        let (sender, receiver) = (channel.sender()?, channel.receiver()?);
        let total = Mutex::open(&segment, 0)?;
        Ok(Self { sender, segment, receiver, total })
    }
}

#[test]
fn a_struct_owns_a_segment_and_the_structures_in_it() {
    let app = App::open().unwrap();
    let key = app.segment.key().clone();
    let App { mut sender, segment, mut receiver, total } = app;
    drop(segment);
    let sends = thread::spawn(move || sender.send(b"moved along").unwrap());
    sends.join().unwrap();
    assert_eq!(receiver.receive().unwrap(), b"moved along");
    *total.lock().unwrap() += 1;
    drop(receiver);
    assert!(!is_gone(&key), "the mutex is still there");
    assert_eq!(*total.lock().unwrap(), 1);
    drop(total);
    assert!(is_gone(&key));
}

#[test]
fn a_panic_under_the_lock_is_an_error_until_somebody_recovers_it() {
    let segment = Segment::create_anywhere(4096).unwrap();
    let mutex = Mutex::<[u32; 3]>::open(&segment, 8).unwrap();
    *mutex.lock().unwrap() = [1, 2, 3];
    let mut guard = mutex.lock().unwrap();
    guard[0] = 9;
    panic_with(guard);
    let died = Error::OwnerDied { what: "mutex" };
    assert_eq!(mutex.lock().unwrap_err(), died);
    assert_eq!(mutex.try_lock().unwrap_err(), died);
    assert_eq!(mutex.lock_timeout(Duration::ZERO).unwrap_err(), died);
    let guard = mutex.recover().unwrap();
    assert!(guard.owner_died());
    assert_eq!(*guard, [1, 2, 3], "what the panic cut short did not go back");
    panic_with(guard);
    assert_eq!(mutex.lock().unwrap_err(), died, "a panic in mending is no mending");
    drop(mutex.recover().unwrap());
    assert!(!mutex.recover().unwrap().owner_died());
    assert_eq!(*mutex.lock().unwrap(), [1, 2, 3]);
}

#[test]
fn a_change_by_a_destructor_while_a_panic_unwinds_is_written_back() {
    struct Leaves<'m>(&'m Mutex<u64>);
    impl Drop for Leaves<'_> {
        fn drop(&mut self) {
            *self.0.lock().unwrap() -= 1;
        }
    }
    let segment = Segment::create_anywhere(4096).unwrap();
    let users = Mutex::<u64>::open(&segment, 0).unwrap();
    *users.lock().unwrap() = 2;
    panic_with(Leaves(&users));
    assert_eq!(*users.lock().unwrap(), 1);
}

#[cfg(unix)]
#[test]
fn the_child_of_a_fork_writes_no_value_back_for_its_parent() {
    let segment = Segment::create_anywhere(4096).unwrap();
    let mutex = Mutex::<u64>::open(&segment, 0).unwrap();
    let mut guard = mutex.lock().unwrap();
    *guard = 1;
    // SAFETY: the child writes to memory and ends.
    let child = unsafe { libc::fork() };
    if child == 0 {
        *guard = 2;
        drop(guard);
        // SAFETY: it ends this process, and nothing else.
        unsafe { libc::_exit(0) };
    }
    // SAFETY: no status is asked for.
    assert_eq!(unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) }, child);
    assert_eq!(segment.get::<u64>(16), Ok(0), "the value lies after the mutex");
    assert!(mutex.try_lock().unwrap().is_none(), "the parent has it still");
    drop(guard);
    assert_eq!(*mutex.lock().unwrap(), 1);
}

#[test]
fn a_panic_while_writing_is_an_error_for_readers_and_writers_until_somebody_recovers_it() {
    let segment = Segment::create_anywhere(4096).unwrap();
    let lock = RwLock::<u8>::open(&segment, 0, 3).unwrap();
    *lock.write().unwrap() = 7;
    panic_with(lock.read().unwrap());
    assert_eq!(*lock.read().unwrap(), 7, "who reads leaves nothing half-changed");
    panic_with(lock.write().unwrap());
    let died = Error::OwnerDied { what: "read-write lock" };
    assert_eq!(lock.read().unwrap_err(), died);
    assert_eq!(lock.try_read().unwrap_err(), died);
    assert_eq!(lock.write().unwrap_err(), died);
    assert_eq!(lock.try_write().unwrap_err(), died);
    assert!(lock.recover().unwrap().owner_died());
    assert_eq!(*lock.read().unwrap(), 7);
}

#[test]
fn a_wait_for_a_condition_writes_the_value_back_and_reads_it_again() {
    let segment = Segment::create_anywhere(4096).unwrap();
    let open = || (Mutex::<u32>::open(&segment, 0).unwrap(), Condition::open(&segment, 64).unwrap());
    thread::scope(|scope| {
        scope.spawn(|| {
            let (mutex, condition) = open();
            let mut guard = mutex.lock().unwrap();
            while *guard != 1 {
                guard = condition.wait(guard).unwrap();
            }
            *guard = 2;
            condition.notify_all();
        });
        let (mutex, condition) = open();
        let mut guard = mutex.lock().unwrap();
        *guard = 1;
        condition.notify_all();
        while *guard != 2 {
            guard = condition.wait(guard).unwrap();
        }
        let (guard, in_time) = condition.wait_timeout(guard, Duration::from_millis(1)).unwrap();
        assert!(!in_time);
        assert_eq!(*guard, 2);
    });
}

#[test]
fn a_value_that_does_not_fit_is_an_error() {
    let segment = Segment::create_anywhere(100).unwrap();
    let small = |offset| Mutex::<[u8; 64]>::open(&segment, offset).map(drop);
    assert!(small(20).is_ok(), "{:?}", small(20));
    assert!(matches!(small(24), Err(Error::Sync(shm_segments::SyncError::TooSmall { .. }))));
    assert!(RwLock::<u64>::open(&segment, 0, 16).is_err());
    assert_eq!(segment.set(93, &1u64), Err(Error::Outside { offset: 93, size: 8, end: 100 }));
    assert!(segment.set(92, &1u64).is_ok());
    assert_eq!(segment.get::<u64>(92), Ok(1));
    assert!(segment.get::<u64>(93).is_err());
    assert!(segment.set(usize::MAX, &1u64).is_err());
}

#[test]
fn any_of_several_processes_may_open_a_structure_first() {
    let key = format!("shm-segments-open-{}", std::process::id());
    let (one, two) = (Segment::open(key.as_str(), 64).unwrap(), Segment::open(key.as_str(), 64).unwrap());
    one.set(0, &5u32).unwrap();
    assert_eq!(two.get::<u32>(0), Ok(5));
    assert!(matches!(Segment::create(key.as_str(), 64), Err(Error::Create(_))));
    assert_eq!(Segment::create_anywhere(0).unwrap_err(), Error::Empty);
    assert!(matches!(Segment::open(0, 64), Err(Error::Key(_))));
    assert!(matches!(Segment::open("a/b", 64), Err(Error::Key(_))));
}

/// A peer cut off a part of the value, but not the lock.
#[cfg(target_os = "linux")]
#[test]
fn a_value_that_was_cut_off_is_an_error_and_not_zeros() {
    const SIZE: i64 = 1 << 16; // a multiple of every page size
    type Large = [[u64; 1024]; 16];
    shm_segments::posix::survive_shrinking().unwrap();
    let name = format!("/shm-segments-cut-{}", std::process::id());
    let segment = Segment::create(name.as_str(), 4 << 16).unwrap();
    let mutex = Mutex::<Large>::open(&segment, 0).unwrap();
    mutex.lock().unwrap()[15][1023] = 7;
    let path = std::ffi::CString::new(format!("/dev/shm{name}")).unwrap();
    // SAFETY: the path is a string.
    assert_eq!(unsafe { libc::truncate(path.as_ptr(), SIZE) }, 0);
    let shrunk = Error::Sync(shm_segments::sync::SyncError::Shrunk);
    assert_eq!(mutex.lock().unwrap_err(), shrunk);
    assert_eq!(mutex.recover().unwrap_err(), shrunk);
}
