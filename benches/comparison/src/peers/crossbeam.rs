//! crossbeam-channel: a list of senders, a thread each. Unbounded, which is its fastest kind for bursts, and bounded.

use super::fan_out::{FanOut, Sender};
use super::threads::Threads;
use crate::item::Item;
use crate::ledger::Consumer;
use crate::peer::{Arena, Fault, How, Peer, Wiring};
use crossbeam_channel as channel;
use std::sync::Arc;

pub(crate) const PEERS: &[&dyn Peer] =
    &[&Crossbeam { room: None }, &Crossbeam { room: Some(1_024) }];

struct Crossbeam {
    room: Option<usize>,
}

impl Sender for channel::Sender<Arc<Item>> {
    #[inline]
    fn send_one(&mut self, item: Arc<Item>) {
        self.send(item).expect("a receiver");
    }
}

impl Peer for Crossbeam {
    fn name(&self) -> &'static str {
        match self.room {
            None => "crossbeam",
            Some(_) => "crossbeam/bounded",
        }
    }

    fn how(&self) -> How {
        match self.room {
            None => How::CHANNEL,
            Some(_) => How {
                room: "1024, publishers wait",
                ..How::CHANNEL
            },
        }
    }

    fn build(&self, wiring: &Wiring, consumers: Vec<Consumer>) -> Result<Box<dyn Arena>, Fault> {
        let mut threads = Threads::default();
        let mut senders = Vec::new();
        for mut consumer in consumers {
            let (sender, receiver) = match self.room {
                None => channel::unbounded::<Arc<Item>>(),
                Some(room) => channel::bounded(room),
            };
            senders.push(sender);
            threads.spawn(move || {
                for item in receiver {
                    consumer.receive(&item);
                }
            });
        }
        Ok(FanOut::boxed(wiring, senders, || threads.join()))
    }
}
