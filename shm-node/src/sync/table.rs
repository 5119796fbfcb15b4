//! What one copy of JavaScript's part has open here: objects and operations, each known to it by a number.

use super::{
    barrier::Party,
    broadcast::{News, Reader},
    call::Shared,
    channel::Ends,
    errors,
    once::Flag,
    operations::Running,
    place::check_sound,
};
use crate::{
    attachments::{self, Number},
    failure::Failure,
};
use napi::Env;
use shm_sync::Owner;
use std::{cell::RefCell, ptr::NonNull, sync::atomic::AtomicU32};

thread_local! {
    /// The tables of this thread: one for each copy of JavaScript's part.
    static TABLES: RefCell<Vec<NonNull<RefCell<Table>>>> = const { RefCell::new(Vec::new()) };
}

macro_rules! structures {
    ($($name:ident($type:ty),)*) => {
        /// A structure, or one end of it.
        #[derive(Debug)]
        pub(crate) enum Structure {
            $($name($type),)*
            /// Its segment was detached; JavaScript has its windows still.
            Detached(Option<Shared>),
        }

        $(impl Part for $type {
            #[inline]
            fn found_in(structure: &mut Structure) -> Option<&mut Self> {
                if let Structure::$name(part) = structure { Some(part) } else { None }
            }

            fn into_structure(self) -> Structure {
                Structure::$name(self)
            }
        })*
    };
}

/// What an object can be.
pub(crate) trait Part: Sized {
    fn found_in(structure: &mut Structure) -> Option<&mut Self>;
    fn into_structure(self) -> Structure;
}

structures! {
    Mutex(shm_sync::Mutex<'static>),
    Semaphore(shm_sync::Semaphore<'static>),
    RwLock(shm_sync::RwLock<'static>),
    Condition(shm_sync::Condition<'static>),
    Once(Flag),
    Barrier(shm_sync::Barrier<'static>),
    Party(Party),
    Channel(Box<Ends>),
    Broadcast(Box<News>),
    Reader(Reader),
    Map(Box<crate::map::Opened>),
}

impl Structure {
    /// What is left of it once all is given up.
    fn detached(self) -> Self {
        match self {
            Self::Channel(ends) => Self::Detached(Some(ends.into_windows())),
            Self::Detached(windows) => Self::Detached(windows),
            _ => Self::Detached(None),
        }
    }
}

#[derive(Debug)]
struct Object {
    number: Number,
    owner: Option<Owner>,
    structure: Structure,
}

/// Numbered things, whose numbers are used again.
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

    /// All numbers are below.
    fn len(&self) -> usize {
        self.all.len()
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
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

impl Objects {
    /// Adds one of an attachment; `owner` is who this environment is there.
    pub(crate) fn add(&mut self, number: Number, owner: Option<Owner>, part: impl Part) -> i32 {
        let object = Object { number, owner, structure: part.into_structure() };
        i32::try_from(self.0.add(object)).unwrap_or(i32::MAX)
    }

    /// An object that JavaScript has; an error where its segment was detached.
    #[inline]
    pub(crate) fn get<P: Part>(&mut self, handle: usize) -> Result<&mut P, Failure> {
        let object = self.0.get(handle).ok_or_else(|| Failure::internal("no such object"))?;
        let number = object.number;
        P::found_in(&mut object.structure)
            .ok_or_else(|| check_sound(number).err().unwrap_or_else(errors::detached))
    }

    /// The attachment that an object belongs to.
    pub(crate) fn number(&mut self, handle: usize) -> Number {
        self.0.get(handle).map_or(0, |object| object.number)
    }

    /// For whom an object acts.
    #[inline]
    pub(crate) fn owner(&mut self, handle: usize) -> Result<Owner, Failure> {
        let object = self.0.get(handle).and_then(|object| object.owner);
        object.ok_or_else(|| Failure::internal("an object without an owner"))
    }

    /// Gives an object up that JavaScript has still.
    pub(crate) fn end(&mut self, handle: usize) {
        if let Some(object) = self.0.get(handle) {
            let structure = std::mem::replace(&mut object.structure, Structure::Detached(None));
            object.structure = structure.detached();
        }
    }

    /// JavaScript has it no more.
    pub(crate) fn remove(&mut self, handle: usize, env: &Env) {
        let Some(Object { structure, .. }) = self.0.remove(handle) else { return };
        if let Structure::Detached(Some(windows)) = structure.detached() {
            windows.release(env);
        }
    }

    fn leave(&mut self, is_left: impl Fn(Number) -> bool) {
        for handle in 0..self.0.len() {
            if is_left(self.number(handle)) {
                self.end(handle);
            }
        }
    }
}

/// All of it.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) objects: Objects,
    /// Operations of calls that do not block.
    pub(super) running: Numbered<Running>,
    /// The one that a call which blocks was at when it came back for a moment.
    pub(super) blocking: Option<Running>,
    /// By the slot of a wait: the attachment and the word.
    pub(crate) sleeping: Vec<Option<(Number, NonNull<AtomicU32>)>>,
    /// Further answers of a call.
    pub(crate) out: Shared,
    /// The key that a call on a map is about.
    pub(crate) key: Shared,
    /// Where values of maps go.
    pub(crate) pool: crate::map::Room,
}

impl Table {
    /// A table that lives until the environment ends, then without objects.
    pub(crate) fn new(env: &Env, out: Shared, key: Shared) -> Result<NonNull<RefCell<Self>>, Failure> {
        attachments::end_coordination_by(leave);
        let table = Self {
            objects: Objects::default(),
            running: Numbered::default(),
            blocking: None,
            sleeping: Vec::new(),
            out,
            key,
            pool: crate::map::Room::NONE,
        };
        let table = NonNull::from(Box::leak(Box::new(RefCell::new(table))));
        TABLES.with_borrow_mut(|all| all.push(table));
        env.add_env_cleanup_hook(table, |table| {
            TABLES.with_borrow_mut(|all| all.retain(|other| *other != table));
            // SAFETY: `leak` made it, and JavaScript, which alone has it besides, calls nothing any more.
            drop(unsafe { Box::from_raw(table.as_ptr()) });
        })?;
        Ok(table)
    }

    /// Ends everything that is open in some attachments.
    fn leave(&mut self, is_left: impl Fn(Number) -> bool) {
        for running in self.running.iter_mut().filter(|running| is_left(running.number)) {
            running.leave();
        }
        if self.blocking.as_ref().is_some_and(|running| is_left(running.number)) {
            self.blocking = None;
        }
        self.objects.leave(is_left);
    }
}

fn leave_where(is_left: impl Fn(Number) -> bool) {
    TABLES.with_borrow(|all| {
        for table in all {
            // SAFETY: it lives as long as it is in the list.
            let table = unsafe { table.as_ref() };
            // No call is at work on it: none detaches, and none ends the environment.
            table.borrow_mut().leave(&is_left);
        }
    });
}

/// Ends everything that is open in an attachment: its segment is about to be let go.
fn leave(number: Number) {
    leave_where(|other| other == number);
}

/// Ends everything that this thread has open.
pub(crate) fn leave_all() {
    leave_where(|_| true);
}
