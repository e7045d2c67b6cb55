//! flume: a list of senders, a thread each. Unbounded and bounded.

use super::fan_out::{Sender, thread_each};
use super::threads;
use crate::item::Item;
use crate::ledger::Consumer;
use crate::peer::{Arena, Fault, How, Peer, Wiring};

use std::sync::Arc;

pub(crate) const PEERS: &[&dyn Peer] = &[&Flume { is_bounded: false }, &Flume { is_bounded: true }];

struct Flume {
    is_bounded: bool,
}

impl Sender for flume::Sender<Arc<Item>> {
    #[inline]
    fn send_one(&mut self, item: Arc<Item>) {
        self.send(item).expect("a receiver");
    }
}

impl Peer for Flume {
    fn name(&self) -> &'static str {
        if self.is_bounded {
            "flume/bounded"
        } else {
            "flume"
        }
    }

    fn how(&self) -> How {
        if self.is_bounded {
            How::BOUNDED
        } else {
            How::CHANNEL
        }
    }

    fn declines(&self, wiring: &Wiring) -> Option<&'static str> {
        threads::too_many(wiring)
    }

    fn build(&self, wiring: &Wiring, consumers: Vec<Consumer>) -> Result<Box<dyn Arena>, Fault> {
        Ok(thread_each(wiring, consumers, || {
            if self.is_bounded {
                flume::bounded(wiring.room())
            } else {
                flume::unbounded()
            }
        }))
    }
}
