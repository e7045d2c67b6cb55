//! What caching costs: reading a cache while it is written at full speed, against a concurrent map; publishing to a
//! caching topic, against publishing to a subscription; dumping all of it, against leaving it alone.

#![expect(missing_docs, reason = "criterion's macros")]
#![allow(clippy::disallowed_types, reason = "a bench uses std's own")]

#[path = "support/rounds.rs"]
mod rounds;

use criterion::{Criterion, criterion_group, criterion_main};
use rounds::{Contender, compare};
use stasis_bus::{Bus, Cache, CachingTopic, MessageType, Subscription, Topic};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

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

fn reading(c: &mut Criterion) {
    let world = world(KEYS);
    let map: Arc<papaya::HashMap<u64, Arc<State>>> = Arc::default();
    for id in 0..KEYS {
        map.pin().insert(id, Arc::new(state(id)));
    }
    let of_map = move |reads| {
        let writer = map.clone();
        let mut id = 0;
        let _writer = Beside::run(move || {
            id = (id + 1) % KEYS;
            writer.pin().insert(id, Arc::new(state(id)));
        });
        two_readers(reads, |id| drop(black_box(map.pin().get(&id).cloned())))
    };
    let of_cache = move |reads| {
        let topic = world.topic.clone();
        let mut id = 0;
        let _writer = Beside::run(move || {
            id = (id + 1) % KEYS;
            topic.publish(STATE.message(state(id))).unwrap();
        });
        two_readers(reads, |id| {
            drop(black_box(world.cache.get(&STATE, id).unwrap()))
        })
    };
    let contenders = vec![
        Contender::new("papaya, two readers", of_map),
        Contender::new("cache, two readers", of_cache),
    ];
    compare(c, "cache/read under updates", 300_000, contenders);
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

fn updating(c: &mut Criterion) {
    let bus = Bus::new().unwrap();
    let plain = bus.topic("plain").unwrap();
    let handled = |m: &stasis_bus::Message| {
        black_box(m.id());
    };
    let on_plain = plain.subscribe().run(handled).unwrap();
    let cached = world(KEYS);
    let on_cached = cached.caching.topic().subscribe().run(handled).unwrap();
    let unheard = world(KEYS);
    let contenders = vec![
        Contender::new("publish to a subscription", move |messages| {
            let _bus = &bus;
            publish_and_wait(&plain, &on_plain, messages)
        }),
        Contender::new("publish to a caching topic", move |messages| {
            publish_and_wait(&cached.topic, &on_cached, messages)
        }),
        Contender::new("the same, nobody listens", move |messages| {
            let begin = Instant::now();
            for n in 0..messages {
                unheard
                    .topic
                    .publish(STATE.message(state(n % KEYS)))
                    .unwrap();
            }
            begin.elapsed()
        }),
    ];
    compare(c, "cache/update", 200_000, contenders);
}

fn dumping(c: &mut Criterion) {
    const ENTRIES: u64 = 100_000;
    let world = Arc::new(world(ENTRIES));
    let publish = |world: &World, messages: u64| {
        let begin = Instant::now();
        for n in 0..messages {
            world
                .topic
                .publish(STATE.message(state((n * 7) % ENTRIES)))
                .unwrap();
        }
        begin.elapsed()
    };
    let [alone, beside_work, beside_dumps] = [(); 3].map(|()| world.clone());
    let contenders = vec![
        Contender::new("publish, alone", move |messages| publish(&alone, messages)),
        Contender::new("publish beside other work", move |messages| {
            // As much memory is walked through, of nobody's concern.
            let mut other: Vec<u64> = (0..4_000_000).collect();
            let _work = Beside::run(move || other.iter_mut().for_each(|n| *n = black_box(*n + 1)));
            publish(&beside_work, messages)
        }),
        Contender::new("publish beside dumps", move |messages| {
            let dumped = beside_dumps.cache.clone();
            let _dumps = Beside::run(move || assert_eq!(dumped.dump().to_vec().len(), 100_000));
            publish(&beside_dumps, messages)
        }),
    ];
    compare(c, "cache/dump of 100,000", 200_000, contenders);
}

fn config() -> Criterion {
    Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
}

criterion_group! {
    name = benches;
    config = config();
    targets = reading, updating, dumping
}
criterion_main!(benches);
