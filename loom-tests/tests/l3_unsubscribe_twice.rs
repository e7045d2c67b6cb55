//! L3: two threads unsubscribe the same subscription while a third publishes. When either of them returns, what it
//! publishes then is not delivered, and the subscription is on no list; and there is one end.
//!
//! Mutants: the second one returns at once, the second one does not take it off the list, nobody does.
#![cfg(loom)]

use loom_tests::{Got, Journal, Note, assert_final_last, notes, phased, race};
use stasis_bus::{Bus, Delivery, ManualExecutor};
use std::sync::Arc;

#[test]
fn whoever_returns_first() {
    phased("l3_unsubscribe_twice", 2_400, || {
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
        let publisher = topic.clone();
        let end = |number| {
            let (subscription, topic) = (Arc::clone(&subscription), topic.clone());
            Box::new(move || {
                subscription.unsubscribe();
                assert!(!subscription.is_subscribed());
                let receipt = topic.publish(Note::new(number, 0)).unwrap();
                let (offered, closed) = (receipt.offered(), receipt.closed());
                assert_eq!((offered, closed), (0, 0), "unsubscribe has returned");
                0
            })
        };
        let [accepted, ..] = race(
            &topic,
            [
                Box::new(move || publisher.publish(Note::new(0, 0)).unwrap().offered()),
                end(1),
                end(2),
            ],
        );
        executor.run_until_idle();
        assert!(subscription.is_done());
        let got = journal.all();
        assert_final_last(&got);
        assert_eq!(notes(&got).len() as u64, accepted);
        assert!(notes(&got).iter().all(|tag| *tag == (0, 0)));
    });
}
