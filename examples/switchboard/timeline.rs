//! The subscriber that every call has on its own topic: it follows the call from the first change to
//! the last and notes each one that does not follow the one before.

use crate::consumer::{Consumer, Finding, Outcome};
use crate::snapshot::{LegSnapshot, LegState};

/// Follows one call.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    latest: Option<LegState>,
    seen: u64,
    disorder: u64,
}

impl Consumer for Timeline {
    fn see(&mut self, snapshot: &LegSnapshot) {
        self.seen += 1;
        let follows = match self.latest {
            None => snapshot.state == LegState::Arrived,
            Some(latest) => latest.may_become(snapshot.state),
        };
        if !follows || u64::from(snapshot.change) != self.seen {
            self.disorder += 1;
        }
        self.latest = Some(snapshot.state);
    }

    fn finish(&mut self) -> Outcome {
        if !self.latest.is_some_and(LegState::is_ended) {
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
    use std::time::Instant;

    use super::*;
    use crate::snapshot::{Cause, Times};

    fn disorder(states: &[(u32, LegState)]) -> u64 {
        let mut timeline = Timeline::default();
        for (change, state) in states {
            timeline.see(&LegSnapshot {
                leg: 1,
                call_id: "a".into(),
                caller: "b".into(),
                called: "c".into(),
                change: *change,
                state: *state,
                times: Times::default(),
                published: Instant::now(),
            });
        }
        let Finding::Timeline { disorder } = timeline.finish().result else {
            panic!("a timeline finds a timeline");
        };
        disorder
    }

    #[test]
    fn sees_what_is_missing_or_misplaced() {
        let ended = LegState::Ended(Cause::Cancelled);
        let (arrived, ringing) = (LegState::Arrived, LegState::Ringing);
        assert_eq!(disorder(&[(1, arrived), (2, ringing), (3, ended)]), 0);
        assert_eq!(disorder(&[(1, arrived), (3, ended)]), 1);
        assert_eq!(disorder(&[(2, ringing), (1, arrived), (3, ended)]), 2);
        assert_eq!(disorder(&[(1, arrived), (2, ringing)]), 1);
        assert_eq!(disorder(&[]), 1);
    }
}
