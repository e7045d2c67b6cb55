//! The standard library's channel: a list of senders, a thread each.

use super::fan_out::{Sender, thread_each};
use super::threads;
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
        Ok(thread_each(wiring, consumers, mpsc::channel))
    }
}
