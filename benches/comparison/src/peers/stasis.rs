//! This bus, through its public interface, with statistics on: as it comes, and tuned.

use super::threads;
use crate::item::{Item, Items};
use crate::ledger::Consumer;
use crate::peer::{Arena, Fault, How, Kind, Messages, Peer, Publisher, Turns, Wiring};
use stasis_bus::{Bus, Delivery, Forward, Message, OwnThread, Subscription, Topic, WaitStrategy};

pub(crate) const PEERS: &[&dyn Peer] = &[
    &Stasis::Default,
    &Stasis::Batch,
    &Stasis::Reuse,
    &Stasis::OwnThread,
    &Stasis::OwnThreadPark,
    &Stasis::OwnThreadReuse,
    &Stasis::Inline,
];

/// Messages that are made once and published in turns.
const REUSED: u64 = 4_096;

/// Messages in a batch.
const BATCH: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stasis {
    /// Default options: the pool.
    Default,
    /// The pool, and `publish_batch`.
    Batch,
    /// The pool, and messages published again.
    Reuse,
    /// A thread for each subscription, which spins.
    OwnThread,
    /// A thread for each subscription, which sleeps.
    OwnThreadPark,
    /// A thread for each, which spins, and messages published again.
    OwnThreadReuse,
    /// On the publisher's thread.
    Inline,
}

impl Stasis {
    fn delivery(self) -> Option<Delivery> {
        match self {
            Self::Default | Self::Batch | Self::Reuse => None,
            Self::OwnThread | Self::OwnThreadReuse => {
                Some(Delivery::OwnThread(OwnThread::new(WaitStrategy::Spin)))
            }
            Self::OwnThreadPark => Some(Delivery::OwnThread(OwnThread::new(WaitStrategy::Park))),
            Self::Inline => Some(Delivery::Inline),
        }
    }

    fn spins(self) -> bool {
        matches!(self, Self::OwnThread | Self::OwnThreadReuse)
    }
}

impl Peer for Stasis {
    fn name(&self) -> &'static str {
        match self {
            Self::Default => "stasis-bus",
            Self::Batch => "stasis-bus/batch",
            Self::Reuse => "stasis-bus/reuse",
            Self::OwnThread => "stasis-bus/own-thread",
            Self::OwnThreadPark => "stasis-bus/own-thread-park",
            Self::OwnThreadReuse => "stasis-bus/own-thread-reuse",
            Self::Inline => "stasis-bus/inline",
        }
    }

    fn how(&self) -> How {
        let runs_on = match self {
            Self::Default | Self::Reuse => "the bus's pool",
            Self::Batch => "the bus's pool, 64 a publish",
            Self::OwnThread | Self::OwnThreadPark | Self::OwnThreadReuse => "a thread each",
            Self::Inline => "the publisher",
        };
        How {
            kind: Kind::Ours,
            runs_on,
            room: "unbounded (8, then larger rings)",
            sleeps: !self.spins(),
            is_dynamic: true,
            is_lossy: false,
            messages: match self {
                Self::Reuse | Self::OwnThreadReuse => Messages::Reused(REUSED),
                _ => Messages::New,
            },
        }
    }

    fn declines(&self, wiring: &Wiring) -> Option<&'static str> {
        let has_threads = self.spins() || *self == Self::OwnThreadPark;
        has_threads.then(|| threads::too_many_spin(wiring))?
    }

    fn build(&self, wiring: &Wiring, consumers: Vec<Consumer>) -> Result<Box<dyn Arena>, Fault> {
        let bus = Bus::new()?;
        let topic = |idx| bus.topic(&format!("topic/{idx}"));
        let topics: Vec<Topic> = (0..wiring.topics).map(topic).collect::<Result<_, _>>()?;
        let mut forwards = Vec::new();
        let mut subscribed = topics.clone();
        if wiring.is_aggregate {
            let all = bus.topic("all")?;
            for topic in &topics {
                forwards.push(topic.forward_to(&all)?);
            }
            subscribed = vec![all];
        }
        let mut subscriptions = Vec::new();
        for (idx, mut consumer) in consumers.into_iter().enumerate() {
            let mut builder = subscribed[idx / wiring.subscribers].subscribe();
            if let Some(delivery) = self.delivery() {
                builder = builder.delivery(delivery);
            }
            subscriptions.push(builder.run(move |item: &Item| consumer.receive(item))?);
        }
        Ok(Box::new(Running {
            how: *self,
            publishers: wiring.publishers,
            topics,
            subscriptions,
            _forwards: forwards,
            _bus: bus,
        }))
    }
}

struct Running {
    how: Stasis,
    publishers: usize,
    topics: Vec<Topic>,
    subscriptions: Vec<Subscription>,
    _forwards: Vec<Forward>,
    _bus: Bus,
}

impl Arena for Running {
    fn publishers(&mut self) -> Vec<Box<dyn Publisher>> {
        let publisher = |publisher| -> Box<dyn Publisher> {
            let topics = Turns::new(self.topics.clone());
            match self.how {
                Stasis::Batch => Box::new(Batches(topics)),
                Stasis::Reuse | Stasis::OwnThreadReuse => Box::new(Again::new(publisher, topics)),
                _ => Box::new(Each(topics)),
            }
        };
        (0..self.publishers as u64).map(publisher).collect()
    }

    fn close(self: Box<Self>) -> Result<(), Fault> {
        for subscription in &self.subscriptions {
            subscription.unsubscribe();
        }
        for subscription in &self.subscriptions {
            let last = subscription.join()?;
            if last.shed + last.discarded > 0 || subscription.stats().panics > 0 {
                return Err(format!("not everything was delivered: {last:?}").into());
            }
        }
        Ok(())
    }
}

struct Each(Turns<Topic>);

impl Publisher for Each {
    #[inline]
    fn publish(&mut self, item: Item) {
        self.0.next().publish(item).expect("an open topic");
    }

    fn stay_on(&mut self, topic: usize) -> bool {
        self.0.stay_on(topic)
    }
}

/// With one topic, [`BATCH`] items a publish.
struct Batches(Turns<Topic>);

impl Publisher for Batches {
    #[inline]
    fn publish(&mut self, item: Item) {
        self.0.next().publish(item).expect("an open topic");
    }

    fn publish_all(&mut self, mut items: Items) {
        if self.0.len() > 1 {
            return items.for_each(|item| self.publish(item));
        }
        while items.len() > 0 {
            let batch = items.by_ref().take(BATCH);
            self.0.next().publish_batch(batch).expect("an open topic");
        }
    }
}

/// Publishes what it made beforehand, in turns.
struct Again {
    topics: Turns<Topic>,
    messages: Vec<Message>,
}

impl Again {
    fn new(publisher: u64, topics: Turns<Topic>) -> Self {
        let message = |number| Message::new(Item::new(publisher, number));
        Self {
            topics,
            messages: (0..REUSED).map(message).collect(),
        }
    }
}

impl Publisher for Again {
    #[inline]
    fn publish(&mut self, item: Item) {
        let message = self.messages[(item.number & (REUSED - 1)) as usize].clone();
        self.topics.next().publish(message).expect("an open topic");
    }
}
