//! In-process publish/subscribe for latency-sensitive services.

#![allow(
    dead_code,
    unused_imports,
    reason = "the layers that use these are not there yet"
)]
#![allow(
    clippy::disallowed_types,
    reason = "clippy cannot tell std's types from those that crate::sync re-exports"
)]

mod sync;

mod epoch;
mod message;
#[allow(unreachable_pub, reason = "the models reach it through `internals`")]
mod queue;
mod worker;

pub use message::{
    ChangeKind, FinalMessage, FinalReason, Gap, Message, MessageId, MessageType, Origin, Receipt,
    SubscriptionChange, Timestamp, TypeInfo,
};

/// The parts that models and benches look at one by one. Not part of the public API: anything here may
/// change or go at any time.
#[cfg(any(loom, feature = "internals"))]
#[doc(hidden)]
pub mod internals {
    pub use crate::message::RawDelivery;
    pub use crate::queue::ring::Ring;
    pub use crate::queue::room::RoomWaiters;
    pub use crate::queue::shedding::{Evicted, Shedding};
    pub use crate::queue::spill::Retired;
    pub use crate::queue::{Close, Pinned, Pointer, Pop, Push};
    pub use crate::worker::internals as worker;
}
