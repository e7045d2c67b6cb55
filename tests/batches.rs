//! Batch handlers: all that is there at once, never none, never too much, notices in their places, and
//! books that close.

mod support;

use stasis_bus::{Bus, Message, Overflow, PanicPolicy, Subscription, SubscriptionBuilder, Topic};
use std::sync::{Arc, Mutex};
use std::thread;
use support::{DEADLINE, Gate, Item, KINDS, Kind, Log, Plug, Seen, bus_and_topic, join, scaled};

const HANDLERS: [Kind; 6] = [KINDS[0], KINDS[1], KINDS[2], KINDS[3], KINDS[4], KINDS[5]];

struct Batches {
    topic: Topic,
    subscription: Subscription,
    log: Arc<Log>,
    sizes: Arc<Mutex<Vec<usize>>>,
}

fn batches(
    kind: Kind,
    topic: &Topic,
    max: usize,
    options: impl FnOnce(SubscriptionBuilder) -> SubscriptionBuilder,
) -> Batches {
    let log = Log::new();
    let sizes = Arc::new(Mutex::new(Vec::new()));
    let (writes, counts) = (Arc::clone(&log), Arc::clone(&sizes));
    let subscription = options(topic.subscribe().max_batch(max).delivery(kind.delivery()))
        .run_batch(move |messages| {
            counts.lock().unwrap().push(messages.len());
            messages.iter().for_each(|message| writes.note(message));
        })
        .unwrap();
    Batches {
        topic: topic.clone(),
        subscription,
        log,
        sizes,
    }
}

impl Batches {
    fn plug(&self) -> Arc<Gate> {
        let gate = Gate::new();
        let plug = Plug {
            log: self.log.number(),
            gate: Arc::clone(&gate),
        };
        let topic = self.topic.clone();
        thread::spawn(move || topic.publish(plug).map(drop));
        gate.wait_for(1);
        gate
    }

    #[track_caller]
    fn finish(&self, max: usize) {
        self.subscription.unsubscribe();
        let last = self.subscription.join_timeout(DEADLINE).unwrap();
        self.log.check_books(&last, &self.subscription.stats());
        let sizes = self.sizes.lock().unwrap();
        assert!(
            sizes.iter().all(|size| (1..=max).contains(size)),
            "{sizes:?}"
        );
    }
}

#[test]
fn they_get_all_that_is_there_in_order() {
    for kind in HANDLERS {
        for max in [1, 3, 64, 1000] {
            let (_bus, topic) = bus_and_topic();
            let batches = batches(kind, &topic, max, |builder| builder.capacity(8));
            let plug = batches.plug();
            topic.publish_batch((0..500).map(Item)).unwrap();
            plug.open();
            batches.log.wait_for_items(500);
            assert_eq!(
                batches.log.values(),
                Vec::from_iter(0..500),
                "{kind:?} {max}"
            );
            let largest = *batches.sizes.lock().unwrap().iter().max().unwrap();
            assert_eq!(
                largest,
                max.min(128),
                "{kind:?}: as many as a run takes at most"
            );
            batches.finish(max);
        }
    }
}

#[test]
fn one_alone_is_not_kept_back() {
    for kind in HANDLERS {
        let (_bus, topic) = bus_and_topic();
        let batches = batches(kind, &topic, 1000, |builder| builder);
        for value in 0..20 {
            topic.publish(Item(value)).unwrap();
            batches.log.wait_for_items(value as usize + 1);
        }
        batches.finish(1000);
    }
}

/// A gap notice counts in its batch.
#[test]
fn gaps_and_the_final_message_stand_in_their_places() {
    for kind in HANDLERS {
        for max in [1, 2, 3, 5] {
            let what = format!("{kind:?} {max}");
            let (_bus, topic) = bus_and_topic();
            let batches = batches(kind, &topic, max, |builder| {
                builder.capacity(4).overflow(Overflow::DropNewest)
            });
            let plug = batches.plug();
            topic.publish_batch((0..6).map(Item)).unwrap();
            plug.open();
            batches.log.wait_for_gaps(2);
            let plug = batches.plug();
            topic.publish_batch((6..12).map(Item)).unwrap();
            batches.subscription.unsubscribe();
            plug.open();
            batches.finish(max);
            let seen = batches.log.seen();
            let kinds: String = seen
                .iter()
                .map(|seen| match seen {
                    Seen::Item(..) => 'i',
                    Seen::Gap(_) => 'g',
                    Seen::Final(_) => 'f',
                    _ => '?',
                })
                .collect();
            assert_eq!(kinds, "iiiigiiiigf", "{what}");
        }
    }
}

#[test]
fn a_gap_goes_to_on_gap_where_there_is_one() {
    let (_bus, topic) = bus_and_topic();
    let gaps = Arc::new(Mutex::new(Vec::new()));
    let writes = Arc::clone(&gaps);
    let batches = batches(Kind::Park, &topic, 10, |builder| {
        let builder = builder.capacity(1).overflow(Overflow::DropOldest);
        builder.on_gap(move |gap| writes.lock().unwrap().push(gap.count))
    });
    let plug = batches.plug();
    topic.publish_batch((0..6).map(Item)).unwrap();
    plug.open();
    batches.log.wait_for_items(1);
    batches.subscription.unsubscribe();
    let last = batches.subscription.join_timeout(DEADLINE).unwrap();
    assert_eq!((last.delivered, last.shed), (2, 5));
    assert_eq!(*gaps.lock().unwrap(), [5]);
    assert_eq!(batches.log.gaps(), []);
}

#[test]
fn figures_are_those_of_the_messages() {
    for kind in HANDLERS {
        let (_bus, topic) = bus_and_topic();
        let batches = batches(kind, &topic, 16, |builder| builder);
        topic.publish_batch((0..100).map(Item)).unwrap();
        batches.log.wait_for_items(100);
        batches.subscription.flush_timeout(DEADLINE).unwrap();
        let stats = batches.subscription.stats();
        assert_eq!((stats.offered, stats.delivered), (100, 100), "{kind:?}");
        let calls = batches.sizes.lock().unwrap().len() as u64;
        assert_eq!(
            stats.handler_time.samples(),
            calls,
            "{kind:?}: of every batch"
        );
        assert_eq!(stats.queue_wait.samples(), calls, "{kind:?}");
        batches.finish(16);
    }
}

#[test]
fn a_batch_that_panics_is_one_panic_and_counts_as_delivered() {
    for kind in HANDLERS {
        let (_bus, topic) = bus_and_topic();
        let subscription = topic
            .subscribe()
            .max_batch(10)
            .delivery(kind.delivery())
            .run_batch(|messages| {
                assert!(messages[0].get::<Item>().is_none_or(|item| item.0 >= 5));
            })
            .unwrap();
        for value in 0..10 {
            topic.publish(Item(value)).unwrap();
            subscription.flush_timeout(DEADLINE).unwrap();
        }
        let stats = subscription.stats();
        assert_eq!((stats.delivered, stats.panics), (10, 5), "{kind:?}");
        subscription.unsubscribe();
        let last = subscription.join_timeout(DEADLINE).unwrap();
        assert_eq!((last.delivered, last.discarded), (10, 0), "{kind:?}");
    }
}

#[test]
fn a_batch_that_panics_may_close_its_subscription() {
    for policy in [PanicPolicy::Close, PanicPolicy::CloseWithFinal] {
        let bus = Bus::new().unwrap();
        let topic = bus.topic("topic").unwrap();
        let gate = Gate::new();
        let passes = Arc::clone(&gate);
        let log = Log::new();
        let writes = Arc::clone(&log);
        let subscription = topic
            .subscribe()
            .max_batch(3)
            .panic_policy(policy)
            .run_batch(move |messages: &[Message]| {
                passes.pass();
                messages.iter().for_each(|message| writes.note(message));
                assert!(messages.iter().any(|message| message.as_final().is_some()));
            })
            .unwrap();
        topic.publish(Item(0)).unwrap();
        gate.wait_for(1);
        topic.publish_batch((1..10).map(Item)).unwrap();
        gate.open();
        let last = subscription.join_timeout(DEADLINE).unwrap();
        assert_eq!((last.delivered, last.discarded), (1, 9), "{policy:?}");
        let told = log.final_message().is_some();
        assert_eq!(told, policy == PanicPolicy::CloseWithFinal);
    }
}

#[test]
fn batches_under_fire_lose_and_disorder_nothing() {
    let each = scaled(3000, 30) as u64;
    for kind in HANDLERS {
        let (_bus, topic) = bus_and_topic();
        let batches = batches(kind, &topic, 7, |builder| builder.capacity(4));
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
        batches.log.wait_for_items(3 * each as usize);
        let values = batches.log.values();
        for publisher in 0..3 {
            let of_this = values.iter().filter(|value| *value >> 32 == publisher);
            assert!(
                of_this.map(|value| value & 0xffff_ffff).eq(0..each),
                "{kind:?}"
            );
        }
        batches.finish(7);
    }
}
