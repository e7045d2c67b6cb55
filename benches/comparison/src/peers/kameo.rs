//! kameo: a `PubSub` for each publisher and topic, used directly rather than as an actor, which is one queue less, and
//! an actor with an unbounded mailbox for each subscriber.

use super::tasks::Tasks;
use crate::item::{Item, Items};
use crate::ledger::Consumer;
use crate::peer::{Arena, Fault, How, Kind, Peer, Publisher, Turns, Wiring};
use kameo::actor::{Actor, ActorRef, Spawn};
use kameo::error::Infallible;
use kameo::mailbox;
use kameo::message::{Context, Message};
use kameo_actors::DeliveryStrategy;
use kameo_actors::pubsub::PubSub;
use std::sync::Arc;
use tokio::runtime::Handle;

pub(crate) const PEERS: &[&dyn Peer] = &[&Kameo];

struct Kameo;

struct Subscriber(Consumer);

impl Actor for Subscriber {
    type Args = Self;
    type Error = Infallible;

    async fn on_start(state: Self, _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(state)
    }
}

impl Message<Arc<Item>> for Subscriber {
    type Reply = ();

    async fn handle(&mut self, item: Arc<Item>, _: &mut Context<Self, ()>) {
        self.0.receive(&item);
    }
}

impl Peer for Kameo {
    fn name(&self) -> &'static str {
        "kameo"
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
        let _context = tasks.handle().enter();
        let actor =
            |consumer| Subscriber::spawn_with_mailbox(Subscriber(consumer), mailbox::unbounded());
        let actors: Vec<_> = consumers.into_iter().map(actor).collect();
        Ok(Box::new(Running {
            wiring: *wiring,
            tasks,
            actors,
        }))
    }
}

struct Running {
    wiring: Wiring,
    tasks: Tasks,
    actors: Vec<ActorRef<Subscriber>>,
}

impl Arena for Running {
    fn publishers(&mut self) -> Vec<Box<dyn Publisher>> {
        let topic = |subscribers: &[ActorRef<Subscriber>]| {
            let mut topic = PubSub::new(DeliveryStrategy::Guaranteed);
            for subscriber in subscribers {
                topic.subscribe(subscriber.clone());
            }
            topic
        };
        let publisher = |_| -> Box<dyn Publisher> {
            let topics = self.actors.chunks(self.wiring.subscribers).cycle();
            let topics = topics.take(self.wiring.topics).map(topic).collect();
            Box::new(Publishes {
                topics: Turns::new(topics),
                handle: self.tasks.handle().clone(),
            })
        };
        (0..self.wiring.publishers).map(publisher).collect()
    }

    fn close(self: Box<Self>) -> Result<(), Fault> {
        let actors = &self.actors;
        self.tasks.handle().block_on(async move {
            for actor in actors {
                actor.stop_gracefully().await?;
                actor.wait_for_shutdown().await;
            }
            Ok::<(), Fault>(())
        })?;
        self.tasks.join()
    }
}

struct Publishes {
    topics: Turns<PubSub<Arc<Item>>>,
    handle: Handle,
}

impl Publisher for Publishes {
    fn publish(&mut self, item: Item) {
        let topic = self.topics.next();
        self.handle.block_on(topic.publish(Arc::new(item)));
    }

    /// Enters the runtime once for all of them.
    fn publish_all(&mut self, items: Items) {
        let topics = &mut self.topics;
        self.handle.block_on(async move {
            for item in items {
                topics.next().publish(Arc::new(item)).await;
            }
        });
    }

    fn stay_on(&mut self, topic: usize) -> bool {
        self.topics.stay_on(topic)
    }
}
