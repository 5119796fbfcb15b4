//! The Rust side of the tests that Rust and Node understand each other: `peer FILE WORK ROUNDS makes|finds`, where the
//! file is a POSIX object that Node has made. It makes the structure at 0, or finds the one that Node has made, says
//! so, and does its half of the work. Words that both count in are at 4096.

use shm_api::Access;
use shm_sync::{
    Barrier, Broadcast, BroadcastOptions, Channel, ChannelOptions, Condition, Live, Mutex, Once, Outcome,
    Producers, Region, RwLock, Semaphore, notify, wait,
};
use std::{
    error::Error,
    fs::OpenOptions,
    ptr::NonNull,
    sync::atomic::{AtomicU32, Ordering::SeqCst},
};

type Done = Result<(), Box<dyn Error>>;

struct Work {
    region: Region<'static>,
    live: &'static Live,
    rounds: u32,
    makes: bool,
}

fn main() -> Done {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, file, work, rounds, how] = arguments.as_slice() else {
        return Err("peer FILE WORK ROUNDS makes|finds".into());
    };
    let file = OpenOptions::new().read(true).write(true).open(file)?;
    let map = Box::leak(Box::new(memmap2::MmapRaw::map_raw(&file)?));
    let start = NonNull::new(map.as_mut_ptr()).ok_or("no memory")?;
    // SAFETY: mapped until the end.
    let region = unsafe { Region::from_raw(start, map.len(), Access::ReadWrite) };
    let work_of = Work { region, live: Live::own()?, rounds: rounds.parse()?, makes: how == "makes" };
    match work.as_str() {
        "mutex" => work_of.mutex(),
        "semaphore" => work_of.semaphore(),
        "rw-lock" => work_of.rw_lock(),
        "condition" => work_of.condition(),
        "barrier" => work_of.barrier(),
        "once" => work_of.once(),
        "channel-one" => work_of.channel(Producers::One),
        "channel-many" => work_of.channel(Producers::Many),
        "broadcast" => work_of.broadcast(),
        "wait" => work_of.wait(),
        _ => Err("no such work".into()),
    }
}

/// Tells Node that it can go on.
fn ready() {
    println!("ready");
}

fn add(word: &AtomicU32) {
    // Not in one operation: two at a time would lose some.
    word.store(word.load(SeqCst) + 1, SeqCst);
}

impl Work {
    fn word(&self, index: usize) -> Result<&'static AtomicU32, Box<dyn Error>> {
        Ok(self.region.cell(4096 + 4 * index)?)
    }

    /// Excludes Node, and dies with it locked.
    fn mutex(&self) -> Done {
        let mutex = Mutex::open(self.region, 0, self.live)?;
        ready();
        for _ in 0..self.rounds {
            let _guard = mutex.lock()?;
            add(self.word(0)?);
        }
        mutex.lock()?.keep();
        Ok(())
    }

    /// Two permits for three: Node has two at most. Dies with one.
    fn semaphore(&self) -> Done {
        let semaphore = if self.makes {
            Semaphore::open(self.region, 0, 2, self.live)?
        } else {
            Semaphore::attach(self.region, 0, self.live)?
        };
        ready();
        let inside = self.word(0)?;
        for _ in 0..self.rounds {
            let _permit = semaphore.acquire()?;
            if inside.fetch_add(1, SeqCst) > 1 {
                return Err("too many".into());
            }
            inside.fetch_sub(1, SeqCst);
        }
        semaphore.acquire()?.keep();
        Ok(())
    }

    /// Reads what is written whole, and writes. Dies writing.
    fn rw_lock(&self) -> Done {
        let lock = if self.makes {
            RwLock::open(self.region, 0, 3, self.live)?
        } else {
            RwLock::attach(self.region, 0, self.live)?
        };
        ready();
        let (left, right) = (self.word(0)?, self.word(1)?);
        for round in 0..self.rounds {
            if round % 3 == 0 {
                let _guard = lock.write()?;
                add(left);
                add(right);
            } else {
                let _guard = lock.read()?;
                if left.load(SeqCst) != right.load(SeqCst) {
                    return Err("torn".into());
                }
            }
        }
        lock.write()?.keep();
        Ok(())
    }

    /// Takes turns with Node, whose turn it is while the word is even.
    fn condition(&self) -> Done {
        let mutex = Mutex::open(self.region, 1024, self.live)?;
        let condition = Condition::open(self.region, 0, self.live)?;
        ready();
        let turn = self.word(0)?;
        let mut guard = mutex.lock()?;
        for _ in 0..self.rounds {
            while turn.load(SeqCst) % 2 == 0 {
                guard = condition.wait(guard)?;
            }
            add(turn);
            condition.notify_one();
        }
        Ok(())
    }

    /// Nobody goes on before the other is there. Dies as a party.
    fn barrier(&self) -> Done {
        let barrier = if self.makes {
            Barrier::open(self.region, 0, 2, self.live)?
        } else {
            Barrier::attach(self.region, 0, self.live)?
        };
        ready();
        let came = self.word(0)?;
        let mut party = barrier.join()?;
        for round in 1..=self.rounds {
            came.fetch_add(1, SeqCst);
            party.wait()?;
            if came.load(SeqCst) < 2 * round {
                return Err("too early".into());
            }
        }
        std::mem::forget(party);
        Ok(())
    }

    /// Each is done by one of the two, and the other waits for it. Dies over the last one.
    fn once(&self) -> Done {
        let flag = |round: u32| Once::open(self.region, 16 * round as usize, self.live);
        ready();
        let (count, meet) = (self.word(0)?, self.word(1)?);
        for round in 0..self.rounds {
            meet.fetch_add(1, SeqCst);
            while meet.load(SeqCst) < 2 * (round + 1) {
                std::thread::yield_now();
            }
            flag(round)?.call(|_| add(count))?;
            if count.load(SeqCst) != round + 1 {
                return Err("too early, or twice".into());
            }
        }
        std::mem::forget(flag(self.rounds)?.begin()?);
        Ok(())
    }

    /// Sends back what comes.
    fn channel(&self, producers: Producers) -> Done {
        let options = ChannelOptions { capacity: 1024, producers };
        let open = |offset| {
            if self.makes {
                Channel::open(self.region, offset, &options, self.live)
            } else {
                Channel::attach(self.region, offset, self.live)
            }
        };
        let (mut receiver, mut sender) = (open(0)?.receiver()?, open(2048)?.sender()?);
        ready();
        for round in 0..self.rounds {
            let mut message = Vec::new();
            if round % 3 == 0 {
                receiver.receive(&mut message)?;
            } else {
                let peeked = receiver.peek()?;
                peeked.append_to(&mut message);
                peeked.release();
            }
            sender.send(&message)?;
        }
        Ok(())
    }

    /// Sends on what Node's broadcast tells.
    fn broadcast(&self) -> Done {
        let options = BroadcastOptions { slots: 4, max_message: 64 };
        let open = |offset| {
            if self.makes {
                Broadcast::open(self.region, offset, &options, self.live)
            } else {
                Broadcast::attach(self.region, offset)
            }
        };
        let (mut reader, mut producer) = (open(0)?.reader()?, open(2048)?.producer(self.live)?);
        ready();
        for round in 0..self.rounds {
            let mut message = Vec::new();
            let received = reader.receive(&mut message)?;
            if (received.number, received.missed) != (round.into(), 0) {
                return Err(format!("{received:?} in round {round}").into());
            }
            producer.send(&message)?;
        }
        Ok(())
    }

    /// Takes turns with Node by waiting for a word to change.
    fn wait(&self) -> Done {
        let turn = self.word(0)?;
        ready();
        for round in 0..self.rounds {
            let ours = 2 * round + 1;
            while turn.load(SeqCst) < ours {
                let outcome = wait(turn, ours - 1, None)?;
                if outcome == Outcome::TimedOut {
                    return Err("there is no time limit".into());
                }
            }
            add(turn);
            notify(turn, u32::MAX);
        }
        Ok(())
    }
}
