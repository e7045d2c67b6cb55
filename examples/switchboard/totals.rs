//! What all subscribers of a run told at their ends, added up.
//!
//! The subscribers count for themselves; what the final messages of the bus say is kept beside it,
//! so that the two can be compared.

use hdrhistogram::Histogram;

use crate::consumer::{Finding, Outcome};

/// A subscription that got its final message.
#[derive(Debug)]
pub(crate) struct Ended {
    /// What its subscriber told.
    pub(crate) outcome: Outcome,
    /// Whether the final message gives the reason for which the subscription was to end.
    pub(crate) as_told: bool,
    /// What it says was delivered.
    pub(crate) delivered: u64,
    /// What it says was shed.
    pub(crate) shed: u64,
    /// What a newer snapshot of the same call took the place of.
    pub(crate) conflated: u64,
    /// What the final message says was discarded.
    pub(crate) discarded: u64,
}

/// The sums.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    /// Snapshots published.
    pub(crate) published: u64,
    /// Publishes, subscribes and forwards that failed; the first of them is kept.
    pub(crate) failures: u64,
    /// Why.
    pub(crate) first_failure: Option<String>,
    /// Subscriptions made.
    pub(crate) subscriptions: u64,
    /// Final messages handled.
    pub(crate) finals: u64,
    /// Snapshots that subscribers saw.
    pub(crate) delivered: u64,
    /// Snapshots shed or conflated on the way to a subscriber.
    pub(crate) shed: u64,
    /// Subscriptions whose final message does not say what the subscriber saw, that discarded, or
    /// that ended for another reason than they should have.
    pub(crate) misreported: u64,
    /// Topics of calls that were left at the end.
    pub(crate) left_topics: u64,
    /// Snapshots that the board saw.
    pub(crate) board: u64,
    /// Those of `shed` that were on the way to the board.
    pub(crate) board_shed: u64,
    /// Snapshots that the calls' own subscribers saw.
    pub(crate) timelines: u64,
    /// Changes out of order.
    pub(crate) disorder: u64,
    /// Snapshots that the latency histogram saw.
    pub(crate) latency: u64,
    /// Last snapshots that the writer of call detail records saw.
    pub(crate) cdr: u64,
    /// Why records are missing.
    pub(crate) cdr_error: Option<String>,
    /// Latencies.
    pub(crate) histogram: Option<Box<Histogram<u64>>>,
}

impl Totals {
    /// Adds a subscription that has ended.
    pub(crate) fn end(&mut self, ended: Ended) {
        let Ended {
            outcome: Outcome { seen, result },
            as_told,
            delivered,
            shed,
            conflated,
            discarded,
        } = ended;
        self.finals += 1;
        self.delivered += seen;
        self.shed += shed + conflated;
        if delivered != seen || discarded != 0 || !as_told {
            self.misreported += 1;
        }
        match result {
            Finding::Board => {
                self.board += seen;
                self.board_shed += shed + conflated;
            }
            Finding::Timeline { disorder } => {
                self.timelines += seen;
                self.disorder += disorder;
            }
            Finding::Cdr { error } => {
                self.cdr += seen;
                self.cdr_error = error;
            }
            Finding::Latency(histogram) => {
                self.latency += seen;
                self.histogram = Some(histogram);
            }
        }
    }

    /// Something of the bus failed.
    pub(crate) fn fail(&mut self, what: impl std::fmt::Display) {
        self.failures += 1;
        self.first_failure.get_or_insert_with(|| what.to_string());
    }
}
