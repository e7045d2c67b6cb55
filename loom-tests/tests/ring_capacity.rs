//! A limit of n admits exactly n: never more than n wait, spilled or not, and whoever is refused was
//! refused while n were waiting.
//!
//! Mutants: one too many admitted, the room taken from the tail as it was before the claim failed,
//! `freed` looked up without a look at the tail before, a claim that does not release, what was told taken
//! for untold.
#![cfg(loom)]
#![expect(unsafe_code, reason = "a model of the unsafe parts")]

use loom::sync::Arc;
use loom::thread;
use loom_tests::{Forever, Item, check};
use stasis_bus::internals::{Pop, Push, Ring};

/// Offers `count` items, and says how many are in.
fn offer(ring: &Ring<Item>, producer: u8, count: u8, limit: u64) -> usize {
    let offers = (0..count).map(|sequence| {
        let push = ring.push(Item::new(producer, sequence), limit, &Forever);
        usize::from(matches!(push, Push::Queued { .. }))
    });
    offers.sum()
}

/// Takes what is there in at most `polls` polls. The caller has the duty.
fn consume(ring: &Ring<Item>, polls: usize, limit: u64) -> usize {
    let mut taken = 0;
    for _ in 0..polls {
        // SAFETY: the only consumer, which never parks
        if let Pop::Item(_) = unsafe { ring.pop() } {
            taken += 1;
            // Nobody was told yet that this one is out.
            assert!(
                ring.pushed() <= ring.freed() + limit,
                "more than {limit} wait"
            );
            // SAFETY: the only consumer, which never parks
            assert!(unsafe { ring.publish_freed() }, "one is out");
            // SAFETY: as above
            assert!(!unsafe { ring.publish_freed() }, "that was told");
        }
    }
    taken
}

fn capacity(name: &str, floor: usize, slots: usize, limit: u64, before: u8, counts: [u8; 2]) {
    check(name, floor, move || {
        let ring = Arc::new(Ring::new(slots));
        let mut accepted = offer(&ring, 0, before, limit);
        let producers: Vec<_> = (0..2)
            .map(|producer| {
                let ring = ring.clone();
                let count = counts[usize::from(producer)];
                thread::spawn(move || offer(&ring, 1 + producer, count, limit))
            })
            .collect();
        let taken = consume(&ring, 2, limit);
        accepted += producers
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum::<usize>();
        let waiting = accepted - taken;
        assert!(waiting as u64 <= limit);
        // Exactly so many more fit.
        assert_eq!(
            waiting + offer(&ring, 3, limit as u8 + 1, limit),
            limit as usize
        );
        assert_eq!(consume(&ring, limit as usize + 1, limit), limit as usize);
    });
}

#[test]
fn one_of_two_that_come_at_once() {
    check("ring_capacity, no consumer", 15, || {
        let ring = Arc::new(Ring::new(2));
        let other = {
            let ring = ring.clone();
            thread::spawn(move || offer(&ring, 1, 1, 1))
        };
        let accepted = offer(&ring, 0, 1, 1) + other.join().unwrap();
        assert_eq!(accepted, 1, "a limit of one admits one");
    });
}

#[test]
fn limit_below_the_slots() {
    capacity("ring_capacity, limit 1 of 2 slots", 2_500, 2, 1, 1, [1, 1]);
}

#[test]
fn limit_behind_the_slots() {
    capacity("ring_capacity, limit 2 of 1 slot", 12_000, 1, 2, 2, [1, 1]);
}

/// Nobody is refused while the consumer is at rest: then nothing waits.
#[test]
fn rest_is_room() {
    check("ring_capacity, at rest", 60, || {
        let ring = Arc::new(Ring::new(1));
        assert_eq!(offer(&ring, 0, 1, 1), 1);
        let producer = {
            let ring = ring.clone();
            thread::spawn(move || {
                let at_rest = ring.is_parked();
                let push = ring.push(Item::new(1, 0), 1, &Forever);
                assert!(
                    !at_rest || matches!(push, Push::Submit { .. }),
                    "full, but at rest"
                );
                matches!(push, Push::Submit { .. } | Push::Queued { .. })
            })
        };
        assert_eq!(consume(&ring, 1, 1), 1);
        // SAFETY: the only consumer; it goes on below only if it has the duty again
        let _ = unsafe { ring.park(drop) };
        let pushed = producer.join().unwrap();
        assert_eq!(ring.pushed(), 1 + u64::from(pushed));
    });
}

/// Who sees the claim of another sees the room that it was given, and is not refused for want of it.
#[test]
fn a_claim_tells_of_the_room_it_found() {
    check("ring_capacity, two claims", 800, || {
        let ring = Arc::new(Ring::new(2));
        assert_eq!(offer(&ring, 0, 2, 2), 2);
        let first = {
            let ring = ring.clone();
            thread::spawn(move || offer(&ring, 1, 1, 2))
        };
        let second = {
            let ring = ring.clone();
            thread::spawn(move || {
                let one_waits = ring.pushed() == 3;
                let accepted = offer(&ring, 2, 1, 2);
                assert!(!one_waits || accepted == 1, "full, but one waits");
            })
        };
        for _ in 0..2 {
            // SAFETY: the only consumer, which never parks
            assert!(matches!(unsafe { ring.pop() }, Pop::Item(_)));
        }
        // SAFETY: the only consumer, which never parks
        unsafe { ring.publish_freed() };
        first.join().unwrap();
        second.join().unwrap();
    });
}
