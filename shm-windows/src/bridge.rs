//! A bridge over the moment in which a range has no pages: between the unmapping of a view and the mapping of private
//! pages in its place. A thread that touches the range just then waits, and touches it again.
//!
//! A vectored exception handler does this. It looks at accesses to such a range only, and lets every other exception
//! pass.

use std::{
    ptr::NonNull,
    sync::{
        Mutex, MutexGuard, Once, PoisonError,
        atomic::{
            AtomicUsize,
            Ordering::{Acquire, Relaxed, Release, SeqCst},
        },
    },
    thread,
};
use windows_sys::Win32::{
    Foundation::EXCEPTION_ACCESS_VIOLATION,
    System::{
        Diagnostics::Debug::{
            AddVectoredExceptionHandler, EXCEPTION_CONTINUE_EXECUTION, EXCEPTION_CONTINUE_SEARCH,
            EXCEPTION_POINTERS,
        },
        Memory::{MEM_COMMIT, MEMORY_BASIC_INFORMATION, PAGE_READWRITE, VirtualQuery},
    },
};

/// The range that has no pages now; an empty one if there is none. One at a time.
static START: AtomicUsize = AtomicUsize::new(0);
static END: AtomicUsize = AtomicUsize::new(0);
static TURN: Mutex<()> = Mutex::new(());

/// The bridge; it ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Bridge(#[expect(dead_code, reason = "it is the turn")] MutexGuard<'static, ()>);

/// Builds the bridge over a range.
pub(crate) fn over(start: NonNull<u8>, len: usize) -> Bridge {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // SAFETY: the handler is a function of this program, which stays loaded.
        let _ = unsafe { AddVectoredExceptionHandler(1, Some(wait_and_go_on)) };
    });
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    START.store(start.addr().get(), Relaxed);
    END.store(start.addr().get() + len, Release);
    Bridge(turn)
}

impl Drop for Bridge {
    fn drop(&mut self) {
        END.store(0, Release);
    }
}

fn is_under_way(address: usize) -> bool {
    (START.load(Acquire)..END.load(SeqCst)).contains(&address)
}

/// Whether a touch of it succeeds now, so that it was the exchange of pages that let it fail.
fn is_mapped(address: usize) -> bool {
    let mut found = MEMORY_BASIC_INFORMATION::default();
    let size = size_of_val(&found);
    // SAFETY: it writes the structure, which has that size.
    let written = unsafe { VirtualQuery(std::ptr::without_provenance(address), &raw mut found, size) };
    written != 0 && found.State == MEM_COMMIT && found.Protect == PAGE_READWRITE
}

unsafe extern "system" fn wait_and_go_on(exception: *mut EXCEPTION_POINTERS) -> i32 {
    // SAFETY: the system passes a valid structure.
    let record = unsafe { (*exception).ExceptionRecord };
    // SAFETY: as above.
    let record = unsafe { &*record };
    // A read (0) or a write (1), at that address.
    let (code, [0 | 1, address, ..]) = (record.ExceptionCode, record.ExceptionInformation) else {
        return EXCEPTION_CONTINUE_SEARCH;
    };
    if code != EXCEPTION_ACCESS_VIOLATION {
        return EXCEPTION_CONTINUE_SEARCH;
    }
    while is_under_way(address) {
        thread::yield_now();
    }
    if is_mapped(address) { EXCEPTION_CONTINUE_EXECUTION } else { EXCEPTION_CONTINUE_SEARCH }
}
