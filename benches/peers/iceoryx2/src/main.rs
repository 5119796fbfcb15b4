//! Prints a line of JSON for our broadcast beside iceoryx2's publish-subscribe: 8 KiB there and 8 KiB back between two
//! processes that spin, all of it written and read by both; half the time of a round trip.

use iceoryx2::prelude::*;
use shm_benches::{
    alternate::alternate_timed,
    pair::{live, memory, together},
};
use shm_sync::{Broadcast, BroadcastOptions, Live, Producer, Reader};
use std::{hint::spin_loop, process, sync::atomic::Ordering::SeqCst, time::Instant};

const LENGTH: usize = 8192;
const ROUNDS: usize = 31;
const TRIPS: u32 = 4000;
const WARM: u32 = 500;

/// One end of a connection there and back.
trait End {
    fn send(&mut self, message: &[u8; LENGTH]);
    fn receive(&mut self, message: &mut [u8; LENGTH]);
}

/// Half of a round trip in nanoseconds, seen from the end that begins.
fn ask(end: &mut impl End) -> f64 {
    let mut message = [0; LENGTH];
    let mut trip = |number: u32| {
        message.fill(number as u8);
        end.send(&message);
        end.receive(&mut message);
        assert!(message == [!(number as u8); LENGTH], "another message, or torn");
    };
    (0..WARM).for_each(&mut trip);
    let start = Instant::now();
    (0..TRIPS).for_each(trip);
    start.elapsed().as_secs_f64() * 1e9 / f64::from(TRIPS) / 2.0
}

/// Answers each message by its complement.
fn answer(end: &mut impl End) {
    let mut message = [0; LENGTH];
    for _ in 0..WARM + TRIPS {
        end.receive(&mut message);
        message.iter_mut().for_each(|byte| *byte = !*byte);
        end.send(&message);
    }
}

struct Ours<'a> {
    producer: Producer<'a>,
    reader: Reader<'a>,
}

impl End for Ours<'_> {
    fn send(&mut self, message: &[u8; LENGTH]) {
        self.producer.send(message).expect("sent");
    }

    fn receive(&mut self, message: &mut [u8; LENGTH]) {
        loop {
            if let Some(frame) = self.reader.try_peek().expect("a broadcast") {
                frame.read(0, message);
                assert!(frame.finish().is_some(), "overwritten");
                return;
            }
            spin_loop();
        }
    }
}

fn ours(there: &Broadcast<'_>, back: &Broadcast<'_>, live: &'static Live) -> f64 {
    // Made before the fork, so that neither misses the first message.
    let (requests, answers) = (there.reader().expect("a reader"), back.reader().expect("a reader"));
    together(
        || answer(&mut Ours { producer: back.producer(live).expect("alone"), reader: requests }),
        || ask(&mut Ours { producer: there.producer(live).expect("alone"), reader: answers }),
    )
}

type Payload = [u8; LENGTH];

struct Theirs {
    publisher: iceoryx2::port::publisher::Publisher<ipc::Service, Payload, ()>,
    subscriber: iceoryx2::port::subscriber::Subscriber<ipc::Service, Payload, ()>,
    // The services live as long as their node.
    _node: Node<ipc::Service>,
}

impl Theirs {
    fn new(sends: &str, receives: &str) -> Self {
        let node = NodeBuilder::new().create::<ipc::Service>().expect("a node");
        let service = |name: &str| {
            let name = ServiceName::new(name).expect("a name");
            node.service_builder(&name).publish_subscribe::<Payload>().open_or_create().expect("a service")
        };
        let publisher = service(sends).publisher_builder().create().expect("a publisher");
        let subscriber = service(receives).subscriber_builder().create().expect("a subscriber");
        Self { publisher, subscriber, _node: node }
    }
}

impl End for Theirs {
    fn send(&mut self, message: &Payload) {
        let mut sample = self.publisher.loan_uninit().expect("a sample");
        // SAFETY: all bytes are copied, and a byte has no invalid values.
        let sample = unsafe {
            sample.payload_mut().as_mut_ptr().write(*message);
            sample.assume_init()
        };
        sample.send().expect("sent");
    }

    fn receive(&mut self, message: &mut Payload) {
        loop {
            if let Some(sample) = self.subscriber.receive().expect("a subscriber") {
                message.copy_from_slice(sample.payload());
                return;
            }
            spin_loop();
        }
    }
}

fn theirs(run: u32) -> f64 {
    let name = |way: &str| format!("shm-benches/{}/{run}/{way}", process::id());
    let (there, back) = (name("there"), name("back"));
    let ready = memory(4096).cell(0).expect("a word");
    // Both begin when both are ready, and neither leaves before the other is done.
    let meet = |arrivals| {
        ready.fetch_add(1, SeqCst);
        while ready.load(SeqCst) < arrivals {
            spin_loop();
        }
    };
    together(
        || {
            let mut end = Theirs::new(&back, &there);
            meet(2);
            answer(&mut end);
            meet(4);
        },
        || {
            let mut end = Theirs::new(&there, &back);
            meet(2);
            let half = ask(&mut end);
            meet(4);
            half
        },
    )
}

fn main() {
    set_log_level(LogLevel::Error);
    let options = BroadcastOptions { slots: 4, max_message: LENGTH as u32 };
    let size = Broadcast::byte_len(&options).next_multiple_of(4096);
    let (region, live) = (memory(2 * size), live());
    let [there, back] = [0, size].map(|at| Broadcast::open(region, at, &options, live).expect("a broadcast"));
    let mut run = 0;
    let row = alternate_timed(
        "Broadcast, 8 KiB there and back, Rust, one way, spinning",
        "iceoryx2 0.10.0 publish-subscribe",
        ROUNDS,
        || ours(&there, &back, live),
        || {
            run += 1;
            theirs(run)
        },
    );
    println!("{}", row.to_json());
}
