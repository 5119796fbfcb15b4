//! Creating: make the object without a name, put it in the ledger, and only then give it the name.
//!
//! So no reader ever sees an object without its size, and a process that dies in the middle leaves an entry for a
//! sweep. If the system has no unnamed objects, the object is made under its name, and written into the ledger before
//! it has its size.

use crate::{
    PosixSegment,
    failed::{map_failed, refused},
    kernel::{PosixKernel, Sign, namespace},
    mapping, name, object,
};
use nix::errno::Errno;
use shm_api::{Access, CreateError, CreateOptions, Key};
use shm_lifetime::{
    AddressRange, Class, Entry, EntryId, EntryName, Hold, Lifetime, NameLock, ObjectId, check_room,
    orphans_may_hold,
};
use std::{os::fd::OwnedFd, sync::Arc};

/// Creates a segment. If there is no room, it sweeps, because orphans may take the room, and tries once more.
pub(crate) fn create(key: &Key, options: &CreateOptions) -> Result<PosixSegment, CreateError> {
    let name = &name::of_key(key)?;
    let mode = options.permissions();
    if mode.bits() & 0o400 == 0 {
        return Err(CreateError::Unreadable { key: key.clone(), mode });
    }
    let lifetime = &Lifetime::current().map_err(|error| error.on(key))?;
    lifetime.sweep_once::<PosixKernel>();
    let creation = Creation { lifetime, key, name, options, class: lifetime.class_to_create(options) };
    match creation.run() {
        // Orphans may hold what is missing.
        Err(CreateError::Os(error))
            if orphans_may_hold(error.errno()) && lifetime.sweep::<PosixKernel>() > 0 =>
        {
            creation.run()
        }
        created => created,
    }
}

/// The object to create, and its creator.
struct Creation<'a> {
    lifetime: &'a Arc<Lifetime>,
    key: &'a Key,
    name: &'a EntryName,
    options: &'a CreateOptions,
    /// The users who may open it.
    class: Class,
}

impl<'a> Creation<'a> {
    /// All steps, in their order.
    fn run(&self) -> Result<PosixSegment, CreateError> {
        let Self { lifetime, key, name, options, class } = *self;
        if options.reserves() || options.populates() {
            check_room(object::RESERVE, self.bytes()).map_err(|error| error.on(key))?;
        }
        let file = lifetime.lock_file(class);
        let unnamed = self.make_unnamed()?;
        let Some(_lock) = self.lock()? else { return Err(self.taken()) };
        let entry = self.entry(unnamed.as_ref());
        let sign = Sign::begin(lifetime, file, name, entry.namespace, Some(entry.created))
            .map_err(|error| error.on(key))?;
        let (id, (made, object)) = lifetime.enter(&entry, |id| {
            let made = self.give_name(unnamed, id, &entry)?;
            let object = made.stat.identity_when_made(&entry);
            Ok::<_, CreateError>(((made, object), object))
        })?;
        let hold = Hold::new(lifetime, Some(id), file, name, object, true);
        let mapped = (made.range.into_start(), options.size());
        Ok(PosixSegment::new(key, name, mapped, Access::ReadWrite, hold, sign))
    }

    /// Makes the object without its name. Reserving room may take long, so it is done without the lock; but not if the
    /// name is taken. `None`: the system has no unnamed objects.
    fn make_unnamed(&self) -> Result<Option<Made>, CreateError> {
        let slow = self.bytes() >= 1 << 20;
        let exists = || object::exists(self.name.as_c_str());
        if slow && exists() && (self.lock()?.is_none() || exists()) {
            return Err(self.taken());
        }
        let made = object::make_unnamed(self.bytes(), self.mode(), self.reserves_at_once());
        made.map_err(|error| self.not_made(&error))?.map(|made| self.map(made)).transpose()
    }

    /// Locks the name; `None` if it is taken.
    fn lock(&self) -> Result<Option<NameLock<'a>>, CreateError> {
        let lock = self.lifetime.lock_to_create::<PosixKernel>(self.name, self.class);
        Ok(lock.map_err(|error| error.on(self.key))?)
    }

    /// The entry, which is written before the object gets its name.
    fn entry(&self, unnamed: Option<&Made>) -> Entry {
        let namespace = namespace(self.lifetime, unnamed.map(|made| &made.stat));
        let mut entry = Entry::of_this_process(*self.name, self.lifetime, self.options, namespace);
        entry.object = unnamed.map(|made| made.stat.identity_when_made(&entry));
        entry
    }

    /// Gives the object its name, or makes one under it.
    fn give_name(
        &self,
        unnamed: Option<Made>,
        id: Option<EntryId>,
        entry: &Entry,
    ) -> Result<Made, CreateError> {
        let Some(made) = unnamed else { return self.make_named(id, entry) };
        match object::publish(&made.file, self.name.as_c_str()) {
            Ok(()) => Ok(made),
            // Without /proc, an unnamed object cannot get a name.
            Err(object::Failed { errno: Errno::ENOENT, .. }) => {
                drop(made);
                self.make_named(id, entry)
            }
            Err(error) => Err(self.not_named(&error)),
        }
    }

    /// Makes an object under its name, for systems that cannot name an object later.
    fn make_named(&self, id: Option<EntryId>, entry: &Entry) -> Result<Made, CreateError> {
        self.note(id, None); // it is not the unnamed one
        let name = self.name.as_c_str();
        let note = |stat: &object::Stat| self.note(id, Some(stat.identity_when_made(entry)));
        let made = object::make_named(name, self.bytes(), self.mode(), self.reserves_at_once(), note)
            .map_err(|error| self.not_named(&error))?;
        self.map(made).inspect_err(|_| {
            let _ = object::unlink(name);
        })
    }

    /// Writes into the entry which object it stands for. If the process dies later, a sweep finds the object.
    fn note(&self, id: Option<EntryId>, object: Option<ObjectId>) {
        if let (Some(id), Some(ledger)) = (id, self.lifetime.existing_ledger()) {
            ledger.set_object(id, object);
        }
    }

    /// Maps an object. Reserves its room, if that had to wait for huge pages, and maps all its pages, if `populate`
    /// says so.
    fn map(&self, (file, stat): (OwnedFd, object::Stat)) -> Result<Made, CreateError> {
        let (size, bytes, options) = (self.options.size(), self.bytes(), self.options);
        let refused = |error| self.not_made(&error);
        if options.reserves() && options.wants_huge_pages() {
            object::check_free(&file, bytes).map_err(refused)?;
        }
        let start =
            mapping::map(&file, size, Access::ReadWrite).map_err(|error| map_failed(&error, self.key))?;
        // SAFETY: the mapping was left to us just now.
        let range = unsafe { AddressRange::new(start, size) };
        if options.wants_huge_pages() {
            // SAFETY: it was just mapped with that size.
            unsafe { shm_lifetime::ask_for_huge_pages(start, size, options.reserves()) };
            if options.reserves() {
                // The room that the huge pages do not cover.
                object::reserve(&file, bytes).map_err(refused)?;
            }
        }
        if options.populates() {
            // SAFETY: as above.
            let populated = unsafe { shm_lifetime::populate(start, size, Access::ReadWrite) };
            populated.map_err(|error| error.on(self.key))?;
        }
        Ok(Made { file, stat, range })
    }

    fn bytes(&self) -> u64 {
        self.options.size().get() as u64
    }

    fn mode(&self) -> u32 {
        self.options.permissions().bits()
    }

    /// fallocate pins small pages, so huge ones are asked for first.
    fn reserves_at_once(&self) -> bool {
        self.options.reserves() && !self.options.wants_huge_pages()
    }

    fn taken(&self) -> CreateError {
        CreateError::Exists { key: self.key.clone() }
    }

    fn not_made(&self, error: &object::Failed) -> CreateError {
        refused(error, self.key, self.options.size()).into()
    }

    fn not_named(&self, error: &object::Failed) -> CreateError {
        match error.errno {
            Errno::EEXIST => self.taken(),
            _ => self.not_made(error),
        }
    }
}

/// An object that has its size and its room, and is mapped; dropping it frees it, unless it got a name.
struct Made {
    file: OwnedFd,
    stat: object::Stat,
    range: AddressRange,
}
