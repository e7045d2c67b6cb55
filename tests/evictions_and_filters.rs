//! Listeners that come late, are sent away, or have filters and keys of their own: what they are told is whole.

#![allow(clippy::disallowed_types, reason = "tests use std's own")]

mod common;

use common::cached::{Cached, HERE, STATE, Told, assert_chain, cache, drain, set, told, value};
use common::{Gate, Log, number, wait_until, with_deadline};
use stasis_bus::{
    Bus, CACHE_UPDATE, Cache, CacheUpdate, CachingTopic, Delivery, Key, Message, Overflow,
    Receiver, StateTopics, Task,
};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// A cache has not announced the snapshots that a listener begins with: nothing of that is in its mailbox.
#[test]
fn a_receiver_that_begins_with_nothing_has_nothing() {
    let world = Cached::new(cache());
    let (first, mut receiver) = world.caching.receive_with_snapshot(|it| it).unwrap();
    assert!(first.is_empty());
    assert!(receiver.try_recv().is_err());
}

/// A handler for updates has to say that it wants their type, which the caching topic does for it.
#[test]
fn who_subscribes_by_the_caching_topic_is_told() {
    let world = Cached::new(cache());
    let log = Log::new();
    let seen = log.clone();
    let subscription = world
        .caching
        .subscribe()
        .run(move |update: &CacheUpdate| seen.push(told(update)))
        .unwrap();
    world.set(HERE, 1, 10);
    world.caching.topic().publish("something else").unwrap();
    world.set(HERE, 1, 11);
    subscription.flush().unwrap();
    let expected = [(HERE, None, Some(10)), (HERE, Some(10), Some(11))];
    assert_eq!(log.get(), expected);
}

/// Inside a filter of another subscription, between the look at who is there and the offer.
type Slot<T> = Arc<Mutex<Option<T>>>;

/// It has a key function, so it must be asked about a message that is on its way when it comes.
#[test]
fn who_comes_with_a_key_while_a_state_is_published_ends_up_right() {
    let bus = Bus::new().unwrap();
    let states = StateTopics::new(&bus.topic("all").unwrap()).unwrap();
    let publisher = states.publisher("x").unwrap();
    publisher.publish(1_u64).unwrap();
    let late: Slot<Receiver> = Slot::default();
    let (slot, all) = (late.clone(), states.clone());
    let come = move || {
        let one_for_all = || Overflow::conflate(|_: &Message| 0_u32);
        let receiver = all.subscribe_with_retained("x", |it| it.overflow(one_for_all()).receiver());
        *slot.lock().unwrap() = Some(receiver.unwrap());
    };
    let once = AtomicBool::new(false);
    let _filter = publisher
        .topic()
        .subscribe()
        .filter(move |_| {
            if !once.swap(true, Ordering::SeqCst) {
                come();
            }
            true
        })
        .receiver()
        .unwrap();
    publisher.publish(2_u64).unwrap();
    let mut late = late.lock().unwrap().take().expect("it has come");
    let got: Vec<_> = late.try_iter().filter_map(|it| number(&it)).collect();
    assert_eq!(got.last(), Some(&2), "retained is 2, delivered {got:?}");
}

fn key_of_update(message: &Message) -> Key {
    let update = message.payload(&CACHE_UPDATE);
    update.map_or(Key::from(0_u32), |update| update.key.clone())
}

#[test]
fn who_comes_with_a_key_while_an_update_is_announced_ends_up_right() {
    let Cached {
        bus: _bus,
        topic,
        caching,
        ..
    } = Cached::new(cache());
    let caching = Arc::new(caching);
    set(&topic, HERE, 1, 1);
    let late: Slot<(Vec<CacheUpdate>, Receiver)> = Slot::default();
    let (slot, updates) = (late.clone(), caching.clone());
    let come = move || {
        let options =
            |it: stasis_bus::SubscriptionBuilder| it.overflow(Overflow::conflate(key_of_update));
        let begun = updates.receive_with_snapshot(options).unwrap();
        *slot.lock().unwrap() = Some(begun);
    };
    let once = AtomicBool::new(false);
    let _filter = caching
        .topic()
        .subscribe()
        .filter(move |message| {
            if message.is(&CACHE_UPDATE) && !once.swap(true, Ordering::SeqCst) {
                come();
            }
            true
        })
        .receiver()
        .unwrap();
    set(&topic, HERE, 1, 2);
    let (first, mut receiver) = late.lock().unwrap().take().expect("it has come");
    let mut got: Vec<Told> = first.iter().map(told).collect();
    got.extend(drain(&mut receiver));
    assert_eq!(got.last().map(|it| it.2), Some(Some(2)), "{got:?}");
}

/// A mailbox that is evicted takes nothing more, even if there is room again before it is closed: what came
/// then would follow a hole of which nothing tells.
#[test]
fn an_evicted_mailbox_has_no_hole() {
    with_deadline("eviction", || {
        let world = Cached::new(cache());
        let updates = world.caching.topic();
        let small = updates.subscribe().capacity(1).overflow(Overflow::Evict);
        let small = Arc::new(Mutex::new(small.receiver().unwrap()));
        let log = Log::new();
        let armed = Arc::new(AtomicBool::new(false));
        let executor = {
            let (small, log, topic) = (small.clone(), log.clone(), world.topic.clone());
            let armed = armed.clone();
            move |task: Task| {
                // On the publisher's thread, after the offer: the eviction has been decided.
                if armed.swap(false, Ordering::SeqCst) {
                    let taken = drain(&mut small.lock().unwrap());
                    taken.into_iter().for_each(|it| log.push(it));
                    set(&topic, HERE, 1, 3);
                }
                task.run();
            }
        };
        let executed = updates
            .subscribe()
            .delivery(Delivery::Executor(Arc::new(executor)))
            .accept(&CACHE_UPDATE)
            .run(|_: &CacheUpdate| {})
            .unwrap();
        world.set(HERE, 1, 1);
        wait_until("the first is handled", || executed.stats().delivered == 1);
        armed.store(true, Ordering::SeqCst);
        world.set(HERE, 1, 2);
        assert!(!armed.load(Ordering::SeqCst), "the executor was called");
        let rest = drain(&mut small.lock().unwrap());
        rest.into_iter().for_each(|it| log.push(it));
        let got = log.get();
        assert_eq!(got.first(), Some(&(HERE, None, Some(1))));
        assert_chain(&got);
    });
}

/// Its statistics count what it declined once, however often it has to be asked.
#[test]
fn what_a_filter_declines_is_counted_once() {
    let world = Cached::new(cache());
    world.set(HERE, 1, 1);
    world.caching.clear(&STATE, 1, HERE).unwrap();
    let asked = Log::new();
    let asks = asked.clone();
    let receiver = world
        .caching
        .topic()
        .subscribe()
        .filter(move |_| {
            asks.push(());
            false
        })
        .receiver()
        .unwrap();
    world.set(HERE, 1, 1);
    let filtered = receiver.subscription().stats().filtered;
    assert_eq!((asked.len(), filtered), (1, 1));
}

/// As documented: a filter that runs on delivery comes after the mailbox, and so after the key.
#[test]
fn what_a_late_filter_declines_has_taken_the_place_of_another() {
    for (late, expected) in [(false, [2].as_slice()), (true, &[])] {
        let bus = Bus::new().unwrap();
        let topic = bus.topic("t").unwrap();
        let builder = topic
            .subscribe()
            .overflow(Overflow::conflate(|_: &Message| 0_u32))
            .filter(|message| number(message).is_some_and(|n| n % 2 == 0));
        let builder = if late {
            builder.filter_on_delivery()
        } else {
            builder
        };
        let mut receiver = builder.receiver().unwrap();
        topic.publish(2_u64).unwrap();
        topic.publish(3_u64).unwrap();
        let got: Vec<_> = receiver.try_iter().filter_map(|it| number(&it)).collect();
        assert_eq!(got, expected, "late: {late}");
    }
}

/// What is told last is what is cached, whatever the order on the topic was.
#[test]
fn the_updates_have_the_order_of_the_stores() {
    with_deadline("order of stores", || {
        let bus = Bus::new().unwrap();
        let topic = bus.topic_with_total_order("t").unwrap();
        let held = Gate::new();
        let gate = held.clone();
        let cache = Cache::builder()
            .key(&STATE, move |(id, value)| {
                if *value == 1 {
                    gate.pass();
                }
                Some((*id).into())
            })
            .build()
            .unwrap();
        let caching: CachingTopic = cache.attach(&topic).unwrap();
        let mut updates = caching.topic().subscribe().receiver().unwrap();
        let mut states = topic.subscribe().receiver().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| set(&topic, HERE, 1, 1));
            held.wait_arrived(1);
            // It comes after the first one on the topic, and is stored before it.
            set(&topic, HERE, 1, 2);
            let cached = cache.get(&STATE, 1).unwrap();
            assert_eq!(value(cached.as_ref()), Some(2));
            held.open();
        });
        let order: Vec<_> = states
            .try_iter()
            .filter_map(|it| value(Some(&it)))
            .collect();
        assert_eq!(order, [1, 2]);
        let got = drain(&mut updates);
        assert_chain(&got);
        let cached = cache.get(&STATE, 1).unwrap();
        assert_eq!(got.last().unwrap().2, value(cached.as_ref()), "{got:?}");
    });
}
