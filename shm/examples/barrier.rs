//! Two processes compute in rounds. No process begins a round before both have ended the last one.

use shm_segments::{Barrier, Segment};
use std::{
    env,
    error::Error,
    process,
    sync::atomic::{AtomicU64, Ordering::SeqCst},
};

fn main() -> Result<(), Box<dyn Error>> {
    let key = env::args().nth(1).unwrap_or(format!("barrier-{}", process::id()));
    let segment = Segment::open(key.as_str(), 4096)?;
    let mut party = Barrier::open(&segment, 0, 2)?.join()?;
    let sum = segment.atomic::<AtomicU64>(64).ok_or("no room")?;

    let is_child = env::args().len() > 1;
    let child =
        if is_child { None } else { Some(process::Command::new(env::current_exe()?).arg(&key).spawn()?) };
    for round in 1..=5 {
        sum.fetch_add(round, SeqCst);
        party.wait()?;
        assert_eq!(sum.load(SeqCst), round * (round + 1));
        party.wait()?;
    }
    if let Some(mut child) = child {
        child.wait()?;
        println!("{} after 5 rounds of two", sum.load(SeqCst));
    }
    Ok(())
}
