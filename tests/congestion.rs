//! High-water and low-water marks, and R3: whoever is slow or stuck delays nobody else.

mod support;

use stasis_bus::{Congestion, Delivery, ManualExecutor, Message, Overflow, Topic};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use support::{
    DEADLINE, Gate, Item, KINDS, Kind, Sub, bus_and_topic, eventually, join, scaled, subscribe,
};

type Edges = Arc<Mutex<Vec<Congestion>>>;

fn with_marks(kind: Kind, topic: &Topic, high: u64, low: u64) -> (Sub, Edges) {
    let edges = Edges::default();
    let writes = Arc::clone(&edges);
    let sub = subscribe(kind, topic, |builder| {
        builder.congestion(high, low, move |congestion| {
            writes.lock().unwrap().push(*congestion);
        })
    });
    (sub, edges)
}

fn raised(edges: &Edges) -> Vec<bool> {
    edges
        .lock()
        .unwrap()
        .iter()
        .map(|edge| edge.raised)
        .collect()
}

#[test]
fn marks_raise_once_and_clear_once() {
    for kind in KINDS {
        let what = format!("{kind:?}");
        let (_bus, topic) = bus_and_topic();
        let (sub, edges) = with_marks(kind, &topic, 10, 3);
        for round in 1..=3 {
            let plug = sub.plug();
            for value in 0..9 {
                topic.publish(Item(value)).unwrap();
            }
            assert_eq!(
                raised(&edges).len(),
                2 * (round - 1),
                "{what}: below the mark"
            );
            assert!(!sub.stats().congested, "{what}");
            topic.publish(Item(9)).unwrap();
            assert_eq!(raised(&edges).len(), 2 * round - 1, "{what}: at the mark");
            assert!(sub.stats().congested, "{what}");
            for value in 10..50 {
                topic.publish(Item(value)).unwrap();
            }
            let seen = edges.lock().unwrap().last().copied().unwrap();
            assert_eq!((seen.raised, seen.depth), (true, 10), "{what}: once");
            plug.open();
            eventually("it clears", || raised(&edges).len() == 2 * round);
            let seen = edges.lock().unwrap().last().copied().unwrap();
            assert!(!seen.raised && seen.depth <= 3, "{what}: {seen:?}");
        }
        sub.finish();
        assert_eq!(
            raised(&edges),
            [true, false, true, false, true, false],
            "{what}"
        );
    }
}

/// The depth that counts is that of what waits, not of what the consumer has taken and not told of yet.
#[test]
fn what_is_handled_already_does_not_wait() {
    let (_bus, topic) = bus_and_topic();
    let executor = Arc::new(ManualExecutor::new());
    let edges = Edges::default();
    let writes = Arc::clone(&edges);
    let publishes = topic.clone();
    let subscription = topic
        .subscribe()
        .capacity(64)
        .congestion(10, 0, move |congestion| {
            writes.lock().unwrap().push(*congestion);
        })
        .delivery(Delivery::Executor(executor.clone()))
        .run(move |Item(value): &Item| {
            // Never more than one waits, but many are handled in one run.
            if *value < 30 {
                publishes.publish(Item(value + 1)).unwrap();
            }
        })
        .unwrap();
    topic.publish(Item(0)).unwrap();
    executor.run_until_idle();
    assert_eq!(*edges.lock().unwrap(), []);
    drop(subscription);
    executor.run_until_idle();
}

#[test]
fn between_the_marks_nothing_is_told() {
    let (_bus, topic) = bus_and_topic();
    let edges = Edges::default();
    let writes = Arc::clone(&edges);
    let mut receiver = topic
        .subscribe()
        .congestion(10, 3, move |congestion| {
            writes.lock().unwrap().push(*congestion);
        })
        .receiver()
        .unwrap();
    let take = |receiver: &mut stasis_bus::Receiver, count| {
        assert_eq!(receiver.try_iter().take(count).count(), count);
    };
    topic.publish_batch((0..10).map(Item)).unwrap();
    assert_eq!(raised(&edges), [true]);
    // To and fro between 4 and 14.
    for _ in 0..5 {
        take(&mut receiver, 6);
        topic.publish_batch((0..10).map(Item)).unwrap();
        take(&mut receiver, 4);
    }
    assert_eq!(raised(&edges), [true]);
    take(&mut receiver, 7);
    assert_eq!(raised(&edges), [true, false], "at the low-water mark");
    topic.publish_batch((0..6).map(Item)).unwrap();
    assert_eq!(raised(&edges), [true, false]);
    topic.publish(Item(0)).unwrap();
    assert_eq!(raised(&edges), [true, false, true]);
    let told: Vec<_> = edges
        .lock()
        .unwrap()
        .iter()
        .map(|edge| edge.depth)
        .collect();
    assert_eq!(told, [10, 3, 10]);
}

#[test]
fn callbacks_may_publish_and_unsubscribe() {
    for kind in KINDS {
        let (bus, topic) = bus_and_topic();
        let alarms = bus.topic("alarms").unwrap();
        let mut alarm = alarms.subscribe().receiver().unwrap();
        let others = topic.clone();
        let sub = subscribe(kind, &topic, |builder| {
            builder.congestion(5, 1, move |congestion| {
                alarms.publish(*congestion).unwrap();
                // Also where it is congested itself: it must neither recurse nor deadlock.
                others.publish(Item(1000)).unwrap();
            })
        });
        let plug = sub.plug();
        topic.publish_batch((0..20).map(Item)).unwrap();
        plug.open();
        let raised = alarm.recv_timeout(DEADLINE).unwrap();
        assert!(raised.get::<Congestion>().unwrap().raised, "{kind:?}");
        let cleared = alarm.recv_timeout(DEADLINE).unwrap();
        assert!(!cleared.get::<Congestion>().unwrap().raised, "{kind:?}");
        sub.log.wait_for_items(22);
        sub.finish();
    }
}

#[test]
fn a_callback_that_panics_harms_nobody() {
    for kind in KINDS {
        let (_bus, topic) = bus_and_topic();
        let sub = subscribe(kind, &topic, |builder| {
            builder.congestion(2, 0, |_| panic!("the callback does"))
        });
        let plug = sub.plug();
        topic.publish_batch((0..5).map(Item)).unwrap();
        plug.open();
        sub.log.wait_for_items(5);
        sub.finish();
    }
}

/// Edges come in their order, and the last one says how it is.
#[test]
fn edges_alternate_under_fire_and_the_last_one_clears() {
    for kind in KINDS {
        for round in 0..scaled(20, 1) {
            let (_bus, topic) = bus_and_topic();
            let (sub, edges) = with_marks(kind, &topic, 2, 1);
            let publishers: Vec<_> = (0..2)
                .map(|_| {
                    let topic = topic.clone();
                    thread::spawn(move || {
                        for value in 0..scaled(500, 10) as u64 {
                            topic.publish(Item(value)).unwrap();
                            if value % 7 == 0 {
                                thread::yield_now();
                            }
                        }
                    })
                })
                .collect();
            for publisher in publishers {
                join("a publisher", publisher);
            }
            sub.log.wait_for_items(2 * scaled(500, 10));
            eventually("nothing waits, and nobody says otherwise", || {
                !sub.stats().congested && raised(&edges).last() != Some(&true)
            });
            sub.finish();
            let edges = raised(&edges);
            let alternate = edges
                .iter()
                .enumerate()
                .all(|(n, edge)| *edge == (n % 2 == 0));
            assert!(alternate, "{kind:?} {round}: {edges:?}");
        }
    }
}

/// R4: a spilling mailbox that the budget leaves without room is congested, whatever its marks are.
#[test]
fn shedding_for_want_of_budget_raises_congestion() {
    let bus = stasis_bus::Bus::builder()
        .message_budget(256)
        .build()
        .unwrap();
    let topic = bus.topic("topic").unwrap();
    let (sub, edges) = with_marks(Kind::Park, &topic, 1_000_000, 10);
    let plug = sub.plug();
    // The ring's 8, and the budget.
    topic.publish_batch((0..264).map(Item)).unwrap();
    assert_eq!(raised(&edges), [] as [bool; 0]);
    let receipt = topic.publish_batch((264..276).map(Item)).unwrap();
    assert_eq!(receipt.shed(), 12);
    assert_eq!(raised(&edges), [true]);
    plug.open();
    eventually("it clears", || raised(&edges) == [true, false]);
    sub.finish();
}

/// R3: every kind of delivery stuck in its handler at once, on one worker, and everybody else goes on.
#[test]
fn whoever_is_stuck_delays_nobody_else() {
    let bus = stasis_bus::Bus::builder().workers(2).build().unwrap();
    let topic = bus.topic("topic").unwrap();
    let mut stuck = Vec::new();
    let mut plugs = Vec::new();
    for kind in KINDS {
        // An inline one is held on the thread that publishes its plug; the others' plugs must not wait there.
        let sub = subscribe(kind, &topic, |builder| {
            builder.capacity(4).overflow(Overflow::DropOldest)
        });
        plugs.push(sub.plug());
        stuck.push(sub);
    }
    let others: Vec<_> = KINDS
        .map(|kind| subscribe(kind, &topic, |builder| builder))
        .into();
    let begin = Instant::now();
    for value in 0..200 {
        assert_eq!(topic.publish(Item(value)).unwrap().offered(), 16);
    }
    assert!(
        begin.elapsed() < Duration::from_secs(20),
        "the publisher does not wait"
    );
    for other in &others {
        other.log.wait_for_items(200);
        assert_eq!(
            other.log.values(),
            Vec::from_iter(0..200),
            "{:?}",
            other.kind
        );
    }
    for plug in &plugs {
        plug.open();
    }
    for sub in stuck.iter().chain(&others) {
        sub.finish();
    }
}

#[test]
fn a_stuck_filter_or_key_holds_its_publisher_only() {
    let (_bus, topic) = bus_and_topic();
    let gate = Gate::new();
    let passes = Arc::clone(&gate);
    let mut filtered = topic
        .subscribe()
        .filter(move |message: &Message| {
            if message.get::<Item>() == Some(&Item(0)) {
                passes.pass();
            }
            true
        })
        .receiver()
        .unwrap();
    let mut other = topic.subscribe().receiver().unwrap();
    let publishes = topic.clone();
    let held = thread::spawn(move || publishes.publish(Item(0)).unwrap());
    gate.wait_for(1);
    topic.publish(Item(1)).unwrap();
    let first = other.recv_timeout(DEADLINE).unwrap();
    assert_eq!(first.get(), Some(&Item(1)));
    assert_eq!(
        filtered.recv_timeout(DEADLINE).unwrap().get(),
        Some(&Item(1))
    );
    gate.open();
    assert_eq!(join("the publisher", held).offered(), 2);
    assert_eq!(
        filtered.recv_timeout(DEADLINE).unwrap().get(),
        Some(&Item(0))
    );
}
