//! hot_paths PATH RUNS: runs one hot path so many times, for counting instructions.

use shm_api::{Backend, CreateOptions, Key, Segment};
use shm_benches::pair::{live, memory};
use shm_posix::Posix;
use shm_sync::{
    Broadcast, BroadcastOptions, Channel, ChannelOptions, Mutex, Once, Producers, RwLock, Semaphore,
};
use shm_sysv::SysV;
use std::{num::NonZeroUsize, process};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (path, runs) = (arguments.next().unwrap_or_default(), arguments.next().unwrap_or_default());
    let runs: u32 = runs.parse().expect("hot_paths PATH RUNS");
    let options = CreateOptions::new(NonZeroUsize::new(4096).expect("not 0"));
    let id = Key::id(0x6870_0000 | process::id() & 0xffff).expect("not 0");
    let name = Key::name(&format!("hot-{}", process::id())).expect("a name");
    let mut bytes = [0; 64];
    let mut cycle: Box<dyn FnMut()> = match path.as_str() {
        "create+detach, System V" => {
            Box::new(|| _ = SysV::new().create(&id, &options).expect("create").detach())
        }
        "create+detach, POSIX" => {
            Box::new(|| _ = Posix::new().create(&name, &options).expect("create").detach())
        }
        "attach+detach, System V" => {
            let held = SysV::new().create(&id, &options).expect("create");
            let id = &id;
            Box::new(move || {
                _ = SysV::new().attach(id).expect("attach").detach();
                let _ = &held;
            })
        }
        "attach+detach, POSIX" => {
            let held = Posix::new().create(&name, &options).expect("create");
            let name = &name;
            Box::new(move || {
                _ = Posix::new().attach(name).expect("attach").detach();
                let _ = &held;
            })
        }
        "write and read 64 bytes" => {
            let held = Posix::new().create(&name, &options).expect("create");
            Box::new(move || {
                held.write(64, &bytes);
                held.read(64, &mut bytes);
            })
        }
        "send and receive 64 bytes" => messages(Producers::One),
        "send and receive 64 bytes, many producers" => messages(Producers::Many),
        "send and receive 64 bytes, broadcast" => broadcast(),
        structure => held(structure),
    };
    for _ in 0..runs {
        cycle();
    }
}

/// A message, sent and received by one thread.
fn messages(producers: Producers) -> Box<dyn FnMut()> {
    let options = ChannelOptions { capacity: 4096, producers };
    let region = memory(Channel::byte_len(&options));
    let channel = Channel::open(region, 0, &options, live()).expect("a channel");
    let mut sender = channel.sender().expect("the producer's role");
    let mut receiver = channel.receiver().expect("the consumer's role");
    let (message, mut received) = ([7; 64], Vec::with_capacity(64));
    Box::new(move || {
        sender.send(&message).expect("room");
        received.clear();
        receiver.receive(&mut received).expect("a message");
    })
}

/// The same with a broadcast.
fn broadcast() -> Box<dyn FnMut()> {
    let options = BroadcastOptions { slots: 64, max_message: 64 };
    let (region, live) = (memory(Broadcast::byte_len(&options)), live());
    let broadcast = Broadcast::open(region, 0, &options, live).expect("a broadcast");
    let mut producer = broadcast.producer(live).expect("the producer's role");
    let mut reader = broadcast.reader().expect("a reader");
    let (message, mut received) = ([7; 64], Vec::with_capacity(64));
    Box::new(move || {
        producer.send(&message).expect("short enough");
        received.clear();
        reader.try_receive(&mut received).expect("whole").expect("a message");
    })
}

/// What nobody else wants, held and let go.
fn held(structure: &str) -> Box<dyn FnMut()> {
    let (region, live) = (memory(4096), live());
    match structure {
        "lock and unlock a mutex" => {
            let mutex = Mutex::open(region, 0, live).expect("a mutex");
            Box::new(move || drop(mutex.lock().expect("free")))
        }
        "acquire and release a permit" => {
            let semaphore = Semaphore::open(region, 0, 4, live).expect("a semaphore");
            Box::new(move || drop(semaphore.acquire().expect("free")))
        }
        "lock for reading and unlock" => {
            let lock = RwLock::open(region, 0, 4, live).expect("a lock");
            Box::new(move || drop(lock.read().expect("free")))
        }
        "lock for writing and unlock" => {
            let lock = RwLock::open(region, 0, 4, live).expect("a lock");
            Box::new(move || drop(lock.write().expect("free")))
        }
        "find that it was done once" => {
            let once = Once::open(region, 0, live).expect("a flag");
            once.call(|_| {}).expect("done");
            Box::new(move || once.call(|_| unreachable!("it was done")).expect("done"))
        }
        other => panic!("no hot path is called {other:?}"),
    }
}
