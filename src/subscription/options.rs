//! What a subscriber chooses before the first message can arrive: how it is run, what happens when it is too
//! slow, what happens when it panics.

use super::executor::Executor;
use super::filter::KeyFn;
use crate::message::{Key, Message};
use crate::sync::unmodelled::Arc;
use std::fmt;
use std::time::Duration;

/// How a subscription's handler is run. In all cases its runs never overlap (D3).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Delivery {
    /// On the bus's shared pool of workers. The default: it scales to any number of subscriptions, and uses
    /// no CPU when there is nothing to do.
    #[default]
    Pool,
    /// On a thread of its own.
    OwnThread(OwnThread),
    /// On the thread of whoever publishes, after the message was offered to everybody. If the handler is
    /// running on another thread then, or the publish was made inside a handler, publish returns and that run
    /// delivers it: nobody waits, and the stack does not grow.
    Inline,
    /// On an executor of the user's: each run is one [`Task`](crate::Task) that is handed to it.
    Executor(Arc<dyn Executor>),
}

/// A thread of a subscription's own.
#[derive(Clone, Debug, Default)]
pub struct OwnThread {
    pub(crate) wait: WaitStrategy,
    pub(crate) core: Option<usize>,
}

impl OwnThread {
    /// A thread that waits in that way.
    #[must_use]
    pub fn new(wait: WaitStrategy) -> Self {
        Self { wait, core: None }
    }

    /// Pins it to the core of that number. Subscribing fails if that cannot be done.
    #[must_use]
    pub fn pinned_to(mut self, core: usize) -> Self {
        self.core = Some(core);
        self
    }
}

impl From<OwnThread> for Delivery {
    fn from(thread: OwnThread) -> Self {
        Self::OwnThread(thread)
    }
}

/// How an own thread waits for messages: latency against CPU time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitStrategy {
    /// It sleeps at once: no CPU when idle; to wake it costs the publisher a system call.
    Park,
    /// It looks for a short while (some tens of microseconds), giving up its time slice between looks, and
    /// sleeps then. The default.
    #[default]
    SpinThenPark,
    /// It never sleeps, and gives up its time slice between looks: a whole core when others leave it one.
    Yield,
    /// It never sleeps, and gives up its time slice every few microseconds only: the lowest latency, for a
    /// core of its own. Where cores are short it takes from whoever else would run there, but several that
    /// share one take turns.
    Spin,
}

/// What happens when a mailbox is full. `capacity` is that of the subscription's builder.
#[non_exhaustive]
pub enum Overflow {
    /// What does not fit into the ring of `capacity` slots is kept behind it: nothing is lost, up to `limit`
    /// waiting messages if there is one, and up to the bus's budget. The default, without a limit. What is
    /// beyond is shed, newest first, with a gap notice.
    Spill {
        /// The greatest number of waiting messages.
        limit: Option<u64>,
    },
    /// The publisher waits for room, after it has offered the message to everybody else; for at most
    /// `timeout` if there is one, and then the message is shed with a gap notice. Inside a handler or on a
    /// worker nobody waits: the message is kept beyond the capacity (R1b).
    Block {
        /// The longest wait.
        timeout: Option<Duration>,
    },
    /// The oldest waiting message is shed, with a gap notice.
    DropOldest,
    /// The message that does not fit is shed, with a gap notice.
    DropNewest,
    /// The message that does not fit is shed, with a gap notice, and publish returns an error that says so,
    /// when everybody else was offered it.
    Fail,
    /// Of the messages of one key only the newest waits: it takes the tail, the older one leaves at once. If
    /// there are `capacity` keys, the oldest message is shed with a gap notice. See [`Overflow::conflate`].
    Conflate(Conflate),
    /// The subscription is closed: it gets what it had accepted, and then its final message.
    Evict,
}

/// The key function of [`Overflow::Conflate`].
pub struct Conflate(pub(crate) KeyFn);

impl Overflow {
    /// Conflates by that key. The function runs on the publisher's thread, without any lock.
    ///
    /// ```
    /// use stasis_bus::{Message, Overflow};
    /// # #[derive(Clone)] struct Price { symbol: u64 }
    /// let newest = Overflow::conflate(|m: &Message| m.get::<Price>().map_or(0, |p| p.symbol));
    /// # let _ = newest;
    /// ```
    pub fn conflate<K: Into<Key>>(key: impl Fn(&Message) -> K + Send + Sync + 'static) -> Self {
        Self::Conflate(Conflate(Box::new(move |message| key(message).into())))
    }
}

impl Default for Overflow {
    fn default() -> Self {
        Self::Spill { limit: None }
    }
}

impl fmt::Debug for Overflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spill { limit } => f.debug_struct("Spill").field("limit", limit).finish(),
            Self::Block { timeout } => f.debug_struct("Block").field("timeout", timeout).finish(),
            Self::DropOldest => f.write_str("DropOldest"),
            Self::DropNewest => f.write_str("DropNewest"),
            Self::Fail => f.write_str("Fail"),
            Self::Conflate(conflate) => conflate.fmt(f),
            Self::Evict => f.write_str("Evict"),
        }
    }
}

impl fmt::Debug for Conflate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Conflate")
    }
}

/// What happens to a subscription whose handler panics (R2). The panic is counted and reported in any case,
/// and nobody else notices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PanicPolicy {
    /// It goes on with the next message. The default.
    #[default]
    Continue,
    /// It is closed, and its handler is not run again: what waits is discarded, its final message included.
    Close,
    /// It is closed, and what waits is discarded, but the handler is run once more, for the final message.
    CloseWithFinal,
}

/// The congestion of a subscription was raised or cleared. What its callback gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Congestion {
    /// True when the high-water mark was reached, false when the low-water mark was.
    pub raised: bool,
    /// How many messages waited then.
    pub depth: u64,
}
