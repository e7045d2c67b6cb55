//! The model of a bus as a whole: topics, forwards, who is subscribed where, and how things end.

use super::program::{
    Accepts, Colour, FORWARDS, MAX_REACTIONS, Policy, Reaction, Runner, SUBSCRIPTIONS, Spec, TOPICS,
};
use super::subscription::{Entry, Reason, State, Sub};
use std::collections::BTreeSet;

#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) name: usize,
    pub(crate) total_order: bool,
    pub(crate) is_closed: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) topics: Vec<Topic>,
    /// Handles, by slot.
    pub(crate) handles: [Option<usize>; TOPICS],
    /// The youngest topic of each name.
    named: [Option<usize>; TOPICS],
    pub(crate) subs: Vec<Sub>,
    pub(crate) slots: [Option<usize>; SUBSCRIPTIONS],
    pub(crate) forwards: [Option<(usize, usize)>; FORWARDS],
    pub(crate) kept: Vec<(usize, usize)>,
    pub(crate) is_shut_down: bool,
    /// How many messages were made.
    pub(crate) made: u32,
    pub(crate) in_handler: bool,
    /// Inline subscriptions that are to be run.
    pub(crate) pending: Vec<usize>,
    pub(crate) reactions_left: u32,
    reactor: Option<Runner>,
    tight_inline: bool,
    /// What the hooks of the bus are told: panics, and who discarded how many.
    pub(crate) panics: u64,
    pub(crate) discards: Vec<(usize, u64)>,
    /// The message that somebody waits for, and what became of it.
    pub(crate) awaited: u32,
    pub(crate) handled: Option<Handled>,
}

/// As the bus has it.
#[allow(clippy::enum_variant_names, reason = "the names are the bus's")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handled {
    Handled,
    Filtered,
    Shed,
    Closed,
    NotSubscribed,
    HandlerPanicked,
}

/// Why a topic, a subscription or a forward could not be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Refused {
    ShutDown,
    TopicClosed,
    OtherOrder,
    ZeroCapacity,
    LimitBelowCapacity,
    DeclinedType,
    BlockingOnTotalOrder,
}

impl Model {
    pub(crate) fn begin_op(&mut self) {
        self.reactions_left = MAX_REACTIONS;
    }

    pub(crate) fn get_topic(&mut self, name: usize, total_order: bool) -> Result<(), Refused> {
        if self.is_shut_down {
            return Err(Refused::ShutDown);
        }
        let live = self.named[name].filter(|&topic| self.is_alive(topic));
        let topic = match live.filter(|&topic| !self.topics[topic].is_closed) {
            Some(topic) if total_order && !self.topics[topic].total_order => {
                return Err(Refused::OtherOrder);
            }
            Some(topic) => topic,
            None => {
                self.topics.push(Topic {
                    name,
                    total_order,
                    is_closed: false,
                });
                self.topics.len() - 1
            }
        };
        self.named[name] = Some(topic);
        self.handles[name] = Some(topic);
        Ok(())
    }

    /// Whether the bus finds a topic of that name.
    pub(crate) fn has_topic(&self, name: usize) -> bool {
        let named = self.named[name];
        named.is_some_and(|topic| !self.topics[topic].is_closed && self.is_alive(topic))
    }

    fn is_alive(&self, topic: usize) -> bool {
        let is_held = |sub: &Sub| sub.topic == topic && (sub.has_handle || !sub.is_done());
        self.handles.contains(&Some(topic))
            || self.subs.iter().any(is_held)
            || self.edges().any(|(from, to)| from == topic || to == topic)
    }

    pub(crate) fn edges(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let held = self.forwards.iter().flatten();
        held.chain(&self.kept).copied()
    }

    /// Every topic that a publish on `topic` reaches.
    pub(crate) fn reach(&self, topic: usize) -> BTreeSet<usize> {
        let mut reach = BTreeSet::from([topic]);
        loop {
            let known = reach.len();
            let next: Vec<_> = self
                .edges()
                .filter(|(from, _)| reach.contains(from))
                .collect();
            reach.extend(next.into_iter().map(|(_, to)| to));
            if reach.len() == known {
                return reach;
            }
        }
    }

    /// The open subscriptions that a publish on `topic` reaches.
    pub(crate) fn listening(&self, topic: usize) -> Vec<usize> {
        let reach = self.reach(topic);
        let listens = |&sub: &usize| {
            let sub: &Sub = &self.subs[sub];
            sub.is_open && reach.contains(&sub.topic)
        };
        (0..self.subs.len()).filter(listens).collect()
    }

    pub(crate) fn has_subscribers_for(&self, topic: usize, colour: Colour) -> bool {
        let mut listening = self.listening(topic).into_iter();
        listening.any(|sub| self.subs[sub].spec.accepts(colour))
    }

    pub(crate) fn tame(&self, spec: Spec) -> Spec {
        spec.tamed(self.reactor, self.tight_inline)
    }

    /// Every reason why this cannot be; which of them is given is open.
    pub(crate) fn refuses(&self, topic: usize, spec: &Spec) -> BTreeSet<Refused> {
        let topic = &self.topics[topic];
        let declined = match spec.accepts {
            Accepts::Default => false,
            Accepts::One(one) => one == Colour::Grey,
            Accepts::Two(one, two) => one == Colour::Grey || two == Colour::Grey,
        };
        let has_limit = matches!(spec.policy, Policy::SpillLimit(_));
        let below = has_limit && spec.limit() < Some(spec.capacity());
        let all = [
            (self.is_shut_down, Refused::ShutDown),
            (topic.is_closed, Refused::TopicClosed),
            (spec.capacity() == 0, Refused::ZeroCapacity),
            (below, Refused::LimitBelowCapacity),
            (declined, Refused::DeclinedType),
            (
                spec.policy == Policy::Block && topic.total_order,
                Refused::BlockingOnTotalOrder,
            ),
        ];
        let reasons = all.into_iter().filter(|(applies, _)| *applies);
        reasons.map(|(_, reason)| reason).collect()
    }

    pub(crate) fn subscribe(&mut self, slot: usize, topic: usize, spec: Spec) {
        let sub = self.subs.len();
        if spec.reaction.is_some() {
            self.reactor = Some(spec.runner);
        }
        self.tight_inline |= spec.runner.is_inline() && spec.is_tight();
        let filters_itself = self.topics[topic].total_order;
        self.subs.push(Sub::new(spec, topic, filters_itself));
        if spec.changes {
            let _ = self.subs[sub].offer(Entry::Change(sub, true), true);
        }
        self.slots[slot] = Some(sub);
        self.announce(sub, true);
        if spec.changes {
            self.wake(vec![sub]);
        }
    }

    pub(crate) fn drop_handle(&mut self, slot: usize) {
        let Some(sub) = self.slots[slot].take() else {
            return;
        };
        if self.subs[sub].spec.runner == Runner::Receiver && !self.subs[sub].is_done() {
            self.abandon(sub);
        } else {
            self.close(sub, Reason::Unsubscribed);
        }
        self.subs[sub].has_handle = false;
    }

    pub(crate) fn close(&mut self, sub: usize, reason: Reason) {
        let is_first = self.subs[sub].reason.is_none();
        self.subs[sub].is_open = false;
        if is_first {
            self.subs[sub].reason = Some(reason);
            self.announce(sub, false);
            self.wake(vec![sub]);
        }
    }

    pub(crate) fn close_topic(&mut self, topic: usize, reason: Reason) {
        self.topics[topic].is_closed = true;
        for sub in 0..self.subs.len() {
            if self.subs[sub].topic == topic && self.subs[sub].is_open {
                self.close(sub, reason);
            }
        }
    }

    pub(crate) fn shut_down(&mut self) {
        self.is_shut_down = true;
        for topic in 0..self.topics.len() {
            if !self.topics[topic].is_closed {
                self.close_topic(topic, Reason::Shutdown);
            }
        }
        self.kept.clear();
    }

    /// Closing several subscriptions, of which some hear of the others: in which order is open. `None` is all.
    pub(crate) fn is_ambiguous(&self, topic: Option<usize>) -> bool {
        let ends = |sub: &&Sub| sub.is_open && topic.is_none_or(|topic| sub.topic == topic);
        let ending = || self.subs.iter().filter(ends);
        ending().count() > 1 && ending().any(|sub| sub.spec.changes)
    }

    /// Nothing runs it any more (L2).
    pub(crate) fn abandon(&mut self, sub: usize) {
        let this = &mut self.subs[sub];
        this.state = State::Due;
        this.is_discarding = true;
        this.wants_last_words = false;
        let behind = this.behind_gap.take();
        this.books.discarded +=
            u64::from(behind.is_some_and(|entry| !matches!(entry, Entry::Mark)));
        self.close(sub, Reason::Unsubscribed);
        self.run(sub);
    }

    pub(crate) fn lose_executor(&mut self, sub: usize) {
        self.subs[sub].executor_lost = true;
        if self.subs[sub].state == State::Due {
            self.abandon(sub);
        }
    }

    /// What a handler does of itself.
    pub(crate) fn react(&mut self, reaction: Reaction) {
        match reaction {
            Reaction::Publish { .. } => unreachable!("see `publish.rs`"),
            Reaction::Unsubscribe { slot } => {
                if let Some(sub) = self.slots[usize::from(slot) % SUBSCRIPTIONS] {
                    self.close(sub, Reason::Unsubscribed);
                }
            }
            Reaction::DropHandle { slot } => {
                let slot = usize::from(slot) % SUBSCRIPTIONS;
                let sub = self.slots[slot];
                if sub.is_some_and(|sub| self.subs[sub].spec.runner != Runner::Receiver) {
                    self.drop_handle(slot);
                }
            }
            Reaction::CloseTopic { topic } => {
                let topic = self.handles[usize::from(topic) % TOPICS];
                if let Some(topic) = topic.filter(|topic| !self.is_ambiguous(Some(*topic))) {
                    self.close_topic(topic, Reason::TopicClosed);
                }
            }
            Reaction::Cancel { slot } => self.forwards[usize::from(slot) % FORWARDS] = None,
        }
    }
}
