//! What is measured: each file is a family of shapes, each shape a name and a function that gives lines.

mod cache;
mod churn;
mod figures;
mod growth;
mod latency;
mod machine;
mod memory;
mod ping_pong;
mod publish_call;
mod scale;
mod throughput;
mod unwanted;

pub(crate) use memory::was_child;

use crate::line::Line;
use crate::peer::{Fault, Peer};
use std::fmt;
use std::time::Duration;

/// One thing to measure.
pub(crate) struct Shape {
    /// What `--only` calls it, and lines too.
    pub(crate) name: &'static str,
    /// One sentence for the head of its table.
    pub(crate) about: &'static str,
    /// Measures it with all peers of the context that take part.
    pub(crate) run: fn(&Shape, &Context) -> Result<Vec<Line>, Fault>,
}

/// What shapes have to know.
pub(crate) struct Context {
    pub(crate) peers: Vec<&'static dyn Peer>,
    pub(crate) plan: Plan,
}

/// How long is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// In a hurry.
    pub(crate) is_quick: bool,
    /// How often each contender has its turn.
    pub(crate) rounds: usize,
    /// How long a run of a contender's is to take.
    pub(crate) run: Duration,
}

impl Plan {
    pub(crate) fn new(is_quick: bool) -> Self {
        let (rounds, run) = if is_quick { (3, 25) } else { (5, 150) };
        Self {
            is_quick,
            rounds,
            run: Duration::from_millis(run),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rounds of {:?} each", self.rounds, self.run)
    }
}

/// What the machine can do, for every run.
pub(crate) use machine::SHAPE as MACHINE;

/// All there are, in the order of the report.
pub(crate) fn all() -> impl Iterator<Item = &'static Shape> {
    let families = [
        machine::SHAPES,
        throughput::SHAPES,
        latency::SHAPES,
        ping_pong::SHAPES,
        publish_call::SHAPES,
        unwanted::SHAPES,
        churn::SHAPES,
        memory::SHAPES,
        scale::SHAPES,
        cache::SHAPES,
        growth::SHAPES,
    ];
    families.into_iter().flatten()
}
