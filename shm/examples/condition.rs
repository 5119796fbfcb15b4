//! A process waits until another one has put something into a value.

use shm_segments::{Condition, Mutex, Segment};
use std::{env, error::Error, process};

fn main() -> Result<(), Box<dyn Error>> {
    let key = env::args().nth(1).unwrap_or(format!("condition-{}", process::id()));
    let segment = Segment::open(key.as_str(), 4096)?;
    let jobs = Mutex::<u32>::open(&segment, 0)?;
    let changed = Condition::open(&segment, 64)?;

    if env::args().len() > 1 {
        let mut guard = jobs.lock()?;
        *guard += 3;
        changed.notify_all();
        return Ok(());
    }
    let mut child = process::Command::new(env::current_exe()?).arg(&key).spawn()?;
    let mut guard = jobs.lock()?;
    while *guard == 0 {
        guard = changed.wait(guard)?;
    }
    println!("{} jobs", *guard);
    drop(guard);
    child.wait()?;
    Ok(())
}
