//! Forwards that come and go while others publish: what stays is followed always, what is gone never, and nothing
//! comes twice (D4).

#![allow(clippy::disallowed_types, reason = "tests use std's own")]

mod common;

use common::{Kind, Log, Setup, Sub, for_each_kind, number, with_deadline};
use stasis_bus::{Forward, Topic};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

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

/// A topic whose reach was left behind by a cancel further down must not lead there for a moment when it is joined
/// to a new one.
#[test]
fn a_reach_that_went_stale_is_not_followed() {
    with_deadline("stale", || {
        let setup = Setup::new(Kind::Inline);
        for _ in 0..200 {
            let [up, x, middle, end] = topics(&setup);
            let (through, last) = (link(&x, &middle), link(&middle, &end));
            drop(link(&up, &x));
            let at_end = listen(&setup, &end);
            last.cancel();
            let stop = Arc::new(AtomicBool::new(false));
            let (stopped, publishes) = (Arc::clone(&stop), up.clone());
            let publisher = thread::spawn(move || {
                while !stopped.load(Ordering::Relaxed) {
                    let offered = publishes.publish(1_u64).unwrap().offered();
                    assert_eq!(offered, 0, "a cancelled edge was followed");
                }
            });
            let again = link(&up, &x);
            stop.store(true, Ordering::Relaxed);
            publisher.join().unwrap();
            assert_got(&at_end, &[]);
            drop((through, again));
        }
    });
}

#[test]
fn an_edge_that_is_cancelled_under_fire() {
    for_each_kind(|setup| {
        let [a, b] = topics(setup);
        let at_b = listen(setup, &b);
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, publishes) = (Arc::clone(&stop), a.clone());
        let publisher = thread::spawn(move || {
            let (mut n, mut offered) = (0_u64, 0);
            while !stopped.load(Ordering::Relaxed) {
                offered += publishes.publish(n).unwrap().offered();
                n += 1;
                if n % 32 == 0 {
                    thread::yield_now();
                }
            }
            offered
        });
        for round in 0..50 {
            let forward = link(&a, &b);
            // Every publish that begins now goes there; after the cancel none does.
            let own = a.publish(1_000_000 + round as u64).unwrap();
            assert_eq!(own.offered(), 1, "round {round}");
            forward.cancel();
            let own = a.publish(2_000_000 + round as u64).unwrap();
            assert_eq!(own.offered(), 0, "round {round}");
        }
        stop.store(true, Ordering::Relaxed);
        let offered = publisher.join().unwrap();
        at_b.0.end();
        let got = at_b.1.get();
        assert_eq!(got.len() as u64, offered + 50);
        let own: Vec<_> = got.iter().filter(|n| **n >= 1_000_000).copied().collect();
        assert_eq!(own, (1_000_000..1_000_050).collect::<Vec<_>>());
    });
}

#[test]
fn graphs_that_change_under_fire_never_duplicate() {
    for_each_kind(|setup| {
        let all: Vec<_> = (0..5).map(|n| setup.topic(&format!("node {n}"))).collect();
        let logs: Vec<_> = all.iter().map(|topic| listen(setup, topic)).collect();
        let changer = {
            let all = all.clone();
            thread::spawn(move || {
                let mut forwards = VecDeque::new();
                for step in 0..400_usize {
                    let (from, to) = (step * 7 % 5, step * step % 5);
                    forwards.push_back(link(&all[from], &all[to]));
                    if forwards.len() > 8 {
                        forwards.pop_front();
                    }
                }
            })
        };
        let mut n = 0_u64;
        while !changer.is_finished() || n < 200 {
            all[n as usize % 5].publish(n).unwrap();
            n += 1;
            if n % 32 == 0 {
                thread::yield_now();
            }
        }
        changer.join().unwrap();
        for (own, (sub, log)) in logs.iter().enumerate() {
            sub.end();
            let got = log.get();
            assert!(
                got.windows(2).all(|pair| pair[0] < pair[1]),
                "twice, or out of order"
            );
            let from_own = got.iter().filter(|n| **n as usize % 5 == own).count();
            assert_eq!(from_own as u64, n / 5 + u64::from(own < (n % 5) as usize));
        }
    });
}

#[test]
fn a_path_that_stays_is_never_missed() {
    with_deadline("stays", || {
        let setup = Setup::new(Kind::Inline);
        let path: [Topic; 4] = topics(&setup);
        let beside: Vec<_> = (0..3)
            .map(|n| setup.topic(&format!("beside {n}")))
            .collect();
        let _stay: Vec<_> = path
            .windows(2)
            .map(|pair| link(&pair[0], &pair[1]))
            .collect();
        let logs: Vec<_> = path.iter().map(|topic| listen(&setup, topic)).collect();
        let changer = {
            let all: Vec<_> = path.iter().chain(&beside).cloned().collect();
            thread::spawn(move || {
                let mut forwards = VecDeque::new();
                for step in 0..3000_usize {
                    // Circles, short cuts and ways around.
                    let (from, to) = (step * 5 % 7, step * step * 3 % 7);
                    forwards.push_back(link(&all[from], &all[to]));
                    if forwards.len() > step % 5 {
                        forwards.pop_front();
                    }
                }
            })
        };
        let mut n = 0_u64;
        while !changer.is_finished() || n < 1000 {
            path[0].publish(n).unwrap();
            n += 1;
        }
        changer.join().unwrap();
        for (sub, log) in &logs {
            sub.end();
            assert_eq!(log.take(), (0..n).collect::<Vec<_>>());
        }
    });
}
