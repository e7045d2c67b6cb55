//! What caching costs: reading a cache while it is written at full speed, against a concurrent map; publishing to a
//! caching topic, against publishing to a subscription; dumping all of it, against leaving it alone. Ratios are of
//! one run, in turns.

#![allow(clippy::disallowed_types, reason = "a bench uses std's own")]

mod support;

#[path = "support/contest.rs"]
mod contest;

use contest::Contest;
use stasis_bus::{Bus, Cache, CachingTopic, MessageType, Subscription, Topic};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use support::Flags;

/// 64 bytes, with its key.
struct State {
    id: u64,
    _rest: [u64; 7],
}

static STATE: MessageType<State> = MessageType::new("state");

/// What is read and written in turn.
const KEYS: u64 = 1_000;

fn state(id: u64) -> State {
    State { id, _rest: [0; 7] }
}

struct World {
    _bus: Bus,
    topic: Topic,
    cache: Cache,
    caching: CachingTopic,
}

fn world(keys: u64) -> World {
    let bus = Bus::new().unwrap();
    let topic = bus.topic("states").unwrap();
    let cache = Cache::builder()
        .key(&STATE, |state| Some(state.id.into()))
        .build()
        .unwrap();
    let caching = cache.attach(&topic).unwrap();
    for id in 0..keys {
        topic.publish(STATE.message(state(id))).unwrap();
    }
    World {
        _bus: bus,
        topic,
        cache,
        caching,
    }
}

/// Runs `work` on a thread of its own, again and again, for as long as this lives.
struct Beside {
    done: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Beside {
    fn run(mut work: impl FnMut() + Send + 'static) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let is_done = done.clone();
        let thread = thread::spawn(move || {
            while !is_done.load(Ordering::Relaxed) {
                work();
            }
        });
        Self {
            done,
            thread: Some(thread),
        }
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

/// So many reads of each of two threads; how long until both are through.
fn two_readers(reads: u64, read: impl Fn(u64) + Sync) -> Duration {
    let begin = Instant::now();
    thread::scope(|scope| {
        for reader in 0..2 {
            let read = &read;
            scope.spawn(move || (0..reads).for_each(|n| read((n * 7 + reader) % KEYS)));
        }
    });
    begin.elapsed()
}

fn reading(flags: Flags) {
    let world = world(KEYS);
    let map: Arc<papaya::HashMap<u64, Arc<State>>> = Arc::default();
    for id in 0..KEYS {
        map.pin().insert(id, Arc::new(state(id)));
    }
    let mut contest = Contest::new(
        "two readers during updates at full speed, a read each",
        flags,
        200_000,
    );
    contest.enter("papaya", |reads| {
        let (writer, mut id) = (map.clone(), 0);
        let _writer = Beside::run(move || {
            id = (id + 1) % KEYS;
            writer.pin().insert(id, Arc::new(state(id)));
        });
        two_readers(reads, |id| drop(black_box(map.pin().get(&id).cloned())))
    });
    contest.enter("cache", |reads| {
        let (topic, mut id) = (world.topic.clone(), 0);
        let _writer = Beside::run(move || {
            id = (id + 1) % KEYS;
            topic.publish(STATE.message(state(id))).unwrap();
        });
        two_readers(reads, |id| {
            drop(black_box(world.cache.get(&STATE, id).unwrap()))
        })
    });
    contest.run();
    contest.ratio("cache", "papaya", Some(1.25));
}

/// Publishes so many, and waits until the subscription has handled them.
fn publish_and_wait(topic: &Topic, subscription: &Subscription, messages: u64) -> Duration {
    let begin = Instant::now();
    for n in 0..messages {
        topic.publish(STATE.message(state(n % KEYS))).unwrap();
    }
    subscription.flush().unwrap();
    begin.elapsed()
}

fn updating(flags: Flags) {
    let bus = Bus::new().unwrap();
    let plain = bus.topic("plain").unwrap();
    let handled = |m: &stasis_bus::Message| {
        black_box(m.id());
    };
    let on_plain = plain.subscribe().run(handled).unwrap();
    let cached = world(KEYS);
    let on_cached = cached.caching.topic().subscribe().run(handled).unwrap();
    let unheard = world(KEYS);
    let mut contest = Contest::new("publish, and have it handled on the pool", flags, 100_000);
    contest.enter("to a subscription", |n| {
        publish_and_wait(&plain, &on_plain, n)
    });
    contest.enter("to a caching topic", |n| {
        publish_and_wait(&cached.topic, &on_cached, n)
    });
    contest.enter("to a caching topic, nobody listens", |n| {
        publish(&unheard, KEYS, n)
    });
    contest.run();
    contest.ratio("to a caching topic", "to a subscription", Some(1.5));
}

/// Publishes so many, and waits for nobody.
fn publish(world: &World, keys: u64, messages: u64) -> Duration {
    let begin = Instant::now();
    for n in 0..messages {
        world
            .topic
            .publish(STATE.message(state((n * 7) % keys)))
            .unwrap();
    }
    begin.elapsed()
}

fn dumping(flags: Flags) {
    const ENTRIES: u64 = 100_000;
    let world = world(ENTRIES);
    let mut contest = Contest::new("publish to a cache of 100,000", flags, 100_000);
    contest.enter("alone", |n| publish(&world, ENTRIES, n));
    contest.enter("beside other work", |n| {
        // As much memory is walked through, of nobody's concern.
        let mut other: Vec<u64> = (0..4_000_000).collect();
        let _work = Beside::run(move || other.iter_mut().for_each(|n| *n = black_box(*n + 1)));
        publish(&world, ENTRIES, n)
    });
    contest.enter("beside dumps", |n| {
        let dumped = world.cache.clone();
        let _dumps = Beside::run(move || assert_eq!(dumped.dump().to_vec().len(), 100_000));
        publish(&world, ENTRIES, n)
    });
    contest.run();
    contest.ratio("beside dumps", "beside other work", Some(1.1));
    contest.ratio("beside dumps", "alone", None);
}

fn main() {
    let flags = Flags::read();
    reading(flags);
    updating(flags);
    dumping(flags);
}
