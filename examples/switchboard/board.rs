//! The live board: what the calls are doing and how many come and go, on one line of a terminal.
//!
//! It has a thread of its own, which looks at what has changed and draws. Its subscription is conflated
//! by call, so a slow terminal costs it the states in between and nobody anything else. Where there is
//! no terminal it counts and draws nothing.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::consumer::{Consumer, Finding, Outcome};
use crate::snapshot::{LegSnapshot, LegState};

/// How long it rests between two looks, and so how often it is drawn at most.
pub(crate) const REDRAW: Duration = Duration::from_millis(50);
/// Rates are taken over this long.
const WINDOW: Duration = Duration::from_secs(3);

/// The board.
#[derive(Debug)]
pub(crate) struct Board {
    line: ProgressBar,
    /// Calls that have not ended.
    active: HashMap<u64, LegState>,
    /// The highest number of a call: as many have begun.
    begun: u64,
    ended: u64,
    seen: u64,
    /// Snapshots that were shed because too many calls changed between two looks.
    missed: u64,
    /// How many had begun and ended at some moments of the last `WINDOW`.
    history: VecDeque<(Instant, u64, u64)>,
}

impl Board {
    /// A board that is drawn on `line`.
    pub(crate) fn new(line: ProgressBar) -> Board {
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            line.set_style(style);
        }
        Board {
            line,
            active: HashMap::new(),
            begun: 0,
            ended: 0,
            seen: 0,
            missed: 0,
            history: VecDeque::from([(Instant::now(), 0, 0)]),
        }
    }

    /// Draws what is known.
    pub(crate) fn draw(&mut self) {
        if self.line.is_hidden() {
            return;
        }
        let text = self.text(Instant::now());
        self.line.set_message(text);
        self.line.tick();
    }

    /// So many snapshots will not come. Of the calls that they were about nothing is known any more.
    pub(crate) fn miss(&mut self, count: u64) {
        self.missed += count;
    }

    fn text(&mut self, now: Instant) -> String {
        self.history.push_back((now, self.begun, self.ended));
        while self.history.len() > 2 && now.duration_since(self.history[1].0) >= WINDOW {
            self.history.pop_front();
        }
        let (since, begun, ended) = self.history[0];
        let seconds = now
            .duration_since(since)
            .as_secs_f64()
            .max(f64::MIN_POSITIVE);
        let rate = |now: u64, then: u64| (now - then) as f64 / seconds;
        let in_state = |state| {
            self.active
                .values()
                .filter(|other| **other == state)
                .count()
        };
        let mut text = format!(
            "{} calls, {} ended, {} ringing, {} up | {:.0} begin and {:.0} end a second",
            self.begun,
            self.ended,
            in_state(LegState::Ringing),
            in_state(LegState::Answered) + in_state(LegState::Up),
            rate(self.begun, begun),
            rate(self.ended, ended),
        );
        if self.missed > 0 {
            text += &format!(" | {} changes missed", self.missed);
        }
        text
    }
}

impl Consumer for Board {
    fn see(&mut self, snapshot: &LegSnapshot) {
        self.seen += 1;
        self.begun = self.begun.max(snapshot.leg);
        if snapshot.state.is_ended() {
            self.active.remove(&snapshot.leg);
            self.ended += 1;
        } else {
            self.active.insert(snapshot.leg, snapshot.state);
        }
    }

    /// Takes it off the terminal.
    fn finish(&mut self) -> Outcome {
        self.line.finish_and_clear();
        Outcome {
            seen: self.seen,
            result: Finding::Board,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{Cause, Times};

    #[test]
    fn counts_calls_of_which_it_saw_only_the_end() {
        let mut board = Board::new(ProgressBar::hidden());
        let snapshot = |leg, state| LegSnapshot {
            leg,
            call_id: "a".into(),
            caller: "b".into(),
            called: "c".into(),
            change: 1,
            state,
            times: Times::default(),
            published: Instant::now(),
        };
        board.see(&snapshot(1, LegState::Ended(Cause::HungUp)));
        board.see(&snapshot(3, LegState::Up));
        let text = board.text(Instant::now());
        assert!(
            text.starts_with("3 calls, 1 ended, 0 ringing, 1 up"),
            "{text}"
        );
    }
}
