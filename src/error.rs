//! What can go wrong, each with what it is and why. Small enums, open to grow; those that concern a message
//! hand it back. The error of publish stands in `topic/publish.rs`, beside the receipt that it carries.

use std::error::Error;
use std::fmt;
use std::io;

/// The longest name of a topic or a subscription, in bytes.
pub const MAX_NAME_LEN: usize = 1024;

/// Why a [`Bus`](crate::Bus) could not be built.
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// A pool of no workers would never deliver anything.
    ZeroWorkers,
    /// More workers than the pool can count.
    TooManyWorkers {
        /// How many were asked for.
        asked: usize,
        /// How many there can be.
        limit: usize,
    },
    /// A budget of no queued messages would shed every message that is spilled.
    ZeroBudget,
    /// [`Origin::AGGREGATE`](crate::Origin::AGGREGATE) stands for nobody in particular, so nobody can be it.
    AggregateOrigin,
    /// One of the bus's own message types, which cannot be declined (L2).
    DeclinedControlType {
        /// The name of that type.
        name: String,
    },
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ZeroWorkers => f.write_str("a bus needs at least one worker"),
            Self::TooManyWorkers { asked, limit } => {
                write!(f, "{asked} workers asked for, at most {limit} are possible")
            }
            Self::ZeroBudget => f.write_str("the budget of queued messages must not be zero"),
            Self::AggregateOrigin => {
                f.write_str("the origin of aggregates stands for nobody, so no bus can have it")
            }
            Self::DeclinedControlType { name } => {
                write!(
                    f,
                    "`{name}` is a message type of the bus itself and cannot be declined"
                )
            }
        }
    }
}

impl Error for BuildError {}

/// Why a topic could not be had.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TopicError {
    /// A topic needs a name.
    EmptyName,
    /// The name is longer than [`MAX_NAME_LEN`](crate::MAX_NAME_LEN) bytes.
    NameTooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// The bus has been shut down.
    ShutDown,
    /// A live topic of that name keeps another order (relaxed or total) than the one asked for.
    OtherOrder,
}

impl fmt::Display for TopicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptyName => f.write_str("a topic needs a name"),
            Self::NameTooLong { len } => {
                write!(
                    f,
                    "the name has {len} bytes, at most {} are allowed",
                    MAX_NAME_LEN
                )
            }
            Self::ShutDown => f.write_str("the bus has been shut down"),
            Self::OtherOrder => f.write_str(
                "the live topic of that name keeps another order than the one asked for",
            ),
        }
    }
}

impl Error for TopicError {}

/// Why a subscription could not be made. Nothing has happened then: the handler was never run.
#[derive(Debug)]
#[non_exhaustive]
pub enum SubscribeError {
    /// A mailbox that holds nothing would shed or block everything.
    ZeroCapacity,
    /// The limit of a spilling mailbox is below its capacity.
    LimitBelowCapacity {
        /// The limit.
        limit: u64,
        /// The capacity.
        capacity: usize,
    },
    /// A batch of no messages would never end.
    ZeroBatch,
    /// The low-water mark is above the high-water mark, or the high-water mark is zero.
    BadMarks {
        /// The low-water mark.
        low: u64,
        /// The high-water mark.
        high: u64,
    },
    /// The bus declines that message type, so it would never come.
    DeclinedType {
        /// The name of the type.
        name: &'static str,
    },
    /// A mailbox that blocks its publishers on a topic with total order would stall all of them (R1b).
    BlockingOnTotalOrder,
    /// The topic is closed.
    TopicClosed,
    /// The bus has been shut down.
    ShutDown,
    /// There is no core of that number to pin a thread to, or the system cannot pin.
    CannotPin {
        /// The core that was asked for.
        core: usize,
        /// What the system says.
        source: io::Error,
    },
    /// A receiver is taken from when its owner likes; it has no other delivery.
    ReceiverWithDelivery,
    /// The system gave no thread.
    Thread(io::Error),
    /// The name is longer than [`MAX_NAME_LEN`](crate::MAX_NAME_LEN) bytes.
    NameTooLong {
        /// Its length in bytes.
        len: usize,
    },
}

impl fmt::Display for SubscribeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ZeroCapacity => f.write_str("the capacity of a mailbox must not be zero"),
            Self::LimitBelowCapacity { limit, capacity } => {
                write!(
                    f,
                    "the spill limit {limit} is below the capacity {capacity}"
                )
            }
            Self::ZeroBatch => f.write_str("a batch must have room for at least one message"),
            Self::BadMarks { low, high } => write!(
                f,
                "low-water mark {low} and high-water mark {high}: high must be above zero and not \
                 below low"
            ),
            Self::DeclinedType { name } => {
                write!(
                    f,
                    "the bus declines messages of type `{name}`, so none would come"
                )
            }
            Self::BlockingOnTotalOrder => f.write_str(
                "a mailbox that blocks its publishers is not possible on a topic with total order",
            ),
            Self::TopicClosed => f.write_str("the topic is closed"),
            Self::ShutDown => f.write_str("the bus has been shut down"),
            Self::CannotPin { core, source } => {
                write!(f, "the thread cannot be pinned to core {core}: {source}")
            }
            Self::ReceiverWithDelivery => {
                f.write_str("a receiver is taken from by its owner and has no other delivery kind")
            }
            Self::Thread(source) => write!(f, "no thread could be started: {source}"),
            Self::NameTooLong { len } => {
                write!(
                    f,
                    "the name has {len} bytes, at most {} are allowed",
                    MAX_NAME_LEN
                )
            }
        }
    }
}

impl Error for SubscribeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Thread(source) | Self::CannotPin { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Why the types that a subscription accepts could not be changed. They are as they were.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AcceptError {
    /// It was not built to be changed: see [`SubscriptionBuilder::changeable`].
    ///
    /// [`SubscriptionBuilder::changeable`]: crate::SubscriptionBuilder::changeable
    NotChangeable,
    /// The bus declines that message type, so it would never come.
    DeclinedType {
        /// The name of the type.
        name: &'static str,
    },
    /// It accepts every type, and all but one is nothing that it could accept.
    AcceptsAll,
    /// The subscription has ended.
    Ended,
}

impl fmt::Display for AcceptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotChangeable => {
                f.write_str("the subscription was not built to have its types changed")
            }
            Self::DeclinedType { name } => {
                write!(
                    f,
                    "the bus declines messages of type `{name}`, so none would come"
                )
            }
            Self::AcceptsAll => {
                f.write_str("the subscription accepts every type, so none can be taken from it")
            }
            Self::Ended => f.write_str("the subscription has ended"),
        }
    }
}

impl Error for AcceptError {}

/// Why a forward could not be made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForwardError {
    /// One of the two topics is closed.
    TopicClosed,
    /// The bus has been shut down.
    ShutDown,
    /// The topics belong to two buses.
    OtherBus,
}

impl fmt::Display for ForwardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TopicClosed => "one of the topics is closed",
            Self::ShutDown => "the bus has been shut down",
            Self::OtherBus => "the topics belong to two buses",
        })
    }
}

impl Error for ForwardError {}

/// Why there is no pool of a topic's children, or no such child.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PoolError {
    /// A child needs a name.
    EmptyName,
    /// The name, with its parent's and the slash between them, is longer than
    /// [`MAX_NAME_LEN`](crate::MAX_NAME_LEN) bytes.
    NameTooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// The parent is closed.
    TopicClosed,
    /// The bus has been shut down.
    ShutDown,
}

impl fmt::Display for PoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptyName => f.write_str("a child topic needs a name"),
            Self::NameTooLong { len } => write!(
                f,
                "the name has {len} bytes with its parent's, at most {MAX_NAME_LEN} are allowed"
            ),
            Self::TopicClosed => f.write_str("the parent topic is closed"),
            Self::ShutDown => f.write_str("the bus has been shut down"),
        }
    }
}

impl Error for PoolError {}

/// Why there is no aggregate of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PatternError {
    /// A pattern has one level at least.
    Empty,
    /// The pattern is longer than [`MAX_NAME_LEN`](crate::MAX_NAME_LEN) bytes.
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// There is nothing before, after or between slashes.
    EmptyLevel,
    /// `**` stands for all further levels, so none may follow.
    RestNotLast,
    /// A star is a level of its own; it does not stand for a part of one.
    MixedLevel {
        /// The level.
        level: String,
    },
    /// The bus has been shut down.
    ShutDown,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a pattern needs a level at least"),
            Self::TooLong { len } => write!(
                f,
                "the pattern has {len} bytes, at most {MAX_NAME_LEN} are allowed"
            ),
            Self::EmptyLevel => f.write_str("the pattern has a level with nothing in it"),
            Self::RestNotLast => f.write_str("`**` must be the last level of the pattern"),
            Self::MixedLevel { level } => {
                write!(
                    f,
                    "the level `{level}` has both a star and something else in it"
                )
            }
            Self::ShutDown => f.write_str("the bus has been shut down"),
        }
    }
}

impl Error for PatternError {}

/// To wait here could be to wait for oneself: the call was made inside a handler, or on a worker (R1b).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WouldDeadlock;

impl fmt::Display for WouldDeadlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("to wait inside a handler or on a worker could be to wait for oneself")
    }
}

impl Error for WouldDeadlock {}

/// Why a wait ended without what was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitError {
    /// See [`WouldDeadlock`].
    WouldDeadlock,
    /// The time ran out.
    TimedOut,
    /// The subscription has closed, so what was waited for will not come.
    Closed,
}

impl fmt::Display for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WouldDeadlock => WouldDeadlock.fmt(f),
            Self::TimedOut => f.write_str("the time ran out"),
            Self::Closed => f.write_str("the subscription has closed"),
        }
    }
}

impl Error for WaitError {}

impl From<WouldDeadlock> for WaitError {
    fn from(_: WouldDeadlock) -> Self {
        Self::WouldDeadlock
    }
}

/// Why a receiver gave no message at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TryRecvError {
    /// There is none, for now.
    Empty,
    /// The final message was received: none will ever come.
    Ended,
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "there is no message for now",
            Self::Ended => "the final message was received already",
        })
    }
}

impl Error for TryRecvError {}

/// Why a receiver gave no message, although it waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecvError {
    /// The final message was received: none will ever come.
    Ended,
    /// The time ran out.
    TimedOut,
    /// See [`WouldDeadlock`].
    WouldDeadlock,
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended => TryRecvError::Ended.fmt(f),
            Self::TimedOut => f.write_str("the time ran out"),
            Self::WouldDeadlock => WouldDeadlock.fmt(f),
        }
    }
}

impl Error for RecvError {}
