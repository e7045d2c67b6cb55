//! What the bus is to reach, as ratios of medians in one run, and whether it did. A target that the lines of the run
//! cannot decide is not told; a miss always is.

mod others;

use crate::line::Line;
use crate::peer::Kind;
use crate::peers;
use crate::table::short;
use std::fmt::Write;

/// Whom a figure is held against.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rival {
    /// The best lossless one of these kinds.
    Best(&'static [Kind]),
    /// The best of these peers.
    Of(&'static [&'static str]),
    /// One peer, and the figure of another shape.
    Shape(&'static str, &'static str),
    /// A number, in the metric's unit.
    Number(f64),
    /// What somebody reached in another run, on another machine of the kind.
    Elsewhere(&'static str, f64),
}

/// What is wanted of the ratio of ours to the rival's.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wanted {
    /// More is better: at least so many times as much.
    AtLeast(f64),
    /// Less is better: at most so many times as much.
    AtMost(f64),
}

/// One target.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) shape: &'static str,
    pub(crate) metric: &'static str,
    pub(crate) ours: &'static str,
    pub(crate) rival: Rival,
    pub(crate) wanted: Wanted,
}

const OURS: &str = "stasis-bus";
const RATE: &str = "deliveries";
const CHANNELS: Rival = Rival::Best(&[Kind::Channel]);
const ALL: Rival = Rival::Best(&[
    Kind::Channel,
    Kind::Broadcast,
    Kind::Ring,
    Kind::Actor,
    Kind::Shared,
]);

const fn rate(shape: &'static str, rival: Rival, times: f64) -> Target {
    Target {
        shape,
        metric: RATE,
        ours: OURS,
        rival,
        wanted: Wanted::AtLeast(times),
    }
}

fn all() -> impl Iterator<Item = &'static Target> {
    THROUGHPUT.iter().chain(others::TARGETS)
}

const THROUGHPUT: &[Target] = &[
    rate("1:1", CHANNELS, 1.5),
    Target {
        ours: "stasis-bus/own-thread",
        ..rate("1:1", Rival::Of(&["disruptor", "disruptor/spin-hint"]), 1.0)
    },
    Target {
        ours: "stasis-bus/own-thread-reuse",
        ..rate("1:1", Rival::Of(&["disruptor/in-place"]), 1.0)
    },
    rate("1:8", CHANNELS, 2.0),
    rate("1:8", Rival::Of(&["bus"]), 1.0),
    Target {
        metric: "cpu",
        wanted: Wanted::AtMost(1.0),
        ..rate("1:8", CHANNELS, 1.0)
    },
    rate("1:64", CHANNELS, 2.0),
    rate("1:64", Rival::Of(&["callbacks"]), 0.8),
    rate("1:512", ALL, 2.0),
    rate("2:1", CHANNELS, 1.3),
    rate("4:1", CHANNELS, 1.3),
    rate("4:8", CHANNELS, 1.3),
    rate("topics-10k", Rival::Of(&["tokio-mpsc"]), 3.0),
    rate("aggregate-10k", Rival::Shape(OURS, "topics-10k"), 1.0 / 1.3),
];

/// A target, and how it turned out.
#[derive(Debug)]
struct Outcome {
    ours: f64,
    rival: f64,
    name: String,
    unit: String,
}

impl Target {
    fn outcome(&self, lines: &[Line]) -> Option<Outcome> {
        let figure = |shape: &str, peer: &str| {
            let is_it = |line: &&Line| {
                line.shape == shape && line.peer == peer && line.metric == self.metric
            };
            lines.iter().find(is_it)
        };
        let ours = figure(self.shape, self.ours)?;
        let best = |names: &mut dyn Iterator<Item = &'static str>| {
            let figures =
                names.filter_map(|name| Some((name.to_owned(), figure(self.shape, name)?.median)));
            figures.reduce(|best, next| {
                if self.is_better(next.1, best.1) {
                    next
                } else {
                    best
                }
            })
        };
        let (name, rival) = match self.rival {
            Rival::Best(kinds) => {
                let fit = peers::all().filter(|peer| {
                    let how = peer.how();
                    kinds.contains(&how.kind) && !how.is_lossy
                });
                best(&mut fit.map(|peer| peer.name()))?
            }
            Rival::Of(names) => best(&mut names.iter().copied())?,
            Rival::Shape(peer, shape) => {
                (format!("{peer} in {shape}"), figure(shape, peer)?.median)
            }
            Rival::Number(number) => (String::from("a limit"), number),
            Rival::Elsewhere(who, number) => (format!("{who}, measured elsewhere"), number),
        };
        Some(Outcome {
            ours: ours.median,
            rival,
            name,
            unit: ours.unit.clone(),
        })
    }

    fn is_better(&self, one: f64, other: f64) -> bool {
        match self.wanted {
            Wanted::AtLeast(_) => one > other,
            Wanted::AtMost(_) => one < other,
        }
    }

    fn is_met(&self, ratio: f64) -> bool {
        match self.wanted {
            Wanted::AtLeast(times) => ratio >= times,
            Wanted::AtMost(times) => ratio <= times,
        }
    }
}

/// A line for each target that these lines decide: `target | ours | rival | ratio | wanted | met`.
pub(crate) fn report(lines: &[Line]) -> String {
    let mut report = String::from("target | ours | rival | ratio | wanted | met/missed\n");
    for target in all() {
        let Some(outcome) = target.outcome(lines) else {
            continue;
        };
        let ratio = outcome.ours / outcome.rival;
        let wanted = match target.wanted {
            Wanted::AtLeast(times) => format!(">= {}", short(times)),
            Wanted::AtMost(times) => format!("<= {}", short(times)),
        };
        // To a string nothing fails.
        let _ = writeln!(
            report,
            "{} {}, {} | {} {} | {} {} | {} | {wanted} | {}",
            target.shape,
            target.metric,
            outcome.unit,
            target.ours,
            short(outcome.ours),
            outcome.name,
            short(outcome.rival),
            short(ratio),
            if target.is_met(ratio) {
                "met"
            } else {
                "MISSED"
            },
        );
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(figures: &[(&str, &str, f64)]) -> Vec<Line> {
        let line = |&(peer, metric, figure): &(&str, &str, f64)| {
            Line::of("1:8", peer, (metric, "M/s"), &[figure])
        };
        figures.iter().filter_map(line).collect()
    }

    #[test]
    fn a_miss_is_told_and_the_best_rival_counts() {
        let lines = lines(&[
            ("stasis-bus", RATE, 25.0),
            ("crossbeam", RATE, 10.0),
            ("crossbeam/bounded", RATE, 20.0),
        ]);
        let report = report(&lines);
        assert!(
            report.contains("crossbeam/bounded 20.0 | 1.25 | >= 2.00 | MISSED"),
            "{report}"
        );
        assert_eq!(report.lines().count(), 2, "{report}");
    }

    #[test]
    fn less_is_better_where_it_is() {
        let lines = lines(&[("stasis-bus", "cpu", 10.0), ("crossbeam", "cpu", 20.0)]);
        assert!(report(&lines).contains("0.50 | <= 1.00 | met"));
    }

    #[test]
    fn targets_name_peers_and_shapes_that_exist() {
        let is_peer = |name: &str| peers::all().any(|peer| peer.name() == name);
        for target in all() {
            // Subscribers that come and go have variants of their own.
            let is_churn = target.shape.starts_with("churn");
            assert!(is_churn || is_peer(target.ours), "{target:?}");
            if let Rival::Of(names) = target.rival {
                assert!(names.iter().all(|name| is_peer(name)), "{target:?}");
            }
            assert!(crate::shapes::all().any(|shape| shape.name == target.shape));
        }
    }
}
