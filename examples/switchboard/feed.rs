//! Stand-in.

use std::path::Path;

use crate::board::Board;
use crate::cdr::Cdr;
use crate::consumer::{Consumer, Outcome};
use crate::failure::Failure;
use crate::latency::Latency;
use crate::snapshot::LegSnapshot;
use crate::switchboard::Outlet;
use crate::timeline::Timeline;
use crate::totals::{Ended, Totals};
use std::collections::HashMap;

pub(crate) struct Feed {
    cdr: Cdr,
    board: Board,
    latency: Latency,
    legs: HashMap<u64, Timeline>,
    totals: Totals,
}

impl Feed {
    pub(crate) fn new(cdr: &Path, board: Board) -> Result<Feed, Failure> {
        let totals = Totals {
            subscriptions: 3,
            ..Totals::default()
        };
        let (cdr, latency) = (Cdr::create(cdr)?, Latency::new()?);
        Ok(Feed {
            cdr,
            board,
            latency,
            legs: HashMap::new(),
            totals,
        })
    }

    pub(crate) fn finish(mut self) -> Result<Totals, Failure> {
        for outcome in [
            self.cdr.finish(),
            self.board.finish(),
            self.latency.finish(),
        ] {
            self.totals.end(ended(outcome));
        }
        Ok(self.totals)
    }
}

fn ended(outcome: Outcome) -> Ended {
    Ended {
        delivered: outcome.seen,
        shed: 0,
        discarded: 0,
        outcome,
    }
}

impl Outlet for Feed {
    fn publish(&mut self, snapshot: LegSnapshot) {
        self.totals.published += 1;
        if snapshot.change == 1 {
            self.totals.subscriptions += 1;
            self.legs.insert(snapshot.leg, Timeline::default());
        }
        self.latency.see(&snapshot);
        self.board.see(&snapshot);
        if let Some(timeline) = self.legs.get_mut(&snapshot.leg) {
            timeline.see(&snapshot);
        }
        if snapshot.state.is_ended() {
            self.cdr.see(&snapshot);
            if let Some(mut timeline) = self.legs.remove(&snapshot.leg) {
                self.totals.end(ended(timeline.finish()));
            }
        }
    }
}
