//! Who waits for room is woken: by the consumer once there is room, or by the close.
//!
//! Mutants: fence F2a gone, fence F2b gone, the mark that somebody waits cleared after the lock.
#![cfg(loom)]
#![expect(unsafe_code, reason = "a model of the unsafe parts")]

use loom::sync::{Arc, Notify};
use loom::thread;
use loom_tests::{Forever, Item, check};
use stasis_bus::internals::{Close, Pop, Push, Ring, RoomWaiters};

#[derive(Clone)]
struct Waiter(Arc<Notify>);

impl PartialEq for Waiter {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

struct Blocking {
    ring: Ring<Item>,
    room: RoomWaiters<Waiter>,
}

impl Blocking {
    /// Full: `limit` items wait, and somebody has the duty.
    fn full(limit: u64) -> Arc<Self> {
        let ring = Ring::new(limit as usize);
        for sequence in 0..limit as u8 {
            assert!(matches!(
                ring.push(Item::new(0, sequence), limit, &Forever),
                Push::Queued { .. }
            ));
        }
        Arc::new(Self {
            ring,
            room: RoomWaiters::new(),
        })
    }

    /// Waits until the item is in, or the ring is closed. A waiter that is never woken is a deadlock,
    /// which loom reports.
    fn push(&self, producer: u8, sequence: u8, limit: u64) -> bool {
        let mut item = Item::new(producer, sequence);
        let waiter = Waiter(Arc::new(Notify::new()));
        loop {
            for registered in [false, true] {
                item = match self.ring.push(item, limit, &Forever) {
                    Push::Queued { .. } | Push::Submit { .. } => return true,
                    Push::Closed(_) => return false,
                    Push::Full(item) => item,
                };
                if !registered {
                    self.room.register_once(&waiter);
                }
            }
            waiter.0.wait();
        }
    }

    fn wake(&self) {
        for waiter in self.room.take() {
            waiter.0.notify();
        }
    }

    fn close(&self) {
        assert_eq!(self.ring.close(), Close::Closed);
        self.wake();
    }

    /// Takes `count` items, which are there. The caller has the duty.
    fn consume(&self, count: u64) {
        for _ in 0..count {
            // SAFETY: the only consumer, which never parks
            assert!(matches!(unsafe { self.ring.pop() }, Pop::Item(_)));
        }
        // SAFETY: the only consumer, which never parks
        assert!(unsafe { self.ring.publish_freed() });
        self.wake();
    }
}

#[test]
fn one_waits_and_the_consumer_makes_room() {
    check("room_no_lost_wakeup, room", 15, || {
        let blocking = Blocking::full(1);
        let producer = {
            let blocking = blocking.clone();
            thread::spawn(move || assert!(blocking.push(1, 0, 1)))
        };
        blocking.consume(1);
        producer.join().unwrap();
    });
}

/// A waiter that registers while another of its kind, which got in without it, is being taken.
#[test]
fn one_waits_twice() {
    check("room_no_lost_wakeup, twice", 500, || {
        let blocking = Blocking::full(1);
        let producer = {
            let blocking = blocking.clone();
            thread::spawn(move || {
                assert!(blocking.push(1, 0, 1));
                assert!(blocking.push(1, 1, 1));
            })
        };
        for _ in 0..2 {
            // SAFETY: the only consumer, which never parks
            while !matches!(unsafe { blocking.ring.pop() }, Pop::Item(_)) {
                thread::yield_now();
            }
            // SAFETY: the only consumer, which never parks
            assert!(unsafe { blocking.ring.publish_freed() });
            blocking.wake();
        }
        producer.join().unwrap();
    });
}

#[test]
fn one_waits_and_it_is_closed() {
    check("room_no_lost_wakeup, close", 35, || {
        let blocking = Blocking::full(1);
        let producer = {
            let blocking = blocking.clone();
            thread::spawn(move || assert!(!blocking.push(1, 0, 1)))
        };
        blocking.close();
        producer.join().unwrap();
    });
}

#[test]
fn two_wait_and_the_consumer_makes_room_for_both() {
    check("room_no_lost_wakeup, two", 45000, || {
        let blocking = Blocking::full(2);
        let producers = [1, 2].map(|producer| {
            let blocking = blocking.clone();
            thread::spawn(move || assert!(blocking.push(producer, 0, 2)))
        });
        blocking.consume(2);
        producers
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn one_waits_while_the_consumer_and_the_closer_both_wake() {
    check("room_no_lost_wakeup, both", 500, || {
        let blocking = Blocking::full(1);
        let producer = {
            let blocking = blocking.clone();
            thread::spawn(move || {
                blocking.push(1, 0, 1);
            })
        };
        let closer = {
            let blocking = blocking.clone();
            thread::spawn(move || blocking.close())
        };
        blocking.consume(1);
        producer.join().unwrap();
        closer.join().unwrap();
    });
}
