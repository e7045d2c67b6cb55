//! Publishing by a list of senders, one for each subscriber: what one does with channels.

use super::threads::Threads;
use crate::item::Item;
use crate::ledger::Consumer;
use crate::peer::{Arena, Fault, Publisher, Turns, Wiring};
use std::sync::Arc;

/// The sending end of one subscriber's channel.
pub(crate) trait Sender: Clone + Send + 'static {
    /// Sends it, and waits if there is no room.
    fn send_one(&mut self, item: Arc<Item>);
}

/// Channels with subscribers at their ends.
pub(crate) struct FanOut<S, J> {
    publishers: Vec<Senders<S>>,
    join: J,
}

/// The senders of each topic, made of one sender for each subscriber.
pub(crate) fn by_subscriber<S: Sender>(wiring: &Wiring, senders: Vec<S>) -> Vec<Vec<S>> {
    if wiring.is_aggregate {
        // Who subscribes to all topics is sent to by each of them.
        vec![senders; wiring.topics]
    } else {
        let topics = senders.chunks(wiring.subscribers);
        topics.map(<[S]>::to_vec).collect()
    }
}

/// A channel for each subscriber, and a thread that receives from it until all senders are gone.
pub(crate) fn thread_each<S, R>(
    wiring: &Wiring,
    consumers: Vec<Consumer>,
    channel: impl Fn() -> (S, R),
) -> Box<dyn Arena>
where
    S: Sender,
    R: IntoIterator<Item = Arc<Item>> + Send + 'static,
{
    let mut threads = Threads::default();
    let mut senders = Vec::new();
    for mut consumer in consumers {
        let (sender, receiver) = channel();
        senders.push(sender);
        threads.spawn(move || {
            for item in receiver {
                consumer.receive(&item);
            }
        });
    }
    let topics = by_subscriber(wiring, senders);
    let threads = threads.start();
    FanOut::boxed(wiring, topics, || threads.join())
}

/// The senders of each topic, made of one sender for each queue that several subscribers read.
pub(crate) fn by_topic<S: Sender>(wiring: &Wiring, senders: &[S]) -> Vec<Vec<S>> {
    let topics = senders.iter().cycle().take(wiring.topics);
    topics.map(|sender| vec![sender.clone()]).collect()
}

impl<S: Sender, J: FnOnce() -> Result<(), Fault> + 'static> FanOut<S, J> {
    /// Of the senders of each topic. Once the last sender is gone, `join` waits for the subscribers.
    pub(crate) fn boxed(wiring: &Wiring, topics: Vec<Vec<S>>, join: J) -> Box<dyn Arena> {
        let publisher = Senders(Turns::new(topics));
        Box::new(Self {
            publishers: vec![publisher; wiring.publishers],
            join,
        })
    }
}

impl<S: Sender, J: FnOnce() -> Result<(), Fault> + 'static> Arena for FanOut<S, J> {
    fn publishers(&mut self) -> Vec<Box<dyn Publisher>> {
        let publishers = std::mem::take(&mut self.publishers).into_iter();
        publishers
            .map(|publisher| -> Box<dyn Publisher> { Box::new(publisher) })
            .collect()
    }

    fn close(self: Box<Self>) -> Result<(), Fault> {
        (self.join)()
    }
}

#[derive(Clone)]
struct Senders<S>(Turns<Vec<S>>);

impl<S: Sender> Publisher for Senders<S> {
    #[inline]
    fn publish(&mut self, item: Item) {
        let item = Arc::new(item);
        if let Some((last, others)) = self.0.next().split_last_mut() {
            for sender in others {
                sender.send_one(Arc::clone(&item));
            }
            last.send_one(item);
        }
    }

    fn stay_on(&mut self, topic: usize) -> bool {
        self.0.stay_on(topic)
    }
}
