//! The conformance suite on every backend.

use shm_api::heap::Heap;
use shm_tests::conformance;

conformance! { heap, Heap::default(); base persist list }

cfg_if::cfg_if! {
    if #[cfg(windows)] {
        use shm_windows::Windows;
        // Nothing persists, and nothing is left behind that a sweep would find.
        conformance! { windows, Windows::new(); base list read_only kernel }
    } else {
        use shm_posix::Posix;
        use shm_sysv::SysV;
        conformance! { sysv, SysV::new(); base persist list peek sweep unheld kernel }
        #[cfg(target_os = "linux")]
        conformance! { posix, Posix::new(); base persist list read_only peek sweep unheld kernel }
        #[cfg(not(target_os = "linux"))] // nothing can be attached read-only
        conformance! { posix, Posix::new(); base persist list peek sweep unheld kernel }
    }
}
