//! The model's publish, and the runs that follow from it: who is offered what, who is run when, what handlers do.

use super::program::{Colour, Fault, MAX_BATCH, OnPanic, Reaction, Runner, TOPICS, What};
use super::subscription::{Entry, Event, GapNotice, Offered, Reason, State};
use super::world::{Handled, Model};

/// What became of a publish, or why there was none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Published {
    To(Receipt),
    /// Somebody who fails when full was full.
    Full(Receipt),
    Closed,
    ShutDown,
    Declined,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Receipt {
    pub(crate) offered: u64,
    pub(crate) filtered: u64,
    pub(crate) shed: u64,
    pub(crate) closed: u64,
}

/// What follows from offers, once they are over.
#[derive(Debug, Default)]
struct After {
    woken: Vec<usize>,
    evicted: Vec<usize>,
    waiting: Vec<(usize, Entry)>,
    has_failed: bool,
    /// Who has no room takes it all the same: nobody has the time to wait.
    has_no_time: bool,
}

/// One who waits for its message to be handled is told this in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimedOut;

impl Model {
    fn admits(&self, topic: usize, colour: Colour) -> Result<(), Published> {
        match self.topics[topic].is_closed {
            _ if colour == Colour::Grey => Err(Published::Declined),
            true if self.is_shut_down => Err(Published::ShutDown),
            true => Err(Published::Closed),
            false => Ok(()),
        }
    }

    pub(crate) fn publish(&mut self, topic: usize, what: What, count: u32) -> Published {
        let first = self.made;
        self.made += count;
        if count == 0 {
            return Published::To(Receipt::default());
        }
        if let Err(refused) = self.admits(topic, what.colour) {
            return refused;
        }
        let mut after = After::default();
        let mut receipt = Receipt::default();
        for n in first..first + count {
            self.offer_to_all(topic, n, what, None, &mut receipt, &mut after);
            if !(after.waiting.is_empty() && after.evicted.is_empty()) {
                self.settle(&mut after, &mut receipt);
            }
        }
        self.settle(&mut after, &mut receipt);
        match after.has_failed {
            true => Published::Full(receipt),
            false => Published::To(receipt),
        }
    }

    /// `Ok(None)`: refused.
    pub(crate) fn publish_sync(
        &mut self,
        topic: usize,
        sub: usize,
        what: What,
    ) -> Result<Option<Handled>, TimedOut> {
        let n = self.made;
        self.made += 1;
        if self.admits(topic, what.colour).is_err() {
            return Ok(None);
        }
        self.handled = None;
        self.awaited = n;
        let mut after = After {
            has_no_time: true,
            ..After::default()
        };
        let mut receipt = Receipt::default();
        let is_offered = self.offer_to_all(topic, n, what, Some(sub), &mut receipt, &mut after);
        self.settle(&mut after, &mut receipt);
        if !is_offered {
            // Why not is asked when all is over.
            self.handled = Some(match self.listening(topic).contains(&sub) {
                _ if !self.subs[sub].is_open => Handled::Closed,
                true => Handled::Filtered,
                false => Handled::NotSubscribed,
            });
        }
        self.handled.take().map(Some).ok_or(TimedOut)
    }

    /// `Ok(false)`: it has ended.
    pub(crate) fn flush(&mut self, sub: usize) -> Result<bool, TimedOut> {
        if !self.subs[sub].is_open {
            return Ok(false);
        }
        let _ = self.subs[sub].offer(Entry::Mark, true);
        self.wake(vec![sub]);
        match self.subs[sub].spec.runner.is_inline() {
            true => Ok(true),
            false if self.subs[sub].is_done() => Ok(false), // its executor was lost
            false => Err(TimedOut),
        }
    }

    pub(crate) fn announce(&mut self, about: usize, came: bool) {
        let mut after = After::default();
        for sub in self.listening(self.subs[about].topic) {
            if sub != about && self.subs[sub].spec.changes {
                let offered = self.subs[sub].offer(Entry::Change(about, came), false);
                self.note(
                    sub,
                    Entry::Mark,
                    offered,
                    &mut Receipt::default(),
                    &mut after,
                );
            }
        }
        self.settle(&mut after, &mut Receipt::default());
    }

    fn offer_to_all(
        &mut self,
        topic: usize,
        n: u32,
        what: What,
        marked: Option<usize>,
        receipt: &mut Receipt,
        after: &mut After,
    ) -> bool {
        let mut is_marked_offered = false;
        for sub in self.listening(topic) {
            let this = &mut self.subs[sub];
            let mut passes = this.spec.accepts(what.colour);
            if passes && !this.filters_itself {
                let verdict = this.spec.passes(what);
                passes = verdict == Some(true);
                this.books.filter_panics += u64::from(verdict.is_none());
                this.books.filtered += u64::from(!passes);
            }
            let marked = marked == Some(sub);
            if passes {
                is_marked_offered |= marked;
                let entry = Entry::Item { n, what, marked };
                let offered = this.offer(entry, false);
                self.note(sub, entry, offered, receipt, after);
            } else {
                receipt.filtered += 1;
            }
        }
        is_marked_offered
    }

    fn note(
        &mut self,
        sub: usize,
        entry: Entry,
        offered: Offered,
        receipt: &mut Receipt,
        after: &mut After,
    ) {
        match offered {
            Offered::Taken => {
                receipt.offered += 1;
                after.woken.push(sub);
            }
            Offered::TakenFor { older, shed } => {
                receipt.offered += 1;
                receipt.shed += u64::from(shed);
                after.woken.push(sub);
                self.tell(older, Handled::Shed);
            }
            Offered::Shed | Offered::Failed => {
                receipt.shed += 1;
                after.has_failed |= matches!(offered, Offered::Failed);
                self.tell(entry, Handled::Shed);
            }
            Offered::Evict => {
                receipt.closed += 1;
                after.evicted.push(sub);
                self.tell(entry, Handled::Closed);
            }
            Offered::Closed => {
                receipt.closed += 1;
                self.tell(entry, Handled::Closed);
            }
            Offered::Wait => after.waiting.push((sub, entry)),
        }
    }

    fn tell(&mut self, entry: Entry, handled: Handled) {
        // Those who waited for others have gone.
        if matches!(entry, Entry::Item { n, marked: true, .. } if n == self.awaited) {
            self.handled = Some(handled);
        }
    }

    pub(crate) fn wake(&mut self, woken: Vec<usize>) {
        let mut after = After {
            woken,
            ..After::default()
        };
        self.settle(&mut after, &mut Receipt::default());
    }

    fn settle(&mut self, after: &mut After, receipt: &mut Receipt) {
        for sub in std::mem::take(&mut after.woken) {
            if self.subs[sub].state != State::AtRest {
                continue;
            }
            self.subs[sub].state = State::Due;
            if self.subs[sub].spec.runner.is_inline() {
                self.pending.push(sub);
            } else if self.subs[sub].executor_lost {
                self.abandon(sub);
            }
        }
        for sub in std::mem::take(&mut after.evicted) {
            self.close(sub, Reason::Evicted);
        }
        if !after.waiting.is_empty() {
            self.run_pending();
            self.offer_again(after, receipt);
        }
        self.run_pending();
    }

    /// Mailboxes that block have no time to wait here, and shed; past their limits they go where publishers have none
    /// (R1b).
    fn offer_again(&mut self, after: &mut After, receipt: &mut Receipt) {
        let unlimited = self.in_handler || after.has_no_time;
        let mut late = After::default();
        for (sub, entry) in std::mem::take(&mut after.waiting) {
            let offered = match self.subs[sub].offer(entry, unlimited) {
                Offered::Wait => self.subs[sub].shed(entry, Offered::Shed),
                other => other,
            };
            self.note(sub, entry, offered, receipt, &mut late);
        }
        self.settle(&mut late, receipt);
    }

    /// Inline subscriptions run as soon as no handler does.
    fn run_pending(&mut self) {
        while !self.in_handler && !self.pending.is_empty() {
            let sub = self.pending.remove(0);
            self.run(sub);
        }
    }

    /// Runs a subscription until it is at rest, or done.
    pub(crate) fn run(&mut self, sub: usize) {
        loop {
            while let Some((entry, gap)) = self.subs[sub].next() {
                if let Some(gap) = gap {
                    self.deliver_gap(sub, gap);
                }
                self.deliver(sub, entry);
                if self.subs[sub].spec.runner.is_manual() {
                    self.run_pending();
                }
            }
            self.deliver_last_gap(sub);
            self.flush_batch(sub);
            let this = &mut self.subs[sub];
            if !this.waiting.is_empty() || this.gap.is_some() {
                continue;
            }
            if this.is_open {
                this.state = State::AtRest;
            } else {
                self.finish(sub);
            }
            return;
        }
    }

    fn deliver_last_gap(&mut self, sub: usize) {
        if let Some(gap) = self.subs[sub].gap.take() {
            self.subs[sub].gap_in = 0;
            self.deliver_gap(sub, gap);
        }
    }

    fn deliver(&mut self, sub: usize, entry: Entry) {
        let is_marked = matches!(entry, Entry::Mark | Entry::Item { marked: true, .. });
        if is_marked {
            self.flush_batch(sub);
        }
        let (event, what) = match entry {
            Entry::Mark => return,
            Entry::Change(about, came) => (Event::Change(about, came), None),
            Entry::Item { n, what, .. } => (Event::Item(n), Some(what)),
        };
        if what.is_some_and(|what| !self.subs[sub].passes(what)) {
            return self.tell(entry, Handled::Filtered);
        }
        let this = &mut self.subs[sub];
        if this.is_discarding {
            this.books.discarded += 1;
            return self.tell(entry, Handled::Closed);
        }
        let panics = this.books.panics;
        match this.spec.runner.batch() {
            None => {
                // It is delivered when the handler has returned, or panicked.
                self.call(sub, &[(event, what)]);
                self.subs[sub].books.delivered += 1;
            }
            Some(max) => {
                this.ready.push((event, what));
                if this.ready.len() >= max || is_marked {
                    self.flush_batch(sub);
                }
            }
        }
        let panicked = self.subs[sub].books.panics != panics;
        self.tell(
            entry,
            match panicked {
                true => Handled::HandlerPanicked,
                false => Handled::Handled,
            },
        );
    }

    fn flush_batch(&mut self, sub: usize) {
        let ready = std::mem::take(&mut self.subs[sub].ready);
        if ready.is_empty() {
            return;
        }
        let counts = |(event, _): &&(Event, _)| matches!(event, Event::Item(_) | Event::Change(..));
        let delivered = ready.iter().filter(counts).count() as u64;
        self.call(sub, &ready);
        self.subs[sub].books.delivered += delivered;
        if self.subs[sub].spec.runner.is_manual() {
            self.run_pending();
        }
    }

    fn deliver_gap(&mut self, sub: usize, gap: GapNotice) {
        let face = self.subs[sub].spec.face;
        if face.has_callbacks() {
            self.flush_batch(sub);
        }
        if self.subs[sub].is_discarding {
            return;
        }
        if face.has_callbacks() {
            self.call(sub, &[(Event::GapTold(gap), None)]);
        } else if face.is_general() {
            match self.subs[sub].spec.runner.batch() {
                None => self.call(sub, &[(Event::Gap(gap), None)]),
                Some(max) => {
                    self.subs[sub].ready.push((Event::Gap(gap), None));
                    if self.subs[sub].ready.len() >= max {
                        self.flush_batch(sub);
                    }
                }
            }
        }
    }

    /// The final run (L2).
    fn finish(&mut self, sub: usize) {
        let totals = self.subs[sub].totals();
        let this = &mut self.subs[sub];
        let is_wanted = !this.is_discarding || this.wants_last_words;
        let face = this.spec.face;
        this.is_discarding = true;
        if is_wanted && face.is_general() {
            self.call(sub, &[(Event::Final(totals), None)]);
        }
        if is_wanted && face.has_callbacks() {
            self.call(sub, &[(Event::FinalTold(totals), None)]);
        }
        self.subs[sub].state = State::Done(totals);
        if totals.discarded > 0 {
            self.discards.push((sub, totals.discarded));
        }
    }

    /// Calls the handler, or a callback.
    fn call(&mut self, sub: usize, events: &[(Event, Option<What>)]) {
        let spec = self.subs[sub].spec;
        let sees_changes = spec.face.is_general();
        let outer = std::mem::replace(&mut self.in_handler, true);
        let mut panics = false;
        for &(event, what) in events {
            if sees_changes || !matches!(event, Event::Change(..)) {
                self.subs[sub].seen.push(event);
                panics |= spec.fault.strikes(event, what);
            }
            if let (Some(reaction), Some(what)) = (spec.reaction, what) {
                self.react_to(reaction, what);
            }
        }
        self.in_handler = outer;
        if panics {
            self.panicked(sub);
        }
    }

    fn react_to(&mut self, reaction: Reaction, what: What) {
        if !what.has_hops() || self.reactions_left == 0 {
            return;
        }
        self.reactions_left -= 1;
        match reaction {
            Reaction::Publish { topic, colour } => {
                if let Some(topic) = self.handles[usize::from(topic) % TOPICS] {
                    self.publish(topic, what.next(colour), 1);
                }
            }
            other => self.react(other),
        }
    }

    fn panicked(&mut self, sub: usize) {
        self.panics += 1;
        let this = &mut self.subs[sub];
        this.books.panics += 1;
        if this.is_discarding || this.spec.on_panic == OnPanic::Continue {
            return;
        }
        this.is_discarding = true;
        this.wants_last_words = this.spec.on_panic == OnPanic::CloseWithFinal;
        self.close(sub, Reason::HandlerPanicked);
    }

    /// A receiver takes what is next; `None` if nothing is there, now or ever.
    pub(crate) fn take(&mut self, sub: usize) -> Option<Event> {
        let this = &mut self.subs[sub];
        debug_assert_eq!(this.spec.runner, Runner::Receiver);
        if this.is_done() {
            return None;
        }
        if let Some(event) = this.behind_gap.take().and_then(|entry| this.accept(entry)) {
            return Some(event);
        }
        while let Some((entry, gap)) = this.next() {
            if let Some(gap) = gap {
                this.behind_gap = Some(entry);
                return Some(Event::Gap(gap));
            }
            if let Some(event) = this.accept(entry) {
                return Some(event);
            }
        }
        if let Some(gap) = this.gap.take() {
            this.gap_in = 0;
            return Some(Event::Gap(gap));
        }
        if this.is_open {
            return None;
        }
        let totals = this.totals();
        this.state = State::Done(totals);
        Some(Event::Final(totals))
    }
}

impl super::subscription::Sub {
    fn accept(&mut self, entry: Entry) -> Option<Event> {
        let event = match entry {
            Entry::Mark => return None,
            Entry::Change(about, came) => Event::Change(about, came),
            Entry::Item { n, what, .. } => self.passes(what).then_some(Event::Item(n))?,
        };
        self.books.delivered += 1;
        Some(event)
    }
}

impl Fault {
    /// Whether a handler panics at that.
    pub(crate) fn strikes(self, event: Event, what: Option<What>) -> bool {
        match (self, event) {
            (Self::AtKey(key), Event::Item(_)) => {
                what.is_some_and(|what| super::program::key(what.key) == super::program::key(key))
            }
            (Self::AtGap, Event::Gap(_) | Event::GapTold(_)) => true,
            (Self::AtFinal, Event::Final(_) | Event::FinalTold(_)) => true,
            _ => false,
        }
    }
}

impl What {
    pub(crate) fn has_hops(self) -> bool {
        super::program::hops(self.hops) > 0
    }
}

/// The number of messages of a batch.
pub(crate) fn batch_len(count: u8) -> u32 {
    u32::from(count) % (MAX_BATCH + 1)
}
