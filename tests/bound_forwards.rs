//! Forwards that are bound to their ends: they keep neither alive, and go when either goes or is closed; and
//! while they are there, they are forwards like any other (D4, L3).

#![allow(clippy::disallowed_types, reason = "tests use std's own")]

mod common;

use common::{DropFlag, Kind, Setup, for_each_kind, number, with_deadline};
use stasis_bus::{Bus, Forward, Message, Receiver, Topic};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

fn topics<const N: usize>(bus: &Bus) -> [Topic; N] {
    std::array::from_fn(|n| bus.topic(&format!("topic {n}")).unwrap())
}

fn bind(from: &Topic, to: &Topic) {
    from.forward_to(to).unwrap().bind();
}

fn numbers(receiver: &mut Receiver) -> Vec<u64> {
    let all = receiver.try_iter();
    all.filter_map(|message| number(&message)).collect()
}

fn forwards_to(topic: &Topic) -> Vec<String> {
    let names = topic.stats().forwards_to;
    names.iter().map(ToString::to_string).collect()
}

#[test]
fn it_is_a_forward_like_any_other() {
    for_each_kind(|setup: &Setup| {
        let (from, to) = (setup.topic("from"), setup.topic("to"));
        let got = common::Log::new();
        let log = got.clone();
        let sub = setup.run(&to, move |message| log.push(number(message)));
        bind(&from, &to);
        assert_eq!(from.publish(1_u64).unwrap().offered(), 1);
        assert_eq!(to.publish(2_u64).unwrap().offered(), 1);
        sub.flush();
        assert_eq!(got.get(), [Some(1), Some(2)]);
        assert_eq!(forwards_to(&from), ["to"]);
    });
}

#[test]
fn neither_end_is_kept_and_the_edge_goes_with_the_upstream_one() {
    let bus = Bus::new().unwrap();
    let [from, to] = topics(&bus);
    bind(&from, &to);
    drop(from);
    assert!(bus.get_topic("topic 0").is_none());
    // A new one of its name has nothing to do with it.
    let again = bus.topic("topic 0").unwrap();
    let mut receiver = to.subscribe().receiver().unwrap();
    assert_eq!(again.publish(1_u64).unwrap().offered(), 0);
    assert!(numbers(&mut receiver).is_empty());
}

#[test]
fn the_edge_goes_with_the_downstream_end() {
    let bus = Bus::new().unwrap();
    let [from, to, beyond] = topics(&bus);
    let mut receiver = beyond.subscribe().receiver().unwrap();
    bind(&from, &to);
    bind(&to, &beyond);
    from.publish(1_u64).unwrap();
    drop(to);
    assert!(bus.get_topic("topic 1").is_none());
    assert_eq!(forwards_to(&from), Vec::<String>::new());
    assert_eq!(from.publish(2_u64).unwrap().offered(), 0);
    assert_eq!(numbers(&mut receiver), [1]);
}

#[test]
fn a_subscription_keeps_its_topic_and_so_the_edge() {
    let bus = Bus::new().unwrap();
    let [from, to] = topics(&bus);
    bind(&from, &to);
    let mut receiver = to.subscribe().receiver().unwrap();
    drop(to);
    assert_eq!(from.publish(1_u64).unwrap().offered(), 1);
    assert_eq!(numbers(&mut receiver), [1]);
    drop(receiver);
    assert!(bus.get_topic("topic 1").is_none());
    assert_eq!(forwards_to(&from), Vec::<String>::new());
}

#[test]
fn a_subscription_upstream_keeps_the_edge_too() {
    let bus = Bus::new().unwrap();
    let [from, to] = topics(&bus);
    bind(&from, &to);
    let upstream = from.subscribe().receiver().unwrap();
    drop(from);
    let mut receiver = to.subscribe().receiver().unwrap();
    let from = bus.get_topic("topic 0").expect("kept by its subscription");
    assert_eq!(from.publish(1_u64).unwrap().offered(), 2);
    assert_eq!(numbers(&mut receiver), [1]);
    drop((from, upstream));
    assert!(bus.get_topic("topic 0").is_none());
}

#[test]
fn a_close_of_either_end_ends_it() {
    for closed in [0, 1] {
        let bus = Bus::new().unwrap();
        let ends: [Topic; 2] = topics(&bus);
        let [from, to] = &ends;
        bind(from, to);
        ends[closed].close();
        assert_eq!(forwards_to(from), Vec::<String>::new());
        assert!(from.publish(1_u64).map_or(true, |it| it.offered() == 0));
    }
}

#[test]
fn bound_to_what_was_closed_meanwhile_it_goes_at_once() {
    for closed in [0, 1] {
        let bus = Bus::new().unwrap();
        let ends: [Topic; 2] = topics(&bus);
        let forward = ends[0].forward_to(&ends[1]).unwrap();
        ends[closed].close();
        assert_eq!(forwards_to(&ends[0]), ["topic 1"]);
        forward.bind();
        assert_eq!(forwards_to(&ends[0]), Vec::<String>::new());
    }
}

#[test]
fn shutdown_ends_all_of_them() {
    let bus = Bus::new().unwrap();
    let [a, b, c] = topics(&bus);
    bind(&a, &b);
    bind(&b, &c);
    bind(&c, &a);
    bus.shutdown().unwrap();
    for topic in [&a, &b, &c] {
        assert_eq!(forwards_to(topic), Vec::<String>::new());
    }
}

#[test]
fn diamonds_and_duplicates_bound_and_held_do_not_duplicate_messages() {
    let bus = Bus::new().unwrap();
    let [a, b, c, d] = topics(&bus);
    let mut receiver = d.subscribe().receiver().unwrap();
    bind(&a, &b);
    bind(&a, &b);
    let held = a.forward_to(&b).unwrap();
    bind(&a, &c);
    bind(&b, &d);
    bind(&c, &d);
    assert_eq!(a.publish(1_u64).unwrap().offered(), 1);
    assert_eq!(forwards_to(&a).len(), 4);
    held.cancel();
    assert_eq!(forwards_to(&a).len(), 3, "the bound ones stay");
    drop(c);
    assert_eq!(a.publish(2_u64).unwrap().offered(), 1);
    drop(b);
    assert_eq!(a.publish(3_u64).unwrap().offered(), 0);
    assert_eq!(numbers(&mut receiver), [1, 2]);
}

#[test]
fn a_held_forward_outlives_a_close_and_keeps_its_topics() {
    let bus = Bus::new().unwrap();
    let [a, b] = topics(&bus);
    bind(&a, &b);
    let held = a.forward_to(&b).unwrap();
    drop((a, b));
    let a = bus.get_topic("topic 0").expect("kept by the held one");
    assert_eq!(forwards_to(&a), ["topic 1", "topic 1"]);
    held.cancel();
    assert_eq!(forwards_to(&a), Vec::<String>::new(), "the end went");
}

#[test]
fn circles_and_forwards_to_oneself_leave_nothing() {
    let bus = Bus::new().unwrap();
    let dropped = DropFlag::new();
    let [a, b, c] = topics(&bus);
    for (from, to) in [(&a, &b), (&b, &c), (&c, &a), (&a, &a), (&c, &b)] {
        bind(from, to);
    }
    let guard = dropped.guard();
    let sub = b.subscribe().run(move |_: &Message| {
        let _ = &guard;
    });
    let sub = sub.unwrap();
    assert_eq!(c.publish(1_u64).unwrap().offered(), 1);
    drop((a, b, c));
    // The subscription keeps its own topic, and nothing else does.
    assert_eq!(bus.stats().topics, 1);
    sub.unsubscribe();
    sub.join().unwrap();
    drop(sub);
    // The worker that ran it lets go of the topic a moment later.
    common::wait_until("the topic goes", || bus.stats().topics == 0);
    assert!(dropped.is_dropped());
}

#[test]
fn the_last_reference_may_go_inside_a_handler() {
    for kind in [Kind::Inline, Kind::PoolOfOne] {
        with_deadline("inside a handler", move || {
            let setup = Setup::new(kind);
            let (from, to) = (setup.topic("from"), setup.topic("to"));
            let end = setup.topic("end");
            bind(&from, &to);
            bind(&to, &end);
            let mut held = Some(to);
            let sub = setup.run(&from, move |_| drop(held.take()));
            from.publish(1_u64).unwrap();
            sub.flush();
            assert_eq!(forwards_to(&from), Vec::<String>::new());
        });
    }
}

/// An aggregate with many edges in goes while others publish on what led there.
#[test]
fn an_aggregate_of_thousands_goes_as_a_whole() {
    let bus = Bus::new().unwrap();
    let leaves: Vec<_> = (0..2_000)
        .map(|n| bus.topic(&format!("leaf {n}")).unwrap())
        .collect();
    let all = bus.topic("all").unwrap();
    leaves.iter().for_each(|leaf| bind(leaf, &all));
    let receiver = all.subscribe().receiver().unwrap();
    drop(all);
    assert_eq!(leaves[1_999].publish(1_u64).unwrap().offered(), 1);
    drop(receiver);
    for leaf in &leaves {
        assert_eq!(leaf.publish(2_u64).unwrap().offered(), 0);
        assert!(forwards_to(leaf).is_empty());
    }
}

/// And so does one with many edges out: at once, and not one after the other.
#[test]
fn a_source_of_hundreds_goes_as_a_whole() {
    for closed in [true, false] {
        let bus = Bus::new().unwrap();
        let source = bus.topic("source").unwrap();
        let sinks: Vec<_> = (0..400)
            .map(|n| bus.topic(&format!("sink {n}")).unwrap())
            .collect();
        sinks.iter().for_each(|sink| bind(&source, sink));
        bind(&source, &source);
        bind(&sinks[0], &source);
        let held = source.forward_to(&sinks[1]).unwrap();
        let _receivers = [0, 1, 399].map(|n| sinks[n].subscribe().receiver().unwrap());
        assert_eq!(source.publish(1_u64).unwrap().offered(), 3);
        assert_eq!(sinks[0].publish(2_u64).unwrap().offered(), 3);
        if closed {
            source.close();
            assert_eq!(forwards_to(&source), ["sink 1"], "that one is held");
        }
        drop((held, source));
        assert_eq!(sinks[0].publish(3_u64).unwrap().offered(), 1);
        assert!(forwards_to(&sinks[0]).is_empty());
        assert_eq!(bus.stats().topics, 400);
    }
}

/// Ends come, are bound, and go, while others publish: each message comes once or, if an end was not there, not
/// at all, and nothing is left.
#[test]
fn ends_come_and_go_while_others_publish() {
    with_deadline("ends come and go", || {
        let bus = Bus::new().unwrap();
        let [source, sink] = topics(&bus);
        let mut receiver = sink.subscribe().receiver().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let published = Arc::new(AtomicU64::new(0));
        let publisher = {
            let (source, stop) = (source.clone(), Arc::clone(&stop));
            let published = Arc::clone(&published);
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let offered = source.publish(0_u64).unwrap().offered();
                    assert!(offered <= 1, "D4");
                    published.fetch_add(offered, Ordering::Relaxed);
                }
            })
        };
        let changers: Vec<_> = (0..2)
            .map(|changer| {
                let (bus, source, sink) = (bus.clone(), source.clone(), sink.clone());
                thread::spawn(move || {
                    for round in 0..2_000 {
                        // Both changers use the same topics now and then.
                        let name = format!("middle {}", (round + changer) % 3);
                        let middle = bus.topic(&name).unwrap();
                        // The other one may have closed it.
                        for forward in [source.forward_to(&middle), middle.forward_to(&sink)] {
                            forward.into_iter().for_each(Forward::bind);
                        }
                        if round % 4 == 0 {
                            middle.close();
                        }
                    }
                })
            })
            .collect();
        changers.into_iter().for_each(|it| it.join().unwrap());
        stop.store(true, Ordering::Relaxed);
        publisher.join().unwrap();
        assert_eq!(
            numbers(&mut receiver).len() as u64,
            published.load(Ordering::Relaxed)
        );
        assert_eq!(forwards_to(&source), Vec::<String>::new());
        assert_eq!(bus.stats().topics, 2);
    });
}

/// A bind and a close of the same topic race: whoever is last finds the other.
#[test]
fn a_bind_races_with_a_close() {
    with_deadline("bind and close", || {
        for _ in 0..500 {
            let bus = Bus::new().unwrap();
            let [from, to] = topics(&bus);
            let forward = from.forward_to(&to).unwrap();
            let closer = {
                let to = to.clone();
                thread::spawn(move || to.close())
            };
            forward.bind();
            closer.join().unwrap();
            assert_eq!(forwards_to(&from), Vec::<String>::new());
        }
    });
}

/// Two ends of one edge go at the same time.
#[test]
fn both_ends_go_at_once() {
    with_deadline("both ends", || {
        for _ in 0..500 {
            let bus = Bus::new().unwrap();
            let [from, to, other] = topics(&bus);
            bind(&from, &to);
            bind(&other, &to);
            bind(&to, &from);
            let dropper = thread::spawn(move || drop(from));
            drop(to);
            dropper.join().unwrap();
            assert_eq!(forwards_to(&other), Vec::<String>::new());
            assert_eq!(bus.stats().topics, 1);
        }
    });
}
