//! D5: what a full mailbox sheds is counted exactly, and told by a gap notice: before whatever was published after
//! the shedding publish had returned, and also if nothing follows at all, and before the end if it ends.
//!
//! Mutants: a gap that nobody is notified of, a park that does not look at NOTIFIED, a notify without
//! Release, a notice one message late, a notice only when nothing follows, a gap that counts one whatever
//! was shed, books that stay open after the last notice, books that are sealed by load and store, the
//! oldest booked only after the push.
#![cfg(loom)]

use loom_tests::{Got, Journal, Note, Role, Tag, assert_final_last, lost, notes, phased, race};
use stasis_bus::{Bus, Delivery, ManualExecutor, Overflow, Receipt, Subscription, Topic};
use std::sync::Arc;

struct Scene {
    _bus: Bus,
    topic: Topic,
    executor: Arc<ManualExecutor>,
    journal: Journal<Vec<Got>>,
    subscription: Arc<Subscription>,
}

impl Scene {
    /// A subscription with room for one message.
    fn new(overflow: Overflow) -> Self {
        let bus = Bus::new().unwrap();
        let topic = bus.topic("t").unwrap();
        let executor = Arc::new(ManualExecutor::new());
        let journal = Journal::<Vec<Got>>::new();
        let subscription = topic
            .subscribe()
            .delivery(Delivery::Executor(executor.clone()))
            .overflow(overflow)
            .capacity(1)
            .run(journal.handler())
            .unwrap();
        Self {
            _bus: bus,
            topic,
            executor,
            journal,
            subscription: Arc::new(subscription),
        }
    }

    fn publish(&self, producer: u8, count: u8) -> Role<Vec<Receipt>> {
        let topic = self.topic.clone();
        Box::new(move || {
            (0..count)
                .map(|sequence| topic.publish(Note::new(producer, sequence)).unwrap())
                .collect()
        })
    }

    fn run(&self) -> Role<Vec<Receipt>> {
        let executor = self.executor.clone();
        Box::new(move || {
            executor.run_one();
            Vec::new()
        })
    }

    fn unsubscribe(&self) -> Role<Vec<Receipt>> {
        let subscription = self.subscription.clone();
        Box::new(move || {
            subscription.unsubscribe();
            Vec::new()
        })
    }
}

fn totals(receipts: &[Vec<Receipt>]) -> Receipt {
    let mut total = Receipt::default();
    receipts
        .iter()
        .flatten()
        .for_each(|receipt| total += *receipt);
    total
}

/// Where newer messages are shed: what each publisher had shed is told before what it published after that.
fn assert_gaps_in_place(got: &[Got], receipts: &[Vec<Receipt>]) {
    for (producer, receipts) in receipts.iter().enumerate() {
        let mut shed = 0;
        for (sequence, receipt) in receipts.iter().enumerate() {
            shed += receipt.shed();
            let tag: Tag = (producer as u8, sequence as u8);
            let at = got.iter().position(|got| *got == Got::Note(tag));
            assert_eq!(at.is_some(), receipt.offered() == 1, "{tag:?} in {got:?}");
            if let Some(at) = at {
                assert!(lost(&got[..at]) >= shed, "told too late: {got:?}");
            }
        }
    }
}

#[test]
fn the_newest_is_shed() {
    phased("d5_no_silent_loss, drop newest", 13_600, || {
        let scene = Scene::new(Overflow::DropNewest);
        scene.topic.publish(Note::new(9, 0)).unwrap();
        let receipts = race(&scene.topic, [scene.publish(0, 3), scene.run()]);
        assert_told_already(&scene, &receipts);
    });
}

#[test]
fn the_newest_of_two_is_shed() {
    phased("d5_no_silent_loss, drop newest of two", 6_200, || {
        let scene = Scene::new(Overflow::DropNewest);
        let receipts = race(
            &scene.topic,
            [scene.publish(0, 1), scene.publish(1, 1), scene.run()],
        );
        assert_told_already(&scene, &receipts);
    });
}

/// Nobody publishes or closes any more, and yet all is told.
fn assert_told_already(scene: &Scene, receipts: &[Vec<Receipt>]) {
    scene.executor.run_until_idle();
    let got = scene.journal.all();
    let total = totals(receipts);
    assert_eq!(total.closed(), 0);
    let before = notes(&got).iter().filter(|tag| tag.0 == 9).count() as u64;
    assert_eq!(
        notes(&got).len() as u64,
        before + total.offered(),
        "{got:?}"
    );
    assert_eq!(lost(&got), total.shed(), "{got:?}");
    assert_gaps_in_place(&got, receipts);
    scene.subscription.unsubscribe();
    scene.executor.run_until_idle();
}

#[test]
fn the_newest_is_shed_and_it_ends() {
    phased("d5_no_silent_loss, drop newest, end", 22_500, || {
        let scene = Scene::new(Overflow::DropNewest);
        scene.topic.publish(Note::new(9, 0)).unwrap();
        let receipts = race(
            &scene.topic,
            [scene.publish(0, 1), scene.unsubscribe(), scene.run()],
        );
        scene.executor.run_until_idle();
        assert_told(&scene, &receipts, false);
    });
}

#[test]
fn the_oldest_is_shed() {
    phased("d5_no_silent_loss, drop oldest", 780, || {
        let scene = Scene::new(Overflow::DropOldest);
        let receipts = race(
            &scene.topic,
            [scene.publish(0, 2), scene.publish(1, 1), scene.run()],
        );
        scene.executor.run_until_idle();
        let got = scene.journal.all();
        let total = totals(&receipts);
        assert_eq!((total.offered(), total.closed()), (3, 0));
        assert_eq!(notes(&got).len() as u64 + lost(&got), 3, "{got:?}");
        assert_eq!(lost(&got), total.shed(), "{got:?}");
        scene.subscription.unsubscribe();
        scene.executor.run_until_idle();
    });
}

#[test]
fn the_oldest_is_shed_and_it_ends() {
    phased("d5_no_silent_loss, drop oldest, end", 240, || {
        let scene = Scene::new(Overflow::DropOldest);
        scene.topic.publish(Note::new(9, 0)).unwrap();
        let receipts = race(
            &scene.topic,
            [scene.publish(0, 1), scene.unsubscribe(), scene.run()],
        );
        scene.executor.run_until_idle();
        assert_told(&scene, &receipts, true);
    });
}

#[test]
fn an_older_one_of_the_key_leaves_and_it_ends() {
    phased("d5_no_silent_loss, conflate, end", 340, || {
        let scene = Scene::new(Overflow::conflate(|_| 1_u32));
        scene.topic.publish(Note::new(9, 0)).unwrap();
        let receipts = race(
            &scene.topic,
            [scene.publish(0, 1), scene.unsubscribe(), scene.run()],
        );
        scene.executor.run_until_idle();
        let last = scene.subscription.join().unwrap();
        let accepted = 1 + totals(&receipts).offered();
        assert_eq!(accepted, last.delivered + last.conflated, "{last:?}");
        assert_eq!(last.delivered, notes(&scene.journal.all()).len() as u64);
    });
}

/// All that was accepted, one message before the race included, is delivered, or was shed for a newer one; and what
/// was shed is told, and stands in the totals.
fn assert_told(scene: &Scene, receipts: &[Vec<Receipt>], shed_is_accepted: bool) {
    let got = scene.journal.all();
    assert_final_last(&got);
    let total = totals(receipts);
    let (delivered, told) = (notes(&got).len() as u64, lost(&got));
    assert_eq!(told, total.shed(), "{got:?}");
    assert_eq!(
        1 + total.offered(),
        delivered + if shed_is_accepted { told } else { 0 },
        "{got:?}"
    );
    assert_eq!(got.last(), Some(&Got::Final(delivered, told, 0)), "{got:?}");
}

#[test]
fn a_receiver_is_woken_for_a_gap() {
    phased("d5_no_silent_loss, receiver", 6_100, || {
        let bus = Bus::new().unwrap();
        let topic = bus.topic("t").unwrap();
        let mut receiver = topic
            .subscribe()
            .overflow(Overflow::DropNewest)
            .capacity(1)
            .receiver()
            .unwrap();
        let publish = |producer, count| {
            let topic = topic.clone();
            Box::new(move || {
                for sequence in 0..count {
                    topic.publish(Note::new(producer, sequence)).unwrap();
                }
                None
            })
        };
        race(
            &topic,
            [
                Box::new(move || {
                    let mut got = Vec::new();
                    // Waits for ever if a gap is not told.
                    while notes(&got).len() as u64 + lost(&got) < 2 {
                        got.push(Got::of(&receiver.recv().unwrap()));
                    }
                    Some(receiver)
                }),
                publish(0, 2),
            ],
        );
    });
}
