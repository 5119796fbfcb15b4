//! Engines, if a system call is forbidden.

use crate::shared::{GENEROUS, Shared};
use shm_sync::engine::{self, Ended, Request};
use std::{sync::atomic::Ordering, time::Instant};

/// Waits through an engine after a system call was forbidden, as in a container.
pub(crate) fn wait_without(shared: &Shared, call: u64) {
    forbid(call as u32);
    let engine = engine::choose().unwrap();
    assert_ne!(engine.name(), "io_uring");
    let (send, ended) = std::sync::mpsc::channel();
    let completion = Box::new(move |ended| send.send(ended).unwrap());
    let request = Request { cell: shared.word(0), expected: 0, timeout: None, token: 1, completion };
    // SAFETY: the memory is mapped to the end of the process.
    unsafe { engine.submit(request) }.unwrap();
    shared.word(1).store(1, Ordering::SeqCst);
    assert_eq!(ended.recv_timeout(GENEROUS).unwrap(), Ended::Woken);
}

/// seccomp(2): from now on the call fails with EPERM in this process.
fn forbid(call: u32) {
    let statement = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let equal = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let mut filter = [
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0), // the number of the call
        libc::sock_filter { code: equal as u16, jt: 0, jf: 1, k: call },
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: it takes integers.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }, 0);
    let mode = libc::SECCOMP_MODE_FILTER;
    // SAFETY: the program lives through the call.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program) }, 0);
}

#[test]
fn if_a_call_of_io_uring_is_forbidden_another_engine_is_chosen() {
    for call in [libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register] {
        let shared = Shared::new(64);
        let child = shared.spawn("wait without", call as u64);
        shared.until(1, |begun| begun == 1);
        let start = Instant::now();
        while shm_sync::notify(shared.word(0), 1) == 0 {
            assert!(start.elapsed() < GENEROUS);
            std::thread::yield_now();
        }
        assert!(child.join().success());
    }
}
