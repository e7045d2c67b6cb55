//! Mailboxes that block their publishers (D5, R1b, L6): who waits, for how long, who is not made to, and what
//! releases those who do.

mod support;

use stasis_bus::{
    Bus, FinalReason, Message, Overflow, PublishError, Receipt, SubscribeError, Topic,
};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use support::{
    DEADLINE, Gate, Item, KINDS, Kind, Log, Seen, Sub, block_on, bus_and_topic, eventually, join,
    poll_once, subscribe,
};

fn blocking(kind: Kind, topic: &Topic, capacity: usize, timeout: Option<Duration>) -> Sub {
    subscribe(kind, topic, |builder| {
        builder
            .capacity(capacity)
            .overflow(Overflow::Block { timeout })
    })
}

type Publisher = JoinHandle<Result<Receipt, PublishError>>;

fn publish(topic: &Topic, value: u64) -> Publisher {
    let topic = topic.clone();
    thread::spawn(move || topic.publish(Item(value)))
}

/// Gives a publisher that ought to wait the time to show that it does not.
fn expect_waiting(what: &str, publisher: &Publisher) {
    thread::sleep(Duration::from_millis(10));
    assert!(!publisher.is_finished(), "{what}: it waits");
}

#[test]
fn a_publisher_waits_when_everybody_else_has_the_message() {
    for kind in KINDS {
        let what = format!("{kind:?}");
        let (_bus, topic) = bus_and_topic();
        let blocks = blocking(kind, &topic, 2, None);
        let others: Vec<_> = KINDS
            .into_iter()
            .filter(|other| (kind, *other) != (Kind::Inline, Kind::Inline))
            .map(|other| subscribe(other, &topic, |builder| builder))
            .collect();
        let plug = blocks.plug();
        for value in 0..2 {
            assert_eq!(topic.publish(Item(value)).unwrap().shed(), 0);
        }
        let publisher = publish(&topic, 2);
        for other in &others {
            other.log.wait_for_items(3);
        }
        expect_waiting(&what, &publisher);
        assert_eq!(
            blocks.stats().depth,
            2,
            "{what}: not more than its capacity"
        );
        plug.open();
        let receipt = join("the publisher", publisher).unwrap();
        assert_eq!(receipt.offered(), others.len() as u64 + 1, "{what}");
        blocks.log.wait_for_items(3);
        let (last, _) = blocks.finish();
        assert_eq!(blocks.log.values(), [0, 1, 2], "{what}");
        assert_eq!((last.delivered, last.shed), (4, 0), "{what}");
    }
}

#[test]
fn the_time_runs_out_and_the_message_is_shed() {
    for kind in KINDS {
        let what = format!("{kind:?}");
        let (_bus, topic) = bus_and_topic();
        let timeout = Duration::from_millis(5);
        let sub = blocking(kind, &topic, 1, Some(timeout));
        let plug = sub.plug();
        topic.publish(Item(0)).unwrap();
        let message = Message::new(Item(1));
        let begin = Instant::now();
        let receipt = topic.publish(message.clone()).unwrap();
        assert!(begin.elapsed() >= timeout, "{what}: not before");
        assert_eq!((receipt.offered(), receipt.shed()), (0, 1), "{what}");
        plug.open();
        sub.log.wait_for_gaps(1);
        let gap = sub.log.gaps()[0];
        assert_eq!(
            (gap.count, gap.first, gap.last),
            (1, message.id(), message.id())
        );
        sub.finish();
    }
}

#[test]
fn many_blocked_publishers_lose_and_disorder_nothing() {
    let each = support::scaled(2000, 20) as u64;
    for kind in KINDS {
        let (_bus, topic) = bus_and_topic();
        let sub = blocking(kind, &topic, 3, None);
        let publishers: Vec<_> = (0..4)
            .map(|publisher| {
                let topic = topic.clone();
                thread::spawn(move || {
                    for number in 0..each {
                        let receipt = topic.publish(Item(publisher << 32 | number)).unwrap();
                        assert_eq!(receipt.offered(), 1);
                    }
                })
            })
            .collect();
        for publisher in publishers {
            join("a publisher", publisher);
        }
        sub.log.wait_for_items(4 * each as usize);
        let (last, stats) = sub.finish();
        assert_eq!((last.delivered, last.shed), (4 * each, 0), "{kind:?}");
        assert!(stats.high_water <= 3, "{kind:?}: {}", stats.high_water);
        for publisher in 0..4 {
            let values = sub.log.values().into_iter();
            let of_this = values.filter(|value| value >> 32 == publisher);
            assert!(
                of_this.map(|value| value & 0xffff_ffff).eq(0..each),
                "{kind:?}"
            );
        }
    }
}

/// How a subscription ends while a publisher waits for room in its mailbox.
#[derive(Clone, Copy, Debug)]
enum End {
    Unsubscribe,
    Close,
    Shutdown,
}

#[test]
fn whatever_ends_the_subscription_releases_its_publishers() {
    for kind in KINDS {
        for end in [End::Unsubscribe, End::Close, End::Shutdown] {
            releases(kind, end);
        }
    }
}

fn releases(kind: Kind, end: End) {
    let what = format!("{kind:?} {end:?}");
    let (bus, topic) = bus_and_topic();
    let sub = blocking(kind, &topic, 1, None);
    let plug = sub.plug();
    topic.publish(Item(0)).unwrap();
    let publishers: Vec<_> = (1..4).map(|value| publish(&topic, value)).collect();
    expect_waiting(&what, &publishers[0]);
    let reason = match end {
        // A receiver is unsubscribed by its own thread, which is held: the topic does it instead.
        End::Unsubscribe if !kind.is_receiver() => {
            sub.unsubscribe();
            FinalReason::Unsubscribed
        }
        End::Unsubscribe | End::Close => {
            topic.close();
            FinalReason::TopicClosed
        }
        End::Shutdown => {
            bus.shutdown_timeout(Duration::ZERO).unwrap();
            FinalReason::Shutdown
        }
    };
    for publisher in publishers {
        match join(&what, publisher) {
            Ok(receipt) => {
                // One that began too late, its thread being slow, has found nobody on the list.
                assert_eq!(receipt.offered(), 0, "{what}");
                assert!(receipt.closed() <= 1, "{what}");
                assert!(!matches!(end, End::Shutdown), "{what}: an error (L6)");
            }
            Err(PublishError::Closed(_)) => assert_eq!(reason, FinalReason::TopicClosed, "{what}"),
            Err(PublishError::ShutDown(message)) => {
                assert!(message.get::<Item>().is_some());
                assert!(matches!(end, End::Shutdown), "{what}");
            }
            Err(error) => panic!("{what}: {error}"),
        }
    }
    plug.open();
    let (last, stats) = sub.done();
    assert_eq!(last.reason, reason, "{what}");
    sub.log.check_books(&last, &stats);
    assert_eq!(sub.log.values(), [0], "{what}");
}

/// R1b: nothing waits inside a handler, whatever runs it.
#[test]
fn inside_a_handler_it_spills_instead() {
    for kind in KINDS {
        let what = format!("{kind:?}");
        let (_bus, topic) = bus_and_topic();
        let sub = blocking(Kind::Park, &topic, 2, None);
        let plug = sub.plug();
        let source = topic_beside(&topic, &_bus);
        let target = topic.clone();
        let publishes = source
            .subscribe()
            .delivery(if kind.is_receiver() {
                Kind::Pool.delivery()
            } else {
                kind.delivery()
            })
            .run(move |Item(value): &Item| {
                let receipt = target.publish(Item(*value)).unwrap();
                assert_eq!((receipt.offered(), receipt.shed()), (1, 0));
            })
            .unwrap();
        let begin = thread::spawn(move || {
            for value in 0..20 {
                source.publish(Item(value)).unwrap();
            }
            publishes.flush_timeout(DEADLINE).unwrap();
            publishes.stats()
        });
        let stats = join(&what, begin);
        assert_eq!(stats.panics, 0, "{what}");
        assert_eq!(sub.stats().depth, 20, "{what}: kept beyond the capacity");
        assert_eq!(sub.stats().past_limit, 18, "{what}: counted (R1b)");
        plug.open();
        let (last, _) = sub.finish();
        assert_eq!(sub.log.values(), Vec::from_iter(0..20), "{what}");
        assert_eq!(last.shed, 0, "{what}");
    }
}

fn topic_beside(topic: &Topic, bus: &Bus) -> Topic {
    bus.topic(&format!("{}/beside", topic.name())).unwrap()
}

/// R3: who waits for one stuck mailbox still serves the other one that it waits for.
#[test]
fn a_stuck_mailbox_keeps_nothing_from_another_that_blocks() {
    for kind in KINDS {
        let (_bus, topic) = bus_and_topic();
        let stuck = blocking(kind, &topic, 1, None);
        let slow = blocking(Kind::Park, &topic, 1, None);
        let stuck_plug = stuck.plug();
        let slow_plug = slow.plug();
        // The second plug of each waits, or is gone; either way both mailboxes have been filled when this
        // waits.
        let publisher = publish(&topic, 1);
        let another = publish(&topic, 2);
        expect_waiting("one of them", &another);
        slow_plug.open();
        slow.log.wait_for_items(2);
        assert_eq!(stuck.log.values(), [0_u64; 0], "{kind:?}");
        stuck_plug.open();
        join("the publisher", publisher).unwrap();
        join("the publisher", another).unwrap();
        stuck.log.wait_for_items(2);
        stuck.finish();
        slow.finish();
    }
}

#[test]
fn total_order_has_no_blocking_mailboxes() {
    let bus = Bus::new().unwrap();
    let topic = bus.topic_with_total_order("total").unwrap();
    let refused = topic
        .subscribe()
        .overflow(Overflow::Block { timeout: None })
        .run(|_: &Item| {})
        .unwrap_err();
    assert!(matches!(refused, SubscribeError::BlockingOnTotalOrder));
    let refused = topic
        .subscribe()
        .overflow(Overflow::Block {
            timeout: Some(Duration::ZERO),
        })
        .receiver()
        .unwrap_err();
    assert!(matches!(refused, SubscribeError::BlockingOnTotalOrder));
    assert!(topic.stats().subscriptions.is_empty());
}

#[test]
fn a_batch_waits_in_its_middle_and_keeps_its_order() {
    for kind in KINDS {
        let (_bus, topic) = bus_and_topic();
        let sub = blocking(kind, &topic, 2, None);
        let other = subscribe(Kind::Receiver, &topic, |builder| builder);
        let plug = sub.plug();
        let publishes = topic.clone();
        let batch = thread::spawn(move || publishes.publish_batch((0..50).map(Item)));
        // What the batch offers before it waits, others get while it waits.
        other.log.wait_for_items(3);
        plug.open();
        let receipt = join("the batch", batch).unwrap();
        assert_eq!((receipt.offered(), receipt.shed()), (100, 0), "{kind:?}");
        sub.log.wait_for_items(50);
        assert_eq!(sub.log.values(), Vec::from_iter(0..50), "{kind:?}");
        sub.finish();
    }
}

#[test]
fn a_task_waits_without_a_thread() {
    for kind in KINDS {
        let (_bus, topic) = bus_and_topic();
        let sub = blocking(kind, &topic, 1, None);
        let plug = sub.plug();
        topic.publish(Item(0)).unwrap();
        let flag = support::Flag::new();
        let mut waits = std::pin::pin!(topic.publish_async(Item(1)));
        assert!(poll_once(&flag.waker(), waits.as_mut()).is_none());
        assert_eq!(flag.woken(), 0);
        let dropped = Message::new(Item(2));
        assert!(poll_once(&flag.waker(), topic.publish_async(dropped.clone())).is_none());
        plug.open();
        eventually("it is woken", || flag.woken() > 0);
        assert_eq!(block_on(waits).unwrap().offered(), 1, "{kind:?}");
        sub.log.wait_for_items(2);
        sub.log.wait_for_gaps(1);
        let gap = sub.log.gaps()[0];
        assert_eq!(
            (gap.count, gap.first),
            (1, dropped.id()),
            "{kind:?}: the one that was dropped"
        );
        sub.finish();
    }
}

/// Who has given up must not be kept for as long as a mailbox is stuck.
#[test]
fn who_gave_up_is_forgotten() {
    let (_bus, topic) = bus_and_topic();
    let sub = blocking(Kind::Park, &topic, 1, None);
    let plug = sub.plug();
    topic.publish(Item(0)).unwrap();
    let flag = support::Flag::new();
    for value in 1..=100 {
        let publish = topic.publish_async(Item(value));
        assert!(poll_once(&flag.waker(), publish).is_none());
    }
    assert!(
        Arc::strong_count(&flag) < 10,
        "{} wakers",
        Arc::strong_count(&flag)
    );
    let mut patient = std::pin::pin!(topic.publish_async(Item(101)));
    for _ in 0..100 {
        assert!(poll_once(&flag.waker(), patient.as_mut()).is_none());
    }
    assert!(
        Arc::strong_count(&flag) < 10,
        "{} wakers",
        Arc::strong_count(&flag)
    );
    plug.open();
    assert_eq!(block_on(patient).unwrap().offered(), 1);
    sub.finish();
}

/// A gap in the place of what timed out, and order kept around it.
#[test]
fn what_timed_out_is_told_in_its_place() {
    for kind in KINDS {
        let (_bus, topic) = bus_and_topic();
        let sub = blocking(kind, &topic, 1, Some(Duration::ZERO));
        let plug = sub.plug();
        topic.publish(Item(0)).unwrap();
        assert_eq!(topic.publish(Item(1)).unwrap().shed(), 1);
        plug.open();
        sub.log.wait_for_items(1);
        // There is room again.
        eventually("room", || topic.publish(Item(2)).unwrap().offered() == 1);
        sub.log.wait_until("the last", |seen| {
            seen.iter().any(|seen| matches!(seen, Seen::Item(2, _)))
        });
        let seen = sub.log.seen();
        let place = |wanted: &dyn Fn(&Seen) -> bool| seen.iter().position(wanted).unwrap();
        let gap = place(&|seen| matches!(seen, Seen::Gap(_)));
        assert!(
            gap < place(&|seen| matches!(seen, Seen::Item(2, _))),
            "{kind:?}: {seen:?}"
        );
        sub.finish();
    }
}

#[test]
fn a_handler_that_publishes_to_its_own_full_mailbox_goes_on() {
    for kind in KINDS.into_iter().filter(|kind| !kind.is_receiver()) {
        let (_bus, topic) = bus_and_topic();
        let log = Log::new();
        let (writes, publishes) = (Arc::clone(&log), topic.clone());
        let gate = Gate::new();
        let passes = Arc::clone(&gate);
        let subscription = topic
            .subscribe()
            .capacity(1)
            .overflow(Overflow::Block { timeout: None })
            .delivery(kind.delivery())
            .run(move |message: &Message| {
                writes.note(message);
                match message.get::<Item>() {
                    Some(Item(0)) => passes.pass(),
                    Some(Item(value @ 1..20)) => {
                        for _ in 0..2 {
                            publishes.publish(Item(value * 2)).unwrap();
                        }
                    }
                    _ => {}
                }
            })
            .unwrap();
        let first = publish(&topic, 0);
        gate.wait_for(1);
        topic.publish(Item(1)).unwrap();
        gate.open();
        join("the publisher", first).unwrap();
        // 1, then 2 of 2, 4 of 4, ... 32 of 32.
        log.wait_for_items(1 + 63);
        subscription.unsubscribe();
        assert_eq!(
            subscription.join_timeout(DEADLINE).unwrap().shed,
            0,
            "{kind:?}"
        );
    }
}
