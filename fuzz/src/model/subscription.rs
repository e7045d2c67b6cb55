//! One subscription of the model: a list of what waits, the books, and the exact sequence that must be seen.

use super::program::{self, Policy, Spec, What};
use std::collections::VecDeque;

/// What a subscriber sees, in its order. Messages are known by the numbers that they carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    Item(u32),
    Gap(GapNotice),
    /// Subscription of that number came (true) or went.
    Change(usize, bool),
    Final(Totals),
    /// The same, by callback.
    GapTold(GapNotice),
    FinalTold(Totals),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GapNotice {
    pub(crate) count: u64,
    pub(crate) first: u32,
    pub(crate) last: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    Unsubscribed,
    TopicClosed,
    Evicted,
    HandlerPanicked,
    Shutdown,
}

/// The final message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Totals {
    pub(crate) reason: Reason,
    pub(crate) delivered: u64,
    pub(crate) shed: u64,
    pub(crate) discarded: u64,
    pub(crate) conflated: u64,
}

/// What waits.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Entry {
    Item {
        n: u32,
        what: What,
        marked: bool,
    },
    Change(usize, bool),
    /// Somebody flushes.
    Mark,
}

impl Entry {
    fn can_be_shed(self) -> bool {
        matches!(self, Self::Item { .. } | Self::Change(..))
    }

    fn key(self) -> Option<u8> {
        match self {
            Self::Item { what, .. } => Some(program::key(what.key)),
            _ => None,
        }
    }
}

/// What became of an offer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Offered {
    Taken,
    /// Taken, and an older one was shed for it, or left for it.
    TakenFor {
        older: Entry,
        shed: bool,
    },
    Shed,
    Failed,
    Evict,
    Wait,
    Closed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing to do, and nobody does it.
    AtRest,
    /// Somebody runs it, or is to.
    Due,
    Done(Totals),
}

#[derive(Debug)]
pub(crate) struct Sub {
    pub(crate) spec: Spec,
    pub(crate) topic: usize,
    /// Its closure filter is run by its consumer (D7).
    pub(crate) filters_itself: bool,
    pub(crate) has_handle: bool,
    pub(crate) is_open: bool,
    pub(crate) reason: Option<Reason>,
    pub(crate) state: State,
    pub(crate) executor_lost: bool,
    pub(crate) is_discarding: bool,
    /// It panicked, and its handler is still to get the final message.
    pub(crate) wants_last_words: bool,
    pub(crate) waiting: VecDeque<Entry>,
    /// What a batch handler gets next.
    pub(crate) ready: Vec<(Event, Option<What>)>,
    /// A message that a receiver's gap notice came before.
    pub(crate) behind_gap: Option<Entry>,
    pub(crate) gap: Option<GapNotice>,
    /// How many entries are to be taken before the notice is due.
    pub(crate) gap_in: usize,
    pub(crate) books: Books,
    pub(crate) seen: Vec<Event>,
}

#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Books {
    pub(crate) offered: u64,
    pub(crate) filtered: u64,
    pub(crate) shed: u64,
    pub(crate) conflated: u64,
    pub(crate) delivered: u64,
    pub(crate) discarded: u64,
    pub(crate) panics: u64,
    /// Of the filter, where publishers run it.
    pub(crate) filter_panics: u64,
}

impl Sub {
    pub(crate) fn new(spec: Spec, topic: usize, filters_itself: bool) -> Self {
        Self {
            spec,
            topic,
            filters_itself,
            has_handle: true,
            is_open: true,
            reason: None,
            state: State::AtRest,
            executor_lost: false,
            is_discarding: false,
            wants_last_words: false,
            waiting: VecDeque::new(),
            ready: Vec::new(),
            behind_gap: None,
            gap: None,
            gap_in: 0,
            books: Books::default(),
            seen: Vec::new(),
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        matches!(self.state, State::Done(_))
    }

    pub(crate) fn totals(&self) -> Totals {
        Totals {
            reason: self.reason.unwrap_or(Reason::Unsubscribed),
            delivered: self.books.delivered,
            shed: self.books.shed,
            discarded: self.books.discarded,
            conflated: self.books.conflated,
        }
    }

    /// Offers a message, or past every limit.
    pub(crate) fn offer(&mut self, entry: Entry, unlimited: bool) -> Offered {
        if !self.is_open {
            return Offered::Closed;
        }
        if unlimited {
            return self.take(entry);
        }
        match self.spec.policy {
            Policy::DropOldest => self.offer_for_oldest(entry),
            Policy::Conflate => {
                let same = |other: &Entry| other.key().is_some() && other.key() == entry.key();
                let Some(index) = self.waiting.iter().position(same) else {
                    return self.offer_for_oldest(entry);
                };
                self.books.conflated += 1;
                self.take_for(index, entry, false)
            }
            policy => {
                let has_room = |limit| self.waiting.len() < limit;
                if self.spec.limit().is_none_or(has_room) {
                    return self.take(entry);
                }
                match policy {
                    Policy::Evict => Offered::Evict,
                    Policy::Block => Offered::Wait,
                    Policy::Fail => self.shed(entry, Offered::Failed),
                    _ => self.shed(entry, Offered::Shed),
                }
            }
        }
    }

    fn offer_for_oldest(&mut self, entry: Entry) -> Offered {
        let full = self.waiting.iter().filter(|other| other.can_be_shed());
        if full.count() < self.spec.capacity() {
            return self.take(entry);
        }
        let oldest = self.waiting.iter().position(|other| other.can_be_shed());
        let oldest = oldest.expect("the capacity is not zero");
        self.note_gap(self.waiting[oldest], 0);
        self.take_for(oldest, entry, true)
    }

    fn take_for(&mut self, index: usize, entry: Entry, shed: bool) -> Offered {
        let older = self.waiting.remove(index).expect("it was found");
        let _ = self.take(entry);
        Offered::TakenFor { older, shed }
    }

    fn take(&mut self, entry: Entry) -> Offered {
        self.waiting.push_back(entry);
        self.books.offered += u64::from(!matches!(entry, Entry::Mark));
        Offered::Taken
    }

    /// The message itself is shed: the notice belongs behind all that waits now.
    pub(crate) fn shed(&mut self, entry: Entry, offered: Offered) -> Offered {
        self.note_gap(entry, self.waiting.len());
        offered
    }

    fn note_gap(&mut self, entry: Entry, behind: usize) {
        let Entry::Item { n, .. } = entry else {
            unreachable!("who hears of changes has no limit")
        };
        self.books.shed += 1;
        match &mut self.gap {
            Some(gap) => {
                gap.count += 1;
                gap.last = n;
            }
            None => {
                self.gap = Some(GapNotice {
                    count: 1,
                    first: n,
                    last: n,
                });
                self.gap_in = behind;
            }
        }
    }

    /// Takes the next entry, with the gap notice that belongs before it.
    pub(crate) fn next(&mut self) -> Option<(Entry, Option<GapNotice>)> {
        let entry = self.waiting.pop_front()?;
        if self.gap_in > 0 {
            self.gap_in -= 1;
            return Some((entry, None));
        }
        Some((entry, self.gap.take()))
    }

    /// What its own closure filter says, where that is run here.
    pub(crate) fn passes(&mut self, what: What) -> bool {
        if !self.filters_itself || self.is_discarding {
            return true;
        }
        let passes = self.spec.passes(what);
        self.books.panics += u64::from(passes.is_none());
        let passes = passes == Some(true);
        self.books.filtered += u64::from(!passes);
        passes
    }
}
