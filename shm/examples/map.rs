//! Two processes share a cache. One of them invalidates all entries that have a tag.

use shm_segments::{EntryOptions, Map, MapOptions, Segment};
use std::{env, error::Error, process, time::Duration};

fn main() -> Result<(), Box<dyn Error>> {
    let key = env::args().nth(1).unwrap_or(format!("map-{}", process::id()));
    let segment = Segment::open(key.as_str(), 1 << 20)?;
    let pages = Map::open(&segment, 0, &MapOptions::new(1 << 20))?;

    if env::args().len() > 1 {
        let news =
            EntryOptions { ttl: Some(Duration::from_secs(3600)), tags: &["news"], ..Default::default() };
        pages.insert("/today", "<h1>Today</h1>", &news)?;
        pages.insert("/about", "<h1>About</h1>", &EntryOptions::default())?;
        pages.full().increment(b"written", 2.0, None)?;
        return Ok(());
    }
    process::Command::new(env::current_exe()?).arg(&key).status()?;
    println!("{} pages were written", pages.full().increment(b"written", 0.0, None)?.value);
    println!("{}", String::from_utf8(pages.get("/today")?.unwrap_or_default())?);
    pages.full().invalidate_tags(&["news"])?;
    println!("{:?} {}", pages.get("/today")?, pages.get("/about")?.is_some());
    Ok(())
}
