//! What a program can do: the input of the target `ops`, decoded from bytes.

use arbitrary::Arbitrary;

/// Slots for topics, subscriptions and forwards, that operations name by number.
pub(crate) const TOPICS: usize = 4;
pub(crate) const SUBSCRIPTIONS: usize = 6;
pub(crate) const FORWARDS: usize = 6;
/// What a program has beyond so many operations is not run.
pub(crate) const MAX_OPS: usize = 96;
/// The longest batch.
pub(crate) const MAX_BATCH: u32 = 6;
/// So often handlers publish in turn, in one operation of the program.
pub(crate) const MAX_REACTIONS: u32 = 12;

/// A program, and the order in which all is dropped when it is over (L7).
#[derive(Arbitrary, Debug, Clone)]
pub(crate) struct Program {
    pub(crate) end: u8,
    pub(crate) ops: Vec<Op>,
}

/// One operation. Numbers of slots and sizes are taken modulo what there is.
#[derive(Arbitrary, Debug, Clone, Copy)]
pub(crate) enum Op {
    /// Gets or makes the topic of that slot's name.
    Topic {
        topic: u8,
        total: bool,
    },
    /// Lets go of the handle; the topic may live on by its subscriptions and forwards.
    DropTopic {
        topic: u8,
    },
    CloseTopic {
        topic: u8,
    },
    Subscribe {
        slot: u8,
        topic: u8,
        spec: Spec,
    },
    Publish {
        topic: u8,
        what: What,
    },
    PublishBatch {
        topic: u8,
        what: What,
        count: u8,
    },
    /// Without time to wait: who is not inline does not handle it in time.
    PublishSync {
        topic: u8,
        slot: u8,
        what: What,
    },
    Flush {
        slot: u8,
    },
    Unsubscribe {
        slot: u8,
    },
    DropHandle {
        slot: u8,
    },
    Detach {
        slot: u8,
    },
    /// Runs the tasks of a subscription with an executor, or takes up to so many messages from a receiver.
    Run {
        slot: u8,
        take: Take,
        count: u8,
    },
    /// Drops its tasks, present and future.
    LoseExecutor {
        slot: u8,
    },
    Forward {
        slot: u8,
        from: u8,
        to: u8,
        keep: bool,
    },
    Cancel {
        slot: u8,
    },
    Shutdown,
}

/// How messages are taken from a receiver.
#[derive(Arbitrary, Debug, Clone, Copy)]
pub(crate) enum Take {
    Try,
    Timeout,
    Poll,
}

/// What is published.
#[derive(Arbitrary, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct What {
    pub(crate) colour: Colour,
    pub(crate) key: u8,
    /// So many times handlers may publish in turn because of it.
    pub(crate) hops: u8,
}

/// Message types of one payload.
#[derive(Arbitrary, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colour {
    /// The payload's default type.
    Red,
    Blue,
    Green,
    /// The bus declines it.
    Grey,
}

impl Colour {
    pub(crate) const ALL: [Self; 4] = [Self::Red, Self::Blue, Self::Green, Self::Grey];
}

/// A subscription to be made.
#[derive(Arbitrary, Debug, Clone, Copy)]
pub(crate) struct Spec {
    pub(crate) runner: Runner,
    pub(crate) policy: Policy,
    pub(crate) capacity: u8,
    pub(crate) face: Face,
    pub(crate) accepts: Accepts,
    pub(crate) changes: bool,
    pub(crate) filter: Filter,
    pub(crate) fault: Fault,
    pub(crate) on_panic: OnPanic,
    pub(crate) reaction: Option<Reaction>,
}

#[derive(Arbitrary, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Runner {
    Inline,
    Manual,
    Receiver,
    InlineBatch(u8),
    ManualBatch(u8),
}

impl Runner {
    pub(crate) fn is_inline(self) -> bool {
        matches!(self, Self::Inline | Self::InlineBatch(_))
    }

    pub(crate) fn is_manual(self) -> bool {
        matches!(self, Self::Manual | Self::ManualBatch(_))
    }

    pub(crate) fn batch(self) -> Option<usize> {
        match self {
            Self::InlineBatch(max) | Self::ManualBatch(max) => Some(1 + usize::from(max % 4)),
            _ => None,
        }
    }
}

#[derive(Arbitrary, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    Spill,
    SpillLimit(u8),
    /// Without time to wait; inside handlers, past the limit (R1b).
    Block,
    DropOldest,
    DropNewest,
    Fail,
    Conflate,
    Evict,
}

/// What a handler sees.
#[derive(Arbitrary, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Face {
    Messages,
    /// The same, with gap notices and the final message told by callbacks too.
    MessagesAndCallbacks,
    Payloads,
    PayloadsAndCallbacks,
}

impl Face {
    pub(crate) fn is_general(self) -> bool {
        matches!(self, Self::Messages | Self::MessagesAndCallbacks)
    }

    pub(crate) fn has_callbacks(self) -> bool {
        matches!(
            self,
            Self::MessagesAndCallbacks | Self::PayloadsAndCallbacks
        )
    }
}

/// A filter by type.
#[derive(Arbitrary, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accepts {
    /// As the face has it: all, or payloads under their default type.
    Default,
    One(Colour),
    Two(Colour, Colour),
}

/// A filter by closure.
#[derive(Arbitrary, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filter {
    None,
    OddKeys,
    /// Odd keys too; it panics at those that are divisible by four.
    Panics,
}

/// Where a handler panics.
#[derive(Arbitrary, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    AtKey(u8),
    AtGap,
    AtFinal,
}

#[derive(Arbitrary, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnPanic {
    Continue,
    Close,
    CloseWithFinal,
}

/// What a handler does when it gets something with hops left.
#[derive(Arbitrary, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reaction {
    Publish { topic: u8, colour: Colour },
    Unsubscribe { slot: u8 },
    DropHandle { slot: u8 },
    CloseTopic { topic: u8 },
    Cancel { slot: u8 },
}

/// Keys are few, so that they meet.
pub(crate) fn key(key: u8) -> u8 {
    key % 8
}

/// So many hops at most.
pub(crate) fn hops(hops: u8) -> u8 {
    hops % 4
}

impl What {
    /// What a handler publishes in turn.
    pub(crate) fn next(self, colour: Colour) -> Self {
        Self {
            colour,
            key: self.key.wrapping_add(1),
            hops: hops(self.hops).saturating_sub(1),
        }
    }
}

impl Spec {
    pub(crate) fn capacity(&self) -> usize {
        usize::from(self.capacity % 6)
    }

    /// The greatest number of messages that wait; `None` is none.
    pub(crate) fn limit(&self) -> Option<usize> {
        match self.policy {
            Policy::Spill => None,
            Policy::SpillLimit(limit) => Some(usize::from(limit % 8)),
            _ => Some(self.capacity()),
        }
    }

    pub(crate) fn accepts(&self, colour: Colour) -> bool {
        match self.accepts {
            Accepts::Default => self.face.is_general() || colour == Colour::Red,
            Accepts::One(one) => one == colour,
            Accepts::Two(one, two) => one == colour || two == colour,
        }
    }

    /// `None`: the filter panics.
    pub(crate) fn passes(&self, what: What) -> Option<bool> {
        let is_odd = key(what.key) % 2 == 1;
        match self.filter {
            Filter::None => Some(true),
            Filter::Panics if key(what.key) % 4 == 0 => None,
            Filter::OddKeys | Filter::Panics => Some(is_odd),
        }
    }

    /// What it does at its own pace can be seen by others: it has a limit, or it may close itself.
    pub(crate) fn is_tight(&self) -> bool {
        self.limit().is_some() || self.on_panic != OnPanic::Continue
    }

    /// The same without what makes no sense, and without what makes the outcome depend on an order that is nobody's
    /// promise. One subscription of a program reacts. If it is inline, it publishes only, and no other inline one
    /// is tight: which of the two runs first is open.
    pub(crate) fn tamed(mut self, reactor: Option<Runner>, tight_inline: bool) -> Self {
        if self.runner == Runner::Receiver || self.runner.batch().is_some() {
            self.face = match self.face.has_callbacks() && self.runner != Runner::Receiver {
                true => Face::MessagesAndCallbacks,
                false => Face::Messages,
            };
        }
        if self.runner == Runner::Receiver {
            self.fault = Fault::None;
            self.reaction = None;
        }
        let reactor_is_inline = reactor.is_some_and(Runner::is_inline);
        if self.runner.is_inline() && reactor_is_inline {
            self.policy = Policy::Spill;
            self.on_panic = OnPanic::Continue;
        }
        if self.changes {
            self.policy = Policy::Spill;
            // If it ended with others it would hear of some of them.
            self.on_panic = OnPanic::Continue;
        }
        let publishes = matches!(self.reaction, Some(Reaction::Publish { .. }));
        let legal_inline = self.runner == Runner::Inline && publishes && !tight_inline;
        if reactor.is_some() || !(self.runner.is_manual() || legal_inline) {
            self.reaction = None;
        }
        if self.reaction.is_some() && self.runner.is_inline() && self.policy == Policy::Block {
            // When it publishes in turn would depend on who waits for room before it.
            self.policy = Policy::Spill;
        }
        self
    }
}
