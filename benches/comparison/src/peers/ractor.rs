//! ractor: an `OutputPort` (the second version, which loses nothing) for each topic, and an actor for each
//! subscriber. Between them is a task of the port's that hands messages out.

use super::tasks::Tasks;
use crate::item::Item;
use crate::ledger::Consumer;
use crate::peer::{Arena, Fault, How, Kind, Peer, Publisher, Turns, Wiring};
use ractor::{Actor, ActorProcessingErr, ActorRef, OutputPort};
use std::sync::Arc;
use tokio::task::JoinHandle;

pub(crate) const PEERS: &[&dyn Peer] = &[&Ractor];

struct Ractor;

struct Subscriber;

impl Actor for Subscriber {
    type Msg = Arc<Item>;
    type State = Consumer;
    type Arguments = Consumer;

    async fn pre_start(
        &self,
        _: ActorRef<Arc<Item>>,
        consumer: Consumer,
    ) -> Result<Consumer, ActorProcessingErr> {
        Ok(consumer)
    }

    async fn handle(
        &self,
        _: ActorRef<Arc<Item>>,
        item: Arc<Item>,
        consumer: &mut Consumer,
    ) -> Result<(), ActorProcessingErr> {
        consumer.receive(&item);
        Ok(())
    }
}

impl Peer for Ractor {
    fn name(&self) -> &'static str {
        "ractor"
    }

    fn how(&self) -> How {
        How {
            kind: Kind::Actor,
            runs_on: "a task each",
            ..How::CHANNEL
        }
    }

    fn build(&self, wiring: &Wiring, consumers: Vec<Consumer>) -> Result<Box<dyn Arena>, Fault> {
        let tasks = Tasks::new()?;
        let (mut actors, mut handles) = (Vec::new(), Vec::new());
        for consumer in consumers {
            let spawned = Actor::spawn(None, Subscriber, consumer);
            let (actor, handle) = tasks.handle().block_on(spawned)?;
            actors.push(actor);
            handles.push(handle);
        }
        let ports = {
            let _context = tasks.handle().enter();
            let port = |subscribers: &[ActorRef<Arc<Item>>]| {
                let port = OutputPort::<Arc<Item>>::default();
                for subscriber in subscribers {
                    port.subscribe(subscriber.clone(), Some);
                }
                Arc::new(port)
            };
            let ports: Vec<_> = actors.chunks(wiring.subscribers).map(port).collect();
            // Two ports that lead to one actor do not keep the order of their publisher: an aggregate is one port.
            ports.iter().cycle().take(wiring.topics).cloned().collect()
        };
        Ok(Box::new(Running {
            publishers: wiring.publishers,
            tasks,
            ports,
            actors,
            handles,
        }))
    }
}

struct Running {
    publishers: usize,
    tasks: Tasks,
    ports: Vec<Arc<OutputPort<Arc<Item>>>>,
    actors: Vec<ActorRef<Arc<Item>>>,
    handles: Vec<JoinHandle<()>>,
}

impl Arena for Running {
    fn publishers(&mut self) -> Vec<Box<dyn Publisher>> {
        let publisher = |_| -> Box<dyn Publisher> {
            let ports = self.ports.clone();
            Box::new(Ports(Turns::new(ports)))
        };
        (0..self.publishers).map(publisher).collect()
    }

    fn close(self: Box<Self>) -> Result<(), Fault> {
        let this = *self;
        drop(this.ports);
        for actor in this.actors {
            actor.stop(None);
        }
        let handles = this.handles;
        this.tasks.handle().block_on(async move {
            for handle in handles {
                handle.await?;
            }
            Ok::<(), Fault>(())
        })?;
        this.tasks.join()
    }
}

struct Ports(Turns<Arc<OutputPort<Arc<Item>>>>);

impl Publisher for Ports {
    #[inline]
    fn publish(&mut self, item: Item) {
        self.0.next().send(Arc::new(item));
    }

    fn stay_on(&mut self, topic: usize) -> bool {
        self.0.stay_on(topic)
    }
}
