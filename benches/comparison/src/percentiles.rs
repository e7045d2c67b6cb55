//! Times as percentiles: recorded by several threads, told apart to three digits.

use crate::line::Line;
use hdrhistogram::Histogram;
use std::sync::{Arc, Mutex};

/// Percentiles of a latency, and how many of the times are below each.
pub(crate) const PERCENTILES: [(&str, f64); 5] = [
    ("p50", 0.5),
    ("p99", 0.99),
    ("p99.9", 0.999),
    ("p99.99", 0.9999),
    ("max", 1.0),
];

/// Nanoseconds that are told apart from more.
const LONGEST: u64 = 60_000_000_000;

/// Records times. Clones record to the same place.
#[derive(Clone, Debug)]
pub(crate) struct Recorder(Arc<Mutex<Histogram<u64>>>);

impl Recorder {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(empty())))
    }

    pub(crate) fn record(&self, nanos: u64) {
        // The lock is its user's alone, but for the end.
        let mut histogram = self.0.lock().expect("no panic");
        histogram.saturating_record(nanos.max(1));
    }

    pub(crate) fn add_to(&self, times: &mut Times) {
        let histogram = self.0.lock().expect("no panic");
        times.0.add(&*histogram).expect("the same bounds");
    }
}

fn empty() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST, 3).expect("legal bounds")
}

/// What a run of a contender has recorded.
#[derive(Clone, Debug)]
pub(crate) struct Times(Histogram<u64>);

impl Times {
    pub(crate) fn new() -> Self {
        Self(empty())
    }

    pub(crate) fn record(&mut self, nanos: u64) {
        self.0.saturating_record(nanos.max(1));
    }

    pub(crate) fn len(&self) -> u64 {
        self.0.len()
    }

    fn nanos_at(&self, quantile: f64) -> f64 {
        self.0.value_at_quantile(quantile) as f64
    }
}

/// Of the first so many percentiles a line each: of all rounds the median.
pub(crate) fn lines(
    shape: &str,
    peer: &str,
    percentiles: usize,
    (unit, nanos_in_it): (&str, f64),
    rounds: &[Times],
) -> Vec<Line> {
    let line = |&(name, quantile): &(&str, f64)| {
        let at = |times: &Times| times.nanos_at(quantile) / nanos_in_it;
        let measured: Vec<f64> = rounds.iter().map(at).collect();
        Line::of(shape, peer, (name, unit), &measured)
    };
    PERCENTILES[..percentiles].iter().filter_map(line).collect()
}
