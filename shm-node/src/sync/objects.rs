//! The objects that JavaScript has open here, by number.

use super::{errors, shared::Shared, sound::check_sound};
use crate::{attachments::Number, failure::Failure};
use napi::Env;
use shm_sync::Owner;
use std::{any::TypeId, fmt, mem, ptr};

/// A list of values by number. The numbers of removed values are used again.
#[derive(Debug)]
pub(crate) struct Numbered<T> {
    all: Vec<Option<T>>,
    free: Vec<usize>,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self { all: Vec::new(), free: Vec::new() }
    }
}

impl<T> Numbered<T> {
    pub(crate) fn add(&mut self, thing: T) -> usize {
        if let Some(number) = self.free.pop() {
            self.all[number] = Some(thing);
            return number;
        }
        self.all.push(Some(thing));
        self.all.len() - 1
    }

    #[inline]
    pub(crate) fn get(&mut self, number: usize) -> Option<&mut T> {
        self.all.get_mut(number)?.as_mut()
    }

    pub(crate) fn remove(&mut self, number: usize) -> Option<T> {
        let thing = self.all.get_mut(number)?.take()?;
        self.free.push(number);
        Some(thing)
    }

    /// All numbers are less than this.
    fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.all.iter_mut().flatten()
    }

    pub(crate) fn drain(&mut self) -> impl Iterator<Item = T> {
        self.free.clear();
        self.all.drain(..).flatten()
    }
}

/// The objects.
#[derive(Debug, Default)]
pub(crate) struct Objects(Numbered<Object>);

/// What an object can be: a structure, or one end of it.
pub(crate) trait Part: fmt::Debug + 'static {
    /// Gives up all of it, except for the windows, which JavaScript still has.
    fn give_up(self: Box<Self>) -> Option<Shared> {
        None
    }
}

#[derive(Debug)]
enum State {
    /// The type is that of the part: to ask the part itself is a call, which takes longer than the comparison.
    There(TypeId, Box<dyn Part>),
    /// Its segment was detached. JavaScript still has its windows.
    Detached(Option<Shared>),
}

impl State {
    fn give_up(self) -> Option<Shared> {
        match self {
            Self::There(_, part) => part.give_up(),
            Self::Detached(windows) => windows,
        }
    }
}

#[derive(Debug)]
struct Object {
    number: Number,
    owner: Option<Owner>,
    state: State,
}

impl Objects {
    /// Adds an object of an attachment; `owner` is the owner id of this environment there.
    pub(crate) fn add<P: Part>(&mut self, number: Number, owner: Option<Owner>, part: P) -> i32 {
        let object = Object { number, owner, state: State::There(TypeId::of::<P>(), Box::new(part)) };
        i32::try_from(self.0.add(object)).unwrap_or(i32::MAX)
    }

    /// Returns an object that JavaScript has; an error if its segment was detached.
    #[inline(always)]
    pub(crate) fn get<P: Part>(&mut self, handle: usize) -> Result<&mut P, Failure> {
        let object = self.0.get(handle).ok_or_else(|| Failure::internal("no such object"))?;
        let number = object.number;
        let State::There(kind, part) = &mut object.state else {
            return Err(check_sound(number).err().unwrap_or_else(errors::detached));
        };
        if *kind != TypeId::of::<P>() {
            return Err(Failure::internal("another object"));
        }
        // SAFETY: `add` made the box of a part of this type.
        Ok(unsafe { &mut *ptr::from_mut::<dyn Part>(&mut **part).cast::<P>() })
    }

    /// The attachment that an object belongs to.
    pub(crate) fn number(&mut self, handle: usize) -> Number {
        self.0.get(handle).map_or(0, |object| object.number)
    }

    /// The owner of an object's operations.
    #[inline]
    pub(crate) fn owner(&mut self, handle: usize) -> Result<Owner, Failure> {
        let object = self.0.get(handle).and_then(|object| object.owner);
        object.ok_or_else(|| Failure::internal("an object without an owner"))
    }

    /// Gives up an object that JavaScript still has.
    pub(crate) fn end(&mut self, handle: usize) {
        if let Some(object) = self.0.get(handle) {
            let state = mem::replace(&mut object.state, State::Detached(None));
            object.state = State::Detached(state.give_up());
        }
    }

    /// Removes an object that JavaScript no longer has.
    pub(crate) fn remove(&mut self, handle: usize, env: &Env) {
        if let Some(windows) = self.0.remove(handle).and_then(|object| object.state.give_up()) {
            windows.release(env);
        }
    }

    pub(super) fn leave(&mut self, is_left: impl Fn(Number) -> bool) {
        for handle in 0..self.0.len() {
            if is_left(self.number(handle)) {
                self.end(handle);
            }
        }
    }
}
