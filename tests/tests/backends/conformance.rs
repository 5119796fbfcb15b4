//! The conformance suite on every backend.

use shm_api::heap::Heap;
use shm_posix::Posix;
use shm_sysv::SysV;
use shm_tests::conformance;

conformance! { heap, Heap::default(); base list }
conformance! { sysv, SysV::new(); base list peek sweep unheld kernel }
#[cfg(target_os = "linux")]
conformance! { posix, Posix::new(); base list read_only peek sweep unheld kernel }
#[cfg(not(target_os = "linux"))] // nothing can be attached read-only
conformance! { posix, Posix::new(); base list peek sweep unheld kernel }
