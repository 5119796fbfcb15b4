//! `docs/layout.md` is enough to write a reader in Python: this runs the one that stands there.
#![cfg(target_os = "linux")]

use nix::sys::memfd::{MFdFlags, memfd_create};
use shm_api::Access;
use shm_sync::{Broadcast, BroadcastOptions, Live, Region};
use std::{
    fs::File,
    os::fd::AsRawFd,
    process::{Command, Stdio},
    ptr::NonNull,
    time::{Duration, Instant},
};

const OPTIONS: BroadcastOptions = BroadcastOptions { slots: 64, max_message: 1000 };
const OFFSET: usize = 4096;

fn memfd(size: u64) -> File {
    let file = File::from(memfd_create(c"shm-sync-test", MFdFlags::MFD_CLOEXEC).unwrap());
    file.set_len(size).unwrap();
    file
}

#[test]
fn a_reader_in_python_gets_whole_messages_and_is_told_of_gaps() {
    let document = include_str!("../../docs/layout.md");
    let reader = document.split("```python\n").nth(1).unwrap().split("```").next().unwrap();
    let program = format!(
        "{reader}
import sys
file = open(sys.argv[1], 'rb')
memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
reader = Reader(memory, {OFFSET})
print('ready', flush=True)
got = gaps = 0
expected = reader.next
until = time.monotonic() + 30
while expected < 20000 and time.monotonic() < until:
    if (received := reader.read()) is None:
        continue
    number, missed, message = received
    assert number == expected + missed, (number, expected, missed)
    expected = number + 1
    assert len(message) == 1 + number % 1000 and set(message) == {{number % 256}}, number
    got, gaps = got + 1, gaps + (missed > 0)
print(expected, got, gaps, flush=True)
"
    );
    let size = OFFSET + Broadcast::byte_len(&OPTIONS);
    let file = memfd(size as u64);
    let map = memmap2::MmapRaw::map_raw(&file).unwrap();
    let start = NonNull::new(map.as_mut_ptr()).unwrap();
    // SAFETY: mapped until the end of the test.
    let region = unsafe { Region::from_raw(start, size, Access::ReadWrite) };
    let live = Live::over(memfd(0).into()).unwrap();
    let broadcast = Broadcast::open(region, OFFSET, &OPTIONS, live).unwrap();
    let mut producer = broadcast.producer(live).unwrap();
    let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
    let python = Command::new("python3").args(["-c", &program, &path]).stdout(Stdio::piped()).spawn();
    let mut python = match python {
        Ok(python) => python,
        Err(error) => {
            let allowed = std::env::var("SHM_TESTS_NO_SKIP").as_deref() != Ok("1");
            assert!(allowed, "skipped, no python3: {error}");
            return eprintln!("skipped, no python3: {error}");
        }
    };
    let mut output = std::io::BufReader::new(python.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut output, &mut line).unwrap();
    assert_eq!(line, "ready\n");
    let begun = Instant::now();
    for number in 0..20_000u64 {
        producer.send(&vec![number as u8; 1 + (number % 1000) as usize]).unwrap();
        // Sometimes slow enough to follow, sometimes not.
        if number % 4000 < 2000 && number % 8 == 0 {
            std::thread::sleep(Duration::from_micros(50));
        }
        assert!(begun.elapsed() < Duration::from_secs(30));
    }
    line.clear();
    std::io::BufRead::read_line(&mut output, &mut line).unwrap();
    assert!(python.wait().unwrap().success());
    let numbers: Vec<u64> = line.split_whitespace().map(|number| number.parse().unwrap()).collect();
    assert!(numbers[0] == 20_000 && numbers[1] > 100, "expected, got, gaps: {numbers:?}");
}
