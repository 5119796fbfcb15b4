//! What distinguishes a file from all other files, of any time.

use nix::errno::Errno;
use std::os::fd::{AsFd, AsRawFd};

cfg_if::cfg_if! {
    if #[cfg(target_os = "linux")] {
        mod linux;
        use linux as system;
    } else {
        mod macos;
        use macos as system;
    }
}

/// Device, inode and time of creation. (File systems use the numbers of inodes again.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    device: u64,
    inode: u64,
    /// In nanoseconds since 1970; 0 where the file system does not tell.
    created: u64,
}

impl Identity {
    /// Returns the identity of an open file. Safe in a signal handler and in the child of a fork.
    ///
    /// # Errors
    ///
    /// `EBADF` if the descriptor is closed.
    pub fn of(file: impl AsFd) -> nix::Result<Self> {
        Self::of_number(file.as_fd().as_raw_fd())
    }

    /// Returns the identity of the file that has this descriptor number now. (The program may have closed ours.)
    ///
    /// # Errors
    ///
    /// `EBADF` if no file has it.
    pub fn of_number(fd: i32) -> Result<Self, Errno> {
        let (device, inode, created) = system::of(fd)?;
        Ok(Self { device, inode, created })
    }

    /// Returns a digest of it, with 32 bits and not 0. A copy of the file has another digest. `None` if the file system
    /// does not tell when a file was created: then an earlier file with the same inode cannot be distinguished.
    pub const fn digest(&self) -> Option<u32> {
        if self.created == 0 {
            return None;
        }
        let mut digest = 0_u64;
        let mut index = 0;
        while index < 3 {
            // The finalizer of MurmurHash3, which is documented in docs/layout.md.
            digest ^= [self.device, self.inode, self.created][index];
            digest ^= digest >> 33;
            digest = digest.wrapping_mul(0xff51_afd7_ed55_8ccd);
            digest ^= digest >> 33;
            digest = digest.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
            digest ^= digest >> 33;
            index += 1;
        }
        let digest = digest as u32;
        Some(if digest == 0 { 1 } else { digest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_another_file() {
        let file = |number| {
            let name = format!("shm-identity-{}-{number}", std::process::id());
            let path = std::env::temp_dir().join(name);
            let file = std::fs::File::create(&path).unwrap();
            std::fs::remove_file(path).unwrap();
            file
        };
        let (one, other) = (file(1), file(2));
        let of = |file: &std::fs::File| Identity::of(file).unwrap();
        assert_eq!(of(&one), of(&one.try_clone().unwrap()));
        assert_ne!(of(&one), of(&other));
        assert_ne!(of(&one).digest(), of(&other).digest());
        let earlier = Identity { created: 1, ..of(&one) };
        assert_ne!(earlier.digest(), Identity { created: 2, ..earlier }.digest());
        assert_eq!(Identity { created: 0, ..earlier }.digest(), None);
        assert_eq!(Identity::of_number(-1), Err(Errno::EBADF));
    }
}
