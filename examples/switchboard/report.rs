//! The report of a run: a table for people, and a line of JSON for programs.

use std::path::PathBuf;
use std::time::Duration;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::audience::Heard;
use crate::books::{Books, Entry};
use crate::counts::Counts;
use crate::totals::{Events, Totals};

/// All that a run came to.
#[derive(Debug)]
pub(crate) struct Report {
    /// Expected and found.
    pub(crate) books: Books,
    /// Where the expectations come from.
    pub(crate) authority: String,
    /// What the SIP side counted.
    pub(crate) counts: Counts,
    /// What the subscribers told.
    pub(crate) totals: Totals,
    /// What the clients of a replay heard: the one that reads, and the one that sleeps.
    pub(crate) heard: Option<[Heard; 2]>,
    /// Where the call detail records are.
    pub(crate) cdr: PathBuf,
    /// How many the file holds.
    pub(crate) records: u64,
    /// How long the run took.
    pub(crate) wall: Duration,
}

/// The JSON line.
#[derive(Debug, Serialize)]
struct Line<'a> {
    calls: u64,
    published: u64,
    delivered: u64,
    shed: u64,
    lost: u64,
    subscriptions: u64,
    finals: u64,
    cdrs: u64,
    malformed: u64,
    p50_ns: u64,
    p99_ns: u64,
    p999_ns: u64,
    max_ns: u64,
    wall_s: f64,
    balanced: bool,
    expected_by: &'a str,
    cdr_file: String,
    books: &'a [Entry],
    sip: &'a Counts,
    events: &'a Events,
    reader: Option<&'a Heard>,
    sleeper: Option<&'a Heard>,
}

impl Report {
    /// Whether the run is a success.
    pub(crate) fn balances(&self) -> bool {
        self.books.balance()
    }

    /// The tables.
    pub(crate) fn tables(&self) -> String {
        let Report {
            books,
            counts,
            totals,
            ..
        } = self;
        let mut balance = table(["", "expected", "found", ""]);
        for line in &books.entries {
            let verdict = if line.balances() { "ok" } else { "WRONG" };
            let (expected, found) = (line.expected.to_string(), line.found.to_string());
            balance.add_row([line.what, &expected, &found, verdict]);
        }
        let sip = counted([
            ("packets", counts.packets),
            ("repeated", counts.repeats),
            ("malformed", counts.malformed),
            ("OPTIONS", counts.options),
            ("stray", counts.strays),
            ("resent", counts.resent),
        ]);
        let bus = counted([
            ("published", totals.published),
            ("delivered", totals.delivered),
            ("shed", totals.shed),
            ("lost", books.lost),
            ("subscriptions", totals.subscriptions),
            ("finals", totals.finals),
        ]);
        let events = counted([
            ("clients", totals.events.clients),
            ("offered", totals.events.offered),
            ("written", totals.events.written),
            ("lost", totals.events.lost),
        ]);
        let mut latency = table(["latency p50", "p99", "p99.9", "max", "wall time"]);
        latency.add_row(
            self.percentiles()
                .map(Duration::from_nanos)
                .into_iter()
                .chain([self.wall])
                .map(|time| format!("{time:.1?}")),
        );
        format!(
            "Expected by {}\n{balance}\nSIP\n{sip}\nBus\n{bus}\n\
             Event stream\n{events}\n{latency}\n\
             Call detail records: {}",
            self.authority,
            self.cdr.display()
        )
    }

    /// The JSON object, on one line.
    pub(crate) fn json(&self) -> String {
        let Report {
            books,
            counts,
            totals,
            ..
        } = self;
        let [p50_ns, p99_ns, p999_ns, max_ns] = self.percentiles();
        let line = Line {
            calls: counts.legs,
            published: totals.published,
            delivered: totals.delivered,
            shed: totals.shed,
            lost: books.lost,
            subscriptions: totals.subscriptions,
            finals: totals.finals,
            cdrs: self.records,
            malformed: counts.malformed,
            p50_ns,
            p99_ns,
            p999_ns,
            max_ns,
            wall_s: self.wall.as_secs_f64(),
            balanced: self.balances(),
            expected_by: &self.authority,
            cdr_file: self.cdr.display().to_string(),
            books: &books.entries,
            sip: counts,
            events: &totals.events,
            reader: self.heard.as_ref().map(|[reader, _]| reader),
            sleeper: self.heard.as_ref().map(|[_, sleeper]| sleeper),
        };
        serde_json::to_string(&line).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"))
    }

    /// What does not balance, a sentence each.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let wrong = self.books.entries.iter().filter(|line| !line.balances());
        let mut complaints: Vec<String> = wrong
            .map(|line| {
                format!(
                    "{}: {} expected, {} found",
                    line.what, line.expected, line.found
                )
            })
            .collect();
        complaints.extend(self.totals.first_failure.clone());
        complaints.extend(self.totals.cdr_error.clone());
        complaints
    }

    fn percentiles(&self) -> [u64; 4] {
        let Some(histogram) = &self.totals.histogram else {
            return [0; 4];
        };
        let at = |quantile| Histogram::value_at_quantile(histogram, quantile);
        [at(0.5), at(0.99), at(0.999), histogram.max()]
    }
}

/// A table of one row: counts and what they are called.
fn counted<const N: usize>(columns: [(&str, u64); N]) -> Table {
    let mut table = table(columns.map(|(name, _)| name));
    table.add_row(columns.map(|(_, count)| count.to_string()));
    table
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED).set_header(header);
    for column in table.column_iter_mut() {
        if column.index > 0 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
