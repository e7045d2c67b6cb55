//! The front page is the repository's README.

#![doc = include_str!("../README.md")]
#![warn(clippy::disallowed_types)] // clippy.toml: primitives come from `sync`

mod sync;

mod epoch;
mod error;
#[allow(unreachable_pub, reason = "the models reach it through `internals`")]
mod queue;
mod stats;

mod message;
mod worker;

mod subscription;

mod topic;

mod router;

mod cache;

mod state;

#[cfg(feature = "json")]
pub mod json;

#[cfg(feature = "channels")]
pub mod channels;

mod builder;
mod bus;

pub use builder::{BusBuilder, DEFAULT_MESSAGE_BUDGET};
pub use bus::{Bus, BusStats, ShutdownReport};
pub use cache::{
    Aggregate, CACHE_CLEAR, CACHE_UPDATE, Cache, CacheBuilder, CacheClear, CacheError, CacheFamily,
    CacheMember, CacheUpdate, CachingTopic, Dump, Snapshots,
};
pub use error::{
    AcceptError, BuildError, ForwardError, MAX_NAME_LEN, PatternError, PoolError, RecvError,
    SubscribeError, TopicError, TryRecvError, WaitError, WouldDeadlock,
};
pub use message::{
    ChangeKind, FinalMessage, FinalReason, Format, Formatter, Gap, Key, KeyKind, KeyRef, Message,
    MessageCell, MessageId, MessageType, Origin, Receipt, Rendering, Sanitizer, Subject,
    SubscriptionChange, Timestamp, TypeInfo,
};
pub use router::{Dispatcher, Removed, Router, RouterBuilder, RouterError, Routes};
pub use state::{
    StateError, StateObservation, StateObserver, StatePublisher, StateSubscriber, StateTopics,
};
pub use stats::Durations;
pub use subscription::{
    Conflate, Congestion, Delivery, Executor, Handled, JoinFuture, ManualExecutor, Overflow,
    OwnThread, PanicPolicy, Receiver, RecvFuture, SendError, Sent, Subscription, SubscriptionStats,
    Task, WaitStrategy,
};
pub use topic::{
    Discarded, Forward, HandlerPanic, Offered, PublishError, PublishFuture, Stage, Staged,
    SubscriptionBuilder, SyncError, Tap, Topic, TopicPool, TopicStats, Topics,
};

#[doc = include_str!("../docs/stasis.md")]
pub mod stasis {}

/// The parts that models and benches look at one by one. Not part of the public API: anything here may
/// change or go at any time.
#[cfg(any(loom, feature = "internals"))]
#[doc(hidden)]
pub mod internals {
    #[cfg(loom)]
    pub use crate::epoch::collect;
    pub use crate::message::RawDelivery;
    pub use crate::queue::grown::Retired;
    pub use crate::queue::ring::Ring;
    pub use crate::queue::room::RoomWaiters;
    pub use crate::queue::shedding::{Evicted, Shedding};
    pub use crate::queue::stock::{Depot, Stock};
    pub use crate::queue::{Close, Pinned, Pointer, Pop, Push};
    pub use crate::subscription::budget::{Bound, Budget};
    pub use crate::subscription::hold::HeldPublish;
    pub use crate::worker::internals as worker;
}
