//! Programs for three threads at once, and what must hold of them whatever the interleaving was. There is no model
//! of each step here: threads write down what they did and when, by one logical clock, and when all is over the
//! books are checked.

pub(crate) mod check;
pub(crate) mod crew;
pub(crate) mod program;
pub(crate) mod world;

pub(crate) use crew::run;
pub(crate) use program::Program;
