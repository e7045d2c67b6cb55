//! What the benches share: the message that all of them send, waiting for a condition, a bus at rest, what was
//! said on the command line. Nothing here is timed.

#![allow(dead_code, reason = "each bench uses some of it")]

use stasis_bus::Bus;
use std::time::{Duration, Instant};

/// The message of the benches: 64 bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Payload {
    /// Its number, by which order and count are checked.
    pub(crate) number: u64,
    rest: [u64; 7],
}

impl Payload {
    pub(crate) fn new(number: u64) -> Self {
        Self {
            number,
            rest: [number; 7],
        }
    }
}

/// A second type, of which most benches send nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Other;

/// What `cargo bench` and the user said.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flags {
    /// Run every case once, without measuring.
    pub(crate) test: bool,
    /// Measure for a shorter time.
    pub(crate) quick: bool,
    /// Print one JSON object as the last line.
    pub(crate) json: bool,
}

impl Flags {
    pub(crate) fn read() -> Self {
        let said = |flag: &str| std::env::args().any(|arg| arg == flag);
        Self {
            test: said("--test"),
            quick: said("--quick"),
            json: said("--json"),
        }
    }
}

/// How long a bench waits for what must happen before it gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits, without using the CPU much, until `is_so`.
///
/// # Panics
/// After a minute.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "in vain waited until {what}");
        std::thread::sleep(Duration::from_micros(50));
    }
}

/// Waits until every worker of the bus sleeps.
#[track_caller]
pub(crate) fn wait_for_rest(bus: &Bus) {
    wait_until("the workers sleep", || {
        let stats = bus.stats();
        stats.workers_parked == stats.workers
    });
}

/// A bus with that many workers.
pub(crate) fn bus(workers: usize) -> Bus {
    Bus::builder()
        .workers(workers)
        .build()
        .expect("a bus with default limits")
}

/// The median of some measurements, and the least and the greatest.
pub(crate) fn median_and_range(measured: &mut [f64]) -> (f64, f64, f64) {
    measured.sort_by(f64::total_cmp);
    let middle = measured[measured.len() / 2];
    (middle, measured[0], measured[measured.len() - 1])
}
