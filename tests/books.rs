//! The books of a subscription that ends under fire (D5, L2): what publishers were told in their receipts, what the
//! subscriber was told in gap notices, and the totals of the final message are the same numbers.

mod support;

use stasis_bus::{Message, Overflow, PublishError, Receipt, Topic};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use support::{Item, KINDS, Kind, Sub, bus_and_topic, join, scaled, subscribe};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Policy {
    SpillLimit,
    BlockZero,
    DropOldest,
    DropNewest,
    Fail,
    Conflate,
    Evict,
}

const POLICIES: [Policy; 7] = [
    Policy::SpillLimit,
    Policy::BlockZero,
    Policy::DropOldest,
    Policy::DropNewest,
    Policy::Fail,
    Policy::Conflate,
    Policy::Evict,
];

impl Policy {
    fn overflow(self) -> Overflow {
        match self {
            Self::SpillLimit => Overflow::Spill { limit: Some(2) },
            Self::BlockZero => Overflow::Block {
                timeout: Some(Duration::ZERO),
            },
            Self::DropOldest => Overflow::DropOldest,
            Self::DropNewest => Overflow::DropNewest,
            Self::Fail => Overflow::Fail,
            Self::Conflate => {
                Overflow::conflate(|m: &Message| m.get::<Item>().map_or(99, |item| item.0 % 3))
            }
            Self::Evict => Overflow::Evict,
        }
    }
}

fn publisher(topic: &Topic, stop: &Arc<AtomicBool>) -> JoinHandle<Receipt> {
    let (topic, stop) = (topic.clone(), Arc::clone(stop));
    thread::spawn(move || {
        let mut total = Receipt::default();
        for value in 0.. {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            if value % 8 == 0 {
                thread::yield_now();
            }
            total += match topic.publish(Item(value)) {
                Ok(receipt) | Err(PublishError::Full { receipt, .. }) => receipt,
                Err(error) => panic!("{error}"),
            };
        }
        total
    })
}

fn check(what: &str, policy: Policy, sub: &Sub, told: Receipt) {
    let (last, stats) = sub.done();
    sub.log.check_books(&last, &stats);
    assert_eq!(last.shed, told.shed(), "{what}: what was shed");
    assert_eq!(stats.offered, told.offered(), "{what}: what was accepted");
    let left = match policy {
        Policy::DropOldest | Policy::Conflate => last.shed,
        _ => 0,
    };
    let accounted = last.delivered + left + last.conflated + last.discarded;
    assert_eq!(told.offered(), accounted, "{what}: {last:?}");
}

#[test]
fn receipts_gaps_and_totals_are_the_same_numbers() {
    for kind in KINDS.into_iter().filter(|kind| *kind != Kind::Yield) {
        for policy in POLICIES {
            for round in 0..scaled(20, 1) {
                let what = format!("{kind:?} {policy:?} {round}");
                let (_bus, topic) = bus_and_topic();
                let sub = subscribe(kind, &topic, |builder| {
                    builder.capacity(2).overflow(policy.overflow())
                });
                let stop = Arc::new(AtomicBool::new(false));
                let publishers = [(); 2].map(|()| publisher(&topic, &stop));
                if policy != Policy::Evict {
                    sub.log.wait_for_items(round);
                    sub.unsubscribe();
                }
                sub.log.wait_for_final(&what);
                stop.store(true, Ordering::Relaxed);
                let mut told = Receipt::default();
                for publisher in publishers {
                    told += join("a publisher", publisher);
                }
                check(&what, policy, &sub, told);
            }
        }
    }
}

/// The same for one that is dropped: nobody is told, but the numbers close.
#[test]
fn a_receiver_that_is_dropped_under_fire_closes_its_books() {
    for policy in POLICIES {
        for round in 0..scaled(100, 1) {
            let (_bus, topic) = bus_and_topic();
            let mut receiver = topic
                .subscribe()
                .capacity(2)
                .overflow(policy.overflow())
                .receiver()
                .unwrap();
            let stop = Arc::new(AtomicBool::new(false));
            let publishers = [(); 2].map(|()| publisher(&topic, &stop));
            for _ in 0..round % 8 {
                let _ = receiver.recv_timeout(Duration::from_micros(100));
            }
            let joins = receiver.subscription().join_async();
            drop(receiver);
            let last = support::block_on(joins);
            stop.store(true, Ordering::Relaxed);
            let mut told = Receipt::default();
            for publisher in publishers {
                told += join("a publisher", publisher);
            }
            let what = format!("{policy:?} {round} {last:?} {told:?}");
            assert_eq!(last.shed, told.shed(), "{what}");
            let left = match policy {
                Policy::DropOldest | Policy::Conflate => last.shed,
                _ => 0,
            };
            let accounted = last.delivered + left + last.conflated + last.discarded;
            assert_eq!(told.offered(), accounted, "{what}");
        }
    }
}
