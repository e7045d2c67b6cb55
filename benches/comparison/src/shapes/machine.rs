//! What the machine can do, as the first lines of the report: see [`limits`].

use super::Shape;
use crate::limits;

pub(crate) const SHAPES: &[Shape] = &[SHAPE];

pub(crate) const SHAPE: Shape = Shape {
    name: "machine",
    about: "what the hardware and the system need, without any bus or channel",
    run: |_, context| Ok(limits::measure(context.plan.is_quick)),
};
