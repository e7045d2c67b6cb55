//! What a contender has to offer: see [`Peer`]. It is *not* about what is measured: that is what shapes do with it.

use crate::item::{Item, Items};
use crate::ledger::Consumer;
use std::fmt;

/// What went wrong.
pub(crate) type Fault = Box<dyn std::error::Error + Send + Sync>;

/// Who publishes where, and who subscribes to what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wiring {
    /// Publishers, each on a thread of its own.
    pub(crate) publishers: usize,
    /// Topics. Each publisher publishes on all of them, round robin.
    pub(crate) topics: usize,
    /// Subscribers: of each topic, or of all together if they are aggregated.
    pub(crate) subscribers: usize,
    /// Whether every subscriber gets what is published on any topic.
    pub(crate) is_aggregate: bool,
}

impl Wiring {
    /// One topic, everybody on it.
    pub(crate) const fn one_topic(publishers: usize, subscribers: usize) -> Self {
        Self {
            publishers,
            topics: 1,
            subscribers,
            is_aggregate: false,
        }
    }

    /// How many subscribers there are in all.
    pub(crate) fn consumers(&self) -> usize {
        if self.is_aggregate {
            self.subscribers
        } else {
            self.topics * self.subscribers
        }
    }

    /// The room in each queue of those that have a limit.
    pub(crate) fn room(&self) -> usize {
        if self.channels() == 1 { 1_024 } else { 16 }
    }

    /// The number of channels that somebody without topics needs: one for each that has subscribers of its own.
    pub(crate) fn channels(&self) -> usize {
        if self.is_aggregate { 1 } else { self.topics }
    }
}

/// What sort of thing it is, by which targets choose their rivals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// This bus.
    Ours,
    /// A channel for each subscriber.
    Channel,
    /// One queue that all subscribers read.
    Broadcast,
    /// A ring with a fixed set of consumers.
    Ring,
    /// An actor for each subscriber.
    Actor,
    /// Shared memory between processes, used in one.
    Shared,
    /// Functions that the publisher calls.
    Callbacks,
}

/// How a contender is run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct How {
    pub(crate) kind: Kind,
    /// Who runs the subscribers.
    pub(crate) runs_on: &'static str,
    /// The room in its queues, and what happens when there is none.
    pub(crate) room: &'static str,
    /// Whether a consumer, or a publisher, that waits does so without the CPU.
    pub(crate) sleeps: bool,
    /// Whether subscribers may come and go.
    pub(crate) is_dynamic: bool,
    /// Whether messages may be lost.
    pub(crate) is_lossy: bool,
    pub(crate) messages: Messages,
}

/// Where a message's memory comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Messages {
    /// Each is allocated when it is published, and shared by a reference count.
    New,
    /// So many were allocated beforehand, and are published again and again. A power of two.
    Reused(u64),
    /// Written into the queue itself, which was allocated beforehand.
    InPlace,
}

impl How {
    /// A lossless channel for each subscriber, and a thread that sleeps on it.
    pub(crate) const CHANNEL: Self = Self {
        kind: Kind::Channel,
        runs_on: "a thread each",
        room: "unbounded",
        sleeps: true,
        is_dynamic: true,
        is_lossy: false,
        messages: Messages::New,
    };

    /// The same, with [`Wiring::room`] in each, and publishers that wait for it.
    pub(crate) const BOUNDED: Self = Self {
        room: "bounded, publishers wait",
        ..Self::CHANNEL
    };
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.runs_on, self.room)?;
        f.write_str(if self.sleeps { "; sleeps" } else { "; spins" })?;
        if !self.is_dynamic {
            f.write_str("; fixed subscribers")?;
        }
        if self.is_lossy {
            f.write_str("; LOSSY")?;
        }
        f.write_str(match self.messages {
            Messages::New => "; a new message each",
            Messages::Reused(_) => "; messages reused",
            Messages::InPlace => "; messages written in place",
        })
    }
}

/// A contender. A new shape may add a method with a default that says "not offered".
pub(crate) trait Peer: Sync {
    /// The crate's name; a variant's after a `/`.
    fn name(&self) -> &'static str;

    /// How it is run.
    fn how(&self) -> How;

    /// Why it does not take part in that, if it does not.
    fn declines(&self, _wiring: &Wiring) -> Option<&'static str> {
        None
    }

    /// Sets it up: subscribers first, those of the first topic first. There are as many consumers as
    /// `wiring` has.
    ///
    /// # Errors
    /// What the crate says.
    fn build(&self, wiring: &Wiring, consumers: Vec<Consumer>) -> Result<Box<dyn Arena>, Fault>;
}

/// A contender that is running.
pub(crate) trait Arena {
    /// The publishers, to be called once.
    fn publishers(&mut self) -> Vec<Box<dyn Publisher>>;

    /// Ends all subscribers and waits for their end. The publishers are gone by then.
    ///
    /// # Errors
    /// If a subscriber panicked, or what the crate says.
    fn close(self: Box<Self>) -> Result<(), Fault>;
}

/// One publisher's way in. Its topics take turns.
pub(crate) trait Publisher: Send {
    /// Makes a message of that and publishes it.
    fn publish(&mut self, item: Item);

    /// Publishes several, in the way that the peer is best at.
    fn publish_all(&mut self, items: Items) {
        for item in items {
            self.publish(item);
        }
    }

    /// From now on publishes on that topic only. False if the peer does not offer this, which shapes that want it
    /// then leave out.
    fn stay_on(&mut self, _topic: usize) -> bool {
        false
    }
}

/// Whatever belongs to each topic, with a turn for each.
#[derive(Clone, Debug)]
pub(crate) struct Turns<T> {
    topics: Vec<T>,
    at: usize,
}

impl<T> Turns<T> {
    pub(crate) fn new(topics: Vec<T>) -> Self {
        Self { topics, at: 0 }
    }

    /// How many topics there are.
    pub(crate) fn len(&self) -> usize {
        self.topics.len()
    }

    /// All turns are that one's from now on; true, as [`Publisher::stay_on`] wants it.
    pub(crate) fn stay_on(&mut self, topic: usize) -> bool {
        self.topics = vec![self.topics.swap_remove(topic)];
        self.at = 0;
        true
    }

    /// Whose turn it is.
    #[inline]
    pub(crate) fn next(&mut self) -> &mut T {
        let at = self.at;
        self.at += 1;
        if self.at == self.topics.len() {
            self.at = 0;
        }
        &mut self.topics[at]
    }
}
