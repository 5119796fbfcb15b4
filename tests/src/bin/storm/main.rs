//! The lifetime protocol under fire, through the public API.
//!
//! Processes that attach, create, check and leave the same few segments on both backends are killed and stopped
//! from outside at random, and killed at random steps of the protocol from inside. Meanwhile unprivileged strangers,
//! which know nothing of the library, map what they find. Nothing may be taken from a holder, and nothing may be
//! left after the next process's first call. With `/dev/shm` on overlayfs (`--ground`) a name may go while only
//! strangers hold the object, and their memory stays.
//!
//! ```text
//! RUSTFLAGS=--cfg=shm_storm cargo run -p shm-tests --bin storm --target-dir target/storm -- --kills 10000
//! … storm --mutants        with any one check left out, the storm has to see it
//! ```
//!
//! As root it runs in namespaces of its own, as user 1000 (`--user`), and the strangers are yet another one.

mod options;
mod random;
mod scene;
mod stranger;
mod tally;
mod worker;

use options::Options;
use shm_tests::{
    is_root,
    stage::{Ground, become_user, die_with_parent, enter_new_world},
};
use std::{
    env, panic,
    process::{Command, ExitCode},
    thread,
    time::{Duration, Instant},
};
use tally::Tally;

use nix::{
    errno::Errno,
    sys::{
        signal::{Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::{ForkResult, Pid, fork},
};
use random::Random;
use scene::Scene;

/// The checks that a mutant leaves out, as `shm_lifetime::fault::skips` calls them, and where it shows.
const CHECKS: [(&str, &str); 6] = [
    ("lock", "tmpfs"),
    ("holders", "tmpfs"),
    ("mode-guard", "tmpfs"),
    ("entry-first", "tmpfs"),
    ("entry-stays", "tmpfs"),
    ("marks", "overlayfs"),
];

fn main() -> ExitCode {
    let options = match Options::parse(env::args().skip(1)) {
        Ok(options) => options,
        Err(wrong) => {
            eprintln!("{wrong}");
            return ExitCode::from(2);
        }
    };
    if !cfg!(shm_storm) && (options.mutants || options.skip.is_some() || options.kill_at > 0) {
        eprintln!("This build has no faults compiled in: RUSTFLAGS=--cfg=shm_storm, or pass --kill-at 0.");
        return ExitCode::from(2);
    }
    if options.mutants {
        return try_mutants();
    }
    if options.skip.is_some() && !is_root() {
        eprintln!("A mutant would sweep this user's own segments: it needs root for namespaces of its own.");
        return ExitCode::from(2);
    }
    if is_root()
        && let Err(error) = enter_new_world("64m", options.ground)
    {
        eprintln!("namespaces of its own, and /dev/shm on {:?}: {error}", options.ground);
        return ExitCode::from(2);
    }
    if !is_root() && options.ground != Ground::Tmpfs {
        eprintln!("It needs root to lay /dev/shm on {:?}.", options.ground);
        return ExitCode::from(2);
    }
    if storm(&options) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs each mutant until the storm sees it; true if it saw them all.
fn try_mutants() -> ExitCode {
    let mut survived = 0;
    for (check, ground) in CHECKS {
        let seen = (1..=20).find_map(|round| {
            let itself = env::current_exe().expect("/proc is mounted");
            let ran =
                Command::new(itself).args(["--skip", check, "--kills", "100", "--ground", ground]).output();
            let ran = ran.expect("it is this program");
            let said = String::from_utf8_lossy(&ran.stdout).into_owned();
            (ran.status.code() == Some(1)).then_some((round, said))
        });
        match seen {
            Some((round, said)) => println!("without {check}: seen in round {round}\n{said}"),
            None => {
                survived += 1;
                println!("without {check}: NOT SEEN");
            }
        }
    }
    println!("{} of {} mutants seen", CHECKS.len() - survived, CHECKS.len());
    if survived == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs the storm and says what happened; true if nothing was violated.
fn storm(options: &Options) -> bool {
    let (tally, scene) = (Tally::shared(), Scene::new(options.names, options.ground));
    let mut random = Random::new(5);
    let strangers: Vec<_> = (0..options.strangers)
        .map(|number| {
            start(|| {
                if is_root() {
                    become_user(65534, 65534).expect("root may");
                }
                stranger::visit(&scene, tally, number);
            })
        })
        .collect();
    if is_root() && options.user != 0 {
        become_user(options.user, options.user).expect("root may");
    }
    if options.crowded {
        let ended = ended(start(|| scene.crowd()), None).expect("it was waited for");
        assert!(matches!(ended, WaitStatus::Exited(_, 0)), "{ended:?}");
    }
    // Only the children are mutants: what is left is judged, and swept, by the library as it is.
    set("SHM_STORM_KILL", (options.kill_at > 0).then(|| options.kill_at.to_string()).as_deref());
    set("SHM_STORM_SKIP", options.skip.as_deref());
    let work = |number: usize| {
        start(|| {
            die_with_parent();
            worker::work(&scene, tally, number, options.threads);
        })
    };
    let mut workers: Vec<_> = (0..options.processes).map(work).collect();
    let (mut kills, mut stops) = (0, 0);
    let mut stopped: Option<(usize, Instant)> = None;
    while kills < options.kills {
        thread::sleep(Duration::from_micros(1000 + random.below(4000)));
        // A stopped process may hold a lock: mostly for less than the others wait.
        match stopped {
            Some((number, until)) if Instant::now() >= until => {
                let _ = kill(workers[number], Signal::SIGCONT);
                stopped = None;
            }
            None if random.one_in(10) => {
                let number = random.below(workers.len() as u64) as usize;
                stops += u64::from(kill(workers[number], Signal::SIGSTOP).is_ok());
                if random.one_in(20) {
                    // Nobody is killed meanwhile, so that the others live to give up.
                    thread::sleep(Duration::from_millis(1100));
                }
                stopped = Some((number, Instant::now() + Duration::from_millis(random.below(20))));
            }
            _ => {}
        }
        let victim = random.below(workers.len() as u64) as usize;
        stopped = stopped.filter(|(number, _)| *number != victim);
        kills += u64::from(kill(workers[victim], Signal::SIGKILL).is_ok());
        for (number, pid) in workers.iter_mut().enumerate() {
            let flags = if number == victim { None } else { Some(WaitPidFlag::WNOHANG) };
            if let Some(ended) = ended(*pid, flags) {
                tally.count_end(ended, number == victim);
                *pid = work(number);
            }
        }
    }
    for pid in &workers {
        let _ = kill(*pid, Signal::SIGKILL);
    }
    tally.stop();
    for pid in workers {
        tally.count_end(ended(pid, None).expect("it was waited for"), true);
    }
    for pid in strangers {
        let ended = ended(pid, None).expect("it was waited for");
        assert!(matches!(ended, WaitStatus::Exited(_, 0)), "{ended:?}");
    }
    set("SHM_STORM_KILL", None);
    set("SHM_STORM_SKIP", None);
    let before = scene.left();
    scene.call();
    let (left, entries) = (scene.left(), scene.entries());
    let foreign_gone = scene.foreign_gone();
    scene.clear();
    println!("{kills} kills and {stops} stops from outside, {tally}");
    println!(
        "  left before the next process's first call {before}, after it {left} with {entries} entries; \
         segments of strangers removed: {foreign_gone}"
    );
    tally.violations() == 0 && left == 0 && entries == 0 && foreign_gone == 0
}

fn set(name: &str, value: Option<&str>) {
    match value {
        // SAFETY: this process has one thread.
        Some(value) => unsafe { env::set_var(name, value) },
        // SAFETY: as above.
        None => unsafe { env::remove_var(name) },
    }
}

/// Runs `play` in a child.
fn start(play: impl FnOnce()) -> Pid {
    // SAFETY: this process has one thread.
    match unsafe { fork() }.expect("fork") {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            let played = panic::catch_unwind(panic::AssertUnwindSafe(play));
            // SAFETY: _exit is always allowed; the parent's Rust state is not this child's to tear down.
            unsafe { libc::_exit(if played.is_ok() { 0 } else { 101 }) }
        }
    }
}

fn ended(pid: Pid, flags: Option<WaitPidFlag>) -> Option<WaitStatus> {
    loop {
        match waitpid(pid, flags) {
            Ok(WaitStatus::StillAlive) => return None,
            Err(Errno::EINTR) => {}
            ended => return Some(ended.expect("it is our child")),
        }
    }
}
