//! Shared memory with Node.js, in Rust: System V for an integer key, POSIX for a name; on Windows a section for both.
//!
//! ```text
//! node examples/languages/share.js sysv cargo run --quiet --package shm-example-share --
//! shm-example-share create KEY    makes a segment of three doubles, and leaves it (Windows keeps none so)
//! shm-example-share double KEY    prints the doubles of a segment, and doubles them
//! ```

use shm_api::{Backend, CreateOptions, Key, Segment};
use std::{env, error::Error, num::NonZeroUsize};

const COUNT: usize = 3;
const DOUBLE: usize = size_of::<f64>();

fn main() -> Result<(), Box<dyn Error>> {
    let [command, key] =
        env::args().skip(1).collect::<Vec<_>>().try_into().map_err(|_| "create|double KEY")?;
    let key = match key.parse() {
        Ok(id) => Key::id(id).ok_or("0 is no key")?,
        Err(_) => Key::name(&key)?,
    };
    #[cfg(windows)]
    return run(&shm_windows::Windows::new(), &command, &key);
    #[cfg(unix)]
    match key {
        Key::Id(_) => run(&shm_sysv::SysV::new(), &command, &key),
        Key::Name(_) => run(&shm_posix::Posix::new(), &command, &key),
    }
}

fn run(backend: &impl Backend, command: &str, key: &Key) -> Result<(), Box<dyn Error>> {
    if command == "create" {
        let size = NonZeroUsize::new(COUNT * DOUBLE).ok_or("no doubles")?;
        // It has to persist: otherwise it would go with this process, its last holder.
        let segment = backend.create(key, &CreateOptions::new(size).persist(true))?;
        for i in 0..COUNT {
            segment.write(i * DOUBLE, &(1.5 + i as f64).to_ne_bytes());
        }
        return Ok(());
    }
    let segment = backend.attach(key)?;
    let mut shown = Vec::new();
    for offset in (0..segment.size().get() / DOUBLE).map(|i| i * DOUBLE) {
        let mut bytes = [0; DOUBLE];
        segment.read(offset, &mut bytes);
        let number = f64::from_ne_bytes(bytes);
        shown.push(number.to_string());
        segment.write(offset, &(number * 2.0).to_ne_bytes());
    }
    println!("{}", shown.join(" "));
    Ok(())
}
