//! What the threads share, and what each of them writes down.

use super::program::{MAX_ECHOES, Policy, Reaction, Runner, SLOTS, Spec, TOPICS};
use stasis_bus::{
    Bus, Delivery, Forward, JoinFuture, ManualExecutor, Message, MessageId, Overflow, OwnThread,
    PublishError, Receipt, Receiver, SubscribeError, Subscription, SubscriptionBuilder, Topic,
    WaitStrategy,
};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// One clock for all threads: later ticks are greater, and what happened before a tick is seen by who reads it.
#[derive(Debug, Default)]
pub(crate) struct Clock(AtomicU64);

impl Clock {
    pub(crate) fn tick(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

/// When something happened first; `NEVER` if it did not.
#[derive(Debug)]
pub(crate) struct When(AtomicU64);

pub(crate) const NEVER: u64 = u64::MAX;

impl When {
    pub(crate) fn never() -> Self {
        Self(AtomicU64::new(NEVER))
    }

    pub(crate) fn note(&self, at: u64) {
        self.0.fetch_min(at, Ordering::SeqCst);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// A payload: the `seq`th of a publisher.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) publisher: usize,
    pub(crate) seq: u32,
    /// When its publish began, at the latest.
    pub(crate) begin: u64,
    _alive: Arc<()>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    Item {
        publisher: usize,
        seq: u32,
        begin: u64,
    },
    Gap {
        count: u64,
        first: MessageId,
        last: MessageId,
    },
    Final,
}

/// A publish, as its publisher saw it.
#[derive(Debug)]
pub(crate) struct Publish {
    pub(crate) id: MessageId,
    pub(crate) publisher: usize,
    pub(crate) seq: u32,
    pub(crate) topic: usize,
    pub(crate) begin: u64,
    pub(crate) end: u64,
    /// It was not refused.
    pub(crate) done: bool,
}

/// A subscription, from its beginning to its end.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) number: usize,
    pub(crate) topic: usize,
    pub(crate) spec: Spec,
    pub(crate) subscribed: When,
    /// When somebody first began to close it, or to let go of it.
    pub(crate) closing: When,
    /// When the first close had returned.
    pub(crate) closed: When,
    /// Its receiver was dropped: nobody takes the rest.
    pub(crate) is_deserted: AtomicBool,
    pub(crate) seen: Mutex<Vec<Seen>>,
    /// A run is going on.
    pub(crate) running: AtomicBool,
    pub(crate) overlaps: AtomicU64,
    pub(crate) join: Mutex<Option<JoinFuture>>,
    /// The handler has one.
    pub(crate) captured: Mutex<Option<std::sync::Weak<()>>>,
}

pub(crate) enum Handle {
    Run(Arc<Subscription>),
    Receiver(Receiver),
}

pub(crate) struct Held {
    pub(crate) handle: Handle,
    pub(crate) record: Arc<Record>,
}

pub(crate) struct World {
    pub(crate) bus: Bus,
    pub(crate) has_own_bus: bool,
    pub(crate) topics: Vec<Topic>,
    pub(crate) topics_closing: [When; TOPICS],
    pub(crate) topics_closed: [When; TOPICS],
    pub(crate) slots: [Mutex<Option<Held>>; SLOTS],
    pub(crate) forwards: [Mutex<Option<Forward>>; SLOTS],
    pub(crate) executor: Arc<ManualExecutor>,
    pub(crate) clock: Clock,
    pub(crate) records: Mutex<Vec<Arc<Record>>>,
    pub(crate) publishes: Mutex<Vec<Publish>>,
    pub(crate) total: Mutex<Receipt>,
    /// The receipt of some publish is not known.
    pub(crate) lost_receipts: AtomicBool,
    pub(crate) alive: Arc<()>,
}

/// One who publishes: a thread, or a handler.
pub(crate) struct Publisher {
    pub(crate) number: usize,
    pub(crate) made: u32,
}

impl Publisher {
    fn message(&mut self, world: &World) -> (Message, u32, u64) {
        let (seq, begin) = (self.made, world.clock.tick());
        self.made += 1;
        let message = Message::new(Item {
            publisher: self.number,
            seq,
            begin,
            _alive: Arc::clone(&world.alive),
        });
        (message, seq, begin)
    }

    pub(crate) fn publish(&mut self, world: &World, topic: usize, count: usize) {
        let made: Vec<_> = (0..count).map(|_| self.message(world)).collect();
        let mut publishes: Vec<_> = made
            .iter()
            .map(|(message, seq, begin)| Publish {
                id: message.id(),
                publisher: self.number,
                seq: *seq,
                topic,
                begin: *begin,
                end: NEVER,
                done: false,
            })
            .collect();
        let mut messages = made.into_iter().map(|(message, ..)| message);
        let published = match count {
            1 => world.topics[topic].publish(messages.next().expect("there is one")),
            _ => world.topics[topic].publish_batch(messages),
        };
        let end = world.clock.tick();
        let receipt = match published {
            Ok(receipt) | Err(PublishError::Full { receipt, .. }) => Some(receipt),
            Err(_) => None,
        };
        for publish in &mut publishes {
            (publish.end, publish.done) = (end, receipt.is_some());
        }
        match receipt {
            Some(receipt) => *world.total.lock().unwrap() += receipt,
            // What went before in the batch may have been offered; or some were, before the bus was shut down.
            None if count > 1 || world.has_own_bus => {
                world.lost_receipts.store(true, Ordering::SeqCst);
            }
            None => {}
        }
        world.publishes.lock().unwrap().extend(publishes);
    }

    pub(crate) fn publish_sync(&mut self, world: &World, topic: usize, to: &Subscription) {
        let (message, seq, begin) = self.message(world);
        let id = message.id();
        let timeout = Duration::from_micros(200);
        world.lost_receipts.store(true, Ordering::SeqCst);
        let handled = world.topics[topic].publish_sync_timeout(to, message, timeout);
        let end = world.clock.tick();
        let done = !matches!(handled, Err(stasis_bus::SyncError::Refused(_)));
        world.publishes.lock().unwrap().push(Publish {
            id,
            publisher: self.number,
            seq,
            topic,
            begin,
            end,
            done,
        });
    }
}

impl Record {
    fn begin_run(&self) {
        let overlaps = self.running.swap(true, Ordering::Relaxed);
        self.overlaps
            .fetch_add(u64::from(overlaps), Ordering::Relaxed);
    }

    pub(crate) fn see(&self, message: &Message) -> Option<u32> {
        let (seen, number) = if let Some(item) = message.get::<Item>() {
            let seen = Seen::Item {
                publisher: item.publisher,
                seq: item.seq,
                begin: item.begin,
            };
            (seen, Some(item.seq))
        } else if let Some(gap) = message.as_gap() {
            let seen = Seen::Gap {
                count: gap.count,
                first: gap.first,
                last: gap.last,
            };
            (seen, None)
        } else {
            (Seen::Final, None)
        };
        self.seen.lock().unwrap().push(seen);
        number
    }
}

/// What a handler captures.
struct Part {
    record: Arc<Record>,
    world: Arc<World>,
    publisher: Publisher,
    echoes: u32,
    _captured: Arc<()>,
}

impl Part {
    fn handle(&mut self, messages: &[Message]) {
        self.record.begin_run();
        for message in messages {
            if self.record.see(message).is_some() {
                self.react();
            }
        }
        self.record.running.store(false, Ordering::Relaxed);
    }

    fn react(&mut self) {
        if self.echoes == MAX_ECHOES {
            return;
        }
        self.echoes += 1;
        match self.record.spec.reaction {
            Reaction::None => {}
            Reaction::Echo { topic } => {
                let topic = usize::from(topic) % TOPICS;
                self.publisher.publish(&self.world, topic, 1);
            }
            Reaction::Unsubscribe { slot } => unsubscribe(&self.world, usize::from(slot) % SLOTS),
            Reaction::Yield => std::thread::yield_now(),
        }
    }
}

pub(crate) fn unsubscribe(world: &World, slot: usize) {
    let (record, subscription) = match &*world.slots[slot].lock().unwrap() {
        Some(Held {
            handle: Handle::Run(subscription),
            record,
        }) => (Arc::clone(record), Arc::clone(subscription)),
        _ => return,
    };
    record.closing.note(world.clock.tick());
    subscription.unsubscribe();
    record.closed.note(world.clock.tick());
    drop_last(world, &record, subscription);
}

/// Whoever has the last handle unsubscribes by dropping it.
pub(crate) fn drop_last(world: &World, record: &Record, subscription: Arc<Subscription>) {
    if let Some(last) = Arc::into_inner(subscription) {
        record.closing.note(world.clock.tick());
        drop(last);
        record.closed.note(world.clock.tick());
    }
}

pub(crate) fn subscribe(world: &Arc<World>, slot: usize, topic: usize, spec: Spec) {
    let number = {
        let mut records = world.records.lock().unwrap();
        let number = records.len();
        records.push(Arc::new(Record {
            number,
            topic,
            spec,
            subscribed: When::never(),
            closing: When::never(),
            closed: When::never(),
            is_deserted: AtomicBool::new(false),
            seen: Mutex::default(),
            running: AtomicBool::new(false),
            overlaps: AtomicU64::new(0),
            join: Mutex::default(),
            captured: Mutex::default(),
        }));
        number
    };
    let record = Arc::clone(&world.records.lock().unwrap()[number]);
    let Ok(handle) = make(world, &record) else {
        return;
    };
    record.subscribed.note(world.clock.tick());
    let join = match &handle {
        Handle::Run(subscription) => subscription.join_async(),
        Handle::Receiver(receiver) => receiver.subscription().join_async(),
    };
    *record.join.lock().unwrap() = Some(join);
    let old = world.slots[slot]
        .lock()
        .unwrap()
        .replace(Held { handle, record });
    if let Some(old) = old {
        let_go(world, old);
    }
}

pub(crate) fn let_go(world: &World, held: Held) {
    let Held { handle, record } = held;
    record.closing.note(world.clock.tick());
    match handle {
        Handle::Run(subscription) => drop_last(world, &record, subscription),
        Handle::Receiver(receiver) => {
            record.is_deserted.store(true, Ordering::SeqCst);
            drop(receiver);
            record.closed.note(world.clock.tick());
        }
    }
}

fn make(world: &Arc<World>, record: &Arc<Record>) -> Result<Handle, SubscribeError> {
    let spec = record.spec;
    let builder = options(world.topics[record.topic].subscribe(), spec);
    let builder = match spec.runner {
        Runner::Receiver => return builder.receiver().map(Handle::Receiver),
        Runner::Pool => builder,
        Runner::Inline => builder.delivery(Delivery::Inline),
        Runner::Manual => builder.delivery(Delivery::Executor(world.executor.clone())),
        Runner::OwnThread => builder.delivery(OwnThread::new(WaitStrategy::Park)),
    };
    let captured = Arc::new(());
    *record.captured.lock().unwrap() = Some(Arc::downgrade(&captured));
    let mut part = Part {
        record: Arc::clone(record),
        world: Arc::clone(world),
        publisher: Publisher {
            number: super::program::THREADS + record.number,
            made: 0,
        },
        echoes: 0,
        _captured: captured,
    };
    let subscription = match spec.batch {
        Some(max) => builder
            .max_batch(1 + usize::from(max % 4))
            .run_batch(move |messages| part.handle(messages)),
        None => builder.run(move |message: &Message| part.handle(std::slice::from_ref(message))),
    };
    Ok(Handle::Run(Arc::new(subscription?)))
}

fn options(builder: SubscriptionBuilder, spec: Spec) -> SubscriptionBuilder {
    let overflow = match spec.policy {
        Policy::Spill => Overflow::Spill { limit: None },
        Policy::SpillLimit => Overflow::Spill {
            limit: Some(spec.capacity() as u64 + 1),
        },
        // Who is run by hand makes no room while everybody waits for that.
        Policy::Block => Overflow::Block {
            timeout: (spec.is_run_by_hand()).then(|| Duration::from_micros(100)),
        },
        Policy::DropOldest => Overflow::DropOldest,
        Policy::DropNewest => Overflow::DropNewest,
        Policy::Fail => Overflow::Fail,
        Policy::Evict => Overflow::Evict,
    };
    let builder = builder.overflow(overflow).capacity(spec.capacity());
    if !spec.filter {
        return builder;
    }
    builder.filter(move |message| {
        let item = message.get::<Item>();
        item.is_some_and(|item| spec.passes(item.seq))
    })
}
