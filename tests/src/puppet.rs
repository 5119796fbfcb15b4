//! Another process, told what to do.

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    io::{BufRead, BufReader, Write},
    os::unix::process::ExitStatusExt,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

/// A child process that answers each line with a line: `ok …` or `no …`. Dropping it kills it.
#[derive(Debug)]
pub struct Puppet {
    child: Child,
    stdin: Option<ChildStdin>,
    answers: Receiver<String>,
}

impl Puppet {
    /// Starts a program that [`serve`](crate::stage::serve)s.
    ///
    /// # Panics
    ///
    /// Where it cannot be started.
    pub fn start(program: &str) -> Self {
        Self::run(&mut Command::new(program))
    }

    /// Starts one that needs more than a program's name.
    ///
    /// # Panics
    ///
    /// Where it cannot be started.
    pub fn run(command: &mut Command) -> Self {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let (sender, answers) = channel();
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, stdin, answers }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Tells it something, without waiting for the answer.
    ///
    /// # Panics
    ///
    /// Where it is dead.
    pub fn tell(&mut self, command: &str) {
        let stdin = self.stdin.as_mut().expect("only end() takes it");
        writeln!(stdin, "{command}").unwrap_or_else(|error| panic!("{command}: {error}"));
    }

    /// The next answer.
    ///
    /// # Panics
    ///
    /// Where it died instead, or is stuck.
    pub fn answer(&mut self) -> String {
        match self.answers.recv_timeout(Duration::from_secs(120)) {
            Ok(answer) => answer,
            Err(error) => panic!("no answer: {error:?}, {:?}", self.child.try_wait()),
        }
    }

    /// Tells it something and returns its answer.
    ///
    /// # Panics
    ///
    /// Where it died instead, or is stuck.
    pub fn ask(&mut self, command: &str) -> String {
        self.tell(command);
        self.answer()
    }

    /// Asks what has to succeed; returns what follows `ok`.
    ///
    /// # Panics
    ///
    /// Where it does not.
    #[track_caller]
    pub fn ok(&mut self, command: &str) -> String {
        let answer = self.ask(command);
        match answer.strip_prefix("ok") {
            Some(rest) => rest.trim_start().to_owned(),
            None => panic!("{command}: {answer}"),
        }
    }

    /// Asks what has to fail with this errno or kind; returns the message.
    ///
    /// # Panics
    ///
    /// Where it does not.
    #[track_caller]
    pub fn no(&mut self, command: &str, kind: &str) -> String {
        let answer = self.ask(command);
        match answer.strip_prefix("no ").and_then(|rest| rest.strip_prefix(kind)?.strip_prefix(": ")) {
            Some(message) => message.to_owned(),
            None => panic!("{command}: expected {kind}, got {answer}"),
        }
    }

    /// Sends it a signal.
    ///
    /// # Panics
    ///
    /// Where it is dead.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid() as i32), signal).expect("it is our child and not waited for");
    }

    /// Kills it with SIGKILL, and returns when it is gone.
    pub fn kill(self) {}

    /// Has it end on its own, and checks that it did so.
    ///
    /// # Panics
    ///
    /// Where it died of something else.
    #[track_caller]
    pub fn end(mut self) {
        drop(self.stdin.take());
        let status = self.child.wait().expect("it is our child");
        assert!(status.success(), "{status}");
    }

    /// Waits until it has ended, in whichever way: it is told nothing more, so that one who lives ends well.
    ///
    /// # Panics
    ///
    /// Where it is not ours to wait for.
    pub fn ended(mut self) -> ExitStatus {
        drop(self.stdin.take());
        self.child.wait().expect("it is our child")
    }

    /// Waits until it has died of a signal, which is returned.
    ///
    /// # Panics
    ///
    /// Where it ended in another way.
    #[track_caller]
    pub fn died(self) -> Signal {
        let status = self.ended();
        Signal::try_from(status.signal().unwrap_or_else(|| panic!("{status}"))).expect("the kernel's number")
    }
}

impl Drop for Puppet {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
