//! Where subscribers come and go: ours, and those of others who offer it.

use crate::item::Item;
use crate::peer::Fault;
use stasis_bus::{Bus, MessageType, Receiver, Subscription, Topic};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

/// One topic, seen by who subscribes.
pub(super) trait Place {
    /// Subscribes and unsubscribes.
    fn pair(&mut self);

    /// Waits until all that was begun is over.
    ///
    /// # Errors
    /// If something is missing, or does not end.
    fn settle(&mut self) -> Result<(), Fault> {
        Ok(())
    }
}

/// Publishes a message with that number, and takes it back.
pub(super) type Publish = Box<dyn FnMut(u64) + Send>;

/// A topic with so many subscribers who get nothing, and its publisher.
pub(super) type Open = fn(usize) -> Opened;
pub(super) type Opened = Result<(Box<dyn Place>, Publish), Fault>;

/// By name: handlers on the pool, and tasks of the others; receivers that nobody runs; and with somebody who listens
/// to notices of change.
pub(super) const PLACES: &[(&str, Open)] = &[
    ("stasis-bus", |others| stasis(false, false, others)),
    ("stasis-bus/notices", |others| stasis(false, true, others)),
    ("stasis-bus/receiver", |others| stasis(true, false, others)),
    ("stasis-bus/receiver-notices", |others| {
        stasis(true, true, others)
    }),
    ("tokio-broadcast", |others| tokio_broadcast(true, others)),
    ("tokio-broadcast/receiver", |others| {
        tokio_broadcast(false, others)
    }),
    ("async-broadcast", |others| async_broadcast(true, others)),
    ("async-broadcast/receiver", |others| {
        async_broadcast(false, others)
    }),
    ("callbacks", callbacks),
];

/// Messages that a queue holds, where it has to say so.
const ROOM: usize = 1_024;

/// Until what was begun is over.
const PATIENCE: Duration = Duration::from_secs(20);

/// Of this type nothing is ever published.
static OTHER: MessageType<()> = MessageType::new("other");

fn wait_until(what: &str, is_so: impl Fn() -> bool) -> Result<(), Fault> {
    let begin = Instant::now();
    while !is_so() {
        if begin.elapsed() > PATIENCE {
            return Err(what.into());
        }
        std::thread::yield_now();
    }
    Ok(())
}

struct Stasis {
    is_receiver: bool,
    topic: Topic,
    listener: Option<Receiver>,
    pairs: u64,
    heard: u64,
    _others: Vec<Receiver>,
    bus: Bus,
}

fn stasis(is_receiver: bool, has_listener: bool, others: usize) -> Opened {
    let bus = Bus::new()?;
    let topic = bus.topic("topic")?;
    let other = |_| topic.subscribe().receiver();
    let others = (0..others).map(other).collect::<Result<_, _>>()?;
    let mut own = topic.subscribe().receiver()?;
    let published = topic.clone();
    let publish = move |number| {
        published
            .publish(Item::new(0, number))
            .expect("an open topic");
        let message = own.try_recv().expect("the message");
        let item = message.get::<Item>().expect("an item");
        assert_eq!(item.number, number);
    };
    let listener = topic.subscribe().accept(&OTHER).change_notices();
    let listener = has_listener.then(|| listener.receiver()).transpose()?;
    let place = Stasis {
        is_receiver,
        topic,
        listener,
        pairs: 0,
        heard: 0,
        _others: others,
        bus,
    };
    Ok((Box::new(place), Box::new(publish)))
}

impl Stasis {
    fn listen(&mut self) {
        let listener = self.listener.iter_mut();
        let notices = listener.flat_map(Receiver::try_iter);
        self.heard += notices.filter(|it| it.as_change().is_some()).count() as u64;
    }
}

impl Place for Stasis {
    #[inline]
    fn pair(&mut self) {
        let builder = self.topic.subscribe();
        if self.is_receiver {
            drop(builder.receiver().expect("a receiver"));
        } else {
            let subscription: Result<Subscription, _> = builder.run(|_: &Item| {});
            drop(subscription.expect("a subscription"));
        }
        self.pairs += 1;
        if self.listener.is_some() {
            self.listen();
        }
    }

    fn settle(&mut self) -> Result<(), Fault> {
        wait_until("subscriptions do not end", || self.bus.stats().ending == 0)?;
        self.listen();
        // One for coming and one for going.
        if self.listener.is_some() && self.heard < 2 * self.pairs {
            return Err(format!("{} notices of {} pairs", self.heard, self.pairs).into());
        }
        Ok(())
    }
}

/// Rivals' receivers, and who runs a task with each, if somebody does: then it is what a handler on our pool is.
struct Receivers<S, R> {
    sender: S,
    runtime: Option<Runtime>,
    subscribe: fn(&S) -> R,
    receive: fn(&Runtime, R) -> JoinHandle<()>,
    count: fn(&S) -> usize,
    /// Those there are without the pairs.
    lasting: usize,
    _others: Vec<R>,
}

impl<S, R> Place for Receivers<S, R> {
    #[inline]
    fn pair(&mut self) {
        let receiver = (self.subscribe)(&self.sender);
        if let Some(runtime) = &self.runtime {
            (self.receive)(runtime, receiver).abort();
        }
    }

    fn settle(&mut self) -> Result<(), Fault> {
        wait_until("receivers do not end", || {
            (self.count)(&self.sender) == self.lasting
        })
    }
}

fn tokio_broadcast(has_tasks: bool, others: usize) -> Opened {
    let (sender, mut own) = tokio::sync::broadcast::channel::<Arc<Item>>(ROOM);
    let place = Receivers {
        sender: sender.clone(),
        runtime: has_tasks.then(Runtime::new).transpose()?,
        subscribe: |sender| sender.subscribe(),
        receive: |runtime, mut receiver| {
            runtime.spawn(async move { while receiver.recv().await.is_ok() {} })
        },
        count: |sender| sender.receiver_count(),
        lasting: others + 1,
        _others: (0..others).map(|_| sender.subscribe()).collect(),
    };
    let publish = move |number| {
        let item = Arc::new(Item::new(0, number));
        sender.send(item).expect("a receiver");
        assert_eq!(own.try_recv().expect("the message").number, number);
    };
    Ok((Box::new(place), Box::new(publish)))
}

fn async_broadcast(has_tasks: bool, others: usize) -> Opened {
    let (sender, mut own) = async_broadcast::broadcast::<Arc<Item>>(ROOM);
    let place = Receivers {
        sender: sender.clone(),
        runtime: has_tasks.then(Runtime::new).transpose()?,
        subscribe: |sender| sender.new_receiver(),
        receive: |runtime, mut receiver| {
            runtime.spawn(async move { while receiver.recv_direct().await.is_ok() {} })
        },
        count: |sender| sender.receiver_count(),
        lasting: others + 1,
        _others: (0..others).map(|_| sender.new_receiver()).collect(),
    };
    let publish = move |number| {
        // Who is subscribed for a moment keeps messages until it has gone.
        let sent = sender.broadcast_blocking(Arc::new(Item::new(0, number)));
        sent.expect("a receiver");
        assert_eq!(own.try_recv().expect("the message").number, number);
    };
    Ok((Box::new(place), Box::new(publish)))
}

type Callback = Arc<dyn Fn(&Arc<Item>) + Send + Sync>;

struct Callbacks {
    list: Arc<RwLock<Vec<Callback>>>,
}

/// The newest is last in the list, so that finding it again costs nothing.
fn callbacks(others: usize) -> Opened {
    let nothing = |_| -> Callback { Arc::new(|_: &Arc<Item>| {}) };
    let list: Vec<Callback> = (0..others.max(1)).map(nothing).collect();
    let list = Arc::new(RwLock::new(list));
    let published = Arc::clone(&list);
    let publish = move |number| {
        let item = Arc::new(Item::new(0, number));
        for callback in &*published.read().expect("no panic") {
            callback(&item);
        }
    };
    Ok((Box::new(Callbacks { list }), Box::new(publish)))
}

impl Place for Callbacks {
    #[inline]
    fn pair(&mut self) {
        let callback: Callback = Arc::new(|_: &Arc<Item>| {});
        let wanted = Arc::as_ptr(&callback);
        self.list.write().expect("no panic").push(callback);
        let mut list = self.list.write().expect("no panic");
        let at = list
            .iter()
            .rposition(|it| std::ptr::addr_eq(Arc::as_ptr(it), wanted));
        list.swap_remove(at.expect("it is in the list"));
    }
}
