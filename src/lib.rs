//! In-process publish/subscribe for latency-sensitive services.

#![allow(dead_code, unused_imports)] // until the parts are put together
#![allow(
    clippy::disallowed_types,
    reason = "the lint sees through the re-exports of `sync` and takes the facade for std"
)]

mod sync;

mod epoch;
#[allow(unreachable_pub, reason = "the models reach it through `internals`")]
mod queue;
mod worker;

/// The parts that models and benches look at one by one. Not part of the public API: anything here may
/// change or go at any time.
#[cfg(any(loom, feature = "internals"))]
#[doc(hidden)]
pub mod internals {
    pub use crate::queue::ring::Ring;
    pub use crate::queue::room::RoomWaiters;
    pub use crate::queue::shedding::{Evicted, Shedding};
    pub use crate::queue::spill::Retired;
    pub use crate::queue::{Close, Pinned, Pointer, Pop, Push};
    pub use crate::worker::internals as worker;
}
