//! Two ways of doing one thing, measured in turns, so that a noisy neighbour disturbs both alike.

use std::time::{Duration, Instant};

/// What one row of a comparison came to: medians over the rounds, in nanoseconds a run.
#[derive(Clone, Debug)]
pub struct Row {
    /// What was done.
    pub what: String,
    /// What it is compared with.
    pub against: String,
    /// Our median.
    pub ours: f64,
    /// The other's median.
    pub other: f64,
    /// The median of the rounds' ratios, ours to the other's.
    pub ratio: f64,
}

impl Row {
    /// One line of JSON. The texts are ours, and hold nothing that needs escaping.
    pub fn to_json(&self) -> String {
        let Self { what, against, ours, other, ratio } = self;
        format!(
            r#"{{"what":"{what}","against":"{against}","ours":{ours:.1},"other":{other:.1},"ratio":{ratio:.4}}}"#
        )
    }
}

/// Runs both `rounds` times, `runs` times a round, each going first in turn.
pub fn alternate(
    what: &str,
    against: &str,
    rounds: usize,
    runs: u32,
    mut ours: impl FnMut(),
    mut other: impl FnMut(),
) -> Row {
    alternate_timed(what, against, rounds, || time(runs, &mut ours), || time(runs, &mut other))
}

/// The same with functions that measure themselves, and return the nanoseconds of one run.
pub fn alternate_timed(
    what: &str,
    against: &str,
    rounds: usize,
    mut ours: impl FnMut() -> f64,
    mut other: impl FnMut() -> f64,
) -> Row {
    let (mut mine, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=rounds {
        let (a, b);
        if round % 2 == 0 {
            a = ours();
            b = other();
        } else {
            b = other();
            a = ours();
        }
        if round > 0 {
            // The first warms both up.
            mine.push(a);
            theirs.push(b);
            ratios.push(a / b);
        }
    }
    Row {
        what: what.into(),
        against: against.into(),
        ours: median(&mut mine),
        other: median(&mut theirs),
        ratio: median(&mut ratios),
    }
}

fn time(runs: u32, work: &mut impl FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..runs {
        work();
    }
    let each: Duration = start.elapsed() / runs;
    each.as_nanos() as f64
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
