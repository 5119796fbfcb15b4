//! What `lib/sync` calls where JavaScript alone cannot go on: to sleep, to wake, and to ask who is alive.

use crate::{
    alarms,
    attachments::{self, Number},
    backends, doors,
    failure::{Failure, or_throw},
    shrinks, waits,
};
use napi::{
    Env, JsValue,
    bindgen_prelude::{Result, Unknown},
};
use napi_derive::napi;
use shm_api::Access;
use shm_sync::{Live, Outcome, Owner, notify};
use std::{
    cell::RefCell,
    ptr::NonNull,
    sync::atomic::{
        AtomicU32,
        Ordering::{Relaxed, SeqCst},
    },
    time::Duration,
};

const READ_ONLY: u32 = 64;

const OWNER: u32 = Owner::MAX;

thread_local! {
    /// The live files that this environment uses, and who it is there.
    static LIVES: RefCell<Vec<(&'static Live, Owner)>> = const { RefCell::new(Vec::new()) };
}

fn detached() -> Failure {
    Failure::Ours("ERR_SHM_DETACHED", "the segment is detached: create or get it anew".into())
}

/// Runs `work` with a word that can be waited on; what it came to counts only if the segment was not cut off until then.
fn with_word<T>(
    number: Number,
    offset: f64,
    work: impl FnOnce(&AtomicU32) -> std::result::Result<T, Failure>,
) -> std::result::Result<T, Failure> {
    let word = word(number, offset)?;
    // SAFETY: it lies in an attachment of this thread, which is busy here and so detaches nothing.
    let word = unsafe { word.as_ref() };
    check_sound(number)?;
    let result = work(word);
    if result.is_err() {
        // The kernel says EFAULT where the word was cut off; a touch finds it out.
        word.load(Relaxed);
    }
    check_sound(number)?;
    result
}

fn check_sound(number: Number) -> std::result::Result<(), Failure> {
    attachments::with_segment(number, shrinks::check_sound).unwrap_or(Ok(()))
}

fn word(number: Number, offset: f64) -> std::result::Result<NonNull<AtomicU32>, Failure> {
    let (start, size, access) = attachments::data(number).ok_or_else(detached)?;
    if access == Access::ReadOnly {
        let why = "a read-only segment can neither wait nor lock: get it without `readOnly`, or poll";
        return Err(Failure::Value(why.into()));
    }
    let offset = offset as usize;
    if offset.checked_add(size_of::<AtomicU32>()).is_none_or(|end| end > size) {
        return Err(Failure::internal("a word outside the segment"));
    }
    // SAFETY: inside the data.
    let word: NonNull<AtomicU32> = unsafe { start.add(offset) }.cast();
    if word.is_aligned() { Ok(word) } else { Err(Failure::internal("a word that is not aligned")) }
}

fn duration(milliseconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(milliseconds / 1000.0).ok()
}

/// Where an attachment's data begins, modulo 64; 64 more where it is read-only.
#[napi]
pub fn place(env: Env, number: Number) -> Result<u32> {
    or_throw(env, || {
        let (start, _, access) = attachments::data(number).ok_or_else(detached)?;
        let read_only = if access == Access::ReadOnly { READ_ONLY } else { 0 };
        Ok((start.addr().get() % 64) as u32 | read_only)
    })
}

/// Blocks the thread while a word holds a value: 0 woken, 1 it does not hold it, 2 time is up.
#[napi]
pub fn sleep_on(env: Env, number: Number, offset: f64, expected: i32, milliseconds: f64) -> Result<u32> {
    or_throw(env, || {
        with_word(number, offset, |word| {
            Ok(match shm_sync::wait(word, expected.cast_unsigned(), duration(milliseconds))? {
                Outcome::Woken => 0,
                Outcome::NotEqual => 1,
                Outcome::TimedOut => 2,
            })
        })
    })
}

/// Throws where a word that a wait failed on was cut off.
#[napi]
pub fn check_word(env: Env, number: Number, offset: f64) -> Result<()> {
    or_throw(env, || {
        with_word(number, offset, |word| {
            word.load(Relaxed);
            Ok(())
        })
    })
}

/// Wakes at most `count` of those who wait on a word; returns how many.
#[napi]
pub fn wake(env: Env, number: Number, offset: f64, count: u32) -> Result<u32> {
    or_throw(env, || with_word(number, offset, |word| Ok(notify(word, count) as u32)))
}

/// Opens a door for a copy of the JavaScript, and returns its number: `callback(slot, how)` is called for each wait and
/// alarm of it that ended.
#[napi]
pub fn open_door(env: Env, callback: Unknown<'_>) -> Result<u32> {
    doors::open(&env, callback.raw())
}

/// Whether what is pending at a door keeps this environment alive.
#[napi]
pub fn keep_alive(env: Env, door: u32, wanted: bool) -> Result<()> {
    doors::keep_alive(&env, door, wanted)
}

/// Begins a wait that blocks nobody; returns what to cancel it by.
#[napi]
pub fn begin_wait(
    env: Env,
    number: Number,
    offset: f64,
    expected: i32,
    milliseconds: f64,
    door: u32,
    slot: u32,
) -> Result<f64> {
    or_throw(env, || {
        let (door, word) = (doors::find(door)?, word(number, offset)?);
        check_sound(number)?;
        // SAFETY: attachments end through `attachments`, which calls `waits::leave`.
        let token =
            unsafe { waits::begin(door, word, expected.cast_unsigned(), duration(milliseconds), slot) }?;
        Ok(token as f64)
    })
}

/// Asks for the end of a wait.
#[napi]
pub fn cancel_wait(token: f64) -> bool {
    waits::cancel(token as u64)
}

/// Milliseconds of a clock that only ever goes forward, and that nobody can replace.
#[napi]
pub fn now() -> f64 {
    alarms::now()
}

/// Sets an alarm; returns what to cancel it by.
#[napi]
pub fn set_alarm(env: Env, milliseconds: f64, door: u32, slot: u32) -> Result<f64> {
    or_throw(env, || {
        let after = duration(milliseconds).unwrap_or(Duration::MAX);
        Ok(alarms::set(doors::find(door)?, slot, after)? as f64)
    })
}

/// Takes an alarm back; false where it is told already.
#[napi]
pub fn cancel_alarm(alarm: f64) -> bool {
    alarms::cancel(alarm as u64)
}

/// How waits are done in this process.
#[napi]
pub fn way_to_wait(env: Env) -> Result<&'static str> {
    or_throw(env, || Ok(waits::engine()?.name()))
}

/// The live file for what lies in an attachment: its number here, its id, and who this environment is.
/// `offset` is that of the word with the id that a structure carries, where one is there already.
#[napi]
pub fn live(env: Env, number: Number, offset: f64) -> Result<Vec<u32>> {
    or_throw(env, || {
        let live = with_word(number, offset, |word| {
            let carried = word.load(SeqCst);
            let live = live_for(number, carried)?;
            // Whether it does is for the caller to see: the word then has the file's id.
            if carried != 0 {
                live.fits(word);
            }
            Ok(live)
        })?;
        let known =
            LIVES.with_borrow(|all| all.iter().position(|(known, _)| known.file_id() == live.file_id()));
        let index = match known {
            Some(index) => index,
            None => {
                let owner = live.new_owner()?;
                LIVES.with_borrow_mut(|all| all.push((live, owner)));
                // What this environment held is then up for others.
                env.add_env_cleanup_hook((), move |()| live.retire(owner))?;
                LIVES.with_borrow(Vec::len) - 1
            }
        };
        with_live(index as u32, |live, owner| Ok(vec![index as u32, live.file_id(), owner.get()]))
    })
}

fn live_for(number: Number, carried: u32) -> std::result::Result<&'static Live, Failure> {
    let (kind, key) = attachments::name(number).ok_or_else(detached)?;
    match backends::info(kind, &key) {
        Ok(info) => Ok(Live::of_segment(&info, carried)?),
        // A segment that was destroyed under its holders tells nothing.
        Err(_) => Ok(Live::own()?),
    }
}

fn with_live<T>(
    index: u32,
    work: impl FnOnce(&'static Live, Owner) -> std::result::Result<T, Failure>,
) -> std::result::Result<T, Failure> {
    let live = LIVES.with_borrow(|all| all.get(index as usize).copied());
    let (live, owner) = live.ok_or_else(|| Failure::internal("no such live file"))?;
    work(live, owner)
}

/// Whether an owner may still be at work.
#[napi]
pub fn is_alive(env: Env, live: u32, word: u32) -> Result<bool> {
    or_throw(env, || with_live(live, |live, _| Ok(live.is_alive(Owner::from_word(word)))))
}

/// Whether an owner is of this process.
#[napi]
pub fn is_ours(env: Env, live: u32, word: u32) -> Result<bool> {
    or_throw(env, || with_live(live, |live, _| Ok(live.is_ours(Owner::from_word(word)))))
}

/// Makes this environment the only producer or consumer by an owner word; returns 0, or who is it already. It ends
/// with the attachment.
#[napi]
pub fn take_role(env: Env, number: Number, offset: f64, live: u32) -> Result<u32> {
    or_throw(env, || {
        with_live(live, |live, us| {
            let at = word(number, offset)?;
            with_word(number, offset, |word| {
                let mut seen = word.load(Relaxed);
                loop {
                    let holder = Owner::from_word(seen);
                    if holder.get() != 0 && live.is_alive(holder) {
                        return Ok(holder.get());
                    }
                    match word.compare_exchange(seen, us.get(), SeqCst, Relaxed) {
                        Ok(_) => break,
                        Err(found) => seen = found,
                    }
                }
                attachments::add_role(number, Role::Owner { word: at, owner: us.get() });
                Ok(0)
            })
        })
    })
}

/// Ends what `takeRole` began.
#[napi]
pub fn end_role(env: Env, number: Number, offset: f64) -> Result<()> {
    or_throw(env, || {
        if let Some(role) = attachments::remove_role(number, word(number, offset)?) {
            // SAFETY: the segment is attached.
            unsafe { role.end() };
        }
        Ok(())
    })
}

/// Remembers a record that this environment has reserved and will commit: its header, as it is now, and the event of
/// its consumer. It is given up with the attachment.
#[napi]
pub fn hold_record(env: Env, number: Number, offset: f64, header: i32, event: f64) -> Result<()> {
    or_throw(env, || {
        let (word, event) = (word(number, offset)?, word(number, event)?);
        attachments::add_role(number, Role::Record { word, header: header.cast_unsigned(), event });
        Ok(())
    })
}

/// Forgets a record that is committed, or given up, by who calls.
#[napi]
pub fn unhold_record(env: Env, number: Number, offset: f64) -> Result<()> {
    or_throw(env, || {
        attachments::remove_role(number, word(number, offset)?);
        Ok(())
    })
}

/// Orders what stands before it and what stands after it, where the processor would not.
#[napi]
pub fn fence() {
    std::sync::atomic::fence(SeqCst);
}

/// What an environment is or has in a segment, which must not outlast its attachment.
#[derive(Debug)]
pub(crate) enum Role {
    /// It is the only producer or consumer of something.
    Owner { word: NonNull<AtomicU32>, owner: u32 },
    /// It has reserved a record of a channel with many producers, whose consumer waits for it.
    Record { word: NonNull<AtomicU32>, header: u32, event: NonNull<AtomicU32> },
}

/// In a record's header: its producer is at work on it, or it is to be skipped. See `docs/layout.md`.
const BUSY: u32 = 1 << 31;
const SKIP: u32 = 1 << 30;

impl Role {
    /// The word that it is known by.
    pub(crate) const fn word(&self) -> NonNull<AtomicU32> {
        match self {
            Self::Owner { word, .. } | Self::Record { word, .. } => *word,
        }
    }

    /// # Safety
    ///
    /// Its segment is still attached.
    pub(crate) unsafe fn end(self) {
        // SAFETY: by the caller's promise.
        let word = unsafe { self.word().as_ref() };
        match self {
            Self::Owner { owner, .. } => {
                let held = |seen: u32| (seen & OWNER == owner).then_some(0);
                // Whoever wrote something else there has taken it.
                if word.fetch_update(SeqCst, Relaxed, held).is_ok_and(|seen| seen != owner) {
                    notify(word, u32::MAX);
                }
            }
            Self::Record { header, event, .. } => {
                let given_up = header & !BUSY | SKIP;
                if word.compare_exchange(header, given_up, SeqCst, Relaxed).is_ok() {
                    // SAFETY: by the caller's promise.
                    wake_event(unsafe { event.as_ref() });
                }
            }
        }
    }
}

/// Something has happened: wakes all who sleep on an event count.
fn wake_event(event: &AtomicU32) {
    const SLEEPERS: u32 = 1;
    let happened = |seen: u32| (seen & SLEEPERS != 0).then(|| seen.wrapping_add(2) & !SLEEPERS);
    if event.fetch_update(SeqCst, SeqCst, happened).is_ok() {
        notify(event, u32::MAX);
    }
}
