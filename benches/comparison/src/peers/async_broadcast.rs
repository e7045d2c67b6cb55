//! async-broadcast: one queue for all, a task each. Publishers wait for the slowest receiver.

use super::fan_out::{FanOut, Sender, by_topic};
use super::tasks::Tasks;
use crate::item::Item;
use crate::ledger::Consumer;
use crate::peer::{Arena, Fault, How, Kind, Peer, Wiring};
use async_broadcast as broadcast;
use std::sync::Arc;

pub(crate) const PEERS: &[&dyn Peer] = &[&AsyncBroadcast];

struct AsyncBroadcast;

impl Sender for broadcast::Sender<Arc<Item>> {
    #[inline]
    fn send_one(&mut self, item: Arc<Item>) {
        self.broadcast_blocking(item).expect("a receiver");
    }
}

impl Peer for AsyncBroadcast {
    fn name(&self) -> &'static str {
        "async-broadcast"
    }

    fn how(&self) -> How {
        How {
            kind: Kind::Broadcast,
            runs_on: "a task each",
            ..How::BOUNDED
        }
    }

    fn build(&self, wiring: &Wiring, consumers: Vec<Consumer>) -> Result<Box<dyn Arena>, Fault> {
        let mut tasks = Tasks::new()?;
        let channel = |_| broadcast::broadcast::<Arc<Item>>(wiring.room());
        let channels: Vec<_> = (0..wiring.channels()).map(channel).collect();
        for (idx, mut consumer) in consumers.into_iter().enumerate() {
            let mut receiver = channels[idx / wiring.subscribers].1.new_receiver();
            tasks.spawn(async move {
                while let Ok(item) = receiver.recv_direct().await {
                    consumer.receive(&item);
                }
            });
        }
        // The first receivers go: nobody reads from them.
        let senders: Vec<_> = channels.into_iter().map(|(sender, _)| sender).collect();
        let topics = by_topic(wiring, &senders);
        Ok(FanOut::boxed(wiring, topics, || tasks.join()))
    }
}
