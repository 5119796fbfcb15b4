//! One process changes two numbers that belong together, and other processes read them.

use shm_segments::{RwLock, Segment};
use std::{env, error::Error, process};

fn main() -> Result<(), Box<dyn Error>> {
    let key = env::args().nth(1).unwrap_or(format!("rw-lock-{}", process::id()));
    let segment = Segment::open(key.as_str(), 4096)?;
    let range = RwLock::<[i64; 2]>::open(&segment, 0, 16)?;

    if env::args().len() > 1 {
        for number in 1..=1000 {
            *range.write()? = [-number, number];
        }
        return Ok(());
    }
    let mut child = process::Command::new(env::current_exe()?).arg(&key).spawn()?;
    while child.try_wait()?.is_none() {
        let [low, high] = *range.read()?;
        assert_eq!(low, -high);
    }
    println!("{:?}", *range.read()?);
    Ok(())
}
