//! tokio's mpsc: a list of unbounded senders, a task each. Received one by one, and many at a time.

use super::fan_out::{FanOut, Sender, by_subscriber};
use super::tasks::Tasks;
use crate::item::Item;
use crate::ledger::Consumer;
use crate::peer::{Arena, Fault, How, Peer, Wiring};
use std::sync::Arc;
use tokio::sync::mpsc;

pub(crate) const PEERS: &[&dyn Peer] = &[
    &TokioMpsc { takes_many: false },
    &TokioMpsc { takes_many: true },
];

/// Messages that are taken at once.
const MANY: usize = 128;

struct TokioMpsc {
    takes_many: bool,
}

impl Sender for mpsc::UnboundedSender<Arc<Item>> {
    #[inline]
    fn send_one(&mut self, item: Arc<Item>) {
        self.send(item).expect("a receiver");
    }
}

impl Peer for TokioMpsc {
    fn name(&self) -> &'static str {
        if self.takes_many {
            "tokio-mpsc/recv-many"
        } else {
            "tokio-mpsc"
        }
    }

    fn how(&self) -> How {
        How {
            runs_on: "a task each",
            ..How::CHANNEL
        }
    }

    fn build(&self, wiring: &Wiring, consumers: Vec<Consumer>) -> Result<Box<dyn Arena>, Fault> {
        let mut tasks = Tasks::new()?;
        let mut senders = Vec::new();
        for mut consumer in consumers {
            let (sender, mut receiver) = mpsc::unbounded_channel::<Arc<Item>>();
            senders.push(sender);
            if self.takes_many {
                tasks.spawn(async move {
                    let mut many = Vec::with_capacity(MANY);
                    while receiver.recv_many(&mut many, MANY).await > 0 {
                        for item in many.drain(..) {
                            consumer.receive(&item);
                        }
                    }
                });
            } else {
                tasks.spawn(async move {
                    while let Some(item) = receiver.recv().await {
                        consumer.receive(&item);
                    }
                });
            }
        }
        let topics = by_subscriber(wiring, senders);
        Ok(FanOut::boxed(wiring, topics, || tasks.join()))
    }
}
