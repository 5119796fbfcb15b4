//! The program of the README: two processes share a channel and a number.

use shm_segments::{Channel, ChannelOptions, Mutex, Producers, Segment};
use std::{env, error::Error, process};

fn main() -> Result<(), Box<dyn Error>> {
    let key = env::args().nth(1).unwrap_or(format!("first-{}", process::id()));
    let segment = Segment::open(key.as_str(), 8192)?; // the first process creates it, the second attaches it
    let total = Mutex::<u64>::open(&segment, 0)?;
    let options = ChannelOptions { capacity: 4096, producers: Producers::One };
    let numbers = Channel::open(&segment, 64, &options)?;

    if env::args().len() > 1 {
        let mut receiver = numbers.receiver()?;
        while let Ok(number) = receiver.receive()?.try_into() {
            *total.lock()? += u64::from_le_bytes(number);
        }
        return Ok(());
    }
    let mut child = process::Command::new(env::current_exe()?).arg(&key).spawn()?;
    let mut sender = numbers.sender()?;
    for number in 1..=10u64 {
        sender.send(&number.to_le_bytes())?;
    }
    sender.send(b"that was all")?;
    child.wait()?;
    println!("the child has added up {}", *total.lock()?);
    Ok(())
}
