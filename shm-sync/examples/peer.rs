//! The Rust side of the tests that Rust and Node understand each other: `peer FILE ROUNDS`, where the file is a
//! POSIX object that Node has made. A mutex at 0 guards the word at 32; messages of the channel at 64 go back
//! through the one at 8192; each is broadcast at 16384 too.

use shm_api::Access;
use shm_sync::{Broadcast, Channel, Live, Mutex, Region};
use std::{error::Error, fs::OpenOptions, ptr::NonNull, sync::atomic::Ordering};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, file, rounds] = arguments.as_slice() else { return Err("peer FILE ROUNDS".into()) };
    let rounds: u32 = rounds.parse()?;
    let file = OpenOptions::new().read(true).write(true).open(file)?;
    let map = memmap2::MmapRaw::map_raw(&file)?;
    let start = NonNull::new(map.as_mut_ptr()).ok_or("no memory")?;
    // SAFETY: mapped until the end.
    let region = unsafe { Region::from_raw(start, map.len(), Access::ReadWrite) };
    let live = Live::own()?;

    let mutex = Mutex::open(region, 0, live)?;
    let count = region.cell(32)?;
    for _ in 0..rounds {
        let guard = mutex.lock()?;
        count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        drop(guard);
    }

    let mut receiver = Channel::attach(region, 64, live)?.receiver()?;
    let mut sender = Channel::attach(region, 8192, live)?.sender()?;
    let broadcast = Broadcast::attach(region, 16384)?;
    let mut producer = broadcast.producer(live)?;
    for _ in 0..rounds {
        let mut message = Vec::new();
        receiver.receive(&mut message)?;
        producer.send(&message)?;
        sender.send(&message)?;
    }

    // Dies with the mutex locked.
    mutex.lock()?.keep();
    Ok(())
}
