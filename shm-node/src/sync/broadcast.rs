//! The broadcast, and its readers.

use super::{
    call::Call,
    errors,
    objects::{Objects, Part},
    operations::{CallSlice, NO, Operation, SHORT},
    place::Place,
    sound::check_sound,
    table::Table,
};
use crate::failure::Failure;
use shm_api::{Access, racy_copy};
use shm_sync::{Broadcast, BroadcastOptions, KeptFrame, Producer, Received, Step};

/// The broadcast, and its producer's end if this object has it.
#[derive(Debug)]
pub(crate) struct News {
    place: Place,
    broadcast: Broadcast<'static>,
    producer: Option<Producer<'static>>,
    draft: Option<usize>,
}

/// A reader, and the frame that it shows.
#[derive(Debug)]
pub(crate) struct Reader {
    reader: shm_sync::Reader<'static>,
    frame: Option<KeptFrame>,
}

impl Part for News {}
impl Part for Reader {}

/// How often a reader that is overtaken while it reads tries again before it answers that there is no message.
const ATTEMPTS: u32 = 8;

/// How many bytes all slots together can have at most.
const MOST: usize = 1 << 31;

fn options<const N: usize>(call: &Call<N>, first: usize) -> BroadcastOptions {
    BroadcastOptions { slots: call.unsigned(first), max_message: call.unsigned(first + 1) }
}

/// `broadcastLength(slots, maxMessage)`: how many bytes it takes.
pub(super) fn length(_: &mut Table, call: &Call<2>) -> Result<f64, Failure> {
    let length = Broadcast::byte_len(&options(call, 0));
    if length > MOST + Broadcast::byte_len(&BroadcastOptions { slots: 0, max_message: 1 }) {
        let why = r#""maxMessage" is too large: all slots together may take at most 2 GiB"#;
        return Err(Failure::Range(why.into()));
    }
    Ok(length as f64)
}

/// `openBroadcast(attachment, offset, room, slots, maxMessage)`: the object, its slots and its longest message. With 0
/// slots, it opens an existing broadcast.
pub(super) fn open(table: &mut Table, call: &Call<5>) -> Result<[f64; 3], Failure> {
    let place = Place::of(call)?;
    let wanted = options(call, 3);
    let broadcast = if wanted.slots == 0 {
        Broadcast::attach(place.region, 0)?
    } else if place.region.access() == Access::ReadOnly {
        let broadcast = Broadcast::attach(place.region, 0)?;
        let found = broadcast.options();
        same("slots", found.slots, wanted.slots)?;
        same("max_message", found.max_message, wanted.max_message)?;
        broadcast
    } else {
        let (live, _) = place.live(&call.env())?;
        Broadcast::open(place.region, 0, &wanted, live)?
    };
    let BroadcastOptions { slots, max_message } = broadcast.options();
    let number = place.number;
    let news = News { place, broadcast, producer: None, draft: None };
    let handle = table.objects.add(number, None, news);
    Ok([handle.into(), slots.into(), max_message.into()])
}

fn same(option: &'static str, found: u32, wanted: u32) -> Result<(), Failure> {
    if found == wanted {
        return Ok(());
    }
    Err(shm_sync::SyncError::Options { what: "broadcast", option, found, wanted }.into())
}

impl News {
    /// The producer's end; an error while a draft is open.
    #[inline]
    fn producer<const N: usize>(&mut self, call: &Call<N>) -> Result<&mut Producer<'static>, Failure> {
        if self.draft.is_some() {
            return Err(errors::reserved());
        }
        if self.producer.is_none() {
            let (live, owner) = self.place.writable(&call.env())?;
            self.producer = Some(self.broadcast.for_owner(owner).producer(live)?);
        }
        self.producer.as_mut().ok_or_else(errors::not_held)
    }
}

/// `sendNews(broadcast, message)`: its number.
pub(super) fn send(table: &mut Table, call: &Call<2>) -> Result<f64, Failure> {
    let news = table.objects.get::<News>(call.handle(0))?;
    let attachment = news.place.number;
    let producer = news.producer(call)?;
    let (message, length) = call.bytes(1);
    let draft = producer.draft(length)?;
    // SAFETY: `length` bytes fit on both sides, and may lie in shared memory.
    unsafe { racy_copy(message, draft.as_ptr(), length) };
    let number = draft.commit();
    check_sound(attachment)?;
    Ok(number as f64)
}

/// `draft(broadcast, length)`: the place of its bytes.
pub(super) fn draft(table: &mut Table, call: &Call<2>) -> Result<f64, Failure> {
    let news = table.objects.get::<News>(call.handle(0))?;
    let length = call.number(1) as usize;
    let offset = news.producer(call)?.draft(length)?.offset();
    news.draft = Some(length);
    Ok(offset as f64)
}

/// `endDraft(broadcast, sends)`: the message's number, or -1.
pub(super) fn end_draft(table: &mut Table, call: &Call<2>) -> Result<f64, Failure> {
    let news = table.objects.get::<News>(call.handle(0))?;
    let length = news.draft.take().ok_or_else(errors::not_held)?;
    if !call.flag(1) {
        return Ok(NO.into());
    }
    let number = news.producer(call)?.draft(length)?.commit();
    check_sound(news.place.number)?;
    Ok(number as f64)
}

/// `next(broadcast)`: how many messages were sent so far.
pub(super) fn next(table: &mut Table, call: &Call<1>) -> Result<f64, Failure> {
    let News { broadcast, producer, .. } = table.objects.get::<News>(call.handle(0))?;
    Ok(match producer {
        Some(producer) => producer.next(),
        None => broadcast.reader()?.next(),
    } as f64)
}

/// `closeBroadcast(broadcast)`: gives up the producer's end and a draft.
pub(super) fn close(table: &mut Table, call: &Call<1>) -> Result<(), Failure> {
    let news = table.objects.get::<News>(call.handle(0))?;
    (news.producer, news.draft) = (None, None);
    Ok(())
}

/// `reader(broadcast, rewinds)`: an object, and whether it can sleep until there is a message.
pub(super) fn reader(table: &mut Table, call: &Call<2>) -> Result<[f64; 2], Failure> {
    let handle = call.handle(0);
    let News { broadcast, place, .. } = table.objects.get::<News>(handle)?;
    let can_sleep = place.region.access() != Access::ReadOnly;
    let number = place.number;
    let mut reader = broadcast.reader()?;
    if call.flag(1) {
        reader.rewind()?;
    }
    let handle = table.objects.add(number, None, Reader { reader, frame: None });
    Ok([handle.into(), f64::from(u8::from(can_sleep))])
}

/// `readerNext(reader)`: the number of the message that it reads next.
pub(super) fn reader_next(table: &mut Table, call: &Call<1>) -> Result<f64, Failure> {
    Ok(table.objects.get::<Reader>(call.handle(0))?.reader.next() as f64)
}

/// Writes the further answers about a message: its number, and how many were missed.
fn tell(table: &Table, Received { number, missed }: Received) {
    table.out.set_number(2, number as f64);
    table.out.set_number(4, missed as f64);
}

/// `readInto(reader, target, at, room, timeout)`: the message's length; the further answers are its number and how many
/// were missed. `SHORT`: the target is too short, and the first further answer is the length.
#[inline]
pub(super) fn read_into(table: &mut Table, call: &Call<5>) -> Result<i32, Failure> {
    let Reader { reader, .. } = table.objects.get::<Reader>(call.handle(0))?;
    let ((target, size), slice) = (call.part(1), CallSlice::of(call.time(4)));
    for attempt in 0..ATTEMPTS {
        let found = match slice.time() {
            time if attempt == 0 && !time.is_zero() => reader.peek_timeout(time)?,
            _ => reader.try_peek()?,
        };
        let Some(frame) = found else { return Ok(slice.over()) };
        let length = frame.len();
        if length > size {
            table.out.set(0, length as i32);
            return Ok(SHORT);
        }
        // SAFETY: `length` bytes fit on both sides, and may lie in shared memory.
        unsafe { racy_copy(frame.as_ptr(), target, length) };
        if let Some(received) = frame.finish() {
            tell(table, received);
            return Ok(length as i32);
        }
    }
    Ok(slice.over())
}

/// `peekNews(reader)`: the message's length; the further answers are its place and its number.
pub(super) fn peek(table: &mut Table, call: &Call<1>) -> Result<i32, Failure> {
    let Reader { reader, frame } = table.objects.get::<Reader>(call.handle(0))?;
    let Some(found) = reader.try_peek()? else { return Ok(NO) };
    let (offset, length) = (found.offset(), found.len());
    *frame = Some(found.keep());
    let number = reader.next();
    table.out.set(0, offset as i32);
    tell(table, Received { number, missed: 0 });
    Ok(length as i32)
}

/// `finish(reader, number)`: `NO` if the message was overwritten meanwhile; the further answers are its number and how
/// many were missed.
pub(super) fn finish(table: &mut Table, call: &Call<2>) -> Result<i32, Failure> {
    let Reader { reader, frame } = table.objects.get::<Reader>(call.handle(0))?;
    if reader.next() as f64 != call.number(1) {
        return Err(errors::not_held());
    }
    let kept = frame.ok_or_else(errors::not_held)?;
    let received = reader.resume(kept)?.finish();
    let attachment = table.objects.number(call.handle(0));
    check_sound(attachment)?;
    Ok(received.map_or(NO, |received| {
        tell(table, received);
        0
    }))
}

/// Waiting for a message, as an operation.
#[derive(Debug)]
struct Watching {
    handle: usize,
}

impl Operation for Watching {
    fn attempt(&mut self, objects: &mut Objects) -> Result<Step<'static, i32>, Failure> {
        let Reader { reader, .. } = objects.get::<Reader>(self.handle)?;
        Ok(match reader.peek_step()? {
            Step::Ready(frame) => Step::Ready(frame.len() as i32),
            Step::Wait(pause) => Step::Wait(pause),
        })
    }
}

/// `watching(reader)`: an operation that ends when there may be a message.
pub(super) fn watching(table: &mut Table, call: &Call<1>) -> Result<i32, Failure> {
    let handle = call.handle(0);
    table.objects.get::<Reader>(handle)?;
    Ok(table.begin(handle, Watching { handle }))
}
