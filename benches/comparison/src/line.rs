//! A line of the results: what one contender did in one shape by one measure, as a median with its range.

use crate::peer::Fault;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// See the module. Written as one line of JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) shape: String,
    pub(crate) peer: String,
    pub(crate) metric: String,
    pub(crate) unit: String,
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    /// How many were measured: none of what is known from elsewhere.
    pub(crate) n: usize,
    pub(crate) allocator: String,
}

impl Line {
    /// Of what was measured; of nothing there is no line.
    pub(crate) fn of(
        shape: &str,
        peer: &str,
        (metric, unit): (&str, &str),
        measured: &[f64],
    ) -> Option<Self> {
        let mut measured = measured.to_vec();
        measured.sort_by(f64::total_cmp);
        let (min, max) = (*measured.first()?, *measured.last()?);
        let middle = measured.len() / 2;
        let median = if measured.len() % 2 == 0 {
            f64::midpoint(measured[middle - 1], measured[middle])
        } else {
            measured[middle]
        };
        Some(Self {
            shape: shape.to_owned(),
            peer: peer.to_owned(),
            metric: metric.to_owned(),
            unit: unit.to_owned(),
            median,
            min,
            max,
            n: measured.len(),
            allocator: crate::ALLOCATOR_NAME.to_owned(),
        })
    }
}

/// What somebody was measured at in another run, on a machine of the kind that the targets are from: a line to
/// compare with, that no ratio of medians uses.
pub(crate) fn elsewhere(shape: &str, who: &str, metric: (&str, &str), figure: f64) -> Option<Line> {
    let peer = format!("({who}, measured elsewhere)");
    let line = Line::of(shape, &peer, metric, &[figure])?;
    Some(Line { n: 0, ..line })
}

/// Writes them, one JSON object a line.
///
/// # Errors
/// If the file cannot be written.
pub(crate) fn write(path: &Path, lines: &[Line]) -> Result<(), Fault> {
    let told = |error| format!("{}: {error}", path.display());
    let mut file = BufWriter::new(File::create(path).map_err(told)?);
    for line in lines {
        let line = serde_json::to_string(line)?;
        writeln!(file, "{line}").map_err(told)?;
    }
    file.flush().map_err(told)?;
    Ok(())
}

/// Reads what [`write`] wrote.
///
/// # Errors
/// If it cannot be read.
pub(crate) fn read(path: &Path) -> Result<Vec<Line>, Fault> {
    let told = |error| format!("{}: {error}", path.display());
    let text = std::fs::read_to_string(path).map_err(told)?;
    let lines = text.lines().map(serde_json::from_str);
    Ok(lines.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_median_and_the_range() {
        let line = |measured: &[f64]| Line::of("1:1", "x", ("rate", "M/s"), measured);
        let odd = line(&[3.0, 1.0, 2.0]).expect("a line");
        assert_eq!((odd.median, odd.min, odd.max, odd.n), (2.0, 1.0, 3.0, 3));
        assert_eq!(line(&[4.0, 1.0]).expect("a line").median, 2.5);
        assert_eq!(line(&[]), None);
    }

    #[test]
    fn its_json_has_the_fields_that_readers_know() {
        let line = Line::of("1:1", "x", ("rate", "M/s"), &[1.0]).expect("a line");
        let json = serde_json::to_value(line).expect("JSON");
        let fields = json.as_object().expect("an object");
        for field in [
            "shape",
            "peer",
            "metric",
            "unit",
            "median",
            "min",
            "max",
            "n",
            "allocator",
        ] {
            assert!(fields.contains_key(field), "{field}");
        }
        assert_eq!(fields.len(), 9);
    }
}
