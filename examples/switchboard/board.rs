//! The live board: what the calls are doing and how many come and go, on one line of a terminal.
//!
//! It has a thread of its own, which looks at what has changed and draws. It begins with the calls that there
//! are, and its subscription is conflated by channel, so a slow terminal costs it the states in between and nobody anything else. Where there is
//! no terminal it counts and draws nothing.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use stasis_bus::channels::{ChannelSnapshot, ChannelUpdate};

use crate::channel::state_of;
use crate::consumer::{Consumer, Finding, Outcome};
use crate::snapshot::LegState;

/// How long it rests between two looks, and so how often it is drawn at most.
pub(crate) const REDRAW: Duration = Duration::from_millis(50);
/// Rates are taken over this long.
const WINDOW: Duration = Duration::from_secs(3);

/// The board.
#[derive(Debug)]
pub(crate) struct Board {
    line: ProgressBar,
    /// Calls that have not ended, by the ids of their channels.
    active: HashMap<String, Option<LegState>>,
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

    /// That is how a call stands. Of a call that ends nothing comes after that.
    pub(crate) fn take(&mut self, channel: &ChannelSnapshot) {
        let state = (!channel.ended).then(|| state_of(channel));
        let known = match state {
            Some(state) => self.active.insert(channel.id().to_owned(), state),
            None => self.active.remove(channel.id()),
        };
        self.begun += u64::from(known.is_none());
        self.ended += u64::from(channel.ended);
    }

    /// The line that is drawn.
    pub(crate) fn text(&mut self, now: Instant) -> String {
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
                .filter(|other| **other == Some(state))
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
    type Seen = ChannelUpdate;

    fn see(&mut self, update: &ChannelUpdate) {
        self.seen += 1;
        self.take(&update.new);
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
    use crate::channel::tests::updates;
    use crate::snapshot::Cause;

    #[test]
    fn counts_calls_of_which_it_saw_only_the_end() {
        let mut board = Board::new(ProgressBar::hidden());
        let ended = LegState::Ended(Cause::HungUp);
        board.see(&updates(1, &[LegState::Arrived, ended])[1]);
        let up = [
            LegState::Arrived,
            LegState::Ringing,
            LegState::Answered,
            LegState::Up,
        ];
        board.see(&updates(3, &up)[3]);
        let text = board.text(Instant::now());
        assert!(
            text.starts_with("2 calls, 1 ended, 0 ringing, 1 up"),
            "{text}"
        );
    }

    #[test]
    fn counts_a_call_once_that_it_began_with() {
        let mut board = Board::new(ProgressBar::hidden());
        let ended = LegState::Ended(Cause::Cancelled);
        let updates = updates(1, &[LegState::Arrived, LegState::Ringing, ended]);
        board.take(&updates[1].new);
        for update in &updates {
            board.see(update);
        }
        let text = board.text(Instant::now());
        assert!(text.starts_with("1 calls, 1 ended, 0 ringing"), "{text}");
        assert_eq!(board.finish().seen, 3, "what it began with is no change");
    }
}
