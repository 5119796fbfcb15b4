//! Two permits for four processes.

use shm_segments::{Segment, Semaphore};
use std::{
    env,
    error::Error,
    process,
    sync::atomic::{AtomicU32, Ordering::SeqCst},
};

fn main() -> Result<(), Box<dyn Error>> {
    let key = env::args().nth(1).unwrap_or(format!("semaphore-{}", process::id()));
    let segment = Segment::open(key.as_str(), 4096)?;
    let permits = Semaphore::open(&segment, 0, 2)?;
    let (inside, done) = (segment.atomic::<AtomicU32>(1024), segment.atomic::<AtomicU32>(1028));
    let (inside, done) = (inside.ok_or("no room")?, done.ok_or("no room")?);

    if env::args().len() > 1 {
        for _ in 0..100 {
            let _permit = permits.acquire()?;
            assert!(inside.fetch_add(1, SeqCst) < 2);
            inside.fetch_sub(1, SeqCst);
            done.fetch_add(1, SeqCst);
        }
        return Ok(());
    }
    let start = || process::Command::new(env::current_exe()?).arg(&key).spawn();
    let children: Vec<_> = (0..4).map(|_| start()).collect::<Result<_, _>>()?;
    for mut child in children {
        child.wait()?;
    }
    println!("{} times, never more than two at once", done.load(SeqCst));
    Ok(())
}
