//! The channel. With one producer, JavaScript sends and receives by itself within two windows: the part of the ring
//! that was found here to be free, and the part that was found to be readable.

use super::{
    call::Call,
    errors,
    objects::{Numbered, Objects, Part},
    operations::{CallSlice, NO, Operation},
    place::Place,
    shared::Shared,
    sound::check_sound,
    table::Table,
};
use crate::{attachments::Number, failure::Failure};
use napi::sys;
use shm_api::racy_copy;
use shm_sync::{
    Channel, ChannelOptions, Kept, Message, Producers, Receiver, Reservation, Reserving, Sender, Step,
};
use std::ptr::NonNull;

/// The places of the windows in the words that JavaScript and this module share.
const HEAD: usize = 0;
const ROOM: usize = 1;
const TAIL: usize = 2;
const READABLE: usize = 3;

/// Returns the result, unless a part of the segment was cut off before.
#[inline]
fn sound<T>(number: Number, done: T) -> Result<T, Failure> {
    check_sound(number).map(|()| done)
}

/// The channel, and the ends that this object has.
#[derive(Debug)]
pub(crate) struct Ends {
    number: Number,
    channel: Channel<'static>,
    sender: Option<Box<Sender<'static>>>,
    receiver: Option<Box<Receiver<'static>>>,
    reserved: Numbered<Kept>,
    is_reserved: bool,
    /// Whether JavaScript drains it. Then no other call receives.
    is_drained: bool,
    /// How many lost messages earlier receivers have reported.
    lost: u64,
    windows: Shared,
}

impl Ends {
    fn has_windows(&self) -> bool {
        self.channel.options().producers == Producers::One
    }

    /// Runs `work` with the producer's end, whose position JavaScript may have changed, and then tells JavaScript the
    /// new position.
    #[inline]
    fn sending<T>(
        &mut self,
        work: impl FnOnce(&mut Sender<'static>, &mut Numbered<Kept>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let has_windows = self.has_windows();
        let is_new = self.sender.is_none();
        let sender = match &mut self.sender {
            Some(sender) => sender,
            none => none.insert(Box::new(self.channel.sender()?)),
        };
        if !has_windows {
            return work(sender, &mut self.reserved).and_then(|done| sound(self.number, done));
        }
        // SAFETY: the sender is ours alone.
        let mut window = unsafe { Sender::window(NonNull::from(&mut **sender)) };
        if !is_new {
            // SAFETY: as above.
            let window = unsafe { window.as_mut() };
            window.head = self.windows.get(HEAD).cast_unsigned();
            window.room = self.windows.get(ROOM).cast_unsigned();
        }
        let result = work(sender, &mut self.reserved);
        // SAFETY: as above.
        let window = unsafe { Sender::window(NonNull::from(&mut **sender)) };
        // SAFETY: as above.
        let window = unsafe { window.as_ref() };
        self.windows.set(HEAD, window.head.cast_signed());
        self.windows.set(ROOM, window.room.cast_signed());
        result.and_then(|done| sound(self.number, done))
    }

    /// Runs `work` with the consumer's end, whose position JavaScript may have changed, and then tells JavaScript the
    /// new position.
    #[inline]
    fn receiving<T>(
        &mut self,
        work: impl FnOnce(&mut Receiver<'static>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        if self.is_drained {
            return Err(errors::draining());
        }
        let has_windows = self.has_windows();
        let is_new = self.receiver.is_none();
        let receiver = match &mut self.receiver {
            Some(receiver) => receiver,
            none => none.insert(Box::new(self.channel.receiver()?)),
        };
        if has_windows && !is_new {
            // SAFETY: the receiver is ours alone.
            let mut window = unsafe { Receiver::window(NonNull::from(&mut **receiver)) };
            // SAFETY: as above.
            let window = unsafe { window.as_mut() };
            let tail = self.windows.get(TAIL).cast_unsigned();
            if window.tail != tail {
                (window.tail, window.tail_published) = (tail, tail);
                window.readable = self.windows.get(READABLE).cast_unsigned();
            }
        }
        let result = work(receiver);
        // SAFETY: as above.
        let window = unsafe { Receiver::window(NonNull::from(&mut **receiver)) };
        // SAFETY: as above.
        let window = unsafe { window.as_ref() };
        self.windows.set(TAIL, window.tail.cast_signed());
        self.windows.set(READABLE, if has_windows { window.readable.cast_signed() } else { 0 });
        result.and_then(|done| sound(self.number, done))
    }

    /// Gives up a reservation, a peeked message, and both ends.
    fn close(&mut self) {
        if let Some(sender) = &mut self.sender {
            for kept in self.reserved.drain() {
                // Dropping it abandons it. An error would mean that the bytes were overwritten.
                drop(sender.resume(kept));
            }
        }
        (self.is_reserved, self.is_drained) = (false, false);
        self.lost = self.lost();
        (self.sender, self.receiver) = (None, None);
        for word in [HEAD, ROOM, TAIL, READABLE] {
            self.windows.set(word, 0);
        }
    }

    fn lost(&self) -> u64 {
        self.lost + self.receiver.as_ref().map_or(0, |receiver| receiver.lost())
    }

    fn check_reserved(&self) -> Result<(), Failure> {
        if self.is_reserved { Err(errors::reserved()) } else { Ok(()) }
    }
}

impl Part for Ends {
    fn give_up(mut self: Box<Self>) -> Option<Shared> {
        self.close();
        Some(self.windows)
    }
}

/// `channelLength(capacity)`: how many bytes it takes.
pub(super) fn length(_: &mut Table, call: &Call<1>) -> Result<f64, Failure> {
    let (capacity, producers) = (call.unsigned(0), Producers::One);
    Ok(Channel::byte_len(&ChannelOptions { capacity, producers }) as f64)
}

/// `openChannel(attachment, offset, room, capacity, many, out)`: the object. It writes to `out` the capacity, whether
/// there are many producers, and the longest message; the last element is the windows. With capacity 0, it opens an
/// existing channel.
pub(super) fn open(table: &mut Table, call: &Call<5>) -> Result<sys::napi_value, Failure> {
    let env = call.env();
    let place = Place::of(call)?;
    let (live, owner) = place.writable(&env)?;
    let producers = if call.integer(4) != 0 { Producers::Many } else { Producers::One };
    let channel = match call.unsigned(3) {
        0 => Channel::attach(place.region, 0, live)?,
        capacity => Channel::open(place.region, 0, &ChannelOptions { capacity, producers }, live)?,
    };
    let channel = channel.for_owner(owner);
    let (windows, buffer) = Shared::new(&env, READABLE + 1)?;
    let (sender, receiver, reserved) = (None, None, Numbered::default());
    let ends = Ends {
        number: place.number,
        channel,
        sender,
        receiver,
        reserved,
        is_reserved: false,
        is_drained: false,
        lost: 0,
        windows,
    };
    let handle = table.objects.add(place.number, Some(owner), ends);
    let ChannelOptions { capacity, producers } = channel.options();
    table.out.set(0, handle);
    table.out.set(1, capacity.cast_signed());
    table.out.set(2, i32::from(producers == Producers::Many));
    table.out.set(3, channel.max_message() as i32);
    Ok(buffer)
}

/// Copies a message into the room that was reserved for it.
#[inline]
fn fill(room: Reservation<'_, 'static>, (message, length): (NonNull<u8>, usize)) {
    // SAFETY: `length` bytes fit on both sides, and may lie in shared memory.
    unsafe { racy_copy(message, room.as_ptr(), length) };
    room.commit();
}

/// `trySend(channel, message)`: 0 when it is sent.
pub(super) fn try_send(table: &mut Table, call: &Call<2>) -> Result<i32, Failure> {
    let ends = table.objects.get::<Ends>(call.handle(0))?;
    let bytes = call.bytes(1);
    let is_reserved = ends.is_reserved;
    ends.sending(|sender, _| {
        if is_reserved {
            return Err(errors::reserved());
        }
        let Some(room) = sender.try_reserve(bytes.1)? else { return Ok(NO) };
        fill(room, bytes);
        Ok(0)
    })
}

/// `send(channel, message, timeout)`: 0 when it is sent.
pub(super) fn send(table: &mut Table, call: &Call<3>) -> Result<i32, Failure> {
    let ends = table.objects.get::<Ends>(call.handle(0))?;
    let bytes = call.bytes(1);
    let slice = CallSlice::of(call.time(2));
    ends.check_reserved()?;
    ends.sending(|sender, _| {
        let Some(room) = sender.reserve_timeout(bytes.1, slice.time())? else {
            return Ok(slice.over());
        };
        fill(room, bytes);
        Ok(0)
    })
}

/// `reserve(channel, length, timeout)`: the reservation; the first further answer is the place of its bytes.
pub(super) fn reserve(table: &mut Table, call: &Call<3>) -> Result<i32, Failure> {
    let ends = table.objects.get::<Ends>(call.handle(0))?;
    let (length, slice) = (call.unsigned(1) as usize, CallSlice::of(call.time(2)));
    ends.check_reserved()?;
    let reserved = ends.sending(|sender, reserved| {
        let room = sender.reserve_timeout(length, slice.time())?;
        Ok(room.map(|room| (room.offset(), reserved.add(room.keep()))))
    })?;
    let Some((offset, reservation)) = reserved else { return Ok(slice.over()) };
    ends.is_reserved = ends.has_windows();
    table.out.set(0, offset as i32);
    Ok(reservation as i32)
}

/// Reserving room, as an operation.
#[derive(Debug)]
struct ReservingRoom {
    handle: usize,
    length: usize,
    reserving: Reserving,
}

impl Operation for ReservingRoom {
    fn attempt(&mut self, objects: &mut Objects) -> Result<Step<'static, i32>, Failure> {
        let ends = objects.get::<Ends>(self.handle)?;
        ends.check_reserved()?;
        let (length, reserving) = (self.length, &mut self.reserving);
        let step = ends.sending(|sender, reserved| {
            Ok(match sender.reserve_step(length, reserving)? {
                Step::Ready(room) => Step::Ready(reserved.add(room.keep()) as i32),
                Step::Wait(pause) => Step::Wait(pause),
            })
        })?;
        ends.is_reserved = ends.has_windows() && matches!(step, Step::Ready(_));
        Ok(step)
    }
}

/// `reserving(channel, length)`: an operation, whose answer is a reservation.
pub(super) fn reserving(table: &mut Table, call: &Call<2>) -> Result<i32, Failure> {
    let (handle, length) = (call.handle(0), call.unsigned(1) as usize);
    table.objects.get::<Ends>(handle)?.sending(|_, _| Ok(()))?;
    Ok(table.begin(handle, ReservingRoom { handle, length, reserving: Reserving::default() }))
}

/// `fill(channel, reservation, message, length)`: sends a message that waited for room. Returns false, and sends
/// nothing, if its buffer was detached or made shorter meanwhile.
pub(super) fn fill_reserved(table: &mut Table, call: &Call<4>) -> Result<bool, Failure> {
    let ends = table.objects.get::<Ends>(call.handle(0))?;
    let (reservation, (message, size), length) = (call.handle(1), call.bytes(2), call.unsigned(3) as usize);
    ends.is_reserved = false;
    ends.sending(|sender, reserved| {
        let kept = reserved.remove(reservation).ok_or_else(errors::not_held)?;
        let room = sender.resume(kept)?;
        let is_whole = size >= length;
        if is_whole {
            fill(room, (message, length));
        }
        Ok(is_whole)
    })
}

/// `place(channel, reservation)`: where its bytes are.
pub(super) fn place(table: &mut Table, call: &Call<2>) -> Result<f64, Failure> {
    let ends = table.objects.get::<Ends>(call.handle(0))?;
    let reservation = call.handle(1);
    ends.sending(|sender, reserved| {
        let kept = *reserved.get(reservation).ok_or_else(errors::not_held)?;
        let room = sender.resume(kept)?;
        let offset = room.offset();
        room.keep();
        Ok(offset as f64)
    })
}

fn end_reservation(table: &mut Table, call: &Call<2>, commits: bool) -> Result<(), Failure> {
    let ends = table.objects.get::<Ends>(call.handle(0))?;
    let reservation = call.handle(1);
    ends.is_reserved = false;
    ends.sending(|sender, reserved| {
        let kept = reserved.remove(reservation).ok_or_else(errors::not_held)?;
        let room = sender.resume(kept)?;
        if commits {
            room.commit();
        }
        Ok(())
    })
}

/// `commit(channel, reservation)`.
pub(super) fn commit(table: &mut Table, call: &Call<2>) -> Result<(), Failure> {
    end_reservation(table, call, true)
}

/// `abandon(channel, reservation)`.
pub(super) fn abandon(table: &mut Table, call: &Call<2>) -> Result<(), Failure> {
    end_reservation(table, call, false)
}

/// Copies a message to a target. If the message is longer, it only returns the length.
#[inline]
fn take(message: Message<'_, 'static>, (target, size): (NonNull<u8>, usize)) -> usize {
    let length = message.len();
    if length <= size {
        // SAFETY: `length` bytes fit on both sides, and may lie in shared memory.
        unsafe { racy_copy(message.as_ptr(), target, length) };
        message.release();
    }
    length
}

/// `tryReceiveInto(channel, target)` or `(channel, target, at, room)`: the message's length. `SHORT`: the target is too
/// short, and the first further answer is the length.
pub(super) fn try_receive_into(table: &mut Table, call: &Call<4>) -> Result<i32, Failure> {
    let ends = table.objects.get::<Ends>(call.handle(0))?;
    let target = call.part(1);
    let received =
        ends.receiving(|receiver| Ok(receiver.try_peek()?.map(|message| take(message, target))))?;
    Ok(table.received(received, target.1, NO))
}

/// `receiveInto(channel, target, at, room, timeout)`: as `tryReceiveInto`.
pub(super) fn receive_into(table: &mut Table, call: &Call<5>) -> Result<i32, Failure> {
    let ends = table.objects.get::<Ends>(call.handle(0))?;
    let (target, slice) = (call.part(1), CallSlice::of(call.time(4)));
    let received = ends.receiving(|receiver| {
        Ok(receiver.peek_timeout(slice.time())?.map(|message| take(message, target)))
    })?;
    Ok(table.received(received, target.1, slice.over()))
}

/// `peek(channel, timeout)`: the message's length; the further answers are its place and its position.
pub(super) fn peek(table: &mut Table, call: &Call<2>) -> Result<i32, Failure> {
    let ends = table.objects.get::<Ends>(call.handle(0))?;
    let slice = CallSlice::of(call.time(1));
    let found = ends.receiving(|receiver| {
        let message = receiver.peek_timeout(slice.time())?;
        Ok(message.map(|message| (message.offset(), message.len())))
    })?;
    let Some((offset, length)) = found else { return Ok(slice.over()) };
    table.out.set(0, offset as i32);
    Ok(length as i32)
}

/// `drain(channel, begins, releases)`: the next message, if there is one now, with the answers of `peek`. Before that,
/// it releases the last message that it gave. No other call receives until `drained`.
pub(super) fn drain(table: &mut Table, call: &Call<3>) -> Result<i32, Failure> {
    let ends = table.objects.get::<Ends>(call.handle(0))?;
    let (begins, releases) = (call.flag(1), call.flag(2));
    if !begins {
        ends.is_drained = false;
    }
    let found = ends.receiving(|receiver| {
        if releases && let Some(given) = receiver.try_peek()? {
            given.release();
        }
        Ok(receiver.try_peek()?.map(|message| (message.offset(), message.len())))
    })?;
    let Some((offset, length)) = found else { return Ok(NO) };
    ends.is_drained = true;
    table.out.set(0, offset as i32);
    Ok(length as i32)
}

/// `drained(channel, releases)`: other calls may receive again. With `releases`, it releases the last message that
/// `drain` gave.
pub(super) fn drained(table: &mut Table, call: &Call<2>) -> Result<(), Failure> {
    let ends = table.objects.get::<Ends>(call.handle(0))?;
    let releases = call.flag(1);
    ends.is_drained = false;
    if releases {
        ends.receiving(|receiver| Ok(receiver.try_peek()?.map(Message::release)))?;
    }
    Ok(())
}

/// Peeking, as an operation.
#[derive(Debug)]
struct Peeking {
    handle: usize,
}

impl Operation for Peeking {
    fn attempt(&mut self, objects: &mut Objects) -> Result<Step<'static, i32>, Failure> {
        objects.get::<Ends>(self.handle)?.receiving(|receiver| {
            Ok(match receiver.peek_step()? {
                Step::Ready(message) => Step::Ready(message.len() as i32),
                Step::Wait(pause) => Step::Wait(pause),
            })
        })
    }
}

/// `peeking(channel)`: an operation, whose answer is the length of a message that is there.
pub(super) fn peeking(table: &mut Table, call: &Call<1>) -> Result<i32, Failure> {
    let handle = call.handle(0);
    table.objects.get::<Ends>(handle)?.receiving(|_| Ok(()))?;
    Ok(table.begin(handle, Peeking { handle }))
}

/// `releaseMessage(channel, position)`: the message that was peeked there.
pub(super) fn release(table: &mut Table, call: &Call<2>) -> Result<(), Failure> {
    let ends = table.objects.get::<Ends>(call.handle(0))?;
    if ends.receiver.is_none() || ends.windows.get(TAIL) != call.integer(1) {
        return Err(errors::not_held());
    }
    ends.receiving(|receiver| {
        receiver.try_peek()?.ok_or_else(errors::not_held)?.release();
        Ok(())
    })
}

/// `wakeConsumer(channel)`: JavaScript has sent within its window.
pub(super) fn wake_consumer(table: &mut Table, call: &Call<1>) -> Result<(), Failure> {
    if let Some(sender) = &table.objects.get::<Ends>(call.handle(0))?.sender {
        sender.wake();
    }
    Ok(())
}

/// `wakeProducer(channel)`: JavaScript has received within its window.
pub(super) fn wake_producer(table: &mut Table, call: &Call<1>) -> Result<(), Failure> {
    if let Some(receiver) = &table.objects.get::<Ends>(call.handle(0))?.receiver {
        receiver.wake();
    }
    Ok(())
}

/// `lost(channel)`: how many messages it found incomplete, because their producers were killed.
pub(super) fn lost(table: &mut Table, call: &Call<1>) -> Result<f64, Failure> {
    Ok(table.objects.get::<Ends>(call.handle(0))?.lost() as f64)
}

/// `closeChannel(channel)`: gives up a reservation, a peeked message, and both ends.
pub(super) fn close(table: &mut Table, call: &Call<1>) -> Result<(), Failure> {
    table.objects.get::<Ends>(call.handle(0))?.close();
    Ok(())
}
