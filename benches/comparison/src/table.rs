//! The lines of one shape as a table: a row for each peer, a column for each metric, in the order of the lines; of
//! one peer with many metrics, a row for each metric.

use crate::line::Line;
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

/// Metrics that stand beside one another even if there is one peer.
const MOST_COLUMNS: usize = 5;

pub(crate) fn of(lines: &[Line]) -> String {
    let mut metrics: Vec<(&str, &str)> = Vec::new();
    let mut peers: Vec<&str> = Vec::new();
    for line in lines {
        if !metrics.contains(&(&line.metric, &line.unit)) {
            metrics.push((&line.metric, &line.unit));
        }
        if !peers.contains(&line.peer.as_str()) {
            peers.push(&line.peer);
        }
    }
    if peers.len() == 1 && metrics.len() > MOST_COLUMNS {
        return of_one(lines, peers[0], &metrics);
    }
    let mut table = Table::new();
    table.load_preset(NOTHING);
    let heads = metrics
        .iter()
        .map(|(metric, unit)| format!("{metric}, {unit}"));
    table.set_header(std::iter::once(String::from("peer")).chain(heads));
    for peer in peers {
        let cells = metrics.iter().map(|metric| cell(lines, peer, *metric));
        table.add_row(std::iter::once(peer.to_owned()).chain(cells));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.trim_fmt()
}

fn of_one(lines: &[Line], peer: &str, metrics: &[(&str, &str)]) -> String {
    let mut table = Table::new();
    table.load_preset(NOTHING);
    for (metric, unit) in metrics {
        let figure = cell(lines, peer, (metric, unit));
        table.add_row([format!("{metric}, {unit}"), figure]);
    }
    table.trim_fmt()
}

fn cell(lines: &[Line], peer: &str, metric: (&str, &str)) -> String {
    let is_it = |line: &&Line| line.peer == peer && (&*line.metric, &*line.unit) == metric;
    let Some(line) = lines.iter().find(is_it) else {
        return String::from("-");
    };
    let (median, min, max) = (short(line.median), short(line.min), short(line.max));
    if min == max {
        median
    } else {
        format!("{median} ({min} .. {max})")
    }
}

/// To three digits or so.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        0.0 => String::from("0"),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[test]
fn a_row_for_each_peer() {
    let line = |peer, metric| Line::of("1:1", peer, (metric, "M/s"), &[1.0, 20.0, 300.0]);
    let lines: Vec<Line> = [line("a", "x"), line("b", "x"), line("b", "y")]
        .into_iter()
        .flatten()
        .collect();
    let table = of(&lines);
    let rows: Vec<&str> = table.lines().map(str::trim).collect();
    assert_eq!(rows.len(), 3, "{table}");
    assert!(rows[1].starts_with('a') && rows[1].ends_with('-'));
    assert!(rows[2].contains("20.0 (1.00 .. 300)"));
}
