//! Three processes send, and one receives. Messages are written and read in place, without a copy.

use shm_segments::{Channel, ChannelOptions, Producers, Segment};
use std::{env, error::Error, process};

fn main() -> Result<(), Box<dyn Error>> {
    let key = env::args().nth(1).unwrap_or(format!("channel-{}", process::id()));
    let segment = Segment::open(key.as_str(), 8192)?;
    let options = ChannelOptions { capacity: 4096, producers: Producers::Many };
    let lines = Channel::open(&segment, 0, &options)?;

    if let Some(name) = env::args().nth(2) {
        let mut sender = lines.sender()?;
        let mut line = sender.reserve(name.len())?;
        line.write(0, name.as_bytes());
        line.commit();
        return Ok(());
    }
    let mut receiver = lines.receiver()?;
    for name in ["one", "two", "three"] {
        process::Command::new(env::current_exe()?).args([&key, name]).status()?;
        let message = receiver.peek()?;
        let mut bytes = vec![0; message.len()];
        message.read(0, &mut bytes);
        message.release();
        println!("from {}", String::from_utf8(bytes)?);
    }
    Ok(())
}
