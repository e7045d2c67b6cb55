//! What a subscriber is made of: it sees snapshots one after the other, and when its subscription
//! ends it tells what it has seen. The bus stays in `feed`.

use hdrhistogram::Histogram;

use crate::snapshot::LegSnapshot;

/// A subscriber.
pub(crate) trait Consumer: Send + 'static {
    /// The next snapshot.
    fn see(&mut self, snapshot: &LegSnapshot);

    /// There is no further one.
    fn finish(&mut self) -> Outcome;
}

/// What a subscriber has to tell at its end.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// How many snapshots it was given.
    pub(crate) seen: u64,
    /// What it made of them.
    pub(crate) result: Finding,
}

/// What a subscriber made of its snapshots.
#[derive(Debug)]
pub(crate) enum Finding {
    /// The board drew them.
    Board,
    /// The changes of one call; how many came in a wrong order or were missing.
    Timeline {
        /// Changes that do not follow the one before.
        disorder: u64,
    },
    /// Call detail records, and the first error of writing them.
    Cdr {
        /// Why records are missing from the file.
        error: Option<String>,
    },
    /// Nanoseconds from publishing to handling.
    Latency(Box<Histogram<u64>>),
}
