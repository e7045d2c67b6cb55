//! The standard library's channel: a list of senders, a thread each.

use super::fan_out::{FanOut, Sender, by_subscriber};
use super::threads::{self, Threads};
use crate::item::Item;
use crate::ledger::Consumer;
use crate::peer::{Arena, Fault, How, Peer, Wiring};
use std::sync::{Arc, mpsc};

pub(crate) const PEERS: &[&dyn Peer] = &[&StdMpsc];

struct StdMpsc;

impl Sender for mpsc::Sender<Arc<Item>> {
    #[inline]
    fn send_one(&mut self, item: Arc<Item>) {
        self.send(item).expect("a receiver");
    }
}

impl Peer for StdMpsc {
    fn name(&self) -> &'static str {
        "std-mpsc"
    }

    fn how(&self) -> How {
        How::CHANNEL
    }

    fn declines(&self, wiring: &Wiring) -> Option<&'static str> {
        threads::too_many(wiring)
    }

    fn build(&self, wiring: &Wiring, consumers: Vec<Consumer>) -> Result<Box<dyn Arena>, Fault> {
        let mut threads = Threads::default();
        let mut senders = Vec::new();
        for mut consumer in consumers {
            let (sender, receiver) = mpsc::channel::<Arc<Item>>();
            senders.push(sender);
            threads.spawn(move || {
                for item in receiver {
                    consumer.receive(&item);
                }
            });
        }
        let topics = by_subscriber(wiring, senders);
        let threads = threads.start();
        Ok(FanOut::boxed(wiring, topics, || threads.join()))
    }
}
