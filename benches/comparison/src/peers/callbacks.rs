//! Functions in a list under an `RwLock`, called by the publisher: the least that publishing to subscribers who come
//! and go can cost, without queues, threads, or anything that a bus is for. Each has a lock of its own around what it
//! changes, as publishers may call it at the same time.

use crate::item::Item;
use crate::ledger::Consumer;
use crate::peer::{Arena, Fault, How, Kind, Messages, Peer, Publisher, Turns, Wiring};
use std::sync::{Arc, Mutex, RwLock};

pub(crate) const PEERS: &[&dyn Peer] = &[&Callbacks];

struct Callbacks;

type Callback = Arc<dyn Fn(&Arc<Item>) + Send + Sync>;
type List = Arc<RwLock<Vec<Callback>>>;

impl Peer for Callbacks {
    fn name(&self) -> &'static str {
        "callbacks"
    }

    fn how(&self) -> How {
        How {
            kind: Kind::Callbacks,
            runs_on: "the publisher",
            room: "no queue",
            sleeps: true,
            is_dynamic: true,
            is_lossy: false,
            messages: Messages::New,
        }
    }

    /// Nothing orders what two publishers do to one subscriber but the lock of its state.
    fn build(&self, wiring: &Wiring, consumers: Vec<Consumer>) -> Result<Box<dyn Arena>, Fault> {
        let callback = |consumer: Consumer| -> Callback {
            let consumer = Mutex::new(consumer);
            Arc::new(move |item: &Arc<Item>| consumer.lock().expect("no panic").receive(item))
        };
        let callbacks: Vec<Callback> = consumers.into_iter().map(callback).collect();
        let list = |callbacks: &[Callback]| Arc::new(RwLock::new(callbacks.to_vec()));
        let topics: Vec<List> = if wiring.is_aggregate {
            (0..wiring.topics).map(|_| list(&callbacks)).collect()
        } else {
            callbacks.chunks(wiring.subscribers).map(list).collect()
        };
        let publishers = wiring.publishers;
        Ok(Box::new(Running { topics, publishers }))
    }
}

struct Running {
    topics: Vec<List>,
    publishers: usize,
}

impl Arena for Running {
    fn publishers(&mut self) -> Vec<Box<dyn Publisher>> {
        let publisher = |_| -> Box<dyn Publisher> {
            let topics = self.topics.clone();
            Box::new(Calls(Turns::new(topics)))
        };
        (0..self.publishers).map(publisher).collect()
    }

    fn close(self: Box<Self>) -> Result<(), Fault> {
        Ok(())
    }
}

struct Calls(Turns<List>);

impl Publisher for Calls {
    #[inline]
    fn publish(&mut self, item: Item) {
        let item = Arc::new(item);
        for callback in &*self.0.next().read().expect("no panic") {
            callback(&item);
        }
    }

    fn stay_on(&mut self, topic: usize) -> bool {
        self.0.stay_on(topic)
    }
}
