//! Coordination: `shm-sync` for JavaScript. `shm-sync` knows what words mean; `lib/sync` checks arguments.
//!
//! An object is a number in a table, to which the data pointer of each function leads. A function returns a small
//! integer if that is enough. Errors are thrown, with the codes of `errors`.
//!
//! | module | what it is for |
//! |---|---|
//! | `mutex`, `rw_lock`, `semaphore`, `condition`, `barrier`, `once`, `channel`, `broadcast` | one structure each |
//! | `waits` | wait and notify; sleeping without blocking |
//! | `operations` | calls that may have to wait, in steps |
//! | `steps` | taking these steps: in a call that blocks, or one by one |
//! | `table`, `objects` | the open objects, by number |
//! | `place` | the place of a structure, and the owner id of this environment there |
//! | `sound` | whether writes to an attachment reach other processes |
//! | `call`, `shared` | calls and memory in terms of N-API |
//! | `errors` | the errors |

mod barrier;
mod broadcast;
pub(crate) mod call;
mod channel;
mod condition;
pub(crate) mod errors;
mod mutex;
pub(crate) mod objects;
mod once;
mod operations;
pub(crate) mod place;
mod rw_lock;
mod semaphore;
pub(crate) mod shared;
pub(crate) mod sound;
mod steps;
#[cfg(shm_storm)]
mod storm;
pub(crate) mod table;
mod waits;

use crate::failure::or_throw;
use call::{Entry, define, functions};
use napi::{
    Env, JsValue,
    bindgen_prelude::{Object, Result},
};
use napi_derive::napi;
use shared::Shared;
use shm_sync::layout;
use std::ffi::CStr;

const FUNCTIONS: &[(&CStr, Entry)] = functions! {
    c"wait": waits::wait,
    c"notify": waits::notify,
    c"openDoor": waits::open_door,
    c"now": waits::now,
    c"setAlarm": waits::set_alarm,
    c"cancelAlarm": waits::cancel_alarm,
    c"keepAlive": waits::keep_alive,
    c"watchDeaths": waits::watch_deaths,
    c"awaitDeath": waits::await_death,
    c"holds": waits::holds,
    c"watch": waits::watch,
    c"passOn": waits::pass_on,
    c"failWait": waits::fail_wait,
    c"goOn": steps::go_on,
    c"step": steps::step,
    c"look": steps::look,
    c"giveUp": steps::give_up,
    c"end": steps::end,
    c"free": steps::free,
    c"openMutex": mutex::open,
    c"lock": mutex::lock,
    c"tryLock": mutex::try_lock,
    c"locking": mutex::locking,
    c"unlock": mutex::unlock,
    c"endLock": mutex::end_lock,
    c"semaphoreLength": semaphore::length,
    c"openSemaphore": semaphore::open,
    c"acquire": semaphore::acquire,
    c"tryAcquire": semaphore::try_acquire,
    c"acquiring": semaphore::acquiring,
    c"release": semaphore::release,
    c"endPermit": semaphore::end_permit,
    c"rwLockLength": rw_lock::length,
    c"openRwLock": rw_lock::open,
    c"read": rw_lock::read,
    c"tryRead": rw_lock::try_read,
    c"reading": rw_lock::reading,
    c"isWritten": rw_lock::is_written,
    c"write": rw_lock::write,
    c"tryWrite": rw_lock::try_write,
    c"writing": rw_lock::writing,
    c"releaseRead": rw_lock::release_read,
    c"releaseWrite": rw_lock::release_write,
    c"endRead": rw_lock::end_read,
    c"endWrite": rw_lock::end_write,
    c"openCondition": condition::open,
    c"waitFor": condition::wait,
    c"waiting": condition::waiting,
    c"notifyOne": condition::notify_one,
    c"notifyAll": condition::notify_all,
    c"openOnce": once::open,
    c"isDone": once::is_done,
    c"takeTurn": once::take_turn,
    c"takingTurns": once::taking,
    c"endTurn": once::end_turn,
    c"barrierLength": barrier::length,
    c"openBarrier": barrier::open,
    c"join": barrier::join,
    c"meet": barrier::meet,
    c"meeting": barrier::meeting,
    c"leaveBarrier": barrier::leave,
    c"channelLength": channel::length,
    c"openChannel": channel::open,
    c"trySend": channel::try_send,
    c"send": channel::send,
    c"reserve": channel::reserve,
    c"reserving": channel::reserving,
    c"fill": channel::fill_reserved,
    c"place": channel::place,
    c"commit": channel::commit,
    c"abandon": channel::abandon,
    c"tryReceiveInto": channel::try_receive_into,
    c"receiveInto": channel::receive_into,
    c"peek": channel::peek,
    c"peeking": channel::peeking,
    c"drain": channel::drain,
    c"drained": channel::drained,
    c"releaseMessage": channel::release,
    c"wakeConsumer": channel::wake_consumer,
    c"wakeProducer": channel::wake_producer,
    c"lost": channel::lost,
    c"closeChannel": channel::close,
    c"broadcastLength": broadcast::length,
    c"openBroadcast": broadcast::open,
    c"sendNews": broadcast::send,
    c"draft": broadcast::draft,
    c"endDraft": broadcast::end_draft,
    c"next": broadcast::next,
    c"closeBroadcast": broadcast::close,
    c"reader": broadcast::reader,
    c"readerNext": broadcast::reader_next,
    c"readInto": broadcast::read_into,
    c"peekNews": broadcast::peek,
    c"finish": broadcast::finish,
    c"watching": broadcast::watching,
};

/// How many words the further answers of a call take.
const ANSWERS: usize = 6;

/// The functions of coordination, for one copy of `lib/sync`: what it opens is its own. `out` is where they put further
/// answers, `key` is where the key of a map goes, and the rest is what it may know of layouts: where the words are
/// (bytes), and bits.
#[napi]
pub fn coordination(env: Env) -> Result<Object<'static>> {
    or_throw(env, || {
        let mut exports = Object::new(&env)?;
        let (out, buffer) = Shared::new(&env, ANSWERS)?;
        let (key, key_buffer) = Shared::new(&env, crate::map::KEY_WORDS)?;
        let table = table::Table::new(&env, out, key)?;
        for (name, entry) in FUNCTIONS.iter().chain(crate::map::FUNCTIONS) {
            define(&env, exports.raw(), table, name, *entry)?;
        }
        let known = [
            ("MUTEX", layout::mutex::WORD),
            ("RING", layout::channel::DATA),
            ("RECORD", layout::channel::RECORD),
            ("HEAD", layout::channel::HEAD),
            ("TAIL", layout::channel::TAIL),
            ("CONSUMER_EVENT", layout::channel::CONSUMER_EVENT),
            ("PRODUCERS_EVENT", layout::channel::PRODUCERS_EVENT),
            ("SLEEPERS", layout::event_count::SLEEPERS),
            ("NO_MESSAGE", layout::channel::BUSY | layout::channel::SKIP),
            ("LEAST_CAPACITY", layout::channel::CAPACITY_MIN),
            ("MOST_CAPACITY", layout::channel::CAPACITY_MAX),
            ("MOST_PERMITS", layout::semaphore::MOST),
            ("MOST_READERS", layout::rw_lock::MOST),
            ("MOST_PARTIES", layout::barrier::MOST),
            ("MUTEX_BYTES", layout::mutex::SIZE),
            ("CONDITION_BYTES", layout::condition::SIZE),
            ("ONCE_BYTES", layout::once::SIZE),
        ];
        #[cfg(shm_storm)]
        for (name, entry) in storm::FUNCTIONS {
            define(&env, exports.raw(), table, name, *entry)?;
        }
        for (name, value) in operations::ANSWERS {
            exports.set(name, value)?;
        }
        for (name, value) in known {
            exports.set(name, value)?;
        }
        for (name, constant) in crate::map::CONSTANTS {
            exports.set(*name, *constant)?;
        }
        for (name, buffer) in [("out", buffer), ("key", key_buffer)] {
            // SAFETY: a value of this scope.
            let buffer = unsafe { napi::bindgen_prelude::Unknown::from_raw_unchecked(env.raw(), buffer) };
            exports.set(name, buffer)?;
        }
        Ok(exports)
    })
}

/// How this thread waits, once it has begun to.
#[napi]
pub fn way_to_wait(env: Env) -> Result<&'static str> {
    or_throw(env, crate::waits::way)
}
