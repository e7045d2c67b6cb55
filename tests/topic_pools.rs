//! Pools: the children of a topic, made when first asked for, forwarded to their parent, and gone when nobody has
//! them.

#![allow(clippy::disallowed_types, reason = "tests use std's own")]

mod common;

use common::{Kind, Log, Setup, for_each_kind, number, with_deadline};
use stasis_bus::{Bus, MAX_NAME_LEN, PoolError, Receiver, Topic, TopicPool};
use std::sync::Arc;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

fn bus_parent_pool() -> (Bus, Topic, TopicPool) {
    let bus = Bus::new().unwrap();
    let parent = bus.topic("calls").unwrap();
    let pool = parent.pool().unwrap();
    (bus, parent, pool)
}

fn numbers(receiver: &mut Receiver) -> Vec<u64> {
    let all = receiver.try_iter();
    all.filter_map(|message| number(&message)).collect()
}

#[test]
fn a_child_is_forwarded_to_its_parent() {
    for_each_kind(|setup: &Setup| {
        let parent = setup.topic("calls");
        let pool = parent.pool().unwrap();
        let (seven, eight) = (pool.topic("7").unwrap(), pool.topic("8").unwrap());
        assert_eq!(seven.name(), "calls/7");
        assert!(pool.parent().is_same(&parent));
        let log = Log::new();
        let logs = log.clone();
        let sub = setup.run(&parent, move |message| logs.push(number(message)));
        seven.publish(7_u64).unwrap();
        eight.publish(8_u64).unwrap();
        sub.flush();
        assert_eq!(log.get(), [Some(7), Some(8)]);
    });
}

#[test]
fn the_same_name_is_the_same_topic_and_is_forwarded_once() {
    let (bus, parent, pool) = bus_parent_pool();
    let seven = pool.topic("7").unwrap();
    assert!(pool.topic("7").unwrap().is_same(&seven));
    assert!(pool.get("7").unwrap().is_same(&seven));
    assert!(bus.topic("calls/7").unwrap().is_same(&seven));
    assert!(pool.clone().topic("7").unwrap().is_same(&seven));
    assert_eq!(seven.stats().forwards_to, [Arc::from("calls")]);
    let receiver = parent.subscribe().receiver().unwrap();
    assert_eq!(seven.publish(1_u64).unwrap().offered(), 1);
    drop(receiver);
}

#[test]
fn a_topic_that_lives_already_is_taken_in() {
    let (bus, _parent, pool) = bus_parent_pool();
    let before = bus.topic("calls/7").unwrap();
    assert!(pool.get("7").is_none(), "it is none of the pool yet");
    assert!(!pool.contains("7"));
    assert!(!pool.remove("7"));
    assert!(pool.topic("7").unwrap().is_same(&before));
    assert!(pool.contains("7"));
}

#[test]
fn a_child_goes_when_nobody_has_it() {
    let (bus, _parent, pool) = bus_parent_pool();
    let seven = pool.topic("7").unwrap();
    assert_eq!((pool.len(), pool.is_empty()), (1, false));
    let receiver = seven.subscribe().receiver().unwrap();
    drop(seven);
    assert!(pool.contains("7"), "a subscription keeps it");
    let other = bus.topic("other").unwrap();
    let forward = pool.get("7").unwrap().forward_to(&other).unwrap();
    drop(receiver);
    assert!(pool.contains("7"), "a forward keeps it");
    drop(forward);
    assert!(!pool.contains("7"));
    assert_eq!((pool.len(), pool.is_empty()), (0, true));
    assert!(pool.names().is_empty());
    assert!(bus.get_topic("calls/7").is_none());
}

#[test]
fn removed_while_subscribed_it_is_found_again() {
    let (_bus, parent, pool) = bus_parent_pool();
    let mut all = parent.subscribe().receiver().unwrap();
    let seven = pool.topic("7").unwrap();
    let mut own = seven.subscribe().receiver().unwrap();
    assert!(pool.remove("7"));
    assert!(!pool.remove("7"));
    assert!(!pool.contains("7"));
    assert_eq!(pool.len(), 0);
    seven.publish(1_u64).unwrap();
    assert_eq!((numbers(&mut own), numbers(&mut all)), (vec![1], vec![]));
    drop(seven);
    // Its subscription has kept it: no twin.
    let seven = pool.topic("7").unwrap();
    seven.publish(2_u64).unwrap();
    assert_eq!((numbers(&mut own), numbers(&mut all)), (vec![2], vec![2]));
    assert_eq!(pool.names(), ["7"]);
}

#[test]
fn names_are_exact() {
    let (_bus, _parent, pool) = bus_parent_pool();
    let names = ["B", "a", "b", "calls", "calls/x", "/", "7/legs/1", "calls/"];
    let topics: Vec<_> = names.iter().map(|name| pool.topic(name).unwrap()).collect();
    for (topic, name) in topics.iter().zip(names) {
        assert_eq!(topic.name(), format!("calls/{name}"));
        assert!(pool.get(name).unwrap().is_same(topic));
    }
    let mut sorted = names;
    sorted.sort_unstable();
    assert_eq!(pool.names(), sorted);
    // Not the name with the parent's before it, nor in other letters, nor a part of one.
    for name in ["calls/a", "A", "call", "", "7"] {
        assert!(!pool.remove(name), "{name}");
    }
    assert!(pool.remove("calls"));
    assert_eq!(pool.len(), names.len() - 1);
}

#[test]
fn what_is_wrong_is_named() {
    let (bus, parent, pool) = bus_parent_pool();
    assert_eq!(pool.topic("").unwrap_err(), PoolError::EmptyName);
    let most = MAX_NAME_LEN - "calls/".len();
    let error = pool.topic(&"x".repeat(most + 1)).unwrap_err();
    assert_eq!(
        error,
        PoolError::NameTooLong {
            len: MAX_NAME_LEN + 1
        }
    );
    assert!(error.to_string().contains("1025"), "{error}");
    assert!(pool.topic(&"x".repeat(most)).is_ok());
    assert!(pool.get("").is_none());
    assert_eq!(bus.stats().topics, 1, "what failed left nothing behind");
    parent.close();
    assert_eq!(pool.topic("7").unwrap_err(), PoolError::TopicClosed);
    assert_eq!(parent.pool().unwrap_err(), PoolError::TopicClosed);
    let parent = bus.topic("calls").unwrap();
    let pool = parent.pool().unwrap();
    bus.shutdown().unwrap();
    assert_eq!(pool.topic("7").unwrap_err(), PoolError::ShutDown);
    assert_eq!(parent.pool().unwrap_err(), PoolError::ShutDown);
    for error in [
        PoolError::EmptyName,
        PoolError::TopicClosed,
        PoolError::ShutDown,
    ] {
        assert!(error.to_string().split(' ').count() > 3, "{error}");
    }
}

#[test]
fn a_closed_child_makes_way_for_a_new_one() {
    let (_bus, parent, pool) = bus_parent_pool();
    let mut all = parent.subscribe().receiver().unwrap();
    let old = pool.topic("7").unwrap();
    old.close();
    assert!(!pool.contains("7"));
    assert_eq!(pool.len(), 0);
    let new = pool.topic("7").unwrap();
    assert!(!new.is_same(&old));
    new.publish(1_u64).unwrap();
    drop(old);
    new.publish(2_u64).unwrap();
    assert_eq!(numbers(&mut all), [1, 2]);
    assert_eq!(pool.len(), 1);
}

#[test]
fn a_closed_parent_lets_all_go() {
    let (_bus, parent, pool) = bus_parent_pool();
    let seven = pool.topic("7").unwrap();
    parent.close();
    assert_eq!(pool.len(), 0);
    assert!(seven.stats().forwards_to.is_empty());
    assert_eq!(seven.publish(1_u64).unwrap().offered(), 0);
}

#[test]
fn a_dropped_pool_detaches_its_children() {
    let (bus, parent, pool) = bus_parent_pool();
    let mut all = parent.subscribe().receiver().unwrap();
    let children: Vec<_> = (0..300)
        .map(|n| pool.topic(&n.to_string()).unwrap())
        .collect();
    let second = pool.clone();
    drop(pool);
    children[0].publish(1_u64).unwrap();
    drop(second);
    for child in &children {
        assert!(child.stats().forwards_to.is_empty());
    }
    children[0].publish(2_u64).unwrap();
    assert_eq!(numbers(&mut all), [1]);
    drop(all);
    drop(parent);
    assert!(bus.get_topic("calls").is_none());
    assert_eq!(bus.stats().topics, 300);
}

#[test]
fn two_pools_of_one_topic_have_children_of_their_own() {
    let (_bus, parent, first) = bus_parent_pool();
    let second = parent.pool().unwrap();
    let mut all = parent.subscribe().receiver().unwrap();
    let seven = first.topic("7").unwrap();
    assert!(!second.contains("7"));
    assert!(second.topic("7").unwrap().is_same(&seven));
    seven.publish(1_u64).unwrap();
    assert!(first.remove("7"));
    seven.publish(2_u64).unwrap();
    assert_eq!((first.len(), second.len()), (0, 1));
    drop(second);
    seven.publish(3_u64).unwrap();
    assert_eq!(numbers(&mut all), [1, 2]);
}

#[test]
fn pools_nest() {
    let (_bus, parent, calls) = bus_parent_pool();
    let seven = calls.topic("7").unwrap();
    let legs = seven.pool().unwrap();
    let leg = legs.topic("legs").unwrap();
    assert_eq!(leg.name(), "calls/7/legs");
    let mut all = parent.subscribe().receiver().unwrap();
    assert_eq!(leg.publish(1_u64).unwrap().offered(), 1);
    assert_eq!(numbers(&mut all), [1]);
    // By both ways, once (D4).
    assert!(calls.topic("7/legs").unwrap().is_same(&leg));
    assert_eq!(leg.publish(2_u64).unwrap().offered(), 1);
}

#[test]
fn threads_that_ask_at_once_get_the_same() {
    with_deadline("at once", || {
        let (bus, _parent, pool) = bus_parent_pool();
        for round in 0..500 {
            let name = round.to_string();
            let barrier = Barrier::new(3);
            let topics: Vec<Topic> = thread::scope(|scope| {
                let ask = || {
                    barrier.wait();
                    pool.topic(&name).unwrap()
                };
                let threads: Vec<_> = (0..3).map(|_| scope.spawn(ask)).collect();
                threads.into_iter().map(|it| it.join().unwrap()).collect()
            });
            assert!(topics.iter().all(|topic| topic.is_same(&topics[0])));
            assert_eq!(topics[0].stats().forwards_to.len(), 1);
            assert_eq!(pool.len(), 1);
        }
        assert_eq!(bus.stats().topics, 1);
    });
}

/// Children come, publish, are removed, closed and dropped by several threads; the parent hears whoever was a child
/// and nobody twice, and nothing is left.
#[test]
fn children_come_and_go_under_fire() {
    with_deadline("under fire", || {
        let setup = Setup::new(Kind::Receiver);
        let parent = setup.topic("calls");
        let pool = parent.pool().unwrap();
        let mut all = parent.subscribe().receiver().unwrap();
        let heard = Arc::new(AtomicBool::new(false));
        let threads: Vec<_> = (0..3_u64)
            .map(|thread| {
                let (pool, heard) = (pool.clone(), Arc::clone(&heard));
                thread::spawn(move || {
                    for round in 0..2_000_u64 {
                        let topic = pool.topic(&(round % 5).to_string()).unwrap();
                        match round % 7 {
                            0 => topic.close(),
                            1 => drop(pool.remove(&(round % 3).to_string())),
                            _ => {
                                let published = topic.publish((thread << 32) | round);
                                let offered = published.map_or(0, |it| it.offered());
                                assert!(offered <= 1, "D4");
                                heard.fetch_or(offered == 1, Ordering::Relaxed);
                            }
                        }
                        assert!(pool.len() <= 5 + 3, "at most one open one a name");
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|it| it.join().unwrap());
        assert!(heard.load(Ordering::Relaxed));
        let mut got = numbers(&mut all);
        let len = got.len();
        got.sort_unstable();
        got.dedup();
        assert_eq!(got.len(), len, "nothing came twice");
        assert!(pool.is_empty());
        assert_eq!(setup.bus.stats().topics, 1);
    });
}

#[test]
fn a_pool_races_with_the_shutdown() {
    with_deadline("shutdown", || {
        for _ in 0..100 {
            let (bus, _parent, pool) = bus_parent_pool();
            let asker = {
                let pool = pool.clone();
                thread::spawn(move || {
                    let children: Result<Vec<_>, _> =
                        (0..).map(|n: u64| pool.topic(&n.to_string())).collect();
                    children.unwrap_err()
                })
            };
            bus.shutdown().unwrap();
            let error = asker.join().unwrap();
            let ended = [PoolError::ShutDown, PoolError::TopicClosed];
            assert!(ended.contains(&error), "{error}");
            assert!(pool.is_empty());
        }
    });
}
