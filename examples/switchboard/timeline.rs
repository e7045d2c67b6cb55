//! The subscriber that every call has on its own topic: it follows the call from the first change to
//! the last and notes each one that does not go on from the very snapshot that it saw before, or that no
//! call makes.

use std::sync::Arc;

use stasis_bus::channels::{ChannelSnapshot, ChannelUpdate};

use crate::channel::state_of;
use crate::consumer::{Consumer, Finding, Outcome};
use crate::snapshot::LegState;

/// Follows one call.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    latest: Option<Arc<ChannelSnapshot>>,
    seen: u64,
    disorder: u64,
}

impl Consumer for Timeline {
    type Seen = ChannelUpdate;

    fn see(&mut self, update: &ChannelUpdate) {
        self.seen += 1;
        let (old, new) = (&update.old, &update.new);
        let goes_on = match (&self.latest, old) {
            (None, None) => true,
            (Some(latest), Some(old)) => Arc::ptr_eq(latest, old),
            _ => false,
        };
        let follows = match (old.as_deref().map(state_of), state_of(new)) {
            (None, Some(state)) => state == LegState::Arrived,
            (Some(Some(old)), Some(state)) => old.may_become(state),
            _ => false,
        };
        if !goes_on || !follows {
            self.disorder += 1;
        }
        self.latest = Some(Arc::clone(new));
    }

    fn finish(&mut self) -> Outcome {
        if !self.latest.as_ref().is_some_and(|latest| latest.ended) {
            self.disorder += 1;
        }
        Outcome {
            seen: self.seen,
            result: Finding::Timeline {
                disorder: self.disorder,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::tests::updates;
    use crate::snapshot::Cause;

    /// What it finds if it sees only those of the updates.
    fn disorder(states: &[LegState], seen: &[usize]) -> u64 {
        let updates = updates(1, states);
        let mut timeline = Timeline::default();
        for index in seen {
            timeline.see(&updates[*index]);
        }
        let Finding::Timeline { disorder } = timeline.finish().result else {
            panic!("a timeline finds a timeline");
        };
        disorder
    }

    #[test]
    fn sees_what_is_missing_or_misplaced() {
        let ended = LegState::Ended(Cause::Cancelled);
        let states = [LegState::Arrived, LegState::Ringing, ended];
        assert_eq!(disorder(&states, &[0, 1, 2]), 0);
        assert_eq!(disorder(&states, &[0, 2]), 1);
        assert_eq!(disorder(&states, &[1, 2]), 1);
        assert_eq!(disorder(&states, &[0, 1, 1, 2]), 1);
        assert_eq!(disorder(&states, &[1, 0, 2]), 3);
        assert_eq!(disorder(&states[..2], &[0, 1]), 1);
        assert_eq!(disorder(&states, &[]), 1);
    }
}
