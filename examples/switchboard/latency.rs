//! The subscriber that measures: how long after its publishing a snapshot is handled.

use hdrhistogram::Histogram;

use crate::channel::LegChange;
use crate::consumer::{Consumer, Finding, Outcome};
use crate::failure::Failure;

/// Longer latencies are counted as this long.
const LONGEST_NS: u64 = 60_000_000_000;
/// Significant digits that are kept.
const DIGITS: u8 = 3;

/// Collects latencies.
#[derive(Debug)]
pub(crate) struct Latency {
    histogram: Histogram<u64>,
    seen: u64,
}

impl Latency {
    /// Without any yet.
    pub(crate) fn new() -> Result<Latency, Failure> {
        let histogram = Histogram::new_with_bounds(1, LONGEST_NS, DIGITS)
            .map_err(|error| Failure(format!("histogram: {error}")))?;
        Ok(Latency { histogram, seen: 0 })
    }
}

impl Consumer for Latency {
    type Seen = LegChange;

    fn see(&mut self, change: &LegChange) {
        self.seen += 1;
        let nanos = u64::try_from(change.leg.published.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.histogram.saturating_record(nanos);
    }

    fn finish(&mut self) -> Outcome {
        let result = Finding::Latency(Box::new(self.histogram.clone()));
        Outcome {
            seen: self.seen,
            result,
        }
    }
}
