//! The rings behind the first one are given back at rest while producers need some again: nothing is lost,
//! and no producer looks at a ring that was freed. What is retired is dropped as soon as the epoch may.
//!
//! Mutants: rings freed at once; the word moved on to the first ring whatever was claimed since; rings taken
//! out before it has, or with a new one in front of them, or without Release; a new ring put in front without
//! a look whether the word is still the same; `install`, or one of the loads, Relaxed; the current ring loaded
//! without the fence; a push refused though there is no limit, since another one was quicker; a consumer that
//! is back at the first ring and looks at the slots of the one that it gave back. (Nothing here
//! depends on the Acquire of a claim, since there is that fence; or on the order of the move back to the first
//! ring: a claim after it acquires the last one before it all the same; or on its generation, which only lets
//! the consumer tell a ring that was made too late from one that is in use.)
#![cfg(loom)]

use loom::sync::Arc;
use loom::thread;
use loom_tests::{Eager, Mailbox, MailboxOf, NoReclaim, Reclaim, check};

/// The first producer has offered `before`, of which the consumer took `taken`, so that the ring spills.
/// Then each producer offers `counts`, while the consumer goes on for `budget` steps, as often as it is
/// due of `runs` times.
struct Scene {
    before: u8,
    taken: usize,
    counts: [u8; 2],
    budget: usize,
    runs: usize,
}

fn retire<R: Reclaim + 'static>(name: &str, floor: usize, scene: Scene) {
    check(name, floor, move || {
        let mailbox = Arc::new(MailboxOf::<R>::new(1, u64::MAX));
        let mut first = mailbox.offer_all(0, scene.before);
        mailbox.run_if_due(scene.taken);
        let producer = |number: u8, from: u8| {
            let mailbox = mailbox.clone();
            let count = scene.counts[usize::from(number)];
            thread::spawn(move || mailbox.offer_from(number, from..from + count))
        };
        let producers = [producer(0, scene.before), producer(1, 0)];
        for _ in 0..scene.runs {
            mailbox.run_if_due(scene.budget);
        }
        let [more, second] = producers.map(|thread| thread.join().unwrap());
        first.extend(more);
        mailbox.finish(&[first, second], false);
    });
}

#[test]
fn one_producer_while_the_consumer_comes_to_rest() {
    retire::<Eager>(
        "spill_retire, one producer",
        15_000,
        Scene {
            before: 2,
            taken: 1,
            counts: [2, 0],
            budget: 5,
            runs: 2,
        },
    );
}

#[test]
fn two_producers_while_the_consumer_parks() {
    retire::<Eager>(
        "spill_retire, two producers",
        15_000,
        Scene {
            before: 2,
            taken: 2,
            counts: [1, 1],
            budget: 1,
            runs: 1,
        },
    );
}

/// By the time that the consumer comes to take the old ring out there are two new ones.
#[test]
fn one_producer_that_grows_twice_meanwhile() {
    retire::<Eager>(
        "spill_retire, twice",
        500,
        Scene {
            before: 2,
            taken: 2,
            counts: [4, 0],
            budget: 1,
            runs: 1,
        },
    );
}

/// It learns that the rings were taken out from the claims of another, and from nothing else.
#[test]
fn one_producer_that_meets_the_claims_of_another() {
    check("spill_retire, by way of another", 12000, || {
        let mailbox = Arc::new(Mailbox::new(1, u64::MAX));
        let mut first = mailbox.offer_from(0, 0..3);
        mailbox.run_if_due(3);
        let producer = {
            let mailbox = mailbox.clone();
            thread::spawn(move || mailbox.offer_from(1, 0..1))
        };
        mailbox.run_if_due(1);
        first.extend(mailbox.offer_from(0, 3..5));
        let second = producer.join().unwrap();
        mailbox.finish(&[first, second], false);
    });
}

/// Pinned all the time, so that not even the fence of a pin helps who finds the queue taken out.
#[test]
fn one_producer_that_was_pinned_before() {
    retire::<NoReclaim>(
        "spill_retire, pinned before",
        3_500,
        Scene {
            before: 2,
            taken: 2,
            counts: [2, 0],
            budget: 4,
            runs: 1,
        },
    );
}

/// What it sees of the rings may be as old as its pin, and the generations have gone around since.
#[test]
fn one_producer_that_was_pinned_a_turn_ago() {
    check("spill_retire, a turn ago", 50_000, || {
        // Only what the producer sees in the end is of interest.
        loom::stop_exploring();
        let mailbox = Arc::new(Mailbox::new(1, u64::MAX));
        let mut first = mailbox.offer_from(0, 0..2);
        let producer = {
            let mailbox = mailbox.clone();
            thread::spawn(move || mailbox.offer_from(1, 0..1))
        };
        mailbox.run_if_due(4);
        first.extend(mailbox.offer_from(0, 2..4));
        mailbox.run_if_due(4);
        first.extend(mailbox.offer_from(0, 4..6));
        mailbox.run_if_due(1);
        loom::explore();
        let second = producer.join().unwrap();
        loom::stop_exploring();
        mailbox.finish(&[first, second], false);
    });
}
