//! What the threads do: the input of the target `races`, decoded from bytes.

use arbitrary::Arbitrary;

pub(crate) const THREADS: usize = 3;
/// The last one has total order (D7).
pub(crate) const TOPICS: usize = 3;
pub(crate) const SLOTS: usize = 4;
pub(crate) const MAX_ROUNDS: usize = 4;
/// For one thread, in one round.
pub(crate) const MAX_OPS: usize = 12;
/// Each handler publishes so many times at most.
pub(crate) const MAX_ECHOES: u32 = 3;

#[derive(Arbitrary, Debug)]
pub(crate) struct Program {
    /// It has a bus of its own, which may be shut down; else one that lives on.
    pub(crate) own_bus: bool,
    /// Before the race.
    pub(crate) subscribed: [Option<(u8, Spec)>; SLOTS],
    /// All threads begin a round together.
    pub(crate) rounds: Vec<[Ops; THREADS]>,
}

#[derive(Arbitrary, Debug)]
pub(crate) struct Ops(pub(crate) Vec<Op>);

#[derive(Arbitrary, Debug, Clone, Copy)]
pub(crate) enum Op {
    Publish {
        topic: u8,
    },
    PublishBatch {
        topic: u8,
        count: u8,
    },
    /// With some time to wait.
    PublishSync {
        topic: u8,
        slot: u8,
    },
    Subscribe {
        slot: u8,
        topic: u8,
        spec: Spec,
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
    /// Unsubscribes, and waits for the end if nobody here has to bring it about.
    Join {
        slot: u8,
    },
    Flush {
        slot: u8,
    },
    /// Runs tasks of the executor that all threads share.
    Run {
        tasks: u8,
    },
    Receive {
        slot: u8,
        count: u8,
    },
    Forward {
        slot: u8,
        from: u8,
        to: u8,
    },
    Cancel {
        slot: u8,
    },
    CloseTopic {
        topic: u8,
    },
    Shutdown,
    Yield,
}

#[derive(Arbitrary, Debug, Clone, Copy)]
pub(crate) struct Spec {
    pub(crate) runner: Runner,
    pub(crate) policy: Policy,
    pub(crate) capacity: u8,
    /// Only messages of even numbers.
    pub(crate) filter: bool,
    /// In batches of so many.
    pub(crate) batch: Option<u8>,
    pub(crate) reaction: Reaction,
}

#[derive(Arbitrary, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Runner {
    Pool,
    Inline,
    Manual,
    Receiver,
    OwnThread,
}

#[derive(Arbitrary, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    Spill,
    SpillLimit,
    Block,
    DropOldest,
    DropNewest,
    Fail,
    Evict,
}

#[derive(Arbitrary, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reaction {
    None,
    /// Publishes there, some times.
    Echo {
        topic: u8,
    },
    /// Unsubscribes who is in that slot.
    Unsubscribe {
        slot: u8,
    },
    /// Lets go of its executor's other tasks for a while.
    Yield,
}

impl Spec {
    pub(crate) fn capacity(&self) -> usize {
        1 + usize::from(self.capacity % 4)
    }

    pub(crate) fn passes(&self, number: u32) -> bool {
        !self.filter || number % 2 == 0
    }

    /// Somebody of the program's has to bring about its end.
    pub(crate) fn is_run_by_hand(&self) -> bool {
        matches!(self.runner, Runner::Manual | Runner::Receiver)
    }
}
