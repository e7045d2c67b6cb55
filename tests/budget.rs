//! Spilling (D5) and the budget of the bus (R4): order across the ring and what is behind it, what happens
//! when the budget is used up, and that all of it is given back.

mod support;

use stasis_bus::{Bus, Delivery, OwnThread, Topic, WaitStrategy};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use support::{DEADLINE, Gate, Item, KINDS, Kind, Seen, eventually, join, scaled, subscribe};

fn bus_with(budget: u64) -> (Bus, Topic) {
    let bus = Bus::builder()
        .workers(2)
        .message_budget(budget)
        .build()
        .unwrap();
    let topic = bus.topic("topic").unwrap();
    (bus, topic)
}

#[track_caller]
fn expect_given_back(bus: &Bus, what: &str) {
    eventually(&format!("the budget is given back: {what}"), || {
        bus.stats().budget_granted == 0
    });
}

#[test]
fn order_survives_spilling_and_coming_back() {
    for kind in KINDS {
        for capacity in [1, 2, 16] {
            let (bus, topic) = bus_with(1 << 20);
            let sub = subscribe(kind, &topic, |builder| builder.capacity(capacity));
            let mut next = 0;
            for burst in [1, 3, 40, 2, 700, 17, 1, 300] {
                let plug = sub.plug();
                for _ in 0..burst {
                    assert_eq!(topic.publish(Item(next)).unwrap().offered(), 1);
                    next += 1;
                }
                // What is handled already may still be counted, up to half of the ring.
                let depth = sub.stats().depth;
                assert!(
                    (burst..=burst + 16).contains(&depth),
                    "{depth}, not {burst}"
                );
                plug.open();
                if burst % 2 == 1 {
                    sub.log.wait_for_items(next as usize);
                }
            }
            sub.log.wait_for_items(next as usize);
            let what = format!("{kind:?} {capacity}");
            assert_eq!(sub.log.values(), Vec::from_iter(0..next), "{what}");
            expect_given_back(&bus, &what);
            assert_eq!(sub.finish().0.shed, 0, "{what}");
        }
    }
}

#[test]
fn order_survives_while_publishers_and_consumer_race() {
    let each = scaled(3000, 50) as u64;
    for kind in KINDS {
        let (bus, topic) = bus_with(1 << 20);
        let sub = subscribe(kind, &topic, |builder| builder.capacity(4));
        let publishers: Vec<_> = (0..3)
            .map(|publisher| {
                let topic = topic.clone();
                thread::spawn(move || {
                    for number in 0..each {
                        topic.publish(Item(publisher << 32 | number)).unwrap();
                    }
                })
            })
            .collect();
        for publisher in publishers {
            join("a publisher", publisher);
        }
        sub.log.wait_for_items(3 * each as usize);
        expect_given_back(&bus, &format!("{kind:?}"));
        let (last, _) = sub.finish();
        assert_eq!((last.delivered, last.shed), (3 * each, 0), "{kind:?}");
        let values = sub.log.values();
        for publisher in 0..3 {
            let of_this = values.iter().filter(|value| *value >> 32 == publisher);
            assert!(
                of_this.map(|value| value & 0xffff_ffff).eq(0..each),
                "{kind:?}"
            );
        }
    }
}

#[test]
fn beyond_the_budget_a_spilling_mailbox_sheds_with_a_gap() {
    for kind in KINDS {
        let what = format!("{kind:?}");
        let (bus, topic) = bus_with(512);
        let sub = subscribe(kind, &topic, |builder| builder.capacity(8));
        let plug = sub.plug();
        let receipts: Vec<_> = (0..1000)
            .map(|value| topic.publish(Item(value)).unwrap())
            .collect();
        let offered = receipts.iter().filter(|receipt| receipt.offered() == 1);
        // The ring and the budget; the plug may still be counted.
        let fitted = offered.count();
        assert!((519..=520).contains(&fitted), "{what}: {fitted}");
        let shed = 1000 - fitted as u64;
        let fit = &receipts[..fitted];
        assert!(fit.iter().all(|receipt| receipt.shed() == 0), "{what}");
        assert_eq!(bus.stats().budget_granted, 512, "{what}");
        plug.open();
        sub.log.wait_for_gaps(shed);
        sub.log.wait_for_items(fitted);
        assert_eq!(sub.log.values(), Vec::from_iter(0..fitted as u64), "{what}");
        assert!(matches!(sub.log.seen().last(), Some(Seen::Gap(gap)) if gap.count == shed));
        expect_given_back(&bus, &what);
        // It starts over.
        assert_eq!(topic.publish(Item(1)).unwrap().offered(), 1, "{what}");
        assert_eq!(sub.finish().0.shed, shed, "{what}");
    }
}

#[test]
fn the_budget_is_shared_and_one_that_ends_gives_its_part_back() {
    for kind in KINDS {
        let (bus, topic) = bus_with(256);
        let greedy = subscribe(kind, &topic, |builder| builder.capacity(1));
        let plug = greedy.plug();
        let receipt = topic.publish_batch((0..300).map(Item)).unwrap();
        assert!(receipt.shed() > 0, "{kind:?}: it took all");
        assert_eq!(bus.stats().budget_granted, 256, "{kind:?}");
        let other_topic = bus.topic("other").unwrap();
        let other = subscribe(Kind::Park, &other_topic, |builder| builder.capacity(1));
        let other_plug = other.plug();
        let receipt = other_topic.publish_batch((0..3).map(Item)).unwrap();
        assert_eq!((receipt.offered(), receipt.shed()), (1, 2), "{kind:?}");
        plug.open();
        greedy.finish();
        expect_given_back(&bus, &format!("{kind:?}"));
        let receipt = other_topic.publish_batch((3..6).map(Item)).unwrap();
        assert_eq!((receipt.offered(), receipt.shed()), (3, 0), "{kind:?}");
        other_plug.open();
        other.finish();
        expect_given_back(&bus, "the other one");
    }
}

#[test]
fn a_limit_is_kept_within_the_budget() {
    for kind in KINDS {
        let (bus, topic) = bus_with(1 << 16);
        let sub = subscribe(kind, &topic, |builder| {
            builder
                .capacity(3)
                .overflow(stasis_bus::Overflow::Spill { limit: Some(300) })
        });
        let plug = sub.plug();
        let receipt = topic.publish_batch((0..500).map(Item)).unwrap();
        assert_eq!((receipt.offered(), receipt.shed()), (300, 200), "{kind:?}");
        // The ring has 4.
        assert_eq!(bus.stats().budget_granted, 296, "{kind:?}");
        plug.open();
        sub.log.wait_for_gaps(200);
        expect_given_back(&bus, &format!("{kind:?}"));
        sub.finish();
    }
}

/// However many lag: what they have of the budget is about what waits, so the budget is not used up while
/// there is room in it.
#[test]
fn many_that_lag_a_little_take_a_little() {
    let lagging = scaled(10_000, 100) as u64;
    let (bus, topic) = bus_with(9 * lagging);
    let receivers: Vec<_> = (0..lagging)
        .map(|_| topic.subscribe().receiver().unwrap())
        .collect();
    let receipt = topic.publish_batch((0..12).map(Item)).unwrap();
    assert_eq!((receipt.offered(), receipt.shed()), (12 * lagging, 0));
    // 4 of each are beyond its ring.
    let granted = bus.stats().budget_granted;
    assert!((4 * lagging..=8 * lagging).contains(&granted), "{granted}");
    for mut receiver in receivers {
        assert_eq!(receiver.try_iter().count(), 12);
    }
    assert_eq!(bus.stats().budget_granted, 0);
}

/// One mailbox never has more than it has used twice, and to the last message what is left of the budget is
/// had by who wants it.
#[test]
fn what_is_granted_follows_what_waits() {
    let (bus, topic) = bus_with(4000);
    let mut receiver = topic.subscribe().receiver().unwrap();
    for waiting in 1..=4008 {
        assert_eq!(topic.publish(Item(waiting)).unwrap().offered(), 1);
        let (beyond, granted) = (waiting.saturating_sub(8), bus.stats().budget_granted);
        assert!(granted >= beyond, "{granted} for {beyond}");
        assert!(
            granted <= (2 * beyond + 8).min(beyond + 256),
            "{granted} for {beyond}"
        );
    }
    assert_eq!(topic.publish(Item(0)).unwrap().shed(), 1);
    assert_eq!(receiver.try_iter().count(), 4008 + 1, "and the gap notice");
    assert_eq!(bus.stats().budget_granted, 0);
}

/// Who has caught up but for a little, and never rests, gives back most of it all the same.
#[test]
fn who_has_caught_up_gives_back_what_it_does_not_need() {
    for kind in [Kind::Pool, Kind::Park] {
        let (bus, topic) = bus_with(1 << 16);
        let gates = [Gate::new(), Gate::new()];
        let [first, last] = gates.clone();
        let subscription = topic
            .subscribe()
            .delivery(kind.delivery())
            .run(move |Item(value): &Item| match *value {
                0 => first.pass(),
                2900 => last.pass(),
                _ => {}
            })
            .unwrap();
        topic.publish_batch((0..3000).map(Item)).unwrap();
        assert!(bus.stats().budget_granted >= 2900, "{kind:?}");
        gates[0].open();
        gates[1].wait_for(1);
        let granted = bus.stats().budget_granted;
        assert!(granted <= 750, "{kind:?}: {granted} for 100");
        gates[1].open();
        subscription.unsubscribe();
        subscription.join_timeout(DEADLINE).unwrap();
        expect_given_back(&bus, &format!("{kind:?}"));
    }
}

/// A thread that never sleeps and a receiver that is never waited on are at rest, too.
#[test]
fn those_who_never_park_give_their_part_back() {
    for wait in [WaitStrategy::Yield, WaitStrategy::Spin] {
        let (bus, topic) = bus_with(1 << 16);
        let sum = Arc::new(AtomicU64::new(0));
        let adds = Arc::clone(&sum);
        let subscription = topic
            .subscribe()
            .capacity(1)
            .delivery(OwnThread::new(wait))
            .run(move |Item(value): &Item| {
                adds.fetch_add(*value, Ordering::SeqCst);
            })
            .unwrap();
        topic.publish_batch((0..2000).map(Item)).unwrap();
        eventually("all are handled", || {
            sum.load(Ordering::SeqCst) == 1999 * 1000
        });
        expect_given_back(&bus, &format!("{wait:?}"));
        subscription.unsubscribe();
        subscription.join_timeout(DEADLINE).unwrap();
    }
    let (bus, topic) = bus_with(1 << 16);
    let mut receiver = topic.subscribe().capacity(1).receiver().unwrap();
    topic.publish_batch((0..2000).map(Item)).unwrap();
    assert!(bus.stats().budget_granted >= 1999);
    assert_eq!(receiver.try_iter().count(), 2000);
    assert_eq!(bus.stats().budget_granted, 0);
}

#[test]
fn a_dropped_receiver_gives_its_part_back() {
    let (bus, topic) = bus_with(1 << 16);
    let receiver = topic.subscribe().capacity(1).receiver().unwrap();
    topic.publish_batch((0..2000).map(Item)).unwrap();
    drop(receiver);
    assert_eq!(bus.stats().budget_granted, 0);
    let executor: Arc<dyn stasis_bus::Executor> = Arc::new(|task: stasis_bus::Task| drop(task));
    let subscription = topic
        .subscribe()
        .capacity(1)
        .delivery(Delivery::Executor(executor))
        .run(|_: &Item| {})
        .unwrap();
    topic.publish_batch((0..2000).map(Item)).unwrap();
    subscription.join_timeout(DEADLINE).unwrap();
    assert_eq!(bus.stats().budget_granted, 0);
}

/// Publishers that take from the budget while the mailbox ends must not keep it.
#[test]
fn nothing_of_the_budget_is_lost_when_mailboxes_end_under_fire() {
    let (bus, topic) = bus_with(1 << 16);
    let stop = Arc::new(AtomicBool::new(false));
    let publishers: Vec<_> = (0..2)
        .map(|_| {
            let (topic, stop) = (topic.clone(), Arc::clone(&stop));
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    topic.publish_batch((0..20).map(Item)).unwrap();
                }
            })
        })
        .collect();
    for round in 0..scaled(300, 5) {
        let kind = [Kind::Pool, Kind::Park, Kind::Inline][round % 3];
        let subscription = topic
            .subscribe()
            .capacity(1)
            .delivery(kind.delivery())
            .run(|_: &Item| {})
            .unwrap();
        if round % 2 == 0 {
            thread::yield_now();
        }
        subscription.unsubscribe();
        subscription.join_timeout(DEADLINE).unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    for publisher in publishers {
        join("a publisher", publisher);
    }
    expect_given_back(&bus, "all have ended");
}

/// Whoever wants no limit says so with the greatest number.
#[test]
fn the_greatest_capacity_is_no_trap() {
    for capacity in [usize::MAX, usize::MAX / 2 + 2, 1 << 40] {
        for overflow in [
            stasis_bus::Overflow::default(),
            stasis_bus::Overflow::DropNewest,
            stasis_bus::Overflow::DropOldest,
            stasis_bus::Overflow::Fail,
            stasis_bus::Overflow::Evict,
            stasis_bus::Overflow::Block { timeout: None },
        ] {
            let (_bus, topic) = bus_with(1 << 20);
            let mut receiver = topic
                .subscribe()
                .capacity(capacity)
                .overflow(overflow)
                .receiver()
                .unwrap();
            let receipt = topic.publish_batch((0..100).map(Item)).unwrap();
            assert_eq!((receipt.offered(), receipt.shed()), (100, 0));
            assert_eq!(receiver.try_iter().count(), 100);
        }
    }
}
