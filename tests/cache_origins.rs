//! Keys that several origins have a snapshot of, and aggregates, which are no snapshots.

#![allow(clippy::disallowed_types, reason = "tests use std's own")]

mod common;

use common::cached::{
    A, B, Cached, HERE, STATE, State, Told, cache, drain, set, sum, summing, told,
};
use common::observe::DropGuard;
use common::{DropFlag, Gate, Log, with_deadline};
use stasis_bus::{
    Aggregate, Bus, CACHE_CLEAR, CACHE_UPDATE, Cache, CacheClear, CacheError, CacheUpdate,
    CachingTopic, Delivery, Key, Message, MessageType, Origin,
};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// The versions are the key's, not the origin's: what was seen of one origin must not hide the other's.
#[test]
fn a_receiver_with_a_snapshot_is_told_of_every_origin() {
    let world = Cached::new(cache());
    world.set(A, 1, 10);
    world.set(B, 1, 20);
    let (first, mut receiver) = world.caching.receive_with_snapshot(|it| it).unwrap();
    assert_eq!(first.len(), 2);
    world.caching.clear(&STATE, 1, A).unwrap();
    world.set(B, 1, 21);
    let expected = [(A, Some(10), None), (B, Some(20), Some(21))];
    assert_eq!(drain(&mut receiver), expected);
}

/// What comes and goes after the subscription is listed and before it looks is told in full, or not at all.
#[test]
fn a_handler_with_a_snapshot_is_told_of_every_origin() {
    let world = Cached::new(cache());
    let (topic, cache) = (world.topic.clone(), world.cache.clone());
    let ran = DropFlag::new();
    let runs = ran.clone();
    let updates = world.caching.topic();
    // Inline: it runs while the other one subscribes.
    let _meanwhile = updates
        .subscribe()
        .change_notices()
        .delivery(Delivery::Inline)
        .run(move |message: &Message| {
            let change = message.as_change();
            if change.is_none_or(|change| &*change.name != "late") || !cache.is_empty() {
                return;
            }
            set(&topic, A, 1, 10);
            set(&topic, B, 1, 20);
            for origin in [A, B] {
                let clear = CacheClear::of(&STATE, 1_u32, origin);
                topic.publish(CACHE_CLEAR.message(clear)).unwrap();
            }
            assert!(cache.is_empty());
            drop(runs.guard());
        })
        .unwrap();
    let log = Log::new();
    let seen = log.clone();
    let late = world
        .caching
        .subscribe_with_snapshot(|it| it.name("late"), move |it| seen.push(told(it)))
        .unwrap();
    late.flush().unwrap();
    assert_eq!(ran.count(), 1);
    let got = log.get();
    assert!(got.is_empty() || got.len() == 4, "{got:?}");
}

#[derive(Default)]
struct Copy {
    values: HashMap<(Key, Origin), u64>,
    wrong: Vec<String>,
}

impl Copy {
    fn follow(&mut self, update: &CacheUpdate) {
        let line = (update.key.clone(), update.origin);
        let has = self.values.get(&line).copied();
        let (_, old, new) = told(update);
        if has != old {
            let wrong = format!("{line:?}: has {has:?}, told {old:?} -> {new:?}");
            self.wrong.push(wrong);
        }
        match new {
            Some(new) => self.values.insert(line, new),
            None => self.values.remove(&line),
        };
    }
}

/// Publishes and clears, for four keys of three origins, in an order that is the same each time.
fn change_until(stop: &AtomicBool, world: &Cached) {
    let mut n = 1_u64;
    while !stop.load(Ordering::Relaxed) {
        n += 1;
        let mixed = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
        let (id, origin) = ((mixed % 4) as u32, Origin::new(1 + mixed / 4 % 3));
        if n % 4 == 0 {
            let _ = world.caching.clear(&STATE, id, origin);
        } else {
            world.set(origin, id, n);
        }
    }
}

/// With thousands of other keys, so that to look takes its time.
#[test]
fn who_begins_with_many_origins_has_no_hole_under_fire() {
    with_deadline("C4, many origins", || {
        let world = Cached::new(cache());
        for id in 4..2_000 {
            world.set(A, id, 1);
        }
        let (stop, wrong) = (AtomicBool::new(false), Log::new());
        thread::scope(|scope| {
            scope.spawn(|| change_until(&stop, &world));
            for _ in 0..20 {
                let (mut copy, wrong) = (Copy::default(), wrong.clone());
                let handler = move |update: &CacheUpdate| {
                    copy.follow(update);
                    copy.wrong.drain(..).for_each(|it| wrong.push(it));
                };
                let caching = &world.caching;
                let late = caching.subscribe_with_snapshot(|it| it, handler).unwrap();
                thread::sleep(Duration::from_millis(2));
                late.unsubscribe();
                late.join().unwrap();
            }
            stop.store(true, Ordering::Relaxed);
        });
        let wrong = wrong.take();
        assert!(
            wrong.is_empty(),
            "{} holes, first {:?}",
            wrong.len(),
            wrong[0]
        );
    });
}

/// An aggregate goes when its snapshots go, and not by hand.
#[test]
fn an_aggregate_cannot_be_cleared() {
    let world = Cached::new(summing());
    world.set(HERE, 1, 10);
    world.set(HERE, 2, 10);
    let clear = CacheClear::of(&STATE, 1_u32, Origin::AGGREGATE);
    world.topic.publish(CACHE_CLEAR.message(clear)).unwrap();
    let cleared = world.caching.clear(&STATE, 1, Origin::AGGREGATE);
    assert!(matches!(cleared, Err(CacheError::NotCached { .. })));
    assert_eq!(world.cache.expire_origin(Origin::AGGREGATE), 0);
    assert_eq!(world.cache.len(), 2);
    for id in [1, 2] {
        assert_eq!(world.value(HERE, id), Some(10));
        assert_eq!(world.value(Origin::AGGREGATE, id), Some(10));
    }
}

/// To ask for the aggregate's end must not lose the entry with what is in it.
#[test]
fn what_is_cached_is_dropped_with_its_entry() {
    static KEPT: MessageType<DropGuard> = MessageType::new("kept");
    let (dropped, calculated) = (DropFlag::new(), DropFlag::new());
    let results = calculated.clone();
    let cache = Cache::builder()
        .key(&KEPT, |_| Some(1_u32.into()))
        .aggregate(&KEPT, move |_| Aggregate::New(results.guard()))
        .keep_aggregates()
        .build()
        .unwrap();
    let bus = Bus::new().unwrap();
    let topic = bus.topic("states").unwrap();
    let caching = cache.attach(&topic).unwrap();
    topic.publish(KEPT.message(dropped.guard())).unwrap();
    assert!(caching.clear(&KEPT, 1, Origin::AGGREGATE).is_err());
    assert_eq!((cache.len(), dropped.count()), (1, 0));
    caching.clear(&KEPT, 1, HERE).unwrap();
    assert!(cache.is_empty());
    assert_eq!((dropped.count(), calculated.count()), (1, 1));
}

/// Where the caching has ended nobody can be told, but what is read has to be right.
#[test]
fn an_aggregate_is_right_when_nobody_is_told() {
    let Cached {
        bus: _bus,
        topic,
        cache,
        caching,
    } = Cached::new(summing());
    set(&topic, A, 1, 10);
    set(&topic, B, 1, 20);
    drop(caching);
    assert_eq!(cache.expire_origin(A), 1);
    let aggregate = cache.aggregate(&STATE, 1).unwrap().unwrap();
    assert_eq!(aggregate.get(), Some(&(1_u32, 20_u64)));
}

/// A slow calculation is overtaken by the end of the only snapshot, between its end and its announcement.
#[test]
fn the_end_of_an_aggregate_is_told() {
    with_deadline("the end of an aggregate", || {
        let (calculating, told_once) = (Gate::new(), Gate::new());
        let calculate = calculating.clone();
        let cache = Cache::builder()
            .key(&STATE, |(id, _)| Some((*id).into()))
            .aggregate(&STATE, move |all| {
                calculate.pass();
                sum(all)
            })
            .keep_aggregates()
            .build()
            .unwrap();
        let world = Cached::new(cache);
        let mut updates = world.caching.topic().subscribe().receiver().unwrap();
        let (calculated, done) = (calculating.clone(), told_once.clone());
        let _held = world
            .caching
            .topic()
            .subscribe()
            .filter(move |message| {
                let update = message.payload(&CACHE_UPDATE);
                if update.is_some_and(|it| !it.is_aggregate() && it.new.is_none()) {
                    calculated.open();
                    done.pass();
                }
                false
            })
            .receiver()
            .unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                world.set(HERE, 1, 5);
                told_once.open();
            });
            calculating.wait_arrived(1);
            world.caching.clear(&STATE, 1, HERE).unwrap();
        });
        assert!(world.cache.aggregate(&STATE, 1).unwrap().is_none());
        let got = drain(&mut updates);
        let of_aggregate = |(origin, ..): &&Told| *origin == Origin::AGGREGATE;
        let last = got.iter().rev().find(of_aggregate);
        assert_eq!(last.map(|it| it.2), Some(None), "{got:?}");
    });
}

/// Two topics fill one cache: each tells of the snapshots that came through it, also when they expire.
#[test]
fn each_caching_topic_tells_of_its_own_origins() {
    let bus = Bus::new().unwrap();
    let topics = ["one", "two"].map(|name| bus.topic(name).unwrap());
    let cache = cache();
    let caching = topics.each_ref().map(|topic| cache.attach(topic).unwrap());
    let mut updates = caching
        .each_ref()
        .map(|it| it.topic().subscribe().receiver().unwrap());
    set(&topics[0], A, 1, 10);
    set(&topics[1], B, 1, 20);
    let first = |caching: &CachingTopic| {
        let (first, _receiver) = caching.receive_with_snapshot(|it| it).unwrap();
        first.iter().map(told).collect::<Vec<_>>()
    };
    assert_eq!(first(&caching[0]), [(A, None, Some(10))]);
    assert_eq!(first(&caching[1]), [(B, None, Some(20))]);
    assert_eq!(cache.expire_origin(A), 1);
    let expected = [(A, None, Some(10)), (A, Some(10), None)];
    assert_eq!(drain(&mut updates[0]), expected);
    assert_eq!(drain(&mut updates[1]), [(B, None, Some(20))]);
}

/// What could not be attached has not decided which bus the cache is for.
#[test]
fn a_cache_that_was_not_attached_may_go_to_another_bus() {
    let far = Bus::builder().origin(Origin::new(9)).build().unwrap();
    let closed = far.topic("closed").unwrap();
    closed.close();
    let cache = cache();
    assert!(matches!(
        cache.attach(&closed),
        Err(CacheError::Subscribe(_))
    ));
    let bus = Bus::new().unwrap();
    let topic = bus.topic("states").unwrap();
    let _caching = cache.attach(&topic).unwrap();
    let open = far.topic("open").unwrap();
    assert!(matches!(cache.attach(&open), Err(CacheError::OtherBus)));
}

#[test]
fn a_listener_of_updates_may_clear_what_it_is_asked_about() {
    with_deadline("clear in a filter", || {
        let Cached {
            bus: _bus,
            topic,
            caching,
            ..
        } = Cached::new(summing());
        let caching = Arc::new(caching);
        let mut updates = caching.topic().subscribe().receiver().unwrap();
        let (clearing, once) = (caching.clone(), AtomicBool::new(false));
        let _filter = caching
            .topic()
            .subscribe()
            .filter(move |message| {
                if message.is(&CACHE_UPDATE) && !once.swap(true, Ordering::SeqCst) {
                    clearing.clear(&STATE, 1, HERE).unwrap();
                }
                true
            })
            .receiver()
            .unwrap();
        set(&topic, HERE, 1, 1);
        set(&topic, HERE, 1, 2);
        let got = drain(&mut updates);
        common::cached::assert_chain(&got);
        let state = |it: &State| it.1;
        let last = caching.cache().get(&STATE, 1).unwrap().unwrap();
        assert_eq!(last.get().map(state), Some(2), "{got:?}");
    });
}
