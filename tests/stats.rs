//! Statistics against what is known to be true, and that they can be read from anywhere without stopping
//! anything.

mod support;

use stasis_bus::{Bus, Durations, Message, MessageType, Overflow, SubscriptionStats, Topic};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;
use support::{DEADLINE, Item, KINDS, Kind, bus_and_topic, eventually, join, scaled, subscribe};

#[track_caller]
fn only(topic: &Topic) -> SubscriptionStats {
    let stats = topic.stats();
    assert_eq!(stats.subscriptions.len(), 1);
    stats.subscriptions.into_iter().next().unwrap()
}

#[test]
fn they_tell_what_happened() {
    for kind in KINDS {
        let what = format!("{kind:?}");
        let (_bus, topic) = bus_and_topic();
        let sub = subscribe(kind, &topic, |builder| {
            builder
                .name("known")
                .capacity(4)
                .overflow(Overflow::DropNewest)
                .filter(|message| message.get::<Item>().is_none_or(|item| item.0 % 10 != 9))
        });
        let plug = sub.plug();
        for value in 0..20 {
            topic.publish(Item(value)).unwrap();
        }
        let stats = only(&topic);
        assert_eq!(&*stats.name, "known", "{what}");
        assert_eq!(stats.offered, 5, "{what}: the plug and four");
        assert_eq!((stats.filtered, stats.shed), (2, 14), "{what}");
        assert_eq!(
            (stats.depth, stats.delivered),
            (4, u64::from(kind.is_receiver())),
            "{what}"
        );
        assert!(!stats.closed && !stats.done && !stats.congested, "{what}");
        let of_topic = topic.stats();
        assert_eq!((of_topic.filtered, of_topic.shed), (2, 14), "{what}");
        // One publish for each subscription change would be published if anybody wanted it.
        assert_eq!(of_topic.published, 21, "{what}");
        plug.open();
        sub.log.wait_for_items(4);
        sub.log.wait_for_gaps(14);
        eventually("the run is over", || only(&topic).depth == 0);
        assert_eq!(only(&topic).delivered, 5, "{what}");
        let (last, stats) = sub.finish();
        assert_eq!((last.delivered, last.shed), (5, 14), "{what}");
        assert_eq!(stats.offered, last.delivered, "{what}");
        assert!(
            (1..=4).contains(&stats.high_water),
            "{what}: {}",
            stats.high_water
        );
        let of_topic = topic.stats();
        let totals = (
            of_topic.filtered,
            of_topic.shed,
            of_topic.delivered,
            of_topic.discarded,
        );
        assert_eq!(totals, (2, 14, 5, 0), "{what}: kept");
        assert!(of_topic.subscriptions.is_empty(), "{what}");
    }
}

#[test]
fn the_high_water_mark_is_the_most_that_waited() {
    for kind in KINDS {
        let (_bus, topic) = bus_and_topic();
        let sub = subscribe(kind, &topic, |builder| {
            builder.capacity(64).overflow(Overflow::DropOldest)
        });
        let plug = sub.plug();
        topic.publish_batch((0..50).map(Item)).unwrap();
        plug.open();
        sub.log.wait_for_items(50);
        // A run that began before they came does not see them; a run that begins at the second plug does.
        let plug = sub.plug();
        topic.publish_batch((0..150).map(Item)).unwrap();
        plug.open();
        let (_, stats) = sub.finish();
        assert!(stats.high_water <= 64, "{kind:?}: {}", stats.high_water);
        if kind.is_receiver() {
            assert_eq!(stats.high_water, 64, "{kind:?}: it looks at each message");
        }
    }
}

#[test]
fn times_are_sampled_and_the_slowest_type_is_named() {
    static SLOW: MessageType<u8> = MessageType::new("slow");
    static FAST: MessageType<u8> = MessageType::new("fast");
    for kind in KINDS.into_iter().filter(|kind| !kind.is_receiver()) {
        let what = format!("{kind:?}");
        let (_bus, topic) = bus_and_topic();
        let subscription = topic
            .subscribe()
            .delivery(kind.delivery())
            .run(|message: &Message| {
                if message.is(&SLOW) {
                    thread::sleep(Duration::from_millis(3));
                }
            })
            .unwrap();
        assert_eq!(subscription.stats().slowest, None, "{what}");
        topic.publish(SLOW.message(0)).unwrap();
        for _ in 0..640 {
            topic.publish(FAST.message(0)).unwrap();
        }
        subscription.flush_timeout(DEADLINE).unwrap();
        let stats = subscription.stats();
        assert_eq!(
            stats.handler_time.samples(),
            11,
            "{what}: the first, and one in 64"
        );
        assert_eq!(stats.queue_wait.samples(), 11, "{what}");
        let (nanos, name) = stats.slowest.unwrap();
        // A machine that is busy may stop a fast one for longer than the slow one sleeps.
        assert!(nanos >= 3_000_000, "{what}: {nanos}");
        assert!(["slow", "fast"].contains(&name), "{what}");
        let longest = stats.handler_time.quantile_nanos(1.0).unwrap();
        assert!(longest >= 3_000_000, "{what}: {longest}");
        let mut both = Durations::default();
        both.merge(&stats.handler_time);
        both.merge(&stats.queue_wait);
        assert_eq!(both.samples(), 22);
        assert_eq!(both.buckets().map(|(_, count)| count).sum::<u64>(), 22);
        subscription.unsubscribe();
        subscription.join_timeout(DEADLINE).unwrap();
    }
}

#[test]
fn topics_are_listed_with_their_forwards() {
    let bus = Bus::new().unwrap();
    assert!(bus.topics().is_empty());
    let [b, a, c] = ["b", "a", "c"].map(|name| bus.topic(name).unwrap());
    let to_c = a.forward_to(&c).unwrap();
    let to_b = a.forward_to(&b).unwrap();
    let again = a.forward_to(&b).unwrap();
    let mut receiver = c.subscribe().receiver().unwrap();
    a.publish(Item(1)).unwrap();
    let topics = bus.topics();
    let names: Vec<_> = topics.iter().map(|topic| &*topic.name).collect();
    assert_eq!(names, ["a", "b", "c"], "sorted");
    let mut forwards: Vec<_> = topics[0].forwards_to.iter().map(|name| &**name).collect();
    forwards.sort_unstable();
    assert_eq!(forwards, ["b", "b", "c"], "once for each");
    assert!(topics[1].forwards_to.is_empty() && topics[2].forwards_to.is_empty());
    assert_eq!(topics[0].published, 1);
    assert_eq!(topics[2].published, 0, "it was forwarded there");
    assert_eq!(receiver.try_iter().count(), 1);
    assert_eq!(c.stats().delivered, 1);
    drop((to_c, again));
    assert_eq!(a.stats().forwards_to.len(), 1);
    to_b.cancel();
    assert!(a.stats().forwards_to.is_empty());
    assert_eq!(bus.stats().topics, 3);
    drop((a, b));
    assert_eq!(bus.stats().topics, 1);
    c.close();
    assert!(c.stats().closed);
    let total = bus.topic_with_total_order("total").unwrap();
    assert!(total.stats().total_order && !total.stats().closed);
}

#[test]
fn totals_of_a_topic_outlive_its_subscriptions() {
    for kind in KINDS {
        let (_bus, topic) = bus_and_topic();
        for round in 1..=5 {
            let sub = subscribe(kind, &topic, |builder| {
                builder
                    .capacity(2)
                    .overflow(Overflow::DropOldest)
                    .filter(|message| message.get::<Item>() != Some(&Item(9)))
            });
            let plug = sub.plug();
            topic.publish_batch((0..10).map(Item)).unwrap();
            plug.open();
            sub.finish();
            let stats = topic.stats();
            let totals = (stats.delivered, stats.shed, stats.filtered, stats.discarded);
            assert_eq!(totals, (3 * round, 7 * round, round, 0), "{kind:?}");
        }
    }
}

/// A subscription that has been closed and is not done yet is still counted.
#[test]
fn totals_do_not_drop_while_a_subscription_ends() {
    let (_bus, topic) = bus_and_topic();
    let mut receiver = topic.subscribe().receiver().unwrap();
    topic.publish_batch((0..5).map(Item)).unwrap();
    assert_eq!(receiver.try_iter().take(3).count(), 3);
    assert_eq!(topic.stats().delivered, 3);
    receiver.subscription().unsubscribe();
    assert_eq!(
        topic.stats().delivered,
        3,
        "it has got them, whatever comes"
    );
    assert_eq!(receiver.try_iter().count(), 3);
    assert_eq!(topic.stats().delivered, 5);
}

#[test]
fn they_can_be_read_inside_handlers_and_hooks() {
    for kind in KINDS.into_iter().filter(|kind| !kind.is_receiver()) {
        let (bus, topic) = bus_and_topic();
        let (sender, depths) = mpsc::channel();
        let sender = Mutex::new(sender);
        let (reads, reads_bus) = (topic.clone(), bus.clone());
        let (filters, congested) = (topic.clone(), topic.clone());
        let subscription = topic
            .subscribe()
            .capacity(8)
            .overflow(Overflow::DropOldest)
            .filter(move |_| filters.stats().subscriptions.len() == 1)
            .congestion(5, 1, move |_| {
                assert_eq!(congested.stats().subscriptions.len(), 1);
            })
            .delivery(kind.delivery())
            .run(move |message: &Message| {
                if message.as_final().is_none() {
                    let stats = reads.stats();
                    assert!(reads_bus.topics().len() == 1 && reads_bus.stats().topics == 1);
                    sender
                        .lock()
                        .unwrap()
                        .send(stats.subscriptions[0].delivered)
                        .unwrap();
                }
            })
            .unwrap();
        for value in 0..6 {
            topic.publish(Item(value)).unwrap();
            subscription.flush_timeout(DEADLINE).unwrap();
        }
        assert!(depths.try_iter().eq(0..6), "{kind:?}: those before it");
        assert_eq!(subscription.stats().panics, 0, "{kind:?}");
        subscription.unsubscribe();
        subscription.join_timeout(DEADLINE).unwrap();
    }
}

#[test]
fn they_can_be_read_all_the_time_and_only_grow() {
    let (bus, topic) = bus_and_topic();
    let subs = KINDS.map(|kind| subscribe(kind, &topic, |builder| builder));
    let stop = Arc::new(AtomicBool::new(false));
    let reads = Arc::new(AtomicU64::new(0));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (bus, topic) = (bus.clone(), topic.clone());
            let (stop, reads) = (Arc::clone(&stop), Arc::clone(&reads));
            thread::spawn(move || {
                let (mut delivered, mut published) = (0, 0);
                while !stop.load(Ordering::Relaxed) {
                    let stats = topic.stats();
                    assert!(stats.delivered >= delivered && stats.published >= published);
                    (delivered, published) = (stats.delivered, stats.published);
                    for sub in &stats.subscriptions {
                        assert!(
                            sub.delivered <= published + 1,
                            "read after it was delivered"
                        );
                    }
                    let _ = (bus.stats(), bus.topics());
                    reads.fetch_add(1, Ordering::Relaxed);
                    thread::yield_now();
                }
            })
        })
        .collect();
    let count = scaled(2000, 20) as u64;
    for value in 0..count {
        topic.publish(Item(value)).unwrap();
    }
    for sub in &subs {
        sub.log.wait_for_items(count as usize);
    }
    eventually("both have read", || reads.load(Ordering::Relaxed) > 4);
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        join("a reader", reader);
    }
    for sub in &subs {
        assert_eq!(sub.finish().0.delivered, count);
    }
    assert_eq!(topic.stats().delivered, count * subs.len() as u64);
}

#[test]
fn the_bus_counts_its_workers_and_what_is_ending() {
    let bus = Bus::builder()
        .workers(2)
        .message_budget(1000)
        .build()
        .unwrap();
    let topic = bus.topic("topic").unwrap();
    let stats = bus.stats();
    assert_eq!((stats.workers, stats.topics, stats.ending), (0, 1, 0));
    assert_eq!((stats.message_budget, stats.budget_granted), (1000, 0));
    let sub = subscribe(Kind::Pool, &topic, |builder| builder);
    assert_eq!(bus.stats().workers, 2, "started at the first need");
    let plug = sub.plug();
    eventually("the run is seen to be long", || {
        let stats = bus.stats();
        stats.workers_blocked == 1 && stats.longest_current_run >= Duration::from_millis(10)
    });
    sub.unsubscribe();
    assert_eq!(bus.stats().ending, 1);
    plug.open();
    sub.finish();
    eventually("nothing is going on", || {
        let stats = bus.stats();
        stats.ending == 0 && stats.workers_parked == 2 && stats.workers_blocked == 0
    });
    assert!(bus.stats().runs >= 1);
    bus.shutdown_timeout(DEADLINE).unwrap();
}

#[test]
fn receipts_agree_with_the_figures() {
    let (bus, topic) = bus_and_topic();
    let down = bus.topic("down").unwrap();
    let _forward = topic.forward_to(&down).unwrap();
    let mut all = topic.subscribe().receiver().unwrap();
    let mut items = down
        .subscribe()
        .accept_payload::<Item>()
        .receiver()
        .unwrap();
    let mut even = down
        .subscribe()
        .filter(|message| message.get::<Item>().is_some_and(|item| item.0 % 2 == 0))
        .receiver()
        .unwrap();
    let receipt = topic.publish_batch((0..10).map(Item)).unwrap();
    assert_eq!((receipt.offered(), receipt.filtered()), (25, 5));
    let receipt = topic.publish("no item").unwrap();
    assert_eq!((receipt.offered(), receipt.filtered()), (1, 2));
    assert_eq!(all.try_iter().count(), 11);
    assert_eq!(items.try_iter().count(), 10);
    assert_eq!(even.try_iter().count(), 5);
    assert_eq!(even.subscription().stats().filtered, 6);
    assert_eq!(
        items.subscription().stats().filtered,
        0,
        "its type filter costs nothing"
    );
}
