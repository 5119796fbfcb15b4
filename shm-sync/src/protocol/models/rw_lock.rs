use super::{Those, check, drive, owner};
use crate::protocol::{
    layout::rw_lock::{QUEUE, SLOTS, WRITER},
    rw_lock::{ReadState, RwLock, WriteState},
};
use loom::{cell::UnsafeCell, sync::Arc, thread};
use std::convert::Infallible;

#[test]
fn a_writer_is_alone_and_every_waiter_gets_the_lock() {
    check(
        2,
        || vec![WRITER, QUEUE, SLOTS, SLOTS + 4],
        |words| {
            let lock = RwLock::new(words, 2);
            let protected = Arc::new(UnsafeCell::new(0));
            let read = move |id, protected: &UnsafeCell<u32>| {
                let mut state = ReadState::default();
                let Ok(read) =
                    drive(|| Ok::<_, Infallible>(lock.read_step(owner(id), &mut state, Those::Live)));
                // SAFETY: that no writer is here is what the checker checks.
                let value = protected.with(|value| unsafe { *value });
                lock.end_read(read.slot, owner(id));
                value
            };
            let write = move |id, protected: &UnsafeCell<u32>| {
                let mut state = WriteState::default();
                let Ok(_) =
                    drive(|| Ok::<_, Infallible>(lock.write_step(owner(id), &mut state, Those::Live)));
                // SAFETY: that nobody else is here is what the checker checks.
                protected.with_mut(|value| unsafe { *value += 1 });
                lock.end_write(owner(id));
            };
            let (for_writer, for_reader) = (protected.clone(), protected.clone());
            let writer = thread::spawn(move || write(2, &for_writer));
            let reader = thread::spawn(move || read(3, &for_reader));
            write(1, &protected);
            assert!(reader.join().unwrap() <= 2);
            writer.join().unwrap();
            assert_eq!(read(1, &protected), 2);
        },
    );
}
