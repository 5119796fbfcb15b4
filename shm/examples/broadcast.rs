//! One process sends a price again and again. A reader that comes late gets the last prices, and how many it missed.

use shm_segments::{Broadcast, BroadcastOptions, Segment};
use std::{env, error::Error, process};

fn main() -> Result<(), Box<dyn Error>> {
    let key = env::args().nth(1).unwrap_or(format!("broadcast-{}", process::id()));
    let segment = Segment::open(key.as_str(), 8192)?;
    let prices = Broadcast::open(&segment, 0, &BroadcastOptions { slots: 4, max_message: 8 })?;

    if env::args().len() > 1 {
        let mut producer = prices.producer()?;
        for price in 0..10u64 {
            producer.send(&price.to_le_bytes())?;
        }
        return Ok(());
    }
    let mut reader = prices.reader()?;
    process::Command::new(env::current_exe()?).arg(&key).status()?;
    while let Some((received, price)) = reader.try_receive()? {
        let price = u64::from_le_bytes(price.as_slice().try_into()?);
        println!("price {price}, message {}, {} missed", received.number, received.missed);
    }
    Ok(())
}
