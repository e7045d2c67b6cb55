//! The crate `disruptor`: a ring, and a thread that spins for each of a fixed set of consumers. The ring holds shared
//! messages, as everybody's queues do here; by its documentation messages are best written into the ring itself, and
//! published in batches: both are variants.

use super::threads;
use crate::item::{Item, Items};
use crate::ledger::Consumer;
use crate::peer::{Arena, Fault, How, Kind, Messages, Peer, Publisher, Wiring};
use disruptor::wait_strategies::WaitStrategy;
use disruptor::{BusySpin, BusySpinWithSpinLoopHint, Producer, Sequence};
use std::marker::PhantomData;
use std::sync::Arc;

pub(crate) const PEERS: &[&dyn Peer] = &[
    &Disruptor::BusySpin,
    &Disruptor::SpinHint,
    &Disruptor::Batch,
    &Disruptor::InPlace,
    &Disruptor::InPlaceBatch,
];

/// Slots in the ring, where everybody has a core.
const SIZE: usize = 1_024;

/// Slots in the ring where threads share cores: who spins does so for as long as it is let, and what the others can
/// do before it is their turn again is at most a ring.
const SIZE_IF_CROWDED: usize = 65_536;

/// Messages in a batch.
const BATCH: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Disruptor {
    /// `BusySpin`.
    BusySpin,
    /// `BusySpinWithSpinLoopHint`.
    SpinHint,
    /// `BusySpin`, and batches.
    Batch,
    /// `BusySpin`, and messages in the ring itself.
    InPlace,
    /// All three.
    InPlaceBatch,
}

/// What a slot of the ring holds.
trait Slot: Send + Sync + Default + 'static {
    fn write(&mut self, item: Item);
    fn read(&self) -> &Item;
}

impl Slot for Item {
    #[inline]
    fn write(&mut self, item: Item) {
        *self = item;
    }

    #[inline]
    fn read(&self) -> &Item {
        self
    }
}

impl Slot for Arc<Item> {
    #[inline]
    fn write(&mut self, item: Item) {
        *self = Arc::new(item);
    }

    #[inline]
    fn read(&self) -> &Item {
        self
    }
}

impl Disruptor {
    fn is_in_place(self) -> bool {
        matches!(self, Self::InPlace | Self::InPlaceBatch)
    }

    fn batch(self) -> usize {
        match self {
            Self::Batch | Self::InPlaceBatch => BATCH,
            _ => 1,
        }
    }
}

impl Peer for Disruptor {
    fn name(&self) -> &'static str {
        match self {
            Self::BusySpin => "disruptor",
            Self::SpinHint => "disruptor/spin-hint",
            Self::Batch => "disruptor/batch",
            Self::InPlace => "disruptor/in-place",
            Self::InPlaceBatch => "disruptor/in-place-batch",
        }
    }

    fn how(&self) -> How {
        How {
            kind: Kind::Ring,
            runs_on: if self.batch() > 1 {
                "a thread each, 64 a publish"
            } else {
                "a thread each"
            },
            room: "1024 (65536 without a core each), publishers wait",
            sleeps: false,
            is_dynamic: false,
            messages: if self.is_in_place() {
                Messages::InPlace
            } else {
                Messages::New
            },
            ..How::BOUNDED
        }
    }

    fn declines(&self, wiring: &Wiring) -> Option<&'static str> {
        threads::too_many_spin(wiring)
    }

    fn build(&self, wiring: &Wiring, consumers: Vec<Consumer>) -> Result<Box<dyn Arena>, Fault> {
        // Topics that lead to one subscriber are one ring: a producer is all that a topic would be.
        let cores = std::thread::available_parallelism()?.get();
        let is_crowded = wiring.publishers + consumers.len() > cores;
        let plan = Plan {
            size: if is_crowded { SIZE_IF_CROWDED } else { SIZE },
            batch: self.batch(),
            publishers: wiring.publishers,
        };
        let publishers = match self {
            Self::BusySpin | Self::Batch => plan.producers::<Arc<Item>>(BusySpin, consumers),
            Self::SpinHint => plan.producers::<Arc<Item>>(BusySpinWithSpinLoopHint, consumers),
            Self::InPlace | Self::InPlaceBatch => plan.producers::<Item>(BusySpin, consumers),
        };
        Ok(Box::new(Running { publishers }))
    }
}

struct Running {
    publishers: Vec<Box<dyn Publisher>>,
}

impl Arena for Running {
    fn publishers(&mut self) -> Vec<Box<dyn Publisher>> {
        std::mem::take(&mut self.publishers)
    }

    /// The last producer has joined the consumers' threads already.
    fn close(self: Box<Self>) -> Result<(), Fault> {
        Ok(())
    }
}

/// What a consumer's thread does with each item.
fn handler<S: Slot>(mut consumer: Consumer) -> impl FnMut(&S, Sequence, bool) + Send + 'static {
    move |slot, _, _| consumer.receive(slot.read())
}

/// What the ring is like.
struct Plan {
    size: usize,
    batch: usize,
    publishers: usize,
}

impl Plan {
    /// Another kind of producer if there are several, another kind of barrier if there are several consumers.
    fn producers<S: Slot>(
        &self,
        wait: impl WaitStrategy + 'static,
        mut consumers: Vec<Consumer>,
    ) -> Vec<Box<dyn Publisher>> {
        let last = handler(consumers.pop().expect("a consumer"));
        if self.publishers == 1 {
            let builder = disruptor::build_single_producer(self.size, S::default, wait);
            if consumers.is_empty() {
                return vec![ring(builder.handle_events_with(last).build(), self.batch)];
            }
            let mut builder = builder.with_multi_consumer().handle_events_with(last);
            for consumer in consumers {
                builder = builder.handle_events_with(handler(consumer));
            }
            return vec![ring(builder.build(), self.batch)];
        }
        let builder = disruptor::build_multi_producer(self.size, S::default, wait);
        if consumers.is_empty() {
            return self.several(&builder.handle_events_with(last).build());
        }
        let mut builder = builder.with_multi_consumer().handle_events_with(last);
        for consumer in consumers {
            builder = builder.handle_events_with(handler(consumer));
        }
        self.several(&builder.build())
    }

    fn several<S: Slot, P>(&self, producer: &P) -> Vec<Box<dyn Publisher>>
    where
        P: Producer<S> + Clone + Send + 'static,
    {
        let producers = (0..self.publishers).map(|_| producer.clone());
        producers
            .map(|producer| ring(producer, self.batch))
            .collect()
    }
}

fn ring<S: Slot, P: Producer<S> + Send + 'static>(producer: P, batch: usize) -> Box<dyn Publisher> {
    Box::new(Ring {
        producer,
        batch,
        slot: PhantomData,
    })
}

struct Ring<S, P> {
    producer: P,
    batch: usize,
    slot: PhantomData<S>,
}

impl<S: Slot, P: Producer<S> + Send> Publisher for Ring<S, P> {
    #[inline]
    fn publish(&mut self, item: Item) {
        self.producer.publish(|slot| slot.write(item));
    }

    fn publish_all(&mut self, mut items: Items) {
        if self.batch == 1 {
            return items.for_each(|item| self.publish(item));
        }
        while items.len() > 0 {
            let count = items.len().min(self.batch);
            self.producer.batch_publish(count, |slots| {
                for (slot, item) in slots.zip(items.by_ref()) {
                    slot.write(item);
                }
            });
        }
    }
}
