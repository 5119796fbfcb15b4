//! Whatever other processes write: no panic, no hang, no access outside. The memory lies between pages that
//! cannot be touched, so an access outside would end the test.
#![cfg(target_os = "linux")]

use nix::sys::memfd::{MFdFlags, memfd_create};
use proptest::prelude::*;
use shm_api::Access;
use shm_sync::{
    Barrier, Broadcast, BroadcastOptions, Channel, ChannelOptions, Condition, Live, Mutex, Once, Producers,
    Region, RwLock, Semaphore, SyncError,
};
use std::{
    ptr::{self, NonNull},
    sync::OnceLock,
    time::Duration,
};

const PAGE: usize = 4096;
const BRIEF: Duration = Duration::from_millis(1);

struct Guarded(*mut libc::c_void);

impl Guarded {
    fn new(bytes: &[u8]) -> Self {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping, at an address of the system's choice.
        let start = unsafe { libc::mmap(ptr::null_mut(), 3 * PAGE, libc::PROT_NONE, flags, -1, 0) };
        assert_ne!(start, libc::MAP_FAILED);
        let guarded = Self(start);
        let middle = guarded.middle();
        // SAFETY: it is the page in the middle.
        let answer =
            unsafe { libc::mprotect(middle.as_ptr().cast(), PAGE, libc::PROT_READ | libc::PROT_WRITE) };
        assert_eq!(answer, 0);
        // SAFETY: they fit into the page.
        unsafe { middle.copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len().min(PAGE)) };
        guarded
    }

    fn middle(&self) -> NonNull<u8> {
        // SAFETY: the second of three pages.
        let middle = unsafe { self.0.add(PAGE) };
        NonNull::new(middle.cast()).unwrap()
    }

    fn region(&self, access: Access) -> Region<'_> {
        // SAFETY: the page is there as long as `self`.
        unsafe { Region::from_raw(self.middle(), PAGE, access) }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`.
        unsafe { libc::munmap(self.0, 3 * PAGE) };
    }
}

fn live() -> &'static Live {
    static LIVE: OnceLock<&'static Live> = OnceLock::new();
    LIVE.get_or_init(|| Live::over(memfd_create(c"shm-sync-test", MFdFlags::MFD_CLOEXEC).unwrap()).unwrap())
}

/// Random words, with those that make trouble more often: flags, living owners, near-misses.
fn word() -> impl Strategy<Value = u32> {
    let me = live().this_thread().unwrap().get();
    prop_oneof![
        4 => Just(0),
        2 => any::<u32>(),
        1 => 0..600u32,
        1 => Just(me),
        1 => Just(me | 1 << 31),
        1 => (0..32u32).prop_map(|bit| 1 << bit),
        1 => (0..64u32).prop_map(|less| u32::MAX - less),
        1 => (0..128u32).prop_map(|count| count * 8),
    ]
}

/// A page that begins as the structure does, so that it is not just refused.
fn page(letter: u8, options: [u32; 2]) -> impl Strategy<Value = Vec<u8>> {
    let magic = u32::from_le_bytes([b's', b'y', letter, 1]);
    let header = (Just(magic), Just(live().file_id()), Just(options[0]), Just(options[1]));
    (header, proptest::collection::vec(word(), 50), any::<u8>(), any::<u32>()).prop_map(
        move |((magic, id, one, two), pool, mode, mut random)| {
            let mut words = vec![magic, id, one, two];
            words.extend((4..1024).map(|_| {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                pool[(random >> 8) as usize % pool.len()]
            }));
            // Now and then the options are not what they were, or most words are zero.
            if mode < 16 {
                words[usize::from(mode) % 4] = words[100];
            }
            if mode % 2 == 0 {
                words[256..].fill(0);
            }
            words.into_iter().flat_map(u32::to_le_bytes).collect()
        },
    )
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() }
}

fn accept<T>(result: Result<T, SyncError>) -> Option<T> {
    // Every error is fine, as long as it is one and can be told.
    result.inspect_err(|error| assert!(!error.to_string().is_empty())).ok()
}

fn tried<T>(result: Result<T, SyncError>) {
    accept(result);
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn locks_survive_any_bytes(bytes in page(b'M', [0, 0])) {
        let memory = Guarded::new(&bytes);
        let region = memory.region(Access::ReadWrite);
        if let Some(mutex) = accept(Mutex::open(region, 0, live())) {
            tried(mutex.try_lock());
            tried(mutex.lock_timeout(BRIEF));
            tried(mutex.unlock());
        }
    }

    #[test]
    fn read_write_locks_survive_any_bytes(bytes in page(b'R', [5, 0])) {
        let memory = Guarded::new(&bytes);
        if let Some(lock) = accept(RwLock::open(memory.region(Access::ReadWrite), 0, 5, live())) {
            tried(lock.try_read());
            tried(lock.read_timeout(BRIEF));
            tried(lock.try_write());
            tried(lock.write_timeout(BRIEF));
            tried(lock.end_read(3));
            tried(lock.end_write());
        }
    }

    #[test]
    fn semaphores_survive_any_bytes(bytes in page(b'S', [5, 0])) {
        let memory = Guarded::new(&bytes);
        if let Some(semaphore) = accept(Semaphore::open(memory.region(Access::ReadWrite), 0, 5, live())) {
            tried(semaphore.try_acquire());
            tried(semaphore.acquire_timeout(BRIEF));
            for slot in [0, 4, 5, u32::MAX] {
                tried(semaphore.release(slot));
            }
        }
    }

    #[test]
    fn conditions_survive_any_bytes(bytes in page(b'V', [0, 0])) {
        let memory = Guarded::new(&bytes);
        let region = memory.region(Access::ReadWrite);
        let sound = Guarded::new(&[]);
        let mutex = Mutex::open(sound.region(Access::ReadWrite), 0, live()).unwrap();
        if let Some(condition) = accept(Condition::open(region, 0, live())) {
            condition.notify_one();
            tried(condition.wait_timeout(mutex.lock().unwrap(), BRIEF));
            condition.notify_all();
        }
    }

    #[test]
    fn barriers_survive_any_bytes(bytes in page(b'B', [3, 0])) {
        let memory = Guarded::new(&bytes);
        if let Some(barrier) = accept(Barrier::open(memory.region(Access::ReadWrite), 0, 3, live()))
            && let Some(mut party) = accept(barrier.join())
        {
            tried(party.wait_timeout(BRIEF));
            tried(party.wait_timeout(BRIEF));
        }
    }

    #[test]
    fn once_survives_any_bytes(bytes in page(b'O', [0, 0])) {
        let memory = Guarded::new(&bytes);
        if let Some(once) = accept(Once::open(memory.region(Access::ReadWrite), 0, live())) {
            once.is_done();
            drop(once.beginning(live().new_owner().unwrap()).step().unwrap());
        }
    }

    #[test]
    fn channels_survive_any_bytes(
        bytes in page(b'C', [2048, 1]),
        many: bool,
        positions in (word(), word(), word()),
    ) {
        let mut bytes = bytes;
        let mut set = |offset: usize, value: u32| bytes[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
        if many {
            set(12, 2);
        }
        // Nobody has claimed an end, and the lock is free or of the dead: otherwise that is all there is to see.
        set(140, 0);
        set(260, 0);
        for (offset, value) in [(128, positions.0), (132, positions.1), (256, positions.2)] {
            set(offset, value);
        }
        // At the end of the page, so that nothing lies behind it.
        let memory = Guarded::new(&[&[0; PAGE - 2560], &bytes[..2560]].concat());
        let region = memory.region(Access::ReadWrite).at(PAGE - 2560, 2560).unwrap();
        let producers = if many { Producers::Many } else { Producers::One };
        tried(Channel::open(region, 0, &ChannelOptions { capacity: 2048, producers }, live()));
        let Some(channel) = accept(Channel::attach(region, 0, live())) else { return Ok(()) };
        if let Some(mut sender) = accept(channel.sender()) {
            for length in [0, 7, 8, 1016, 1017] {
                tried(sender.try_send(&vec![0xaa; length]));
            }
            tried(sender.send_timeout(&[0xaa; 500], BRIEF));
            tried(sender.try_reserve(100));
        }
        if let Some(mut receiver) = accept(channel.receiver()) {
            let mut received = Vec::new();
            for _ in 0..300 {
                if !matches!(receiver.try_receive(&mut received), Ok(true)) {
                    break;
                }
            }
            tried(receiver.receive_timeout(&mut received, BRIEF));
        }
    }

    #[test]
    fn broadcasts_survive_any_bytes(
        bytes in page(b'P', [8, 120]),
        head in (word(), word(), any::<bool>()),
        read_only: bool,
    ) {
        let mut bytes = bytes;
        let mut set = |offset: usize, value: u32| bytes[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
        for (offset, value) in [(128, head.0), (132, head.1), (136, if head.2 { head.0 } else { 3 }), (140, 0)] {
            set(offset, value);
        }
        let memory = Guarded::new(&[&[0; PAGE - 1536], &bytes[..1536]].concat());
        let region = memory.region(Access::ReadWrite).at(PAGE - 1536, 1536).unwrap();
        // SAFETY: the same memory, as long.
        let region = unsafe { Region::from_raw(region.as_ptr(), 1536, if read_only { Access::ReadOnly } else { Access::ReadWrite }) };
        let options = BroadcastOptions { slots: 8, max_message: 120 };
        tried(Broadcast::open(region, 0, &options, live()));
        let Some(broadcast) = accept(Broadcast::attach(region, 0)) else { return Ok(()) };
        let mut received = Vec::new();
        if let Some(mut reader) = accept(broadcast.reader()) {
            tried(reader.rewind());
            tried(reader.try_receive(&mut received));
            tried(reader.receive_timeout(&mut received, BRIEF));
        }
        if let Some(mut producer) = accept(broadcast.producer(live())) {
            for length in [0, 120, 121] {
                tried(producer.send(&vec![1; length]));
            }
        }
        if let Some(mut reader) = accept(broadcast.reader()) {
            tried(reader.rewind());
            while matches!(reader.try_receive(&mut received), Ok(Some(_))) {}
        }
    }

    #[test]
    fn random_offsets_and_sizes_are_refused_or_fit(offset: usize, small in 0..5000usize, size in 0..20_000u32) {
        let memory = Guarded::new(&[]);
        let region = memory.region(Access::ReadWrite);
        for offset in [offset, small, small * 64] {
            tried(Mutex::open(region, offset, live()));
            tried(RwLock::open(region, offset, size, live()));
            tried(Semaphore::open(region, offset, size, live()));
            tried(Barrier::open(region, offset, size, live()));
            tried(Broadcast::attach(region, offset));
            tried(Channel::attach(region, offset, live()));
            let options = ChannelOptions { capacity: size.next_power_of_two(), producers: Producers::One };
            tried(Channel::open(region, offset, &options, live()));
            let options = BroadcastOptions { slots: 2, max_message: size };
            tried(Broadcast::open(region, offset, &options, live()));
            tried(region.cell(offset));
        }
    }
}

#[test]
fn bytes_that_change_meanwhile_do_no_harm() {
    let memory = Guarded::new(&[]);
    let region = memory.region(Access::ReadWrite);
    let options = ChannelOptions { capacity: 2048, producers: Producers::Many };
    let channel = Channel::open(region, 0, &options, live()).unwrap();
    let options = BroadcastOptions { slots: 2, max_message: 100 };
    let broadcast = Broadcast::open(region, 2560, &options, live()).unwrap();
    let ended = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut random = 1u32;
            while !ended.load(std::sync::atomic::Ordering::Relaxed) {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                // Anything but the first words, which are only looked at when it is opened.
                let offset = 128 + (random >> 12) as usize % 960 * 4;
                if !(2560..2576).contains(&offset) {
                    region
                        .cell(offset)
                        .unwrap()
                        .store(random >> (random % 32), std::sync::atomic::Ordering::Relaxed);
                }
            }
        });
        let mut received = Vec::new();
        for _ in 0..3000 {
            if let Some(mut sender) = accept(channel.sender()) {
                tried(sender.try_send(&[1; 50]));
            }
            if let Some(mut receiver) = accept(channel.receiver()) {
                tried(receiver.try_receive(&mut received));
            }
            if let Some(mut producer) = accept(broadcast.producer(live())) {
                tried(producer.send(&[1; 50]));
            }
            let mut reader = broadcast.reader().unwrap();
            tried(reader.rewind());
            tried(reader.try_receive(&mut received));
            received.clear();
        }
        ended.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}
