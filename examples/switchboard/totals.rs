//! What all subscribers of a run told at their ends, added up.
//!
//! The subscribers count for themselves; what the final messages of the bus say is kept beside it,
//! so that the two can be compared.

use hdrhistogram::Histogram;
use serde::Serialize;

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
    /// Messages that subscribers saw, clients of the event stream not counted.
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
    /// Ended calls that the writer of call detail records wrote.
    pub(crate) cdr: u64,
    /// Dials that it saw begin.
    pub(crate) dials_begun: u64,
    /// Those of them that it saw end.
    pub(crate) dials_ended: u64,
    /// Why records are missing.
    pub(crate) cdr_error: Option<String>,
    /// Latencies.
    pub(crate) histogram: Option<Box<Histogram<u64>>>,
    /// What became of the event stream.
    pub(crate) events: Events,
}

/// All clients of the event stream, added up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Events {
    /// Clients that had logged in.
    pub(crate) clients: u64,
    /// Events that they asked for: those that came out of their mailboxes, and those shed there.
    pub(crate) offered: u64,
    /// Events that were written to them. What is missing came too late for who had gone, or did not read.
    pub(crate) written: u64,
    /// Events that they were too slow for.
    pub(crate) lost: u64,
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
        if delivered != seen || discarded != 0 || !as_told {
            self.misreported += 1;
        }
        if !matches!(result, Finding::Client { .. }) {
            self.delivered += seen;
            self.shed += shed + conflated;
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
            Finding::Cdr {
                records,
                dials_begun,
                dials_ended,
                error,
            } => {
                self.cdr += records;
                self.dials_begun += dials_begun;
                self.dials_ended += dials_ended;
                self.cdr_error = error;
            }
            Finding::Latency(histogram) => {
                self.latency += seen;
                self.histogram = Some(histogram);
            }
            Finding::Client { written, lost } => {
                self.events.clients += 1;
                self.events.offered += seen + shed;
                self.events.written += written;
                self.events.lost += lost;
                self.misreported += u64::from(lost != shed);
            }
        }
    }

    /// Something of the bus failed.
    pub(crate) fn fail(&mut self, what: impl std::fmt::Display) {
        self.failures += 1;
        self.first_failure.get_or_insert_with(|| what.to_string());
    }
}
