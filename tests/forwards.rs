//! Forwards: exactly once whatever the graph looks like (D4), edges that come and go under fire, handles dropped in
//! any order (L7).

#![allow(clippy::disallowed_types, reason = "tests use std's own")]

mod common;

use common::{Kind, Log, Setup, Sub, bus_with, for_each_kind, number, wait_until, with_deadline};
use stasis_bus::{Forward, ForwardError, Message, Topic};

/// Subscribes a log of numbers.
fn listen(setup: &Setup, topic: &Topic) -> (Sub, Log<u64>) {
    let log = Log::new();
    let logs = log.clone();
    let sub = setup.run(topic, move |message| {
        if let Some(n) = number(message) {
            logs.push(n);
        }
    });
    (sub, log)
}

#[track_caller]
fn assert_got((sub, log): &(Sub, Log<u64>), expected: &[u64]) {
    sub.flush();
    assert_eq!(log.get(), expected);
}

fn topics<const N: usize>(setup: &Setup) -> [Topic; N] {
    std::array::from_fn(|n| setup.topic(&format!("topic {n}")))
}

fn link(from: &Topic, to: &Topic) -> Forward {
    from.forward_to(to).unwrap()
}

#[test]
fn one_edge_one_way() {
    for_each_kind(|setup| {
        let [a, b] = topics(setup);
        let forward = link(&a, &b);
        assert_eq!(
            (forward.from_name(), forward.to_name()),
            ("topic 0", "topic 1")
        );
        let (at_a, at_b) = (listen(setup, &a), listen(setup, &b));
        assert_eq!(a.publish(1_u64).unwrap().offered(), 2);
        assert_eq!(b.publish(2_u64).unwrap().offered(), 1);
        assert_got(&at_a, &[1]);
        assert_got(&at_b, &[1, 2]);
        forward.cancel();
        assert_eq!(a.publish(3_u64).unwrap().offered(), 1);
        assert_got(&at_b, &[1, 2]);
    });
}

#[test]
fn a_diamond_delivers_once() {
    for_each_kind(|setup| {
        let [top, left, right, bottom] = topics(setup);
        let mut forwards = vec![
            link(&top, &left),
            link(&top, &right),
            link(&left, &bottom),
            link(&right, &bottom),
        ];
        let at_bottom = listen(setup, &bottom);
        assert_eq!(top.publish(1_u64).unwrap().offered(), 1);
        assert_got(&at_bottom, &[1]);
        // One side goes, the other one still leads there.
        forwards.remove(2).cancel();
        assert_eq!(top.publish(2_u64).unwrap().offered(), 1);
        assert_eq!(left.publish(3_u64).unwrap().offered(), 0);
        assert_got(&at_bottom, &[1, 2]);
        forwards.pop().unwrap().cancel();
        assert_eq!(top.publish(4_u64).unwrap().offered(), 0);
    });
}

#[test]
fn one_final_message_in_a_diamond() {
    for_each_kind(|setup| {
        let [top, left, right, bottom] = topics(setup);
        let _forwards = [
            link(&top, &left),
            link(&top, &right),
            link(&left, &bottom),
            link(&right, &bottom),
        ];
        let finals = Log::new();
        let logs = finals.clone();
        let sub = setup.run(&bottom, move |message| {
            logs.push(message.as_final().is_some());
        });
        top.publish(1_u64).unwrap();
        let last = sub.end();
        assert_eq!(finals.get(), [false, true]);
        assert_eq!(last.delivered, 1);
    });
}

#[test]
fn duplicates_deliver_once_and_each_handle_counts() {
    for_each_kind(|setup| {
        let [a, b] = topics(setup);
        let mut forwards: Vec<_> = (0..3).map(|_| link(&a, &b)).collect();
        let at_b = listen(setup, &b);
        for n in 0..3_u64 {
            assert_eq!(a.publish(n).unwrap().offered(), 1);
            drop(forwards.pop());
        }
        assert_eq!(a.publish(9_u64).unwrap().offered(), 0);
        assert_got(&at_b, &[0, 1, 2]);
    });
}

#[test]
fn a_forward_to_itself() {
    for_each_kind(|setup| {
        let [a, b] = topics(setup);
        let at_a = listen(setup, &a);
        let (own, again) = (link(&a, &a), link(&a, &a));
        assert_eq!(a.publish(1_u64).unwrap().offered(), 1);
        let onward = link(&a, &b);
        let at_b = listen(setup, &b);
        assert_eq!(a.publish(2_u64).unwrap().offered(), 2);
        own.cancel();
        assert_eq!(a.publish(3_u64).unwrap().offered(), 2);
        again.cancel();
        assert_eq!(a.publish(4_u64).unwrap().offered(), 2);
        onward.cancel();
        assert_eq!(a.publish(5_u64).unwrap().offered(), 1);
        assert_got(&at_a, &[1, 2, 3, 4, 5]);
        assert_got(&at_b, &[2, 3, 4]);
    });
}

#[test]
fn cycles_of_two_and_three() {
    for_each_kind(|setup| {
        for len in [2, 3] {
            let ring: Vec<_> = (0..len)
                .map(|n| setup.topic(&format!("{len} {n}")))
                .collect();
            let outside = setup.topic(&format!("{len} outside"));
            let mut forwards: Vec<_> = (0..len)
                .map(|n| link(&ring[n], &ring[(n + 1) % len]))
                .collect();
            let inwards = link(&outside, &ring[0]);
            let logs: Vec<_> = ring.iter().map(|topic| listen(setup, topic)).collect();
            for (n, topic) in (0..).zip(&ring) {
                assert_eq!(topic.publish(n as u64).unwrap().offered(), len as u64);
            }
            assert_eq!(outside.publish(7_u64).unwrap().offered(), len as u64);
            // Without the edge that closes it, the cycle is a chain.
            forwards.pop().unwrap().cancel();
            let last = &ring[len - 1];
            assert_eq!(last.publish(8_u64).unwrap().offered(), 1);
            assert_eq!(outside.publish(9_u64).unwrap().offered(), len as u64);
            drop(inwards);
            for (sub, log) in &logs {
                sub.flush();
                let mut got = log.get();
                got.retain(|n| *n != 8);
                let mut expected: Vec<_> = (0..len as u64).collect();
                expected.extend([7, 9]);
                assert_eq!(got, expected);
            }
        }
    });
}

#[test]
fn a_full_mesh_delivers_once() {
    with_deadline("mesh", || {
        let setup = Setup::new(Kind::Inline);
        let all: [Topic; 6] = topics(&setup);
        let mut forwards = Vec::new();
        for from in &all {
            forwards.extend(all.iter().map(|to| link(from, to)));
        }
        let logs: Vec<_> = all.iter().map(|topic| listen(&setup, topic)).collect();
        for (n, topic) in (0..).zip(&all) {
            assert_eq!(topic.publish(n as u64).unwrap().offered(), 6);
        }
        // Edges go one by one; each message still comes at most once, and always to its own topic.
        while let Some(forward) = forwards.pop() {
            forward.cancel();
            let offered = all[0].publish(99_u64).unwrap().offered();
            assert!((1..=6).contains(&offered));
        }
        assert_eq!(all[0].publish(100_u64).unwrap().offered(), 1);
        for log in &logs {
            log.0.flush();
            let mut got = log.1.get();
            got.retain(|n| *n < 6);
            assert_eq!(got, [0, 1, 2, 3, 4, 5]);
        }
    });
}

#[test]
fn a_chain_of_a_thousand() {
    with_deadline("chain", || {
        let setup = Setup::new(Kind::PoolOfThree);
        let chain: Vec<_> = (0..1000)
            .map(|n| setup.topic(&format!("link {n}")))
            .collect();
        let mut forwards: Vec<_> = chain
            .windows(2)
            .map(|pair| link(&pair[0], &pair[1]))
            .collect();
        let last = listen(&setup, &chain[999]);
        let middle = listen(&setup, &chain[500]);
        assert_eq!(chain[0].publish(1_u64).unwrap().offered(), 2);
        assert_eq!(chain[700].publish(2_u64).unwrap().offered(), 1);
        forwards.remove(600).cancel();
        assert_eq!(chain[0].publish(3_u64).unwrap().offered(), 1);
        assert_got(&last, &[1, 2]);
        assert_got(&middle, &[1, 3]);
        // Memory of a long chain is freed without a deep recursion.
        drop((chain, forwards, last, middle, setup));
    });
}

#[test]
fn many_topics_into_one() {
    with_deadline("many", || {
        let setup = Setup::new(Kind::PoolOfOne);
        let all = setup.topic("all");
        let far = setup.topic("far");
        let onward = link(&all, &far);
        let legs: Vec<_> = (0..2000)
            .map(|n| setup.topic(&format!("leg {n}")))
            .collect();
        let forwards: Vec<_> = legs.iter().map(|leg| link(leg, &all)).collect();
        let at_far = listen(&setup, &far);
        for (n, leg) in (0..).zip(&legs) {
            assert_eq!(leg.publish(n as u64).unwrap().offered(), 1);
        }
        assert_got(&at_far, &(0..2000).collect::<Vec<_>>());
        drop(onward);
        assert_eq!(legs[7].publish(1_u64).unwrap().offered(), 0);
        drop(forwards);
    });
}

#[test]
fn forwards_from_inside_handlers() {
    for_each_kind(|setup| {
        let [a, b] = topics(setup);
        let at_b = listen(setup, &b);
        let (from, to) = (a.clone(), b.clone());
        let mut forward = None;
        let receipts = Log::new();
        let logs = receipts.clone();
        let sub = setup.run(&a, move |message| match number(message) {
            Some(1) => forward = Some(link(&from, &to)),
            Some(2) => drop(forward.take()),
            Some(n) => logs.push((n, to.publish(n + 100).is_ok())),
            None => {}
        });
        for n in 1..=3_u64 {
            a.publish(n).unwrap();
            sub.flush();
        }
        sub.end();
        assert_eq!(receipts.get(), [(3, true)]);
        assert_got(&at_b, &[2, 103]);
    });
}

#[test]
fn a_detached_forward_keeps_both_topics() {
    for_each_kind(|setup| {
        let at_b = {
            let [a, b] = topics(setup);
            link(&a, &b).detach();
            listen(setup, &b)
        };
        let again = setup.bus.get_topic("topic 0").expect("kept");
        assert_eq!(again.publish(1_u64).unwrap().offered(), 1);
        assert_got(&at_b, &[1]);
    });
}

#[test]
fn handles_may_go_in_any_order() {
    for_each_kind(|setup| {
        for order in 0..6 {
            let (a, b) = (setup.topic("a"), setup.topic("b"));
            let forward = link(&a, &b);
            let (sub, log) = listen(setup, &b);
            a.publish(1_u64).unwrap();
            sub.flush();
            let mut parts: [Option<Box<dyn Send>>; 3] = [
                Some(Box::new(a)),
                Some(Box::new(b)),
                Some(Box::new(forward)),
            ];
            let first = order % 3;
            let second = (first + 1 + order / 3) % 3;
            for index in [first, second, 3 - first - second] {
                drop(parts[index].take());
            }
            // The subscription keeps its topic, and nothing else is left.
            let names: Vec<_> = setup.bus.topics().iter().map(|t| t.name.clone()).collect();
            assert_eq!(names, ["b".into()], "order {order}");
            setup.bus.get_topic("b").unwrap().publish(2_u64).unwrap();
            sub.end();
            assert_eq!(log.get(), [1, 2]);
            drop(sub);
            wait_until("no topic is left", || setup.bus.topics().is_empty());
        }
    });
}

#[test]
fn a_forward_keeps_its_topics() {
    with_deadline("keeps", || {
        let setup = Setup::new(Kind::Inline);
        let forward = link(&setup.topic("a"), &setup.topic("b"));
        assert_eq!(setup.bus.topics().len(), 2);
        let (_sub, log) = listen(&setup, &setup.topic("b"));
        setup.topic("a").publish(1_u64).unwrap();
        assert_eq!(log.get(), [1]);
        drop(forward);
        assert!(setup.bus.get_topic("a").is_none());
    });
}

#[test]
fn closed_topics_and_other_buses() {
    for_each_kind(|setup| {
        let [a, b, c] = topics(setup);
        let other = bus_with(1);
        let foreign = other.topic("topic 0").unwrap();
        assert_eq!(a.forward_to(&foreign).err(), Some(ForwardError::OtherBus));
        let (to_b, to_c) = (link(&a, &b), link(&b, &c));
        let (at_b, at_c) = (listen(setup, &b), listen(setup, &c));
        b.close();
        assert_eq!(a.forward_to(&b).err(), Some(ForwardError::TopicClosed));
        assert_eq!(b.forward_to(&a).err(), Some(ForwardError::TopicClosed));
        // The closed one still leads on: its edges are handles of their own.
        let receipt = a.publish(1_u64).unwrap();
        assert_eq!((receipt.offered(), receipt.closed()), (1, 0));
        assert_got(&at_c, &[1]);
        assert!(at_b.0.join().delivered == 0);
        // A new topic of that name is another topic.
        let twin = setup.topic("topic 1");
        assert!(!twin.is_same(&b));
        let at_twin = listen(setup, &twin);
        a.publish(2_u64).unwrap();
        assert_got(&at_twin, &[]);
        drop((to_b, to_c));
        setup.bus.shutdown_timeout(common::DEADLINE).unwrap();
        assert_eq!(a.forward_to(&c).err(), Some(ForwardError::ShutDown));
    });
}

#[test]
fn forwards_outlive_the_bus() {
    for_each_kind(|setup| {
        let bus = bus_with(1);
        let setup = Setup::with_bus(setup.kind, bus);
        let [a, b] = topics(&setup);
        let forward = link(&a, &b);
        let (sub, log) = listen(&setup, &b);
        a.publish(1_u64).unwrap();
        sub.flush();
        // A receiver's and an executor's pump live in the setup: only the bus goes.
        setup.bus.shutdown_timeout(common::DEADLINE).unwrap();
        assert!(a.publish(2_u64).is_err());
        sub.join();
        assert_eq!(log.get(), [1]);
        drop(setup);
        forward.cancel();
        drop((a, b));
        assert!(sub.is_done());
    });
}

#[test]
fn messages_go_along_as_they_are() {
    for_each_kind(|setup| {
        let [a, b] = topics(setup);
        let _forward = link(&a, &b);
        let seen = Log::new();
        let logs = seen.clone();
        let sub = setup.run(&b, move |message| logs.push(message.id()));
        let message = Message::new(1_u64);
        let id = message.id();
        a.publish(message).unwrap();
        sub.end();
        assert_eq!(seen.get()[0], id);
    });
}

/// Everything that can be reached from a topic, found the simplest way.
fn search(edges: &[(usize, usize)], from: usize) -> Vec<usize> {
    let mut found = vec![from];
    let mut next = 0;
    while let Some(&here) = found.get(next) {
        next += 1;
        for &(_, to) in edges.iter().filter(|(start, _)| *start == here) {
            if !found.contains(&to) {
                found.push(to);
            }
        }
    }
    found.sort_unstable();
    found
}

#[test]
fn random_graphs_reach_what_a_search_finds() {
    with_deadline("random", || {
        let setup = Setup::new(Kind::Inline);
        let mut random = 0x2545_f491_4f6c_dd1d_u64;
        let mut below = move |bound: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random as usize % bound
        };
        for (topics, most, steps) in [(3, 4, 300), (6, 8, 600), (9, 12, 600), (12, 40, 200)] {
            let all: Vec<_> = (0..topics)
                .map(|n| setup.topic(&format!("{topics} {n}")))
                .collect();
            let got = Log::new();
            let _subs: Vec<_> = all
                .iter()
                .enumerate()
                .map(|(n, topic)| {
                    let got = got.clone();
                    setup.run(topic, move |message| {
                        if number(message).is_some() {
                            got.push(n);
                        }
                    })
                })
                .collect();
            let (mut edges, mut forwards) = (Vec::new(), Vec::new());
            for step in 0..steps {
                if forwards.len() < 1 + below(most) {
                    let edge = (below(topics), below(topics));
                    forwards.push(link(&all[edge.0], &all[edge.1]));
                    edges.push(edge);
                } else {
                    let gone = below(forwards.len());
                    forwards.swap_remove(gone).cancel();
                    edges.swap_remove(gone);
                }
                for (from, topic) in all.iter().enumerate() {
                    topic.publish(1_u64).unwrap();
                    let mut reached = got.take();
                    reached.sort_unstable();
                    assert_eq!(reached, search(&edges, from), "{step}: {from}, {edges:?}");
                }
            }
        }
    });
}
