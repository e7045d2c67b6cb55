//! What a subscriber is made of: it sees changes one after the other, and when its subscription
//! ends it tells what it has seen. How it is subscribed is the business of `feed`.

use hdrhistogram::Histogram;

/// A subscriber.
pub(crate) trait Consumer: Send + 'static {
    /// What it is told of a change: the payload of a message.
    type Seen: 'static;

    /// The next change.
    fn see(&mut self, seen: &Self::Seen);

    /// There is no further one.
    fn finish(&mut self) -> Outcome;
}

/// What a subscriber has to tell at its end.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// How many messages it was given.
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
    /// Call detail records, dials, and the first error of writing.
    Cdr {
        /// Records written.
        records: u64,
        /// Dials that began.
        dials_begun: u64,
        /// Those of them that ended.
        dials_ended: u64,
        /// Why records are missing from the file.
        error: Option<String>,
    },
    /// Nanoseconds from publishing to handling.
    Latency(Box<Histogram<u64>>),
    /// A client of the event stream was sent them.
    Client {
        /// Events that were written to its socket.
        written: u64,
        /// Events that its mailbox shed, as the gap notices say.
        lost: u64,
    },
}
