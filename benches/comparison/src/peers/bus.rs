//! The crate `bus`: one ring for all, a thread each, one publisher. Several publishers share it through a mutex: the
//! crate has no other way.

use super::threads::{self, Started, Threads};
use crate::item::Item;
use crate::ledger::Consumer;
use crate::peer::{Arena, Fault, How, Kind, Peer, Publisher, Turns, Wiring};
use bus::Bus;
use std::sync::{Arc, Mutex};

pub(crate) const PEERS: &[&dyn Peer] = &[&OneBus];

struct OneBus;

impl Peer for OneBus {
    fn name(&self) -> &'static str {
        "bus"
    }

    fn how(&self) -> How {
        How {
            kind: Kind::Broadcast,
            ..How::BOUNDED
        }
    }

    fn declines(&self, wiring: &Wiring) -> Option<&'static str> {
        threads::too_many(wiring)
    }

    fn build(&self, wiring: &Wiring, consumers: Vec<Consumer>) -> Result<Box<dyn Arena>, Fault> {
        let mut threads = Threads::default();
        let mut buses: Vec<Sending> = (0..wiring.channels())
            .map(|_| Sending(Bus::new(wiring.room())))
            .collect();
        for (idx, mut consumer) in consumers.into_iter().enumerate() {
            let reader = buses[idx / wiring.subscribers].0.add_rx();
            threads.spawn(move || {
                for item in reader {
                    let Some(item) = item else { return };
                    consumer.receive(&item);
                }
            });
        }
        let mut publishers: Vec<Box<dyn Publisher>> = Vec::new();
        if wiring.publishers == 1 && wiring.topics == 1 {
            publishers.extend(
                buses
                    .pop()
                    .map(|bus| -> Box<dyn Publisher> { Box::new(Alone(bus)) }),
            );
        } else {
            let shared = buses.into_iter().map(|bus| Arc::new(Mutex::new(bus)));
            let shared: Vec<_> = shared.collect();
            let topics = shared.iter().cycle().take(wiring.topics);
            let topics: Vec<_> = topics.map(Arc::clone).collect();
            for _ in 0..wiring.publishers {
                publishers.push(Box::new(Shared(Turns::new(topics.clone()))));
            }
        }
        Ok(Box::new(Running {
            publishers,
            threads: threads.start(),
        }))
    }
}

struct Running {
    publishers: Vec<Box<dyn Publisher>>,
    threads: Started,
}

impl Arena for Running {
    fn publishers(&mut self) -> Vec<Box<dyn Publisher>> {
        std::mem::take(&mut self.publishers)
    }

    fn close(self: Box<Self>) -> Result<(), Fault> {
        self.threads.join()
    }
}

/// Tells its readers of the end: they notice by themselves, but many of them take seconds.
struct Sending(Bus<Option<Arc<Item>>>);

impl Sending {
    #[inline]
    fn send(&mut self, item: Arc<Item>) {
        self.0.broadcast(Some(item));
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.broadcast(None);
    }
}

struct Alone(Sending);

impl Publisher for Alone {
    #[inline]
    fn publish(&mut self, item: Item) {
        self.0.send(Arc::new(item));
    }
}

struct Shared(Turns<Arc<Mutex<Sending>>>);

impl Publisher for Shared {
    #[inline]
    fn publish(&mut self, item: Item) {
        let item = Arc::new(item);
        self.0.next().lock().expect("no panic").send(item);
    }

    fn stay_on(&mut self, topic: usize) -> bool {
        self.0.stay_on(topic)
    }
}
