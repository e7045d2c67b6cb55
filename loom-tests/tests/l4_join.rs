//! L4: who joins returns once the final run has, and what the handler had captured has been dropped; however many
//! they are, and whenever they come.
//!
//! Mutants: done before the handler is dropped, a handler that outlives the end, one of all who wait is
//! woken, all are woken before it is done.
#![cfg(loom)]

use loom_tests::{Got, Journal, Note, phased, race};
use stasis_bus::{Bus, Delivery, ManualExecutor, Message, Subscription};
use std::sync::Arc;

/// What a handler captures: says so when it is dropped.
struct Captured(Journal<bool>);

impl Drop for Captured {
    fn drop(&mut self) {
        self.0.write(|dropped| *dropped = true);
    }
}

struct Scene {
    _bus: Bus,
    topic: stasis_bus::Topic,
    executor: Arc<ManualExecutor>,
    subscription: Arc<Subscription>,
    journal: Journal<Vec<Got>>,
    dropped: Journal<bool>,
}

impl Scene {
    fn new() -> Self {
        let bus = Bus::new().unwrap();
        let topic = bus.topic("t").unwrap();
        let executor = Arc::new(ManualExecutor::new());
        let journal = Journal::<Vec<Got>>::new();
        let dropped = Journal::<bool>::new();
        let captured = Captured(dropped.clone());
        let mut write = journal.handler();
        let handler = move |message: &Message| {
            let _ = &captured;
            write(message);
        };
        let subscription = topic
            .subscribe()
            .delivery(Delivery::Executor(executor.clone()))
            .run(handler)
            .unwrap();
        Self {
            _bus: bus,
            topic,
            executor,
            subscription: Arc::new(subscription),
            journal,
            dropped,
        }
    }

    fn join(&self) -> Box<dyn FnOnce()> {
        let subscription = self.subscription.clone();
        let (journal, dropped) = (self.journal.clone(), self.dropped.clone());
        Box::new(move || {
            let last = subscription.join().unwrap();
            assert!(dropped.read(|dropped| *dropped), "join before the drop");
            let end = Got::Final(last.delivered, last.shed, last.discarded);
            assert_eq!(journal.all().last(), Some(&end));
        })
    }

    fn run(&self) -> Box<dyn FnOnce()> {
        let executor = self.executor.clone();
        Box::new(move || {
            executor.run_until_idle();
        })
    }
}

#[test]
fn two_who_join_and_the_final_run() {
    phased("l4_join, two", 44, || {
        let scene = Scene::new();
        scene.topic.publish(Note::new(0, 0)).unwrap();
        scene.subscription.unsubscribe();
        race(&scene.topic, [scene.run(), scene.join(), scene.join()]);
    });
}

#[test]
fn one_who_joins_one_who_unsubscribes_and_runs() {
    phased("l4_join, unsubscribe", 6, || {
        let scene = Scene::new();
        let (subscription, run) = (scene.subscription.clone(), scene.run());
        let end = Box::new(move || {
            subscription.unsubscribe();
            run();
        });
        race(&scene.topic, [end, scene.join()]);
    });
}
