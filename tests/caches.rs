//! Caches: what is kept, by what, what is said of it, and what a cache answers to bad questions.

#![allow(clippy::disallowed_types, reason = "tests use std's own")]

mod common;

use common::Log;
use stasis_bus::{
    Aggregate, Bus, CACHE_CLEAR, CACHE_UPDATE, Cache, CacheClear, CacheError, CacheUpdate,
    CachingTopic, KeyKind, Message, MessageType, Origin, SubscribeError, Topic, TopicError,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// An id and a value; ids from 100 are not cacheable.
type State = (u32, u64);
static STATE: MessageType<State> = MessageType::new("state");
static NAMED: MessageType<(String, u64)> = MessageType::new("named");
static OTHER: MessageType<u64> = MessageType::new("other");

const FAR: Origin = Origin::new(7);

fn cache() -> Cache {
    Cache::builder()
        .key(&STATE, |(id, _)| (*id < 100).then(|| (*id).into()))
        .key(&NAMED, |(name, _)| Some(name.as_str().into()))
        .build()
        .unwrap()
}

struct World {
    bus: Bus,
    states: Topic,
    cache: Cache,
    caching: CachingTopic,
}

fn world() -> World {
    world_with(cache())
}

fn world_with(cache: Cache) -> World {
    let bus = Bus::new().unwrap();
    let states = bus.topic("states").unwrap();
    let caching = cache.attach(&states).unwrap();
    World {
        bus,
        states,
        cache,
        caching,
    }
}

impl World {
    fn set(&self, id: u32, value: u64) -> Message {
        self.set_by(Origin::LOCAL, id, value)
    }

    fn set_by(&self, origin: Origin, id: u32, value: u64) -> Message {
        let message = STATE.message_with_origin((id, value), origin);
        self.states.publish(message.clone()).unwrap();
        message
    }

    fn value(&self, id: u32) -> Option<u64> {
        value(self.cache.get(&STATE, id).unwrap())
    }
}

fn value(message: Option<Message>) -> Option<u64> {
    message.and_then(|message| message.get::<State>().map(|(_, value)| *value))
}

fn values(messages: Vec<Message>) -> Vec<u64> {
    let mut values: Vec<_> = messages
        .into_iter()
        .filter_map(|m| value(Some(m)))
        .collect();
    values.sort_unstable();
    values
}

/// Old value, new value, and whether it is about the aggregate.
type Told = (Option<u64>, Option<u64>, bool);

fn told(update: &CacheUpdate) -> Told {
    let of = |state: Option<&State>| state.map(|(_, value)| *value);
    (
        of(update.old_as()),
        of(update.new_as()),
        update.is_aggregate(),
    )
}

#[test]
fn it_keeps_the_last_of_each_key_and_tells() {
    let world = world();
    let mut updates = world.caching.topic().subscribe().receiver().unwrap();
    assert_eq!(world.value(1), None);
    world.set(1, 10);
    assert_eq!(world.value(1), Some(10));
    world.set(1, 11);
    world.set(2, 20);
    assert_eq!((world.value(1), world.value(2)), (Some(11), Some(20)));
    assert_eq!(world.cache.len(), 2);
    let mut got = || {
        let message = updates.try_recv().unwrap();
        let update = message.payload(&CACHE_UPDATE).unwrap();
        assert_eq!(update.info, STATE.info());
        assert_eq!(update.origin, Origin::LOCAL);
        told(update)
    };
    assert_eq!(got(), (None, Some(10), false));
    assert_eq!(got(), (Some(10), Some(11), false));
    assert_eq!(got(), (None, Some(20), false));
    assert!(updates.try_recv().is_err());
}

#[test]
fn types_have_their_own_keys() {
    let world = world();
    world.set(1, 10);
    let named = NAMED.message(("1".into(), 5));
    world.states.publish(named.clone()).unwrap();
    let found = world.cache.get(&NAMED, "1").unwrap().unwrap();
    assert_eq!(found.id(), named.id());
    assert_eq!(world.value(1), Some(10));
    assert_eq!(world.cache.dump().to_vec().len(), 2);
    assert_eq!(world.cache.dump().of(&STATE).to_vec().len(), 1);
    assert_eq!(world.cache.dump().of(&OTHER).to_vec().len(), 0);
}

#[test]
fn what_is_not_cacheable_is_left_out_or_passed_on() {
    for passes in [false, true] {
        let cache = Cache::builder()
            .key(&STATE, |(id, _)| (*id < 100).then(|| (*id).into()))
            .pass_uncacheable(passes)
            .build()
            .unwrap();
        let world = world_with(cache);
        let mut updates = world.caching.topic().subscribe().receiver().unwrap();
        let without_key = world.set(100, 1);
        let other_type = OTHER.message(3);
        world.states.publish(other_type.clone()).unwrap();
        let aggregate = STATE.message_with_origin((1, 1), Origin::AGGREGATE);
        world.states.publish(aggregate).unwrap();
        assert!(world.cache.is_empty());
        if passes {
            assert_eq!(updates.try_recv().unwrap().id(), without_key.id());
            assert_eq!(updates.try_recv().unwrap().id(), other_type.id());
        }
        assert!(updates.try_recv().is_err());
    }
}

#[test]
fn every_type_by_one_function() {
    let cache = Cache::builder()
        .key_for_others(|message| message.get::<u64>().map(|n| (*n % 10).into()))
        .build()
        .unwrap();
    let world = world_with(cache);
    world.states.publish(OTHER.message(13)).unwrap();
    world.states.publish(23_u64).unwrap();
    let found = world.cache.get(&OTHER, 3_u64).unwrap().unwrap();
    assert_eq!(found.get(), Some(&13_u64));
    assert_eq!(world.cache.len(), 2, "the type is part of the key");
}

#[test]
fn origins_are_kept_apart() {
    let world = world();
    let mut updates = world.caching.topic().subscribe().receiver().unwrap();
    world.set_by(FAR, 1, 70);
    assert_eq!(world.value(1), None);
    world.set(1, 10);
    world.set_by(FAR, 1, 71);
    let by = |origin| value(world.cache.get_by_origin(&STATE, 1, origin).unwrap());
    assert_eq!(
        (by(Origin::LOCAL), by(FAR), by(Origin::new(8))),
        (Some(10), Some(71), None)
    );
    assert_eq!(values(world.cache.get_all(&STATE, 1).unwrap()), [10, 71]);
    assert!(world.cache.get_all(&STATE, 9).unwrap().is_empty());
    assert_eq!(values(world.cache.dump().to_vec()), [10]);
    assert_eq!(values(world.cache.dump().by_origin(FAR).to_vec()), [71]);
    assert_eq!(values(world.cache.dump().all_origins().to_vec()), [10, 71]);
    let mut got = || told(updates.try_recv().unwrap().payload(&CACHE_UPDATE).unwrap());
    assert_eq!(got(), (None, Some(70), false));
    assert_eq!(got(), (None, Some(10), false));
    assert_eq!(got(), (Some(70), Some(71), false));
}

#[test]
fn the_origin_of_the_bus_is_the_local_one() {
    let bus = Bus::builder().origin(FAR).build().unwrap();
    let states = bus.topic("states").unwrap();
    let cache = cache();
    let _caching = cache.attach(&states).unwrap();
    states
        .publish(STATE.message_with_origin((1, 5), FAR))
        .unwrap();
    assert_eq!(value(cache.get(&STATE, 1).unwrap()), Some(5));
    states.publish(STATE.message((1, 6))).unwrap();
    assert_eq!(value(cache.get_by_origin(&STATE, 1, FAR).unwrap()), Some(6));
    let other = Bus::new().unwrap().topic("states").unwrap();
    assert!(matches!(cache.attach(&other), Err(CacheError::OtherBus)));
}

#[test]
fn clearing_by_key_by_sample_and_by_request() {
    let world = world();
    let mut updates = world.caching.topic().subscribe().receiver().unwrap();
    let sample = world.set(1, 10);
    world.set_by(FAR, 1, 70);
    world.caching.clear(&STATE, 1, Origin::LOCAL).unwrap();
    assert_eq!(world.value(1), None);
    assert_eq!(values(world.cache.get_all(&STATE, 1).unwrap()), [70]);
    world.set(1, 11);
    world.caching.clear_like(&sample).unwrap();
    assert_eq!(world.value(1), None);
    world.set(1, 12);
    let request = CACHE_CLEAR.message(CacheClear::like(&sample));
    world.states.publish(request.clone()).unwrap();
    assert_eq!(world.value(1), None);
    // Again: nothing to clear, nothing told.
    world.states.publish(request).unwrap();
    let far = CacheClear::of(&STATE, 1_u32, FAR);
    world.states.publish(CACHE_CLEAR.message(far)).unwrap();
    assert!(world.cache.is_empty());
    let got = std::iter::from_fn(|| updates.try_recv().ok());
    let got: Vec<_> = got
        .map(|m| told(m.payload(&CACHE_UPDATE).unwrap()))
        .collect();
    let (set, cleared) = (|n| (None, Some(n), false), |n| (Some(n), None, false));
    let expected = [
        set(10),
        set(70),
        cleared(10),
        set(11),
        cleared(11),
        set(12),
        cleared(12),
    ];
    assert_eq!(got[..7], expected);
    assert_eq!(got[7..], [cleared(70)]);
}

#[test]
fn bad_questions_have_named_answers() {
    let world = world();
    let name = "other";
    assert!(
        matches!(world.cache.get(&OTHER, 1), Err(CacheError::NotCacheable { name: n }) if n == name)
    );
    assert!(matches!(
        world.cache.get_all(&OTHER, 1),
        Err(CacheError::NotCacheable { .. })
    ));
    // Before anything was cached nobody knows what keys are made of.
    assert!(world.cache.get(&STATE, "one").unwrap().is_none());
    world.set(1, 10);
    let wrong = world.cache.get(&STATE, "one").unwrap_err();
    assert!(matches!(
        wrong,
        CacheError::WrongKey {
            name: "state",
            expected: KeyKind::Number,
            given: KeyKind::Text
        }
    ));
    assert_eq!(
        wrong.to_string(),
        "the keys of type `state` are a number, the given one is a text"
    );
    let clear = |id: u32| world.caching.clear(&STATE, id, Origin::LOCAL);
    assert!(matches!(
        clear(2),
        Err(CacheError::NotCached { name: "state" })
    ));
    let clear = world.caching.clear(&STATE, "1", Origin::LOCAL);
    assert!(matches!(clear, Err(CacheError::WrongKey { .. })));
    let clear = world.caching.clear_like(&OTHER.message(1));
    assert!(matches!(clear, Err(CacheError::NotCacheable { .. })));
    let clear = world
        .caching
        .clear_like(&STATE.message_with_origin((1, 1), FAR));
    assert!(matches!(clear, Err(CacheError::NotCached { .. })));
    let twice = Cache::builder()
        .key(&STATE, |_| None)
        .key(&STATE, |_| None)
        .build();
    assert!(matches!(
        twice,
        Err(CacheError::DuplicateType { name: "state" })
    ));
    let no_key = Cache::builder().suppress_unchanged(&OTHER).build();
    assert!(matches!(no_key, Err(CacheError::NoKey { name: "other" })));
    world.states.close();
    let closed = cache().attach(&world.states);
    assert!(matches!(
        closed,
        Err(CacheError::Subscribe(SubscribeError::TopicClosed))
    ));
    let long = world.bus.topic(&"x".repeat(1_024)).unwrap();
    let long = cache().attach(&long);
    assert!(matches!(
        long,
        Err(CacheError::Topic(TopicError::NameTooLong { .. }))
    ));
    let states = world.bus.topic("states").unwrap();
    world.bus.shutdown().unwrap();
    assert!(matches!(
        cache().attach(&states),
        Err(CacheError::Topic(TopicError::ShutDown))
    ));
}

#[test]
fn unchanged_ones_are_suppressed_on_request() {
    let cache = Cache::builder()
        .key(&STATE, |(id, _)| Some((*id).into()))
        .suppress_unchanged(&STATE)
        .build()
        .unwrap();
    let world = world_with(cache);
    let mut raw = world.states.subscribe().receiver().unwrap();
    let mut updates = world.caching.topic().subscribe().receiver().unwrap();
    let first = world.set(1, 10);
    world.set(1, 10);
    assert_eq!(
        world.cache.get(&STATE, 1).unwrap().unwrap().id(),
        first.id()
    );
    world.set(1, 11);
    world.set_by(FAR, 1, 11);
    assert_eq!(std::iter::from_fn(|| raw.try_recv().ok()).count(), 4);
    assert_eq!(std::iter::from_fn(|| updates.try_recv().ok()).count(), 3);
}

#[test]
fn several_topics_fill_one_cache_and_each_tells_of_its_own() {
    let world = world();
    let more = world.bus.topic("more states").unwrap();
    let caching_more = world.cache.attach(&more).unwrap();
    assert_ne!(caching_more.topic().name(), world.caching.topic().name());
    let mut updates = world.caching.topic().subscribe().receiver().unwrap();
    let mut more_updates = caching_more.topic().subscribe().receiver().unwrap();
    world.set(1, 10);
    more.publish(STATE.message((1, 11))).unwrap();
    let got = |receiver: &mut stasis_bus::Receiver| {
        told(receiver.try_recv().unwrap().payload(&CACHE_UPDATE).unwrap())
    };
    assert_eq!(got(&mut updates), (None, Some(10), false));
    assert_eq!(got(&mut more_updates), (Some(10), Some(11), false));
    assert!(updates.try_recv().is_err());
    assert!(caching_more.cache().get(&STATE, 1).unwrap().is_some());
}

#[test]
fn an_origin_that_dies_takes_its_snapshots_along() {
    let world = world();
    let more = world.bus.topic("more states").unwrap();
    let caching_more = world.cache.attach(&more).unwrap();
    let mut updates = world.caching.topic().subscribe().receiver().unwrap();
    for id in 0..5 {
        world.set_by(FAR, id, 70);
        world.set(id, 10);
    }
    more.publish(STATE.message_with_origin((9, 71), FAR))
        .unwrap();
    drop(caching_more);
    while updates.try_recv().is_ok() {}
    assert_eq!(world.cache.expire_origin(FAR), 6);
    assert_eq!(world.cache.expire_origin(FAR), 0);
    let got: Vec<_> = std::iter::from_fn(|| updates.try_recv().ok())
        .map(|m| told(m.payload(&CACHE_UPDATE).unwrap()))
        .collect();
    assert_eq!(
        got,
        [(Some(70), None, false); 5],
        "of those whose caching topic lives"
    );
    assert_eq!(values(world.cache.dump().all_origins().to_vec()), [10; 5]);
}

fn summing() -> Cache {
    Cache::builder()
        .key(&STATE, |(id, _)| Some((*id).into()))
        .aggregate(&STATE, |snapshots| {
            let sum = snapshots.iter().map(|(_, (_, value))| value).sum();
            match (snapshots.aggregate(), snapshots.iter().next()) {
                (Some((_, old)), _) if *old == sum => Aggregate::Unchanged,
                (_, Some((_, (id, _)))) if sum > 0 => Aggregate::New((*id, sum)),
                _ => Aggregate::None,
            }
        })
        .build()
        .unwrap()
}

/// Of both topics: what was told in the test below, in its order.
fn assert_sums(mut raw: stasis_bus::Receiver, mut updates: stasis_bus::Receiver) {
    let raw: Vec<_> = std::iter::from_fn(|| raw.try_recv().ok())
        .map(|m| {
            (
                value(Some(m.clone())).unwrap(),
                m.origin() == Origin::AGGREGATE,
            )
        })
        .collect();
    let (of, sum) = (|n| (n, false), |n| (n, true));
    let expected = [
        of(10),
        sum(10),
        of(5),
        sum(15),
        of(5),
        sum(10),
        of(10),
        sum(15),
        sum(5),
    ];
    assert_eq!(raw, expected);
    let updates: Vec<_> = std::iter::from_fn(|| updates.try_recv().ok())
        .map(|m| told(m.payload(&CACHE_UPDATE).unwrap()))
        .collect();
    let expected = [
        (None, Some(10), false),
        (None, Some(10), true),
        (None, Some(5), false),
        (Some(10), Some(15), true),
        (Some(10), Some(5), false),
        (Some(15), Some(10), true),
        (Some(5), Some(10), false),
        (Some(10), Some(15), true),
        (Some(10), None, false),
        (Some(15), Some(5), true),
        (Some(5), None, false),
        (Some(5), None, true),
    ];
    assert_eq!(updates, expected);
}

#[test]
fn aggregates_follow_their_causes_for_everyone() {
    let world = world_with(summing());
    let raw = world.states.subscribe().receiver().unwrap();
    let updates = world.caching.topic().subscribe().receiver().unwrap();
    let aggregate = || value(world.cache.aggregate(&STATE, 1).unwrap());
    world.set(1, 10);
    assert_eq!(aggregate(), Some(10));
    world.set_by(FAR, 1, 5);
    assert_eq!(aggregate(), Some(15));
    assert_eq!(
        value(
            world
                .cache
                .get_by_origin(&STATE, 1, Origin::AGGREGATE)
                .unwrap()
        ),
        Some(15)
    );
    // The sum stays.
    world.set(1, 5);
    world.set_by(FAR, 1, 10);
    assert_eq!(
        values(world.cache.dump().by_origin(Origin::AGGREGATE).to_vec()),
        [15]
    );
    assert_eq!(
        values(world.cache.get_all(&STATE, 1).unwrap()),
        [5, 10],
        "without the aggregate"
    );
    world.caching.clear(&STATE, 1, FAR).unwrap();
    assert_eq!(aggregate(), Some(5));
    world.caching.clear(&STATE, 1, Origin::LOCAL).unwrap();
    assert_eq!(aggregate(), None);
    assert!(world.cache.is_empty());
    assert_sums(raw, updates);
}

#[test]
fn aggregates_may_stay_off_the_topic_that_is_cached() {
    let cache = Cache::builder()
        .key(&STATE, |(id, _)| Some((*id).into()))
        .aggregate(&STATE, |all| Aggregate::New((1, all.iter().count() as u64)))
        .keep_aggregates()
        .build()
        .unwrap();
    let world = world_with(cache);
    let mut raw = world.states.subscribe().receiver().unwrap();
    let mut updates = world.caching.topic().subscribe().receiver().unwrap();
    world.set(1, 10);
    assert_eq!(std::iter::from_fn(|| raw.try_recv().ok()).count(), 1);
    assert_eq!(std::iter::from_fn(|| updates.try_recv().ok()).count(), 2);
    assert_eq!(value(world.cache.aggregate(&STATE, 1).unwrap()), Some(1));
}

#[test]
fn filters_on_the_topic_of_updates_see_what_is_told() {
    let world = world_with(summing());
    // One that publishers run, one that runs with its handler, and a key to conflate by.
    let news = |message: &Message| {
        let update = message.payload(&CACHE_UPDATE);
        update.is_some_and(|update| !update.is_aggregate() && update.new.is_some())
    };
    let early = world.caching.topic().subscribe().filter(news).receiver();
    let late = world.caching.subscribe().filter(news).receiver();
    for mut receiver in [early.unwrap(), late.unwrap()] {
        world.set(1, 10);
        world.set(1, 11);
        world.caching.clear(&STATE, 1, Origin::LOCAL).unwrap();
        let got: Vec<_> = std::iter::from_fn(|| receiver.try_recv().ok())
            .map(|m| told(m.payload(&CACHE_UPDATE).unwrap()).1.unwrap())
            .collect();
        let (old, new) = got.split_at(got.len() - 2);
        assert_eq!(new, [10, 11]);
        assert_eq!(old.len() % 2, 0);
    }
}

#[test]
fn what_leaves_the_cache_is_dropped() {
    struct Counted(Arc<AtomicUsize>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
    }
    static COUNTED: MessageType<Counted> = MessageType::new("counted");
    let alive = Arc::new(AtomicUsize::new(0));
    let bus = Bus::new().unwrap();
    let topic = bus.topic("t").unwrap();
    let cache = Cache::builder()
        .key(&COUNTED, |_| Some(1_u32.into()))
        .build()
        .unwrap();
    let caching = cache.attach(&topic).unwrap();
    let publish = || {
        alive.fetch_add(1, Ordering::Relaxed);
        topic
            .publish(COUNTED.message(Counted(alive.clone())))
            .unwrap();
    };
    publish();
    publish();
    assert_eq!(alive.load(Ordering::Relaxed), 1, "the old one went at once");
    let kept = cache.get(&COUNTED, 1).unwrap();
    caching.clear(&COUNTED, 1, Origin::LOCAL).unwrap();
    assert_eq!(alive.load(Ordering::Relaxed), 1);
    drop(kept);
    assert_eq!(alive.load(Ordering::Relaxed), 0);
    publish();
    drop((caching, topic, bus));
    assert!(
        cache.get(&COUNTED, 1).unwrap().is_some(),
        "the cache outlives its topics"
    );
    drop(cache);
    assert_eq!(alive.load(Ordering::Relaxed), 0);
}

#[test]
fn closing_ends_who_listens_and_keeps_what_is_cached() {
    let world = world();
    let mut updates = world.caching.topic().subscribe().receiver().unwrap();
    world.set(1, 10);
    world.caching.close();
    updates.try_recv().unwrap();
    assert!(updates.try_recv().unwrap().as_final().is_some());
    world.states.publish(STATE.message((1, 11))).unwrap();
    assert_eq!(value(world.cache.get(&STATE, 1).unwrap()), Some(10));
}

#[test]
fn key_functions_and_calculations_may_do_anything() {
    // They run unlocked: here they read and publish, and once panic.
    let log: Log<String> = Log::new();
    let bus = Bus::new().unwrap();
    let states = bus.topic("states").unwrap();
    let slot: Arc<std::sync::OnceLock<(Cache, Topic)>> = Arc::default();
    let (own, logs) = (slot.clone(), log.clone());
    let again = slot.clone();
    let cache = Cache::builder()
        .key(&STATE, move |(id, value)| {
            let (cache, topic) = own.get().unwrap();
            if *value == 13 {
                panic!("unlucky");
            }
            let known = cache.get(&STATE, *id).unwrap();
            logs.push(format!("{id} {:?}", self::value(known)));
            if *value == 1 {
                topic.publish(STATE.message((*id, 2))).unwrap();
            }
            Some((*id).into())
        })
        .aggregate(&STATE, move |all| {
            let (_, topic) = again.get().unwrap();
            topic.publish(OTHER.message(1)).unwrap();
            Aggregate::New(*all.local().unwrap())
        })
        .build()
        .unwrap();
    slot.set((cache.clone(), states.clone())).ok().unwrap();
    let _caching = cache.attach(&states).unwrap();
    states.publish(STATE.message((1, 1))).unwrap();
    states.publish(STATE.message((1, 13))).unwrap();
    assert_eq!(
        value(cache.get(&STATE, 1).unwrap()),
        Some(1),
        "the inner one was first"
    );
    assert_eq!(log.get()[..2], ["1 None", "1 None"]);
}
