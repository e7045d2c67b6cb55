//! C1 to C5 under fire.

#![allow(clippy::disallowed_types, reason = "tests use std's own")]

mod common;

use common::{wait_until, with_deadline};
use stasis_bus::{
    Aggregate, Bus, CACHE_UPDATE, Cache, CacheUpdate, CachingTopic, Delivery, Message, MessageType,
    Origin, Overflow, OwnThread, SubscriptionBuilder,
};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// A key and a value that is unique.
type State = (u32, u64);
static STATE: MessageType<State> = MessageType::new("state");

fn cache() -> Cache {
    let builder = Cache::builder().key(&STATE, |(id, _)| Some((*id).into()));
    builder.build().unwrap()
}

/// What one listener knows: of each key and origin, the value and the version told last.
#[derive(Default)]
struct Chain(HashMap<(u32, Origin), (Option<u64>, u64)>);

impl Chain {
    fn follow(&mut self, id: u32, update: &CacheUpdate) {
        let of = |state: Option<&State>| state.map(|(_, value)| *value);
        let (old, new) = (of(update.old_as()), of(update.new_as()));
        if let Some((last, version)) = self.0.get(&(id, update.origin)) {
            assert_eq!(*last, old, "key {id}: a hole or a jump");
            assert!(*version < update.version, "key {id}: back from {version}");
        }
        self.0.insert((id, update.origin), (new, update.version));
    }
}

fn id_of(update: &CacheUpdate) -> u32 {
    update.key.number().unwrap() as u32
}

/// All kinds of listeners, the ones with filters and keys of their own included.
fn listeners(subscribe: impl Fn() -> SubscriptionBuilder) -> Vec<SubscriptionBuilder> {
    vec![
        subscribe(),
        subscribe().delivery(Delivery::Inline),
        subscribe().delivery(OwnThread::default()),
        subscribe()
            .capacity(4)
            .overflow(Overflow::Block { timeout: None }),
        subscribe().filter(|m: &Message| m.is(&CACHE_UPDATE)),
        subscribe()
            .filter(|m: &Message| m.is(&CACHE_UPDATE))
            .filter_on_delivery(),
    ]
}

#[test]
fn updates_of_a_key_are_a_chain_whoever_publishes() {
    for with_filters in [false, true] {
        with_deadline("C3", move || {
            let bus = Bus::new().unwrap();
            let topics = [bus.topic("a").unwrap(), bus.topic("b").unwrap()];
            let all = bus.topic("all updates").unwrap();
            let cache = cache();
            let caching = topics.each_ref().map(|topic| cache.attach(topic).unwrap());
            let _forwards = caching
                .each_ref()
                .map(|it| it.topic().forward_to(&all).unwrap());
            let mut builders = listeners(|| all.subscribe());
            builders.truncate(if with_filters { 6 } else { 4 });
            let ends = Arc::new(Mutex::new(Vec::new()));
            let subscriptions: Vec<_> = builders
                .into_iter()
                .map(|builder| {
                    let ends = ends.clone();
                    let mut chain = Chain::default();
                    let handler = move |message: &Message| {
                        if message.as_final().is_some() {
                            ends.lock().unwrap().push(std::mem::take(&mut chain.0));
                        }
                        let Some(update) = message.payload(&CACHE_UPDATE) else {
                            return;
                        };
                        let id = id_of(update);
                        chain.follow(id, update);
                    };
                    builder.run(handler).unwrap()
                })
                .collect();
            let next = AtomicU64::new(0);
            thread::scope(|scope| {
                for (topic, caching) in topics.iter().zip(&caching) {
                    let next = &next;
                    scope.spawn(move || {
                        for n in 0..2_000_u32 {
                            let id = n % 3;
                            if n % 50 == 0 {
                                let _ = caching.clear(&STATE, id, Origin::LOCAL);
                                continue;
                            }
                            let value = next.fetch_add(1, Ordering::Relaxed);
                            topic.publish(STATE.message((id, value))).unwrap();
                        }
                    });
                }
            });
            for subscription in &subscriptions {
                subscription.unsubscribe();
                subscription.join().unwrap();
                assert_eq!(subscription.stats().panics, 0, "{}", subscription.name());
            }
            let ends = ends.lock().unwrap();
            assert_eq!(ends.len(), subscriptions.len());
            for end in ends.iter() {
                for ((id, _), (last, _)) in end {
                    let now = cache.get(&STATE, *id).unwrap();
                    assert_eq!(
                        now.map(|now| now.get::<State>().unwrap().1),
                        *last,
                        "the last word"
                    );
                }
            }
        });
    }
}

#[test]
fn who_is_told_finds_the_cache_at_least_as_new() {
    with_deadline("C2", || {
        let bus = Bus::new().unwrap();
        let states = bus.topic("states").unwrap();
        let cache = cache();
        let caching = cache.attach(&states).unwrap();
        let subscriptions: Vec<_> = listeners(|| caching.topic().subscribe())
            .into_iter()
            .map(|builder| {
                let cache = cache.clone();
                let handler = move |update: &CacheUpdate| {
                    let (id, told) = *update.new_as::<State>().unwrap();
                    let now = cache.get(&STATE, id).unwrap().unwrap();
                    let now = now.get::<State>().unwrap().1;
                    assert!(now >= told, "told of {told}, the cache has {now}");
                };
                builder.accept(&CACHE_UPDATE).run(handler).unwrap()
            })
            .collect();
        thread::scope(|scope| {
            // Each has a key of its own, whose values grow.
            for id in 0..2 {
                let states = &states;
                scope.spawn(move || {
                    for n in 0..2_000 {
                        states.publish(STATE.message((id, n))).unwrap();
                    }
                });
            }
        });
        for subscription in &subscriptions {
            subscription.flush().unwrap();
            let stats = subscription.stats();
            assert_eq!(
                (stats.panics, stats.delivered),
                (0, 4_000),
                "{}",
                subscription.name()
            );
        }
    });
}

#[test]
fn a_publisher_reads_its_own_writes() {
    with_deadline("C1", || {
        let bus = Bus::new().unwrap();
        let (leg, states) = (bus.topic("leg").unwrap(), bus.topic("states").unwrap());
        let _forward = leg.forward_to(&states).unwrap();
        let cache = cache();
        let _caching = cache.attach(&states).unwrap();
        thread::scope(|scope| {
            for origin in 1..4_u64 {
                let (cache, leg) = (&cache, &leg);
                scope.spawn(move || {
                    for n in 0..2_000 {
                        let mine = STATE.message_with_origin((1, n), Origin::new(origin));
                        leg.publish(mine.clone()).unwrap();
                        let now = cache.get_by_origin(&STATE, 1, Origin::new(origin)).unwrap();
                        assert_eq!(now.unwrap().id(), mine.id());
                    }
                });
            }
        });
        assert_eq!(cache.get_all(&STATE, 1).unwrap().len(), 3);
    });
}

/// A listener that has a copy of the cache by its updates alone.
#[derive(Default)]
struct Copy {
    values: HashMap<u32, u64>,
    firsts: usize,
    wrong: Vec<String>,
}

impl Copy {
    fn follow(&mut self, update: &CacheUpdate) {
        let id = id_of(update);
        let of = |state: Option<&State>| state.map(|(_, value)| *value);
        let (old, new) = (of(update.old_as()), of(update.new_as()));
        let had = self.values.get(&id).copied();
        if old.is_none() {
            self.firsts += 1;
        }
        if had != old {
            self.wrong
                .push(format!("key {id}: has {had:?}, told {old:?} -> {new:?}"));
        }
        match new {
            Some(new) => self.values.insert(id, new),
            None => self.values.remove(&id),
        };
    }
}

#[test]
fn who_begins_with_a_snapshot_misses_nothing_and_gets_nothing_twice() {
    with_deadline("C4", || {
        let bus = Bus::new().unwrap();
        let states = bus.topic("states").unwrap();
        let cache = cache();
        let caching = cache.attach(&states).unwrap();
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let publishers = [0, 1].map(|half| {
                let (states, done, caching) = (&states, &done, &caching);
                scope.spawn(move || {
                    let mut n = 0_u64;
                    while !done.load(Ordering::Relaxed) {
                        n += 1;
                        let id = (n % 40) as u32;
                        if n % 7 == half {
                            let _ = caching.clear(&STATE, id, Origin::LOCAL);
                        } else {
                            states.publish(STATE.message((id, 2 * n + half))).unwrap();
                        }
                        if n % 64 == 0 {
                            thread::yield_now();
                        }
                    }
                })
            });
            for round in 0..60 {
                let copy = Arc::new(Mutex::new(Copy::default()));
                let own = copy.clone();
                let delivery = match round % 3 {
                    0 => Delivery::Pool,
                    1 => Delivery::Inline,
                    _ => OwnThread::default().into(),
                };
                let subscription = caching
                    .subscribe_with_snapshot(
                        |options| options.delivery(delivery),
                        move |update| own.lock().unwrap().follow(update),
                    )
                    .unwrap();
                let (first, mut receiver) = caching.receive_with_snapshot(|it| it).unwrap();
                let mut taken = Copy::default();
                first.iter().for_each(|update| taken.follow(update));
                thread::yield_now();
                subscription.unsubscribe();
                receiver.subscription().unsubscribe();
                while let Ok(message) = receiver.recv() {
                    message
                        .payload(&CACHE_UPDATE)
                        .into_iter()
                        .for_each(|it| taken.follow(it));
                }
                subscription.join().unwrap();
                assert_eq!(copy.lock().unwrap().wrong, [""; 0], "round {round}");
                assert_eq!(taken.wrong, [""; 0], "round {round}");
            }
            done.store(true, Ordering::Relaxed);
            let _ = publishers.map(|publisher| publisher.join().unwrap());
        });
        assert_a_copy_agrees(&caching);
    });
}

/// At rest, whoever subscribes has what the cache has.
fn assert_a_copy_agrees(caching: &CachingTopic) {
    let cache = caching.cache();
    let copy = Arc::new(Mutex::new(Copy::default()));
    let own = copy.clone();
    let subscription = caching
        .subscribe_with_snapshot(|it| it, move |update| own.lock().unwrap().follow(update))
        .unwrap();
    subscription.flush().unwrap();
    let copy = copy.lock().unwrap();
    assert_eq!(copy.values.len(), cache.len());
    assert_eq!(copy.firsts, cache.len());
    for (id, value) in &copy.values {
        let now = cache.get(&STATE, *id).unwrap().unwrap();
        assert_eq!(now.get::<State>(), Some(&(*id, *value)));
    }
}

#[test]
fn a_key_that_comes_back_counts_on() {
    let bus = Bus::new().unwrap();
    let states = bus.topic("states").unwrap();
    let cache = cache();
    let caching = cache.attach(&states).unwrap();
    let mut updates = caching.topic().subscribe().receiver().unwrap();
    for n in 0..10 {
        states.publish(STATE.message((n % 2, 1))).unwrap();
        states.publish(STATE.message((n % 2, 2))).unwrap();
        caching.clear(&STATE, n % 2, Origin::LOCAL).unwrap();
    }
    let mut last = HashMap::new();
    while let Ok(message) = updates.try_recv() {
        let update = message.payload(&CACHE_UPDATE).unwrap();
        let before = last.insert(id_of(update), update.version);
        assert!(before.is_none_or(|before| before < update.version));
    }
    assert!(cache.is_empty());
}

#[test]
fn a_handler_that_panics_at_a_snapshot_gets_the_others() {
    let bus = Bus::new().unwrap();
    let states = bus.topic("states").unwrap();
    let cache = cache();
    let caching = cache.attach(&states).unwrap();
    for id in 0..10 {
        states.publish(STATE.message((id, 1))).unwrap();
    }
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    let subscription = caching
        .subscribe_with_snapshot(
            |it| it,
            move |update| {
                log.lock().unwrap().push(id_of(update));
                assert!(log.lock().unwrap().len() != 3, "on purpose");
            },
        )
        .unwrap();
    subscription.flush().unwrap();
    states.publish(STATE.message((3, 2))).unwrap();
    subscription.flush().unwrap();
    let mut seen = seen.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    assert_eq!(seen.pop(), Some(3), "the update is last");
    seen.sort_unstable();
    assert!(seen.iter().copied().eq(0..10), "{seen:?}");
}

#[test]
fn aggregates_end_up_right_and_after_their_causes_under_fire() {
    with_deadline("C5", || {
        let bus = Bus::new().unwrap();
        let states = bus.topic("states").unwrap();
        let cache = Cache::builder()
            .key(&STATE, |(id, _)| Some((*id).into()))
            .aggregate(&STATE, |all| {
                let sum: u64 = all.iter().map(|(_, (_, value))| value).sum();
                match all.aggregate() {
                    Some((_, old)) if *old == sum => Aggregate::Unchanged,
                    _ => Aggregate::New((1, sum)),
                }
            })
            .build()
            .unwrap();
        let caching = cache.attach(&states).unwrap();
        // On the topic itself: a sum is never more than what was published before it. Values only grow.
        let (mut known, mut sums) = (HashMap::<Origin, u64>::new(), 0_u64);
        let wrong = Arc::new(Mutex::new(Vec::new()));
        let complain = wrong.clone();
        let raw = states
            .subscribe()
            .run(move |m: &Message| {
                let Some((_, value)) = m.payload(&STATE) else {
                    return;
                };
                if m.origin() == Origin::AGGREGATE {
                    sums += 1;
                    let all: u64 = known.values().sum();
                    if all < *value {
                        complain
                            .lock()
                            .unwrap()
                            .push(format!("sum {value} of {all}, the {sums}th"));
                    }
                } else {
                    known.insert(m.origin(), *value);
                }
            })
            .unwrap();
        let mut chain = Chain::default();
        let told = caching
            .topic()
            .subscribe()
            .filter(|m: &Message| CacheUpdate::of(m, &STATE).is_some())
            .run(move |update: &CacheUpdate| chain.follow(1, update))
            .unwrap();
        thread::scope(|scope| {
            for origin in 1..4_u64 {
                let states = &states;
                scope.spawn(move || {
                    for n in 1..=1_000 {
                        let message = STATE.message_with_origin((1, n), Origin::new(origin));
                        states.publish(message).unwrap();
                    }
                });
            }
        });
        let sum = cache.aggregate(&STATE, 1).unwrap().unwrap();
        assert_eq!(sum.get::<State>(), Some(&(1, 3_000)));
        raw.flush().unwrap();
        told.flush().unwrap();
        assert_eq!(*wrong.lock().unwrap(), [""; 0]);
        assert_eq!((told.stats().panics, raw.stats().panics), (0, 0));
    });
}

#[test]
fn dumps_and_reads_go_on_while_everything_changes() {
    with_deadline("reads", || {
        let bus = Bus::new().unwrap();
        let states = bus.topic("states").unwrap();
        let cache = cache();
        let caching = cache.attach(&states).unwrap();
        for id in 0..500 {
            states.publish(STATE.message((id, 0))).unwrap();
        }
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut dumps = 0;
                while !done.load(Ordering::Relaxed) {
                    let all = cache.dump().of(&STATE).to_vec();
                    let mut ids: Vec<_> = all.iter().map(|m| m.get::<State>().unwrap().0).collect();
                    ids.sort_unstable();
                    let stable = ids.iter().filter(|id| **id < 500);
                    assert!(
                        stable.copied().eq(0..500),
                        "each once that was there all the time"
                    );
                    dumps += 1;
                }
                dumps
            });
            for n in 0..20_000_u64 {
                let id = (n % 700) as u32;
                states.publish(STATE.message((id, n))).unwrap();
                if id >= 500 {
                    caching.clear(&STATE, id, Origin::LOCAL).unwrap();
                }
            }
            wait_until("a dump", || true);
            done.store(true, Ordering::Relaxed);
            assert!(reader.join().unwrap() > 0);
        });
        assert_eq!(cache.len(), 500);
    });
}
