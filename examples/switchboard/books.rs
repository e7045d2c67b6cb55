//! The books: what must have come of a run beside what came of it. They balance or the run failed.

use serde::Serialize;

use crate::audience::Heard;
use crate::counts::Counts;
use crate::manifest::Expected;
use crate::totals::Totals;

/// One line: two counts that must be the same.
#[derive(Debug, Serialize)]
pub(crate) struct Entry {
    /// What is counted.
    pub(crate) what: &'static str,
    /// What it must be.
    pub(crate) expected: u64,
    /// What it is.
    pub(crate) found: u64,
}

/// All lines.
#[derive(Debug)]
pub(crate) struct Books {
    /// The lines.
    pub(crate) entries: Vec<Entry>,
    /// What the lossless subscribers are missing, in sum.
    pub(crate) lost: u64,
}

impl Entry {
    /// Whether the two are the same.
    pub(crate) fn balances(&self) -> bool {
        self.expected == self.found
    }
}

impl Books {
    /// Compares. `records` is what the file of call detail records was found to hold, `heard` what the
    /// two clients of a replay read from their sockets.
    pub(crate) fn new(
        expected: &Expected,
        counts: &Counts,
        totals: &Totals,
        records: u64,
        heard: Option<&[Heard; 2]>,
    ) -> Books {
        let lossless = [
            entry(
                "events handled on the aggregate",
                expected.events,
                totals.latency,
            ),
            entry(
                "events handled on the calls' topics",
                expected.events,
                totals.timelines,
            ),
            entry("call detail records in the file", expected.cdrs, records),
        ];
        let lost = lossless
            .iter()
            .map(|line| line.expected.saturating_sub(line.found))
            .sum();
        let mut entries = vec![
            entry("packets received", expected.packets, counts.packets),
            entry("requests that came again", expected.repeats, counts.repeats),
            entry("calls", expected.calls, counts.legs),
            entry("events published", expected.events, totals.published),
        ];
        entries.extend(lossless);
        entries.extend([
            entry(
                "events drawn or conflated by the board",
                expected.events,
                totals.board + totals.board_shed,
            ),
            entry("dials that ended", totals.dials_begun, totals.dials_ended),
            entry("final messages", totals.subscriptions, totals.finals),
            entry("malformed packets", expected.malformed, counts.malformed),
            entry("changes out of order", 0, totals.disorder),
            entry("final messages that tell otherwise", 0, totals.misreported),
            entry("topics of calls that are left", 0, totals.left_topics),
            entry("failures of the bus", 0, totals.failures),
        ]);
        if let Some(heard) = heard {
            // Each change of a call, and its Call-ID.
            entries.extend(audience(expected.events + expected.calls, heard));
        }
        Books { entries, lost }
    }

    /// Whether every line balances.
    pub(crate) fn balance(&self) -> bool {
        self.lost == 0 && self.entries.iter().all(Entry::balances)
    }
}

fn entry(what: &'static str, expected: u64, found: u64) -> Entry {
    Entry {
        what,
        expected,
        found,
    }
}

/// What the clients of a replay must have read or been told lost, so many events each.
fn audience(events: u64, [reader, sleeper]: &[Heard; 2]) -> [Entry; 5] {
    let told = sleeper.events + sleeper.lost;
    let disorder = reader.disorder + sleeper.disorder;
    [
        entry(
            "events read by the client that reads",
            events,
            reader.events,
        ),
        entry("events that it lost", 0, reader.lost),
        entry(
            "events read or told lost by the one that sleeps",
            events,
            told,
        ),
        entry("events that either read out of order", 0, disorder),
        entry(
            "clients that were told the end",
            2,
            reader.ends + sleeper.ends,
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_lost_and_what_is_too_much_does_not_balance() {
        let expected = Expected {
            calls: 1,
            events: 5,
            cdrs: 1,
            ..Expected::default()
        };
        let counts = Counts {
            legs: 1,
            ..Counts::default()
        };
        let totals = || Totals {
            published: 5,
            latency: 5,
            timelines: 5,
            board: 3,
            shed: 2,
            board_shed: 2,
            subscriptions: 4,
            finals: 4,
            ..Totals::default()
        };
        assert!(Books::new(&expected, &counts, &totals(), 1, None).balance());

        let short = Totals {
            latency: 3,
            ..totals()
        };
        let books = Books::new(&expected, &counts, &short, 0, None);
        assert_eq!((books.lost, books.balance()), (3, false));

        let double = Totals {
            latency: 6,
            ..totals()
        };
        let books = Books::new(&expected, &counts, &double, 1, None);
        assert_eq!((books.lost, books.balance()), (0, false));

        let silent = Totals {
            finals: 3,
            ..totals()
        };
        assert!(!Books::new(&expected, &counts, &silent, 1, None).balance());

        let client = |events, lost| Heard {
            events,
            lost,
            ends: 1,
            ..Heard::default()
        };
        for (reader, sleeper, balances) in [
            (client(6, 0), client(2, 4), true),
            (client(5, 1), client(6, 0), false),
            (client(6, 0), client(2, 3), false),
        ] {
            let books = Books::new(&expected, &counts, &totals(), 1, Some(&[reader, sleeper]));
            assert_eq!(books.balance(), balances);
        }
    }
}
