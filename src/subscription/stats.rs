//! The figures of a subscription, as of one moment, read without stopping anything.

use super::state::Subscriber;
use crate::stats::Durations;
use crate::sync::unmodelled::Arc;

/// The figures of a subscription. They are read one after the other while the bus runs, so two of them may
/// differ by what happened in between.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SubscriptionStats {
    /// Its number, unique in the bus.
    pub id: u64,
    /// Its name.
    pub name: Arc<str>,
    /// Messages that its mailbox accepted, notices of the bus included.
    pub offered: u64,
    /// Messages that its closure filter declined. What its type filter declines is never offered, and costs
    /// nothing, so it is not counted here.
    pub filtered: u64,
    /// Messages that its overflow policy shed.
    pub shed: u64,
    /// Messages that a newer one of the same key took the place of.
    pub conflated: u64,
    /// Messages that a mailbox which blocks its publishers kept past its limit, because they came from
    /// inside a handler or a worker, where nobody waits (R1b).
    pub past_limit: u64,
    /// Messages that its handler or its receiver got out of the mailbox; gap notices and the final message
    /// are not counted.
    pub delivered: u64,
    /// Messages that were accepted, but that nobody was left to run.
    pub discarded: u64,
    /// Panics of its handler, its filter or its callbacks.
    pub panics: u64,
    /// Messages that wait. A mailbox that spills without a limit, and has no marks, may count up to half a
    /// ring more: those that the run which is going on has handled already.
    pub depth: u64,
    /// The most that ever waited, as seen when its runs began.
    pub high_water: u64,
    /// Congestion is raised.
    pub congested: bool,
    /// It accepts no more.
    pub closed: bool,
    /// Its final message was delivered.
    pub done: bool,
    /// From a message's creation to the call of the handler: of one message in 64.
    pub queue_wait: Durations,
    /// How long the handler took: of one message in 64, or of every batch.
    pub handler_time: Durations,
    /// The longest of those, in nanoseconds, and the name of its message's type.
    pub slowest: Option<(u64, &'static str)>,
}

impl SubscriptionStats {
    pub(crate) fn of(subscriber: &Subscriber) -> Self {
        let mailbox = &subscriber.mailbox;
        let times = mailbox.times();
        Self {
            id: subscriber.id,
            name: subscriber.copy_name(),
            offered: mailbox.accepted().saturating_sub(mailbox.flushes().get()),
            filtered: mailbox.figure(|seldom| &seldom.filtered),
            shed: mailbox.figure(|seldom| &seldom.shed),
            conflated: mailbox.figure(|seldom| &seldom.conflated),
            past_limit: mailbox.figure(|seldom| &seldom.past_limit),
            delivered: subscriber.delivered.get(),
            discarded: mailbox.figure(|seldom| &seldom.discarded),
            panics: mailbox.figure(|seldom| &seldom.panics)
                + mailbox.figure(|seldom| &seldom.hook_panics),
            depth: mailbox.depth(),
            high_water: mailbox.high_water(),
            congested: mailbox.marks().is_some_and(|marks| marks.is_raised()),
            closed: mailbox.is_closed(),
            done: subscriber.is_done(),
            queue_wait: times.map(|times| times.queue_wait()).unwrap_or_default(),
            handler_time: times.map(|times| times.handler()).unwrap_or_default(),
            slowest: subscriber
                .slowest()
                .map(|(nanos, info)| (nanos, info.name())),
        }
    }
}
