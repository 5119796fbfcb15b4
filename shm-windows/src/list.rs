//! The segments of this library in this session: the namespace tells of their companions.

use crate::{failed::Failed, find::describe, name::key_of_companion};
use shm_api::{Key, OsError, SegmentInfo};
use shm_lifetime::named::{last_error, owned, wide};
use std::{
    collections::BTreeSet,
    os::windows::io::{AsRawHandle, OwnedHandle},
    process, ptr, slice,
};
use windows_sys::{
    Wdk::{
        Foundation::OBJECT_ATTRIBUTES,
        Storage::FileSystem::{NtOpenDirectoryObject, NtQueryDirectoryObject},
    },
    Win32::{
        Foundation::{
            NTSTATUS, RtlNtStatusToDosError, STATUS_BUFFER_TOO_SMALL, STATUS_MORE_ENTRIES,
            STATUS_NO_MORE_ENTRIES, UNICODE_STRING,
        },
        System::RemoteDesktop::ProcessIdToSessionId,
    },
};

const DIRECTORY_QUERY: u32 = 1;

/// What the kernel writes for each object.
#[repr(C)]
struct Entry {
    name: UNICODE_STRING,
    _kind: UNICODE_STRING,
}

/// In the order of their keys.
pub(crate) fn list() -> Result<Vec<SegmentInfo>, OsError> {
    let mut keys = BTreeSet::new();
    // Wine reads entry by entry, and entries move up where one goes: a look may miss one, and the next finds it.
    loop {
        let before = keys.len();
        keys.extend(look().map_err(|Failed { call, code }| OsError::new(call, code.cast_signed()))?);
        if keys.len() == before {
            break;
        }
    }
    // Those that are gone meanwhile, and those that do not let this user in, have no description.
    Ok(keys.iter().filter_map(|key| describe(key).ok()).collect())
}

fn look() -> Result<Vec<Key>, Failed> {
    let directory = directory()?;
    let mut buffer = vec![0_u64; 8 << 10]; // aligned for `Entry`
    loop {
        let (target, size) = (buffer.as_mut_ptr().cast(), size_of_val(&*buffer) as u32);
        let (handle, mut context, mut length) = (directory.as_raw_handle(), 0, 0);
        // SAFETY: the buffer has that size, and the handle is open.
        let status = unsafe {
            NtQueryDirectoryObject(handle, target, size, false, true, &raw mut context, &raw mut length)
        };
        match status {
            STATUS_NO_MORE_ENTRIES => return Ok(Vec::new()),
            STATUS_MORE_ENTRIES | STATUS_BUFFER_TOO_SMALL => buffer = vec![0; 2 * buffer.len()],
            status => return succeeded("NtQueryDirectoryObject", status).map(|()| keys_in(&buffer)),
        }
    }
}

/// The entries end with one without a name.
fn keys_in(buffer: &[u64]) -> Vec<Key> {
    let entries = buffer.as_ptr().cast::<Entry>();
    let names = (0..).map_while(|index| {
        // SAFETY: the kernel wrote entries, and an empty one after them.
        let entry = unsafe { entries.add(index) };
        // SAFETY: as above, and the buffer is aligned for them.
        let name = unsafe { entry.read() }.name;
        // SAFETY: its string lies in the buffer, too.
        (!name.Buffer.is_null())
            .then(|| unsafe { slice::from_raw_parts(name.Buffer, usize::from(name.Length) / 2) })
    });
    names.filter_map(|name| key_of_companion(&String::from_utf16(name).ok()?)).collect()
}

/// The namespace of this session.
fn directory() -> Result<OwnedHandle, Failed> {
    let mut session = 0;
    // SAFETY: it writes the number.
    if unsafe { ProcessIdToSessionId(process::id(), &raw mut session) } == 0 {
        return Err(Failed::new("ProcessIdToSessionId", last_error()));
    }
    let path = match session {
        0 => "\\BaseNamedObjects".to_owned(),
        session => format!("\\Sessions\\{session}\\BaseNamedObjects"),
    };
    let mut path = wide(&path);
    let length = (2 * (path.len() - 1)) as u16;
    let name = UNICODE_STRING { Length: length, MaximumLength: length, Buffer: path.as_mut_ptr() };
    let attributes = OBJECT_ATTRIBUTES {
        Length: size_of::<OBJECT_ATTRIBUTES>() as u32,
        ObjectName: &raw const name,
        ..Default::default()
    };
    let mut opened = ptr::null_mut();
    // SAFETY: the structures are valid while the call lasts; it writes a handle, or leaves null.
    let status = unsafe { NtOpenDirectoryObject(&raw mut opened, DIRECTORY_QUERY, &raw const attributes) };
    succeeded("NtOpenDirectoryObject", status)?;
    // SAFETY: a new handle.
    unsafe { owned(opened) }.map_err(|code| Failed::new("NtOpenDirectoryObject", code))
}

fn succeeded(call: &'static str, status: NTSTATUS) -> Result<(), Failed> {
    // SAFETY: a table.
    if status >= 0 { Ok(()) } else { Err(Failed::new(call, unsafe { RtlNtStatusToDosError(status) })) }
}
