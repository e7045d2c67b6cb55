//! A call leg: one caller's call, from its INVITE to its end. It knows its state and what is needed
//! to answer its caller; what makes it change is decided in `switchboard`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::message::{Echo, Request};
use crate::snapshot::{LegSnapshot, LegState, Moment, Times};
use crate::transaction::{Key, LINGER};

/// A call that rings for longer is ended with 480.
const RING_LIMIT: Duration = Duration::from_secs(60);
/// A call that is up for longer is ended with a BYE.
const TALK_LIMIT: Duration = Duration::from_secs(3600);

/// What names a call from its caller's side.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct DialogId {
    call_id: String,
    from_tag: String,
}

/// A call leg that has not ended.
#[derive(Debug)]
pub(crate) struct Leg {
    /// Its latest snapshot.
    pub(crate) latest: LegSnapshot,
    /// Our tag.
    pub(crate) to_tag: String,
    /// The transaction of its INVITE.
    pub(crate) invite: Arc<Key>,
    /// What an answer to its INVITE repeats.
    pub(crate) echo: Echo,
    /// The caller's latest CSeq.
    pub(crate) cseq: u32,
    /// The caller's Contact URI.
    pub(crate) contact: Option<String>,
    /// Record-Route of its INVITE.
    pub(crate) record_route: Vec<String>,
    /// Where its INVITE came from.
    pub(crate) source: SocketAddr,
}

impl DialogId {
    /// The call that a request belongs to.
    pub(crate) fn of(request: &Request) -> DialogId {
        DialogId {
            call_id: request.call_id.clone(),
            from_tag: request.from_tag.clone(),
        }
    }
}

impl Leg {
    /// The leg that an INVITE begins.
    pub(crate) fn new(
        number: u64,
        request: &Request,
        invite: Arc<Key>,
        source: SocketAddr,
        now: Moment,
    ) -> Leg {
        let latest = LegSnapshot {
            leg: number,
            call_id: request.call_id.as_str().into(),
            caller: request.caller.as_str().into(),
            called: request.called.as_str().into(),
            change: 1,
            state: LegState::Arrived,
            times: Times {
                arrived: now,
                ..Times::default()
            },
            published: Instant::now(),
        };
        Leg {
            latest,
            to_tag: to_tag(request),
            invite,
            echo: request.echo.clone(),
            cseq: request.cseq,
            contact: request.contact.clone(),
            record_route: request.record_route.clone(),
            source,
        }
    }

    /// Goes on to `state`.
    pub(crate) fn advance(&mut self, state: LegState, now: Moment) {
        let latest = &mut self.latest;
        debug_assert!(
            latest.state.may_become(state),
            "{:?} to {state:?}",
            latest.state
        );
        latest.state = state;
        latest.change += 1;
        latest.published = Instant::now();
        match state {
            LegState::Arrived => latest.times.arrived = now,
            LegState::Ringing => latest.times.ringing = Some(now),
            LegState::Answered => latest.times.answered = Some(now),
            LegState::Up => latest.times.up = Some(now),
            LegState::Ended(_) => latest.times.ended = Some(now),
        }
    }

    /// Until when it may stay as it is.
    pub(crate) fn deadline(&self) -> Option<Moment> {
        let Times {
            ringing,
            answered,
            up,
            ..
        } = self.latest.times;
        match self.latest.state {
            LegState::Arrived | LegState::Ended(_) => None,
            LegState::Ringing => ringing.map(|at| at + RING_LIMIT),
            LegState::Answered => answered.map(|at| at + LINGER),
            LegState::Up => up.map(|at| at + TALK_LIMIT),
        }
    }
}

/// Our tag for the dialog that `request` begins.
///
/// It is a hash (FNV-1a) of what makes the request unique rather than a random number, so that the
/// requests of a capture fit the dialogs of its replay.
pub(crate) fn to_tag(request: &Request) -> String {
    let cseq = request.cseq.to_string();
    let parts = [&request.call_id, &request.from_tag, &request.branch, &cseq];
    let hash = parts
        .iter()
        .flat_map(|part| part.bytes().chain([0]))
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
    format!("{hash:016x}")
}
