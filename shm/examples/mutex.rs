//! Two processes count together. One of them is killed while it has the mutex, and the other repairs the value.

use shm_segments::{
    Error::OwnerDied,
    Mutex, Segment,
    bytemuck::{Pod, Zeroable},
};
use std::{env, error::Error, process};

#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[bytemuck(crate = "shm_segments::bytemuck")]
#[repr(C)]
struct Stock {
    apples: u64,
    pears: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let key = env::args().nth(1).unwrap_or(format!("mutex-{}", process::id()));
    let segment = Segment::open(key.as_str(), 4096)?;
    let stock = Mutex::<Stock>::open(&segment, 0)?;

    if env::args().len() > 1 {
        *stock.lock()? = Stock { apples: 12, pears: 3 };
        let _guard = stock.lock()?;
        process::abort();
    }
    process::Command::new(env::current_exe()?).arg(&key).status()?;
    match stock.lock() {
        Err(OwnerDied { .. }) => stock.recover()?.pears = 0, // the pears have to be counted again
        other => println!("{other:?}"),
    }
    println!("{:?}", *stock.lock()?);
    Ok(())
}
