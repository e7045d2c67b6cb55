//! Programs for one thread, the dumbest sequential model of the bus that is right, and the replay that holds the
//! bus to it. Shared by the target `ops` and by `tests/model.rs`.
//!
//! Nothing in here knows how the bus is made: no ring, no list, no duty. What the contract leaves open (the order
//! in which several inline subscriptions run, or in which a topic's subscriptions are closed) a program cannot
//! make visible: see [`Spec::tamed`](program::Spec::tamed) and [`Model::is_ambiguous`](world::Model::is_ambiguous).

pub(crate) mod bus;
pub(crate) mod program;
pub(crate) mod publish;
pub(crate) mod replay;
pub(crate) mod subscription;
pub(crate) mod world;

pub(crate) use program::Program;
pub(crate) use replay::replay;
