//! Contenders that are measured in turns, so that what else the machine does meanwhile hits all of them: a round
//! measures each once, and a ratio is taken round by round. Figures are medians with the least and the greatest.

#![allow(dead_code, reason = "each bench uses some of it")]

use super::support::{Flags, median_and_range};
use std::time::Duration;

/// How many rounds there are, and after `--quick`.
const ROUNDS: usize = 41;
const QUICK_ROUNDS: usize = 9;

/// Does its work so many times; gives the time that this took.
type Run<'a> = Box<dyn FnMut(u64) -> Duration + 'a>;

/// See the module.
pub(crate) struct Contest<'a> {
    name: &'a str,
    flags: Flags,
    iterations: u64,
    contenders: Vec<(&'a str, Run<'a>)>,
    /// Nanoseconds for one iteration, of each contender in each round.
    measured: Vec<Vec<f64>>,
}

impl<'a> Contest<'a> {
    pub(crate) fn new(name: &'a str, flags: Flags, iterations: u64) -> Self {
        Self {
            name,
            flags,
            iterations,
            contenders: Vec::new(),
            measured: Vec::new(),
        }
    }

    pub(crate) fn enter(&mut self, name: &'a str, run: impl FnMut(u64) -> Duration + 'a) {
        self.contenders.push((name, Box::new(run)));
        self.measured.push(Vec::new());
    }

    /// Measures, and prints what each needs for one iteration.
    pub(crate) fn run(&mut self) {
        let (rounds, iterations) = match self.flags {
            Flags { test: true, .. } => (1, self.iterations.min(16)),
            Flags { quick: true, .. } => (QUICK_ROUNDS, self.iterations),
            _ => (ROUNDS, self.iterations),
        };
        for round in 0..=rounds {
            for ((_, run), measured) in self.contenders.iter_mut().zip(&mut self.measured) {
                let took = run(iterations);
                // The first round warms up.
                if round > 0 {
                    measured.push(took.as_nanos() as f64 / iterations as f64);
                }
            }
        }
        println!("{}, ns: median (least .. greatest) of {rounds}", self.name);
        for ((name, _), measured) in self.contenders.iter().zip(&self.measured) {
            let (median, least, greatest) = median_and_range(&mut measured.clone());
            println!("  {name:<40} {median:>10.1} ({least:.1} .. {greatest:.1})");
        }
    }

    /// Prints how many times as long `one` takes as `other`, and what that is to be.
    pub(crate) fn ratio(&self, one: &str, other: &str, target: Option<f64>) {
        let of = |name| {
            let index = self.contenders.iter().position(|(known, _)| *known == name);
            &self.measured[index.expect("a contender")]
        };
        let mut ratios: Vec<f64> = of(one).iter().zip(of(other)).map(|(a, b)| a / b).collect();
        let (median, least, greatest) = median_and_range(&mut ratios);
        let target = target.map_or(String::new(), |target| format!(", to be below {target}"));
        println!("  {one} / {other}: {median:.2} ({least:.2} .. {greatest:.2}){target}");
    }
}
