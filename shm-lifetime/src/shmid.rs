//! What the C libraries name differently in `struct shmid_ds`.

use libc::{key_t, shmid_ds};

cfg_if::cfg_if! {
    if #[cfg(target_env = "musl")] {
        /// The key of a segment, as shmctl(2) tells it.
        #[expect(deprecated, reason = "its next name is behind a feature of the libc crate")]
        pub const fn key_of(raw: &shmid_ds) -> key_t {
            raw.shm_perm.__ipc_perm_key
        }
    } else {
        /// The key of a segment, as shmctl(2) tells it.
        pub const fn key_of(raw: &shmid_ds) -> key_t {
            raw.shm_perm.__key
        }
    }
}
