use super::{check, drive};
use crate::protocol::{
    broadcast::Latest,
    layout::broadcast::{DATA, HEAD_HIGH, HEAD_HIGH_AGAIN, HEAD_LOW, LENGTH, MESSAGE, READERS_EVENT},
    memory::{Memory, Ordering},
};
use loom::thread;

#[test]
fn a_reader_never_takes_a_torn_message_for_a_whole_one() {
    let words = || {
        let header = [HEAD_HIGH, HEAD_LOW, HEAD_HIGH_AGAIN, READERS_EVENT];
        let slot = [0, LENGTH, MESSAGE, MESSAGE + 4];
        let slots = [DATA, DATA + 64].into_iter().flat_map(move |at| slot.map(|offset| at + offset));
        header.into_iter().chain(slots).collect()
    };
    check(3, words, |words| {
        let latest = Latest::new(words, 2, 64, 8);
        let message = move |number| [0, 4].map(|at| words.word(latest.message(number) + at));
        let producer = thread::spawn(move || {
            for number in 0..3u64 {
                latest.begin(number, 8);
                for word in message(number) {
                    word.store(number as u32 + 1, Ordering::Relaxed);
                }
                latest.publish(number);
            }
        });
        let mut cursor = latest.cursor();
        while cursor.next < 2 {
            let length = drive(|| latest.find_step(&mut cursor)).unwrap();
            assert_eq!(length, 8);
            let number = cursor.next;
            let [one, two] = message(number).map(|word| word.load(Ordering::Relaxed));
            if latest.finish(&mut cursor).is_some() {
                assert_eq!((one, two), (number as u32 + 1, number as u32 + 1));
            }
        }
        producer.join().unwrap();
    });
}
