//! The targets of the shapes that are not about throughput, and those that are held against what Asterisk's own bus
//! reached on such a machine.

use super::{ALL, OURS, Rival, Target, Wanted, rate};

/// Lossless ones whose consumers sleep. kanal's spin for longer than a message takes to come in these shapes, as the
/// busy cores show.
const SLEEPING: Rival = Rival::Of(&[
    "crossbeam",
    "flume",
    "std-mpsc",
    "tokio-mpsc",
    "async-broadcast",
]);
const CROSSBEAM: Rival = Rival::Of(&["crossbeam"]);
const SPINNING: &str = "stasis-bus/own-thread";

/// Ours is to be less than so many times the rival's.
const fn at_most(
    (shape, metric): (&'static str, &'static str),
    rival: Rival,
    times: f64,
) -> Target {
    Target {
        shape,
        metric,
        ours: OURS,
        rival,
        wanted: Wanted::AtMost(times),
    }
}

/// A figure of ours is to be below that.
const fn below(shape: &'static str, metric: &'static str, limit: f64) -> Target {
    at_most((shape, metric), Rival::Number(limit), 1.0)
}

/// A figure of ours is to be above that.
const fn above(shape: &'static str, metric: &'static str, limit: f64) -> Target {
    Target {
        wanted: Wanted::AtLeast(1.0),
        ..below(shape, metric, limit)
    }
}

const fn sleeping(shape: &'static str, metric: &'static str) -> Target {
    at_most((shape, metric), SLEEPING, 1.1)
}

const fn of(ours: &'static str, target: Target) -> Target {
    Target { ours, ..target }
}

const fn asterisk(shape: &'static str, metric: &'static str, theirs: f64, times: f64) -> Target {
    Target {
        metric,
        ..rate(shape, Rival::Elsewhere("Asterisk", theirs), times)
    }
}

const fn spinning(shape: &'static str, metric: &'static str) -> Target {
    let rival = Rival::Of(&["disruptor"]);
    of(SPINNING, at_most((shape, metric), rival, 1.0))
}

pub(super) const TARGETS: &[Target] = &[
    sleeping("latency-10k-1", "p50"),
    sleeping("latency-10k-1", "p99"),
    sleeping("latency-10k-1", "p99.9"),
    sleeping("latency-10k-8", "p50"),
    sleeping("latency-10k-8", "p99"),
    sleeping("latency-10k-8", "p99.9"),
    sleeping("latency-100k-1", "p50"),
    sleeping("latency-100k-1", "p99"),
    sleeping("latency-100k-1", "p99.9"),
    sleeping("latency-100k-8", "p50"),
    sleeping("latency-100k-8", "p99"),
    sleeping("latency-100k-8", "p99.9"),
    spinning("latency-10k-1", "p50"),
    spinning("latency-10k-1", "p99"),
    spinning("latency-100k-1", "p50"),
    spinning("latency-100k-1", "p99"),
    // No collapse: below a millisecond.
    of(SPINNING, below("latency-10k-8", "p50", 1_000.0)),
    of(SPINNING, below("latency-100k-8", "p50", 1_000.0)),
    at_most(("ping-pong", "p50"), ALL, 1.0),
    at_most(("ping-pong", "p99"), ALL, 1.0),
    at_most(("publish-call-1", "p50"), CROSSBEAM, 1.0),
    below("publish-call-1", "p99", 2_000.0),
    at_most(("publish-call-8", "p50"), CROSSBEAM, 0.5),
    below("publish-call-8", "p99", 2_000.0),
    at_most(("publish-idle-1", "p50"), SLEEPING, 1.0),
    at_most(("publish-idle-8", "p50"), SLEEPING, 1.0),
    below("unwanted", "ratio", 1.5),
    above("churn-idle", "pairs", 1_000.0),
    of("stasis-bus/notices", above("churn-idle", "pairs", 1_000.0)),
    of("stasis-bus/receiver", above("churn-idle", "pairs", 1_000.0)),
    above("churn-fire", "pairs", 300.0),
    above("churn-fire", "publisher keeps", 85.0),
    above("churn-fire", "keeps beside 300 k/s", 85.0),
    of("stasis-bus/notices", above("churn-fire", "pairs", 300.0)),
    below("churn-many", "ratio", 10.0),
    of("stasis-bus/receiver", below("churn-many", "ratio", 10.0)),
    below("memory", "subscription", 600.0),
    below("memory", "subscription, used", 600.0),
    below("memory", "subscription alone", 600.0),
    below("memory", "subscription alone, used", 600.0),
    below("memory", "topic", 400.0),
    below("memory", "topic, used", 400.0),
    below("scale-subscriptions", "ratio", 2.0),
    below("scale-topics", "resident", 1_024.0),
    asterisk("1:1", "deliveries", 1.1, 8.0),
    // Of its figure with both threads on one core.
    asterisk("1:1", "deliveries", 3.0, 3.0),
    asterisk("1:64", "deliveries", 0.55, 60.0),
    asterisk("1:512", "deliveries", 0.45, 130.0),
    asterisk("cache", "updates, heard", 0.56, 5.0),
    asterisk("cache", "reads, 1 thread", 9.4, 5.0),
    asterisk("churn-idle", "pairs", 97.0, 10.0),
];
