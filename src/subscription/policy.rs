//! What a mailbox does with a message that it has no room for, and why one does not wait: the overflow
//! policy, as its books keep it, in two words: most mailboxes need no more.

use super::budget::Budget;
use super::options::Overflow;
use super::waiting::Waiter;
use crate::queue::ring::MAX_SLOTS;
use crate::queue::room::RoomWaiters;
use crate::sync::unmodelled::Arc;
use std::time::Duration;

/// Why a message does not wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// For want of room.
    Shed,
    /// The same, and the publisher wants to know.
    Failed,
    /// There is no room, and the subscription is to be closed for that.
    Evict,
    /// There is no room, and the publisher waits for some.
    Wait,
    Closed,
}

/// See the module.
#[derive(Debug)]
pub(super) enum Policy {
    /// As far as the budget goes.
    Spill(Arc<Budget>),
    /// So far at most.
    SpillUpTo(Box<(u64, Arc<Budget>)>),
    Block(Box<Blocking>),
    DropNewest,
    Fail,
    Evict,
    DropOldest,
    Conflate,
}

#[derive(Debug)]
pub(super) struct Blocking {
    pub(super) timeout: Option<Duration>,
    pub(super) room: RoomWaiters<Waiter>,
}

impl Policy {
    /// The policy, and how many messages wait at most before it matters.
    pub(super) fn new(overflow: &Overflow, capacity: usize, budget: &Arc<Budget>) -> (Self, u64) {
        match overflow {
            Overflow::Spill { limit } => {
                let budget = Arc::clone(budget);
                let limit = limit.unwrap_or(u64::MAX);
                let policy = match limit {
                    u64::MAX => Self::Spill(budget),
                    _ => Self::SpillUpTo(Box::new((limit, budget))),
                };
                let slots = capacity.min(MAX_SLOTS).next_power_of_two() as u64;
                (policy, limit.min(slots))
            }
            Overflow::Block { timeout } => {
                let blocking = Blocking {
                    timeout: *timeout,
                    room: RoomWaiters::new(),
                };
                (Self::Block(Box::new(blocking)), capacity as u64)
            }
            Overflow::DropNewest => (Self::DropNewest, capacity as u64),
            Overflow::Fail => (Self::Fail, capacity as u64),
            Overflow::Evict => (Self::Evict, capacity as u64),
            Overflow::DropOldest => (Self::DropOldest, capacity as u64),
            Overflow::Conflate(_) => (Self::Conflate, capacity as u64),
        }
    }

    /// How far it spills, and at whose expense, if it does.
    pub(super) fn spills(&self) -> Option<(u64, &Budget)> {
        match self {
            Self::Spill(budget) => Some((u64::MAX, budget)),
            Self::SpillUpTo(limited) => Some((limited.0, &limited.1)),
            _ => None,
        }
    }
}
