//! Pictures of the results: who delivers how much, how late messages are, how costs grow. It measures *nothing*.

mod chart;

use crate::line::Line;
use crate::peer::Fault;
use crate::shapes;
use chart::{Along, Bar, Bars, Curve, Curves, Range};
use std::path::Path;

/// Percentiles of a latency, as the shapes name them.
pub(crate) const PERCENTILES: [&str; 5] = ["p50", "p99", "p99.9", "p99.99", "max"];

/// The metric of the shapes that count deliveries.
const DELIVERIES: &str = "deliveries";

/// Shapes of this family measure how ours grows; see `shapes/growth.rs`.
const GROWTH: &str = "growth-";

/// Draws all that there are results for into a folder, which is made if need be.
///
/// # Errors
/// If a file cannot be written.
pub(crate) fn draw(lines: &[Line], folder: &Path) -> Result<(), Fault> {
    std::fs::create_dir_all(folder)?;
    let throughput = throughput(lines);
    if !throughput.is_empty() {
        chart::draw_bars(&folder.join("throughput.svg"), &throughput, 2)?;
    }
    for (file, charts) in [("latency", latency(lines)), ("growth", growth(lines))] {
        if !charts.is_empty() {
            chart::draw_curves(&folder.join(format!("{file}.svg")), &charts, 2)?;
        }
    }
    Ok(())
}

/// The shapes that some lines are of, in their order.
fn shapes_of<'a>(lines: impl Iterator<Item = &'a Line>) -> Vec<&'a str> {
    let mut shapes: Vec<&str> = Vec::new();
    for line in lines {
        if !shapes.contains(&line.shape.as_str()) {
            shapes.push(&line.shape);
        }
    }
    shapes
}

fn is_ours(line: &Line) -> bool {
    line.peer.starts_with("stasis-bus")
}

fn range(line: &Line) -> Range {
    Range {
        median: line.median,
        min: line.min,
        max: line.max,
    }
}

fn throughput(lines: &[Line]) -> Vec<Bars> {
    let counted = || lines.iter().filter(|line| line.metric == DELIVERIES);
    let chart = |shape: &str| Bars {
        title: format!("{shape}, million deliveries a second"),
        bars: counted()
            .filter(|line| line.shape == shape)
            .map(|line| Bar {
                label: if loses(lines, line) {
                    format!("{} (lossy)", line.peer)
                } else {
                    line.peer.clone()
                },
                is_ours: is_ours(line),
                value: range(line),
            })
            .collect(),
    };
    shapes_of(counted()).into_iter().map(chart).collect()
}

/// Whether that peer says how much it lost there.
fn loses(lines: &[Line], of: &Line) -> bool {
    let is_it = |line: &&Line| line.shape == of.shape && line.peer == of.peer;
    lines.iter().filter(is_it).any(|line| line.metric == "lost")
}

fn latency(lines: &[Line]) -> Vec<Curves> {
    let late = || {
        let percentile = |line: &&Line| PERCENTILES.contains(&line.metric.as_str());
        lines.iter().filter(percentile)
    };
    let chart = |shape: &str| {
        let of_shape = || late().filter(|line| line.shape == shape);
        Curves {
            title: about(shape).to_owned(),
            along: Along::Names(&PERCENTILES),
            up: "microseconds",
            curves: curves(of_shape(), |line| {
                let index = PERCENTILES.iter().position(|name| *name == line.metric)?;
                Some((line.peer.clone(), index as f64))
            }),
        }
    };
    // Shapes with less than three percentiles are better read in the table.
    let is_full = |shape: &&str| {
        let of_shape = late().filter(|line| line.shape == *shape);
        of_shape.map(|line| &line.metric).any(|it| it == "p99.9")
    };
    shapes_of(late())
        .into_iter()
        .filter(is_full)
        .map(chart)
        .collect()
}

/// Curves of the lines, each put where `place` says: which curve, and where along it.
fn curves<'a>(
    lines: impl Iterator<Item = &'a Line>,
    place: impl Fn(&Line) -> Option<(String, f64)>,
) -> Vec<Curve> {
    let mut curves: Vec<Curve> = Vec::new();
    for line in lines {
        let Some((label, x)) = place(line) else {
            continue;
        };
        let point = (x, range(line));
        match curves.iter_mut().find(|curve| curve.label == label) {
            Some(curve) => curve.points.push(point),
            None => curves.push(Curve {
                label,
                is_ours: is_ours(line),
                points: vec![point],
            }),
        }
    }
    for curve in &mut curves {
        curve.points.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    }
    curves
}

/// A metric there reads `publish at 64`: what was measured, and at which count.
fn growth(lines: &[Line]) -> Vec<Curves> {
    let grown = || lines.iter().filter(|line| line.shape.starts_with(GROWTH));
    let chart = |shape: &str| {
        let what = shape.trim_start_matches(GROWTH);
        Curves {
            title: format!("cost by {what}"),
            along: Along::Counts(unit_of(what)),
            up: "nanoseconds",
            curves: curves(grown().filter(|line| line.shape == shape), |line| {
                let (label, at) = line.metric.rsplit_once(" at ")?;
                Some((label.to_owned(), at.parse().ok()?))
            }),
        }
    };
    shapes_of(grown()).into_iter().map(chart).collect()
}

fn unit_of(what: &str) -> &'static str {
    let known = ["subscribers", "topics", "publishers", "bytes"];
    let found = known.iter().find(|unit| what.contains(**unit));
    found.copied().unwrap_or("")
}

/// What the shape is about, if it is one of ours.
fn about(shape: &str) -> &str {
    let known = shapes::all().find(|known| known.name == shape);
    known.map_or(shape, |known| known.about)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_shape_has_its_picture() {
        let line = |shape, metric| Line::of(shape, "stasis-bus", (metric, ""), &[1.0, 2.0]);
        let lines: Vec<Line> = [
            line("1:8", DELIVERIES),
            line("latency-10k-1", "p50"),
            line("latency-10k-1", "p99.9"),
            line("growth-subscribers", "publish at 64"),
            line("growth-subscribers", "publish at 4096"),
            line("memory", "topic"),
        ]
        .into_iter()
        .flatten()
        .collect();
        let folder = std::env::temp_dir().join(format!("plots.{}", std::process::id()));
        draw(&lines, &folder).expect("pictures");
        let files = std::fs::read_dir(&folder).expect("a folder").count();
        std::fs::remove_dir_all(&folder).expect("a folder of ours");
        assert_eq!(files, 3, "throughput, latency, growth");
    }
}
