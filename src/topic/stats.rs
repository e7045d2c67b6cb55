//! The figures of a topic, as of one moment, read without stopping anything.

use super::node::{Alive, Node, Totals};
use crate::subscription::SubscriptionStats;
use crate::subscription::state::Subscriber;
use crate::sync::unmodelled::Arc;
use std::collections::BTreeMap;

/// The figures of a topic and of its subscriptions. They are read one after the other while the bus runs,
/// so two of them may differ by what happened in between.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TopicStats {
    /// Its name.
    pub name: Arc<str>,
    /// Messages that were published on it, notices of the bus included; not those forwarded to it.
    pub published: u64,
    /// Messages that closure filters of its subscriptions declined, those that are done included.
    pub filtered: u64,
    /// Messages that overflow policies of its subscriptions shed, those that are done included.
    pub shed: u64,
    /// Messages that handlers and receivers of its subscriptions got, those that are done included.
    pub delivered: u64,
    /// Messages of subscriptions that are done which nobody was left to run.
    pub discarded: u64,
    /// All its subscriptions see messages in one order (D7).
    pub total_order: bool,
    /// It takes no messages any more.
    pub closed: bool,
    /// The names of the topics that it forwards to, once for each forward.
    pub forwards_to: Vec<Arc<str>>,
    /// Those that are subscribed now.
    pub subscriptions: Vec<SubscriptionStats>,
}

impl TopicStats {
    pub(crate) fn of(alive: &Alive) -> Self {
        let node = &alive.node;
        let (totals, mut subscriptions) = figures(node);
        subscriptions.sort_by_key(|subscription| subscription.id);
        Self {
            name: Arc::clone(&node.name),
            published: node.published.get(),
            filtered: totals.filtered,
            shed: totals.shed,
            delivered: totals.delivered,
            discarded: totals.discarded,
            total_order: node.has_total_order(),
            closed: node.is_closed(),
            forwards_to: alive.core.topology.lock().downs(node.id),
            subscriptions,
        }
    }
}

/// The totals, and the figures of those that are listed.
fn figures(node: &Node) -> (Totals, Vec<SubscriptionStats>) {
    let ended = node.ended.lock();
    let listed = node.listed();
    let mut totals = ended.totals;
    let ending = ended.ending.iter().map(|it| (it.id, Arc::clone(it)));
    let mut ending: BTreeMap<u64, Arc<Subscriber>> = ending.collect();
    let mut figures = |subscriber: &Subscriber| {
        let stats = SubscriptionStats::of(subscriber);
        totals.filtered += stats.filtered;
        totals.shed += stats.shed;
        totals.delivered += stats.delivered;
        totals.discarded += stats.discarded;
        stats
    };
    let mut subscriptions = Vec::with_capacity(listed.len());
    for subscriber in &listed {
        ending.remove(&subscriber.id);
        subscriptions.push(figures(subscriber));
    }
    for subscriber in ending.values() {
        figures(subscriber);
    }
    drop(ended);
    (totals, subscriptions)
}
