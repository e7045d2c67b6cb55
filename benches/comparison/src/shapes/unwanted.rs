//! Publishing what nobody wants: on a topic whose 64 subscribers want another type, against one without any.

use super::figures::{Figures, figure, is_wanted};
use super::{Context, Shape};
use crate::item::Item;
use crate::line::Line;
use crate::peer::Fault;
use stasis_bus::{Bus, MessageType, Receiver, Topic};
use std::time::Instant;

pub(crate) const SHAPES: &[Shape] = &[Shape {
    name: "unwanted",
    about: "publish on a topic with 64 subscribers of another type, and on an empty one",
    run: measure,
}];

const OTHERS: usize = 64;
static OTHER: MessageType<()> = MessageType::new("other");

fn measure(shape: &Shape, context: &Context) -> Result<Vec<Line>, Fault> {
    let (rounds, calls) = if context.plan.is_quick {
        (5, 20_000)
    } else {
        (21, 100_000)
    };
    let bus = Bus::new()?;
    let (full, empty) = (bus.topic("full")?, bus.topic("empty")?);
    let other = |_| full.subscribe().accept(&OTHER).receiver();
    let mut others: Vec<Receiver> = (0..OTHERS).map(other).collect::<Result<_, _>>()?;
    let mut figures = Figures::new(shape.name);
    if is_wanted(context, "stasis-bus") {
        figures.enter("stasis-bus", || {
            let (full, empty) = (publish(&full, calls)?, publish(&empty, calls)?);
            Ok(vec![
                figure("64 of another type", "ns", full),
                figure("nobody", "ns", empty),
                figure("ratio", "x", full / empty),
            ])
        });
    }
    let lines = figures.measure(rounds)?;
    if others.iter_mut().any(|it| it.try_recv().is_ok()) {
        return Err("somebody got what it does not want".into());
    }
    Ok(lines)
}

/// Nanoseconds for one.
fn publish(topic: &Topic, calls: u64) -> Result<f64, Fault> {
    let (begin, mut offered) = (Instant::now(), 0);
    for number in 0..calls {
        offered += topic.publish(Item::new(0, number))?.offered();
    }
    let nanos = begin.elapsed().as_nanos() as f64 / calls as f64;
    if offered > 0 {
        return Err("it was offered to somebody".into());
    }
    Ok(nanos)
}
