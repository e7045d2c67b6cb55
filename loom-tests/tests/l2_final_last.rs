//! L2, L3: a subscription that is unsubscribed while somebody publishes and somebody runs it gets what was accepted,
//! and then exactly one final message, whose totals are right.
//!
//! Mutants: a close by load and store, a close that leaves the duty of a parked consumer with nobody, a
//! claim that ignores the close, a quick push that does, a park that does, an end that is told before
//! what is claimed is written.
#![cfg(loom)]

use loom_tests::{Got, Journal, Note, assert_final_last, notes, phased, race};
use stasis_bus::{Bus, Delivery, ManualExecutor};
use std::sync::Arc;

#[test]
fn publish_unsubscribe_and_run() {
    phased("l2_final_last, executor", 5_700, || {
        let bus = Bus::new().unwrap();
        let topic = bus.topic("t").unwrap();
        let executor = Arc::new(ManualExecutor::new());
        let journal = Journal::<Vec<Got>>::new();
        let subscription = topic
            .subscribe()
            .delivery(Delivery::Executor(executor.clone()))
            .run(journal.handler())
            .unwrap();
        let subscription = Arc::new(subscription);
        let (publisher, run, end) = (topic.clone(), executor.clone(), subscription.clone());
        let [accepted, ..] = race(
            &topic,
            [
                Box::new(move || {
                    let offered = |sequence| {
                        let receipt = publisher.publish(Note::new(0, sequence)).unwrap();
                        assert_eq!(receipt.shed(), 0);
                        receipt.offered()
                    };
                    offered(0) + offered(1)
                }),
                Box::new(move || {
                    end.unsubscribe();
                    0
                }),
                Box::new(move || {
                    run.run_one();
                    0
                }),
            ],
        );
        executor.run_until_idle();
        assert!(subscription.is_done());
        let got = journal.all();
        assert_final_last(&got);
        let expected: Vec<_> = (0..accepted as u8).map(|sequence| (0, sequence)).collect();
        assert_eq!(notes(&got), expected, "accepted, so delivered");
        assert_eq!(got.last(), Some(&Got::Final(accepted, 0, 0)));
    });
}

#[test]
fn publish_unsubscribe_and_receive() {
    phased("l2_final_last, receiver", 11_000, || {
        let bus = Bus::new().unwrap();
        let topic = bus.topic("t").unwrap();
        let mut receiver = topic.subscribe().receiver().unwrap();
        assert!(receiver.try_recv().is_err());
        let closer = topic.clone();
        let publisher = topic.clone();
        let [got, (_, accepted), _] = race(
            &topic,
            [
                Box::new(move || {
                    let got: Vec<_> = receiver.iter().map(|message| Got::of(&message)).collect();
                    assert!(receiver.recv().is_err());
                    (got, 0)
                }),
                Box::new(move || {
                    let receipt = publisher.publish(Note::new(0, 0));
                    (Vec::new(), receipt.map_or(0, |receipt| receipt.offered()))
                }),
                Box::new(move || {
                    closer.close();
                    (Vec::new(), 0)
                }),
            ],
        );
        let got = got.0;
        assert_final_last(&got);
        assert_eq!(notes(&got).len() as u64, accepted);
        assert_eq!(got.last(), Some(&Got::Final(accepted, 0, 0)));
    });
}

#[test]
fn publish_twice_and_unsubscribe_inline() {
    phased("l2_final_last, inline", 17_200, || {
        let bus = Bus::new().unwrap();
        let topic = bus.topic("t").unwrap();
        let journal = Journal::<Vec<Got>>::new();
        let subscription = topic
            .subscribe()
            .delivery(Delivery::Inline)
            .run(journal.handler())
            .unwrap();
        let publish = |producer| {
            let topic = topic.clone();
            Box::new(move || topic.publish(Note::new(producer, 0)).unwrap().offered())
        };
        let end = Box::new(move || {
            drop(subscription);
            0
        });
        let offered = race(&topic, [publish(0), publish(1), end]);
        let got = journal.all();
        assert_final_last(&got);
        let mut tags = notes(&got);
        tags.sort_unstable();
        let accepted = (0..2).filter(|producer| offered[usize::from(*producer)] == 1);
        let expected: Vec<_> = accepted.map(|producer| (producer, 0)).collect();
        assert_eq!(tags, expected, "accepted, so delivered");
        assert_eq!(got.last(), Some(&Got::Final(tags.len() as u64, 0, 0)));
    });
}
