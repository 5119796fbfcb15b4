//! Deaths of owners, told through doors. One thread of the process waits for them.

use crate::doors::Door;
use shm_sync::Deaths;
use std::{
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

static STATE: Mutex<State> = Mutex::new(State { deaths: None, told: Vec::new() });
static CHANGED: Condvar = Condvar::new();

struct State {
    /// What the thread listens to, while there is one.
    deaths: Option<Arc<Deaths>>,
    /// Who is told of the next death.
    told: Vec<(Arc<Door>, u32)>,
}

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notices each death from now on, of owners whose live files this process uses by now. `false`: the system does not
/// tell, or is short of something.
pub(crate) fn watch() -> bool {
    let mut state = state();
    if state.deaths.is_none() {
        state.deaths = listen();
    }
    state.deaths.as_ref().is_some_and(|deaths| deaths.watch().is_ok())
}

/// Tells a slot of a door of the next death.
pub(crate) fn tell(door: Arc<Door>, slot: u32) {
    state().told.push((door, slot));
    CHANGED.notify_one();
}

fn listen() -> Option<Arc<Deaths>> {
    let deaths = Arc::new(Deaths::new().ok()?);
    let listened = deaths.clone();
    let thread = std::thread::Builder::new().name("shm-node deaths".into()).stack_size(64 << 10);
    thread.spawn(move || pass_on(listened)).ok()?;
    Some(deaths)
}

fn pass_on(deaths: Arc<Deaths>) {
    loop {
        // Where nobody wants to know, what happens wakes nobody, and is told to the next one who does.
        drop(
            CHANGED
                .wait_while(state(), |state| state.told.is_empty())
                .unwrap_or_else(PoisonError::into_inner),
        );
        let is_over = deaths.wait().is_err();
        let mut state = state();
        if is_over {
            state.deaths = None;
        }
        for (door, slot) in mem::take(&mut state.told) {
            door.tell(slot, 0);
        }
        if is_over {
            // Not closed: its number stands for another file by now.
            return mem::forget(deaths);
        }
    }
}
