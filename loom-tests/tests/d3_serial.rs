//! D3: runs of one subscription never overlap, and each one sees what the one before wrote, whoever runs them:
//! two threads that take the tasks of one executor, or two publishers of an inline subscription.
//!
//! Mutants: the duty is kept though the park succeeded, whoever pushes to an inline subscription runs it,
//! a claim without Acquire, a park without Release, an inline run that goes to the pool for what came
//! while it was about to park.
#![cfg(loom)]

use loom_tests::{Got, Journal, Note, notes, phased, race};
use stasis_bus::{Bus, Delivery, ManualExecutor};
use std::sync::Arc;

#[test]
fn two_threads_run_the_tasks_of_one_executor() {
    phased("d3_serial, executor", 320, || {
        let bus = Bus::new().unwrap();
        let topic = bus.topic("t").unwrap();
        let executor = Arc::new(ManualExecutor::new());
        let journal = Journal::<Vec<Got>>::new();
        let subscription = topic
            .subscribe()
            .delivery(Delivery::Executor(executor.clone()))
            .run(journal.handler())
            .unwrap();
        let publisher = topic.clone();
        let run = || {
            let executor = executor.clone();
            Box::new(move || {
                executor.run_one();
            })
        };
        race(
            &topic,
            [
                Box::new(move || {
                    for sequence in 0..2 {
                        publisher.publish(Note::new(0, sequence)).unwrap();
                    }
                }),
                run(),
                run(),
            ],
        );
        executor.run_until_idle();
        assert_eq!(notes(&journal.all()), [(0, 0), (0, 1)]);
        drop(subscription);
        executor.run_until_idle();
    });
}

#[test]
fn two_publishers_of_an_inline_subscription() {
    phased("d3_serial, inline", 7_000, || {
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
            Box::new(move || {
                for sequence in 0..2 {
                    topic.publish(Note::new(producer, sequence)).unwrap();
                }
            })
        };
        race(&topic, [publish(0), publish(1)]);
        let mut got = notes(&journal.all());
        for producer in 0..2 {
            let of_producer: Vec<_> = got.iter().filter(|tag| tag.0 == producer).collect();
            assert_eq!(of_producer, [&(producer, 0), &(producer, 1)]);
        }
        got.dedup();
        assert_eq!(got.len(), 4);
        drop(subscription);
        assert_eq!(journal.all().last(), Some(&Got::Final(4, 0, 0)));
    });
}
