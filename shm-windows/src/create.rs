//! Creating: the lock, the companion, the section, and then the companion says that it is there.

use crate::{
    WindowsSegment,
    access::User,
    companion::{Companion, Description},
    failed::{Failed, not_supported},
    find::describe,
    lock::Lock,
    name::ObjectName,
    range::{Placeholder, in_pages},
    section,
    segment::Hold,
};
use shm_api::{Access, AttachError, CreateError, CreateOptions, Key, Segment};
use std::num::NonZeroUsize;
use windows_sys::Win32::Foundation::{ERROR_ACCESS_DENIED, ERROR_ALREADY_EXISTS};

/// Creates a segment and maps it.
pub(crate) fn create(key: &Key, options: &CreateOptions) -> Result<WindowsSegment, CreateError> {
    let (size, mode) = (options.size(), options.permissions());
    let name = ObjectName::of_key(key)?;
    if mode.bits() & 0o400 == 0 {
        return Err(CreateError::Unreadable { key: key.clone(), mode });
    }
    let exists = || CreateError::Exists { key: key.clone() };
    let refused = |failed: Failed| CreateError::Os(failed.making(key, size));
    let user = User::of_this_process().map_err(refused)?;
    let access = user.section_access(mode).map_err(refused)?;
    // First, so that a size for which there are no addresses leaves nothing behind.
    let placeholder = Placeholder::reserve(size).map_err(refused)?;
    let lock_access = user.lock_access(mode).map_err(refused)?;
    let lock = Lock::create(&name, &lock_access).map_err(|failed| without_lock(key, size, failed))?;
    let segment = {
        let _guard = lock.take().map_err(refused)?;
        if let Some(companion) = Companion::open(&name).map_err(refused)?
            && let Some(current) = companion.current().map_err(refused)?
            && section::exists(&current.section(&name)).map_err(refused)?
        {
            return Err(exists());
        }
        if options.persists() {
            let why = "Windows removes a segment with its last holder: leave `persist` out, and keep one process attached.";
            return Err(not_supported("CreateFileMapping", key, why).into());
        }
        lock.open_to(&lock_access).map_err(refused)?;
        let companion = Companion::create(&name, user, mode).map_err(refused)?;
        let pages = in_pages(size).map_err(refused)?;
        let number = companion.next_number();
        let plain = section::create(&name.section(), pages, &access).map_err(refused)?;
        let is_plain = plain.is_some();
        let section = match plain {
            Some(section) => section,
            // An old segment of ours has the plain name until its holders are gone.
            None if companion.had_others() => {
                let later = section::create(&name.later_section(number.get()), pages, &access);
                let is_taken = || refused(Failed::new("CreateFileMapping", ERROR_ALREADY_EXISTS));
                later.map_err(refused)?.ok_or_else(is_taken)?
            }
            None => return Err(exists()), // another program's
        };
        let range = placeholder.map(&section, Access::ReadWrite).map_err(refused)?;
        companion.publish(&Description::new(number, is_plain, size, mode, user));
        let hold = Hold::of_ours(section, lock.clone(), companion, number, true);
        WindowsSegment::new(key, size, Access::ReadWrite, range, hold)
    };
    if options.populates() {
        segment.populate()?;
    }
    Ok(segment)
}

/// The error of a key whose lock this process may not make. If it is another user's, the key is taken, or that user had a
/// segment that was destroyed and is held still. Then the key must not seem to be taken: a process that looks for the
/// segment, and creates it if there is none, would do so for ever.
#[cold]
fn without_lock(key: &Key, size: NonZeroUsize, failed: Failed) -> CreateError {
    let is_free = || matches!(describe(key), Err(AttachError::NotFound { .. }));
    match failed.code {
        ERROR_ACCESS_DENIED if !is_free() => CreateError::Exists { key: key.clone() },
        _ => failed.making(key, size).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Windows, attach::attach, name::Wide, range::PAGE};
    use shm_api::{Backend, Mode};
    use shm_lifetime::named;
    use std::{os::windows::io::OwnedHandle, process, ptr};
    use windows_sys::Win32::{
        Foundation::{ERROR_NOT_SUPPORTED, INVALID_HANDLE_VALUE},
        System::Memory::{CreateFileMappingW, PAGE_READWRITE, SEC_RESERVE},
    };

    fn key(name: &str) -> (Key, ObjectName) {
        let key = Key::name(&format!("shm-windows-{name}-{}", process::id())).unwrap();
        let name = ObjectName::of_key(&key).unwrap();
        (key, name)
    }

    fn create(key: &Key) -> Result<WindowsSegment, CreateError> {
        super::create(key, &CreateOptions::new(NonZeroUsize::MIN))
    }

    /// The code with which a create is refused, while there is no segment of that key.
    #[track_caller]
    fn refused_and_free(key: &Key) -> u32 {
        let refused = match create(key) {
            Err(CreateError::Os(refused)) => refused,
            created => panic!("{created:?}"),
        };
        assert!(refused.to_string().contains("choose another key"), "{refused}");
        let missing = attach(key, Access::ReadWrite).unwrap_err();
        assert_eq!(missing, AttachError::NotFound { key: key.clone() });
        refused.errno().cast_unsigned()
    }

    /// Wine lets this user have each object, so the answer of the system is made up.
    #[test]
    fn a_key_whose_lock_is_another_users_is_taken_only_if_it_has_a_segment() {
        let (key, _) = key("lock");
        let refused = || {
            let failed = Failed::new("CreateMutex", ERROR_ACCESS_DENIED);
            without_lock(&key, NonZeroUsize::MIN, failed)
        };
        let CreateError::Os(error) = refused() else { panic!("it is not taken") };
        assert_eq!(error.errno().cast_unsigned(), ERROR_ACCESS_DENIED);
        let _segment = create(&key).unwrap();
        assert_eq!(refused(), CreateError::Exists { key: key.clone() });
    }

    #[test]
    fn a_key_whose_next_name_another_program_has_does_not_seem_to_be_taken() {
        let (key, name) = key("next");
        let first = create(&key).unwrap();
        Windows::new().destroy(&key).unwrap();
        let access = User::of_this_process().unwrap().section_access(Mode::OWNER).unwrap();
        let planted = section::create(&name.later_section(2), PAGE, &access).unwrap().unwrap();
        assert_eq!(refused_and_free(&key), ERROR_ALREADY_EXISTS);
        drop(planted);
        create(&key).unwrap();
        drop(first);
    }

    /// A section without room: a touch of its pages ends a process.
    fn without_room(name: &Wide) -> OwnedHandle {
        let (file, kind) = (INVALID_HANDLE_VALUE, PAGE_READWRITE | SEC_RESERVE);
        // SAFETY: a string with its NUL.
        let made = unsafe { CreateFileMappingW(file, ptr::null(), kind, 0, PAGE as u32, name.as_ptr()) };
        // SAFETY: a new handle, or null.
        unsafe { named::owned(made) }.unwrap()
    }

    #[test]
    fn a_companion_without_room_is_refused_and_not_touched() {
        let (key, name) = key("companion");
        let planted = without_room(&name.companion());
        assert_eq!(refused_and_free(&key), ERROR_NOT_SUPPORTED);
        drop(planted);
        create(&key).unwrap();
    }

    #[test]
    fn a_section_without_room_is_refused_even_if_it_seems_to_be_of_this_library() {
        let (key, name) = key("section");
        let _planted = without_room(&name.section());
        let refused = |attached: Result<_, AttachError>| {
            let Err(AttachError::Os(refused)) = attached.map(|_: WindowsSegment| ()) else { return None };
            Some(refused.errno().cast_unsigned())
        };
        assert_eq!(refused(attach(&key, Access::ReadWrite)), Some(ERROR_NOT_SUPPORTED));
        let (user, mode) = (User::of_this_process().unwrap(), Mode::OWNER);
        let _lock = Lock::create(&name, &user.lock_access(mode).unwrap()).unwrap();
        let companion = Companion::create(&name, user, mode).unwrap();
        let number = companion.next_number();
        companion.publish(&Description::new(number, true, NonZeroUsize::MIN, mode, user));
        for access in [Access::ReadWrite, Access::ReadOnly] {
            assert_eq!(refused(attach(&key, access)), Some(ERROR_NOT_SUPPORTED));
        }
    }
}
