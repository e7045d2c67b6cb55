//! What topics and subscriptions weigh: bytes that the allocator was asked for, for each of many, at rest, and at
//! rest again after 1,000 messages were delivered. A child process for each peer, so that none finds memory that
//! another one has left. Threads' stacks are not counted, so neither is what channels need most.

mod weighings;

use super::figures::{Figure, Figures, figure, is_wanted};
use super::{Context, Shape};
use crate::line::Line;
use crate::peer::Fault;
use crate::watchdog;
use std::process::{Command, Stdio};
pub(super) use weighings::MANY_TOPICS;
use weighings::WEIGHINGS;

pub(crate) const SHAPES: &[Shape] = &[Shape {
    name: "memory",
    about: "bytes of a topic and of a subscription, 100 on a topic and alone, without threads' stacks",
    run: measure,
}];

/// Subscriptions that share a topic, where they do.
const SHARING: usize = 100;

/// The first argument of a child. Then: what it is to weigh, how many of that, and how many on each topic.
const CHILD: &str = "--weigh";

fn measure(shape: &Shape, context: &Context) -> Result<Vec<Line>, Fault> {
    let count = if context.plan.is_quick { 1_000 } else { 3_000 };
    let mut figures = Figures::new(shape.name);
    for (peer, _) in WEIGHINGS {
        // With another allocator nobody counts.
        if is_wanted(context, peer) && weighings::IS_COUNTED {
            figures.enter(*peer, move || {
                let mut all = in_child(peer, count, SHARING)?;
                all.extend(in_child(peer, count, 1)?);
                Ok(all)
            });
        }
    }
    figures.measure(1)
}

/// Weighs so many of that in a child, so many on each topic.
///
/// # Errors
/// If the child fails.
pub(super) fn in_child(what: &str, count: usize, sharing: usize) -> Result<Vec<Figure>, Fault> {
    let program = std::env::current_exe()?;
    let output = Command::new(program)
        .args([CHILD, what, &count.to_string(), &sharing.to_string()])
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err("a child failed".into());
    }
    let text = String::from_utf8(output.stdout)?;
    let read = |line: &str| {
        let (value, metric) = line.split_once(' ')?;
        Some(figure(metric, "B", value.parse().ok()?))
    };
    let figures: Option<Vec<Figure>> = text.lines().map(read).collect();
    figures.ok_or_else(|| format!("a child said {text}").into())
}

/// The child's part: true if this process is one.
pub(crate) fn was_child() -> bool {
    let args: Vec<String> = std::env::args().collect();
    let [_, flag, what, count, sharing] = &args[..] else {
        return false;
    };
    if flag != CHILD {
        return false;
    }
    let _watch = watchdog::watch(format!("weighing {what}"));
    let weigh = weighings::named(what).expect("something that is weighed");
    let number = |text: &str| text.parse().expect("a number");
    for (metric, _, value) in weigh(number(count), number(sharing)) {
        println!("{value} {metric}");
    }
    true
}
