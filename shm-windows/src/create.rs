//! Creating: the lock, the companion, the section, and then the companion says that it is there.

use crate::{
    WindowsSegment,
    access::User,
    companion::{Companion, Description},
    failed::{Failed, not_supported},
    lock::Lock,
    name::ObjectName,
    range::{Placeholder, in_pages},
    section,
    segment::Hold,
};
use shm_api::{Access, CreateError, CreateOptions, Key, Segment};
use windows_sys::Win32::Foundation::ERROR_ACCESS_DENIED;

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
    let lock = Lock::create(&name, &lock_access);
    let lock = lock.map_err(|failed| match failed.code {
        ERROR_ACCESS_DENIED => exists(), // another user's
        _ => refused(failed),
    })?;
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
                later.map_err(refused)?.ok_or_else(exists)?
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
