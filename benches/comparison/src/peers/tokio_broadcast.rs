//! tokio's broadcast: one ring for all, a task each. Who falls behind by more than the ring loses messages and is told
//! how many; publishers do not wait, so in a run at full speed most receivers lose some.

use super::fan_out::{FanOut, Sender, by_topic};
use super::tasks::Tasks;
use crate::item::Item;
use crate::ledger::Consumer;
use crate::peer::{Arena, Fault, How, Kind, Peer, Wiring};
use std::sync::Arc;
use tokio::sync::broadcast::{self, error::RecvError};

pub(crate) const PEERS: &[&dyn Peer] = &[&TokioBroadcast];

struct TokioBroadcast;

impl Sender for broadcast::Sender<Arc<Item>> {
    #[inline]
    fn send_one(&mut self, item: Arc<Item>) {
        self.send(item).expect("a receiver");
    }
}

impl Peer for TokioBroadcast {
    fn name(&self) -> &'static str {
        "tokio-broadcast"
    }

    fn how(&self) -> How {
        How {
            kind: Kind::Broadcast,
            runs_on: "a task each",
            room: "bounded, oldest lost",
            is_lossy: true,
            ..How::CHANNEL
        }
    }

    fn build(&self, wiring: &Wiring, consumers: Vec<Consumer>) -> Result<Box<dyn Arena>, Fault> {
        let mut tasks = Tasks::new()?;
        let channel = |_| broadcast::Sender::new(wiring.room());
        let senders: Vec<_> = (0..wiring.channels()).map(channel).collect();
        for (idx, consumer) in consumers.into_iter().enumerate() {
            let receiver = senders[idx / wiring.subscribers].subscribe();
            tasks.spawn(receive(receiver, consumer));
        }
        let topics = by_topic(wiring, &senders);
        Ok(FanOut::boxed(wiring, topics, || tasks.join()))
    }
}

async fn receive(mut receiver: broadcast::Receiver<Arc<Item>>, mut consumer: Consumer) {
    loop {
        match receiver.recv().await {
            Ok(item) => consumer.receive(&item),
            Err(RecvError::Lagged(count)) => consumer.lose(count),
            Err(RecvError::Closed) => return,
        }
    }
}
