//! The program of the README: two processes share a channel and a map.

use shm_segments::{Channel, ChannelOptions, EntryOptions, Map, MapOptions, Producers, Segment};
use std::{env, error::Error, process};

fn main() -> Result<(), Box<dyn Error>> {
    let key = env::args().nth(1).unwrap_or(format!("first-{}", process::id()));
    let segment = Segment::open(key.as_str(), 1 << 20)?; // the first process creates it, the second attaches it
    let options = ChannelOptions { capacity: 4096, producers: Producers::One };
    let words = Channel::open(&segment, 0, &options)?;
    let results = Map::open(&segment, 8192, &MapOptions::new(512 << 10))?;

    if env::args().len() > 1 {
        let mut receiver = words.receiver()?;
        loop {
            let word = receiver.receive()?;
            if word.is_empty() {
                return Ok(());
            }
            results.insert(&word, word.to_ascii_uppercase(), &EntryOptions::default())?;
        }
    }
    let mut child = process::Command::new(env::current_exe()?).arg(&key).spawn()?;
    let mut sender = words.sender()?;
    for word in ["apple", "pear", ""] {
        sender.send(word.as_bytes())?; // an empty message ends the child
    }
    child.wait()?;
    println!("{}", String::from_utf8(results.get("pear")?.unwrap_or_default())?);
    Ok(())
}
