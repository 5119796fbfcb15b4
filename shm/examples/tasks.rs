//! Tasks of tokio wait for another process, without a thread for each.

use shm_segments::{Channel, ChannelOptions, Mutex, Producers, Segment};
use std::{env, error::Error, process, sync::Arc};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let key = env::args().nth(1).unwrap_or(format!("tasks-{}", process::id()));
    let segment = Segment::open(key.as_str(), 8192)?;
    let total = Arc::new(Mutex::<u64>::open(&segment, 0)?);
    let options = ChannelOptions { capacity: 4096, producers: Producers::Many };
    let numbers = Channel::open(&segment, 64, &options)?;

    if env::args().len() > 1 {
        let mut sender = numbers.sender()?;
        for number in 1..=100u64 {
            sender.send_async(&number.to_le_bytes()).await?;
        }
        return Ok(());
    }
    let mut receiver = numbers.receiver()?;
    let mut child = process::Command::new(env::current_exe()?).arg(&key).spawn()?;
    let mut tasks = Vec::new();
    for _ in 0..100 {
        let number = u64::from_le_bytes(receiver.receive_async().await?.as_slice().try_into()?);
        let total = total.clone();
        tasks.push(tokio::spawn(async move {
            *total.lock_async().await? += number;
            Ok::<_, shm_segments::Error>(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    child.wait()?;
    println!("{}", *total.lock()?);
    Ok(())
}
