//! Who may open an object: modes as access lists.

use crate::failed::Failed;
use shm_api::Mode;
use shm_lifetime::named::{Access, last_error, owned};
use std::{
    os::windows::io::{AsRawHandle, OwnedHandle},
    ptr,
    sync::OnceLock,
};
use windows_sys::Win32::{
    Foundation::LocalFree,
    Security::{
        Authorization::ConvertSidToStringSidW, GetSidSubAuthority, GetSidSubAuthorityCount,
        GetTokenInformation, PSID, TOKEN_INFORMATION_CLASS, TOKEN_QUERY, TokenPrimaryGroup, TokenUser,
    },
    System::Threading::{GetCurrentProcess, OpenProcessToken},
};

/// A security identifier, and its last part as a number.
#[derive(Debug)]
struct Identifier {
    text: String,
    number: u32,
}

/// The user whose process this is.
#[derive(Debug)]
pub(crate) struct User {
    user: Identifier,
    group: Identifier,
}

impl User {
    pub(crate) fn of_this_process() -> Result<&'static Self, Failed> {
        static USER: OnceLock<User> = OnceLock::new();
        if let Some(known) = USER.get() {
            return Ok(known);
        }
        let token = token()?;
        let user =
            Self { user: identifier(&token, TokenUser)?, group: identifier(&token, TokenPrimaryGroup)? };
        Ok(USER.get_or_init(|| user))
    }

    pub(crate) const fn uid(&self) -> u32 {
        self.user.number
    }

    pub(crate) const fn gid(&self) -> u32 {
        self.group.number
    }

    /// For the section itself: `r` lets read and `w` write.
    pub(crate) fn section_access(&self, mode: Mode) -> Result<Access, Failed> {
        self.descriptor(mode, |bits| {
            [(4, "GR"), (2, "GW")]
                .iter()
                .filter(|(bit, _)| bits & bit != 0)
                .map(|(_, right)| *right)
                .collect()
        })
    }

    /// For the companion: only the owner changes what it says.
    pub(crate) fn companion_access(&self, mode: Mode) -> Result<Access, Failed> {
        self.owners(mode, "GR")
    }

    /// For the lock: who may attach the segment has to wait for it.
    pub(crate) fn lock_access(&self, mode: Mode) -> Result<Access, Failed> {
        self.owners(mode, "0x100001") // SYNCHRONIZE and MUTEX_MODIFY_STATE
    }

    fn owners(&self, mode: Mode, others: &str) -> Result<Access, Failed> {
        let mode = Mode::new(mode.bits() & 0o066 | 0o700).expect("nine bits");
        self.descriptor(mode, |bits| match bits {
            0 => String::new(),
            7 => "GA".into(),
            _ => others.into(),
        })
    }

    /// An access list in the security descriptor definition language. It inherits nothing, and has an entry for each of
    /// the three.
    fn descriptor(&self, mode: Mode, rights: impl Fn(u32) -> String) -> Result<Access, Failed> {
        let entry = |bits: u32, who: &str| match rights(bits & 7) {
            none if none.is_empty() => none,
            rights => format!("(A;;{rights};;;{who})"),
        };
        let bits = mode.bits();
        let (user, group) = (&self.user.text, &self.group.text);
        let list = [entry(bits >> 6, user), entry(bits >> 3, group), entry(bits, "WD")].concat();
        Access::parse(&format!("D:P{list}"))
            .map_err(|code| Failed::new("ConvertStringSecurityDescriptorToSecurityDescriptor", code))
    }
}

fn token() -> Result<OwnedHandle, Failed> {
    let mut token = ptr::null_mut();
    // SAFETY: a constant that stands for this process.
    let process = unsafe { GetCurrentProcess() };
    // SAFETY: it writes a handle of ours, or leaves null.
    unsafe { OpenProcessToken(process, TOKEN_QUERY, &raw mut token) };
    // SAFETY: as above.
    unsafe { owned(token) }.map_err(|code| Failed::new("OpenProcessToken", code))
}

fn identifier(token: &OwnedHandle, class: TOKEN_INFORMATION_CLASS) -> Result<Identifier, Failed> {
    // Both classes begin with the pointer, and its target follows: 68 bytes at most.
    let mut buffer = [0_u64; 32];
    let (size, mut length) = (size_of_val(&buffer) as u32, 0);
    let target = buffer.as_mut_ptr().cast();
    // SAFETY: the buffer has that size.
    if unsafe { GetTokenInformation(token.as_raw_handle(), class, target, size, &raw mut length) } == 0 {
        return Err(Failed::new("GetTokenInformation", last_error()));
    }
    // SAFETY: the structure begins with it, and the buffer is aligned for it.
    let sid = unsafe { buffer.as_ptr().cast::<PSID>().read() };
    let mut text = ptr::null_mut();
    // SAFETY: the kernel gave a valid identifier, which lies in the buffer still.
    if unsafe { ConvertSidToStringSidW(sid, &raw mut text) } == 0 {
        return Err(Failed::new("ConvertSidToStringSid", last_error()));
    }
    let mut letters = Vec::new();
    loop {
        // SAFETY: a string that ends with a NUL, at which this stops.
        let place = unsafe { text.add(letters.len()) };
        // SAFETY: as above.
        match unsafe { place.read() } {
            0 => break,
            letter => letters.push(letter),
        }
    }
    // SAFETY: the call above allocated it so.
    unsafe { LocalFree(text.cast()) };
    // SAFETY: a valid identifier.
    let parts = unsafe { GetSidSubAuthorityCount(sid) };
    // SAFETY: it points into the identifier.
    let last = u32::from(unsafe { parts.read() }).saturating_sub(1);
    // SAFETY: each identifier of a user or a group has at least one part.
    let last = unsafe { GetSidSubAuthority(sid, last) };
    // SAFETY: it points into the identifier.
    Ok(Identifier { text: String::from_utf16_lossy(&letters), number: unsafe { last.read() } })
}
