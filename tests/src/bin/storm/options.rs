//! The command line.

use shm_tests::stage::Ground;

/// How hard it storms.
#[derive(Debug)]
pub(crate) struct Options {
    /// How often a process is killed from outside.
    pub(crate) kills: u64,
    /// How many processes use the library.
    pub(crate) processes: usize,
    /// In how many threads each of them does.
    pub(crate) threads: usize,
    /// How many know nothing of it.
    pub(crate) strangers: usize,
    /// How many segments they fight over on each backend.
    pub(crate) names: u32,
    /// A process kills itself at one step of the protocol in this many; 0 is never.
    pub(crate) kill_at: u64,
    /// What `/dev/shm` lies on, where root may choose.
    pub(crate) ground: Ground,
    /// The user that they are, where root may choose.
    pub(crate) user: u32,
    /// The ledger's first level is full, so that entries come and go in the next one, which is counted.
    pub(crate) crowded: bool,
    /// The check that is left out.
    pub(crate) skip: Option<String>,
    /// Leave out each in turn, and see it fail.
    pub(crate) mutants: bool,
}

impl Options {
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            kills: 300,
            processes: 6,
            threads: 2,
            strangers: 4,
            names: 4,
            kill_at: if cfg!(shm_storm) { 1000 } else { 0 },
            ground: Ground::Tmpfs,
            user: 1000,
            crowded: false,
            skip: None,
            mutants: false,
        };
        while let Some(word) = words.next() {
            match word.as_str() {
                "--mutants" => options.mutants = true,
                "--crowded" => options.crowded = true,
                _ => options.set(&word, words.next())?,
            }
        }
        Ok(options)
    }

    fn set(&mut self, word: &str, value: Option<String>) -> Result<(), String> {
        let value = value.ok_or_else(|| format!("{word} needs a value"))?;
        let number = || value.parse::<u64>().map_err(|error| format!("{word} {value}: {error}"));
        match word {
            "--kills" => self.kills = number()?,
            "--processes" => self.processes = number()?.max(1) as usize,
            "--threads" => self.threads = number()?.max(1) as usize,
            "--strangers" => self.strangers = number()? as usize,
            "--names" => self.names = number()?.clamp(1, 100) as u32,
            "--kill-at" => self.kill_at = number()?,
            "--ground" => self.ground = value.parse()?,
            "--user" => self.user = number()? as u32,
            "--skip" => self.skip = Some(value),
            _ => return Err(format!("unknown option {word}")),
        }
        Ok(())
    }
}
