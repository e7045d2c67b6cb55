//! The state of a call leg at one moment. A snapshot never changes: the next change is the next
//! snapshot. It is what the switchboard publishes, and all that its subscribers know of SIP.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A point in time, since the Unix epoch: the clock's when live, the capture's in a replay.
pub(crate) type Moment = Duration;

/// A call leg after one of its changes.
#[derive(Clone, Debug)]
pub(crate) struct LegSnapshot {
    /// Number of the leg, from 1 in order of arrival.
    pub(crate) leg: u64,
    /// Call-ID of its INVITE.
    pub(crate) call_id: Arc<str>,
    /// Who calls.
    pub(crate) caller: Arc<str>,
    /// Who is called.
    pub(crate) called: Arc<str>,
    /// Which change of the leg this is, from 1.
    pub(crate) change: u32,
    /// What it is doing now.
    pub(crate) state: LegState,
    /// When it came to each of its states.
    pub(crate) times: Times,
    /// When this snapshot was published, on the clock that latency is measured with.
    pub(crate) published: Instant,
}

/// When a leg came to its states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) arrived: Moment,
    pub(crate) ringing: Option<Moment>,
    pub(crate) answered: Option<Moment>,
    pub(crate) up: Option<Moment>,
    pub(crate) ended: Option<Moment>,
}

/// What a leg is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LegState {
    /// Its INVITE was read.
    Arrived,
    /// 180 was sent.
    Ringing,
    /// 200 was sent; the caller has not acknowledged it.
    Answered,
    /// ACK was read: both sides know that the call is up.
    Up,
    /// Over. No change follows.
    Ended(Cause),
}

/// Why a leg ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The caller hung up (BYE).
    HungUp,
    /// Refused with this status.
    Rejected(u16),
    /// The caller gave up while it rang (CANCEL).
    Cancelled,
    /// It rang for too long.
    NoAnswer,
    /// The caller never acknowledged the answer.
    NoAck,
    /// It was up for too long.
    TooLong,
    /// The switchboard was stopped.
    Stopped,
}

impl LegState {
    /// Whether a leg in this state may change to `next`.
    pub(crate) fn may_become(self, next: LegState) -> bool {
        use LegState::{Answered, Arrived, Ended, Ringing, Up};
        match (self, next) {
            (Arrived, Ringing) | (Ringing, Answered) | (Answered, Up) => true,
            (Arrived | Ringing | Answered | Up, Ended(_)) => true,
            (Arrived | Ringing | Answered | Up | Ended(_), _) => false,
        }
    }

    /// Whether the leg is over.
    pub(crate) fn is_ended(self) -> bool {
        matches!(self, LegState::Ended(_))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cause::HungUp => "hung up",
            Cause::Rejected(_) => "rejected",
            Cause::Cancelled => "cancelled",
            Cause::NoAnswer => "no answer",
            Cause::NoAck => "no acknowledgement",
            Cause::TooLong => "too long",
            Cause::Stopped => "stopped",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_follows_the_end() {
        let ended = LegState::Ended(Cause::HungUp);
        let all = [
            LegState::Arrived,
            LegState::Ringing,
            LegState::Answered,
            LegState::Up,
            ended,
        ];
        assert!(all.iter().all(|next| !ended.may_become(*next)));
        assert!(all[..4].iter().all(|state| state.may_become(ended)));
        assert!(!LegState::Up.may_become(LegState::Ringing));
    }
}
