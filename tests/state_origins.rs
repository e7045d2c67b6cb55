//! Who is a publisher of a state when several come and leave at once, and what becomes of a state whose topic was
//! closed by hand.

#![allow(clippy::disallowed_types, reason = "tests use std's own")]

mod common;

use common::{Gate, Log, number, with_deadline};
use stasis_bus::{Bus, Message, Origin, StateError, StateTopics, Topic};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

const HERE: Origin = Origin::LOCAL;
const FAR: Origin = Origin::new(1);

fn bus_and_states() -> (Bus, StateTopics) {
    let bus = Bus::new().unwrap();
    let states = StateTopics::new(&bus.topic("all").unwrap()).unwrap();
    (bus, states)
}

fn topic_of(bus: &Bus, id: &str) -> Topic {
    bus.get_topic(&format!("all/{id}")).expect("the state's")
}

fn retained(states: &StateTopics, id: &str) -> Option<u64> {
    states.get(id).and_then(|message| number(&message))
}

fn last(n: u64) -> Option<Message> {
    Some(Message::new(n))
}

#[test]
fn a_state_whose_topic_was_closed_makes_way() {
    let (bus, states) = bus_and_states();
    states.publish_by_id("x", HERE, 1_u64).unwrap();
    let old = states.publisher("x").unwrap();
    topic_of(&bus, "x").close();
    assert_eq!(retained(&states, "x"), Some(1), "until it is asked for");
    states.publish_by_id("x", HERE, 2_u64).unwrap();
    assert_eq!(retained(&states, "x"), Some(2));
    assert_eq!(old.get().as_ref().and_then(number), Some(1));
    assert!(old.publish(3_u64).is_err());
    assert!(!old.topic().is_same(&topic_of(&bus, "x")));
    assert_eq!(states.len(), 1);
    // Whoever has the old one gives back nothing of the new one.
    drop(old);
    assert_eq!(retained(&states, "x"), Some(2));
    assert!(states.remove_publish_by_id("x", HERE, None).unwrap());
    assert!(states.is_empty());
    assert_eq!(bus.stats().topics, 1);
}

#[test]
fn a_state_whose_topic_was_closed_goes_with_who_has_it() {
    let (bus, states) = bus_and_states();
    let old = states.publisher("x").unwrap();
    old.publish(1_u64).unwrap();
    old.topic().close();
    let new = states.subscriber("x").unwrap();
    assert!(new.get().is_none());
    drop(new);
    assert!(states.is_empty());
    drop(old);
    assert!(states.is_empty());
    // Nobody has asked for it meanwhile.
    states.publish_by_id("y", HERE, 1_u64).unwrap();
    topic_of(&bus, "y").close();
    let error = states.remove_publish_by_id("y", HERE, last(2));
    assert!(matches!(error, Err(StateError::Publish(_))));
    assert!(states.is_empty());
}

#[test]
fn topics_of_states_are_closed_under_fire() {
    with_deadline("closed under fire", || {
        let (bus, states) = bus_and_states();
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let publishers = [1, 2].map(|origin| {
                let (states, origin) = (&states, Origin::new(origin));
                scope.spawn(move || {
                    for n in 0..2_000_u64 {
                        let _ = states.publish_by_id("x", origin, n);
                        if n % 3 == 0 {
                            let _ = states.remove_publish_by_id("x", origin, None);
                        }
                    }
                })
            });
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    bus.get_topic("all/x").inspect(Topic::close);
                    thread::yield_now();
                }
            });
            let _ = publishers.map(|it| it.join().unwrap());
            done.store(true, Ordering::Relaxed);
        });
        for origin in [1, 2].map(Origin::new) {
            let _ = states.remove_publish_by_id("x", origin, None);
        }
        assert!(states.is_empty());
        assert_eq!(bus.stats().topics, 1);
    });
}

/// A filter is legal code of the user's, and so is what it calls.
#[test]
fn who_takes_leave_while_it_publishes_comes_back_by_that() {
    with_deadline("leave in a filter", || {
        let (bus, states) = bus_and_states();
        let _keep = states.subscriber("x").unwrap();
        states.publish_by_id("x", FAR, 0_u64).unwrap();
        let (leaving, once) = (states.clone(), AtomicBool::new(false));
        let _filter = topic_of(&bus, "x")
            .subscribe()
            .filter(move |message| {
                if number(message) == Some(1) && !once.swap(true, Ordering::SeqCst) {
                    assert!(leaving.remove_publish_by_id("x", FAR, None).unwrap());
                }
                true
            })
            .receiver()
            .unwrap();
        states.publish_by_id("x", FAR, 1_u64).unwrap();
        assert!(states.remove_publish_by_id("x", FAR, None).unwrap());
    });
}

/// An origin becomes a publisher, and its message the retained one, as one step: it cannot be sent away between.
#[test]
fn what_is_retained_has_a_publisher() {
    with_deadline("one step", || {
        let (bus, states) = bus_and_states();
        let _keep = states.subscriber("x").unwrap();
        let (topic, leaving) = (topic_of(&bus, "x"), states.clone());
        let (late, left) = (Log::new(), Log::new());
        let (come, leaves, once) = (late.clone(), left.clone(), AtomicBool::new(false));
        // The first filter has a second one come, which is asked when the message is staged again.
        let _first = topic_of(&bus, "x")
            .subscribe()
            .filter(move |_| {
                if once.swap(true, Ordering::SeqCst) {
                    return true;
                }
                let (leaving, leaves) = (leaving.clone(), leaves.clone());
                let second = topic.subscribe().filter(move |message| {
                    if number(message) == Some(1) {
                        leaves.push(leaving.remove_publish_by_id("x", FAR, last(0)).unwrap());
                    }
                    true
                });
                come.push(second.receiver().unwrap());
                true
            })
            .receiver()
            .unwrap();
        states.publish_by_id("x", FAR, 1_u64).unwrap();
        assert_eq!(left.get(), [false], "it is none before it is retained");
        assert_eq!(retained(&states, "x"), Some(1));
        assert!(states.remove_publish_by_id("x", FAR, last(2)).unwrap());
        assert_eq!(retained(&states, "x"), Some(2));
    });
}

/// Both are about to publish their last message: the second one finds that the origin has left.
#[test]
fn one_of_two_takes_leave() {
    with_deadline("one of two", || {
        let (bus, states) = bus_and_states();
        let mut all = states.all().subscribe().receiver().unwrap();
        let _keep = states.subscriber("x").unwrap();
        states.publish_by_id("x", FAR, 0_u64).unwrap();
        let held = Gate::new();
        let gate = held.clone();
        let _filter = topic_of(&bus, "x")
            .subscribe()
            .filter(move |message| {
                if number(message) == Some(1) {
                    gate.pass();
                }
                true
            })
            .receiver()
            .unwrap();
        thread::scope(|scope| {
            let first = scope.spawn(|| states.remove_publish_by_id("x", FAR, last(1)));
            held.wait_arrived(1);
            assert!(states.remove_publish_by_id("x", FAR, last(2)).unwrap());
            held.open();
            assert!(!first.join().unwrap().unwrap(), "it has left already");
        });
        assert_eq!(retained(&states, "x"), Some(2));
        let got: Vec<_> = all.try_iter().filter_map(|it| number(&it)).collect();
        assert_eq!(got, [0, 2]);
    });
}

#[test]
fn one_of_many_takes_leave_under_fire() {
    with_deadline("leave under fire", || {
        let (_bus, states) = bus_and_states();
        let _keep = states.subscriber("x").unwrap();
        for round in 0..500 {
            states.publish_by_id("x", FAR, 0_u64).unwrap();
            let left = AtomicUsize::new(0);
            thread::scope(|scope| {
                for n in 0..2 {
                    let (states, left) = (&states, &left);
                    scope.spawn(move || {
                        let with = if round % 2 == 0 { last(n) } else { None };
                        let has_left = states.remove_publish_by_id("x", FAR, with).unwrap();
                        left.fetch_add(usize::from(has_left), Ordering::SeqCst);
                    });
                }
            });
            assert_eq!(left.load(Ordering::SeqCst), 1, "round {round}");
        }
    });
}
