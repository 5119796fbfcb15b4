//! A process sleeps on a word until another process changes it.

use shm_segments::{
    Segment,
    sync::{notify, wait},
};
use std::{
    env,
    error::Error,
    process,
    sync::atomic::{AtomicU32, Ordering::SeqCst},
};

fn main() -> Result<(), Box<dyn Error>> {
    let key = env::args().nth(1).unwrap_or(format!("wait-{}", process::id()));
    let segment = Segment::open(key.as_str(), 4096)?;
    let word = segment.atomic::<AtomicU32>(0).ok_or("no room")?;

    if env::args().len() > 1 {
        word.store(7, SeqCst);
        notify(word, 1);
        return Ok(());
    }
    let mut child = process::Command::new(env::current_exe()?).arg(&key).spawn()?;
    while word.load(SeqCst) == 0 {
        wait(word, 0, None)?;
    }
    println!("{}", word.load(SeqCst));
    child.wait()?;
    Ok(())
}
