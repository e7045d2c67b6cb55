//! Who gets what in which order: one shared allocation (D1), FIFO per publisher (D2), serial handlers (D3), filters
//! before the first message (D6), total order (D7).

#![allow(clippy::disallowed_types, reason = "tests use std's own")]

mod common;

use common::{
    DropFlag, Gate, Log, Setup, all_overflows, bus_with, for_each_handler_kind, for_each_kind,
    number, with_deadline,
};
use stasis_bus::{Bus, Message, MessageType, Overflow, Topic};
use std::cell::Cell;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

/// A publisher and its count.
type Numbered = (u64, u64);

fn numbered(message: &Message) -> Option<Numbered> {
    message.get::<Numbered>().copied()
}

/// Each publisher's messages come in its own order, and none is missing.
#[track_caller]
fn assert_fifo(got: &[Numbered], publishers: u64, each: u64) {
    let mut next = vec![0; publishers as usize];
    for &(publisher, count) in got {
        assert_eq!(
            count, next[publisher as usize],
            "out of order: publisher {publisher}"
        );
        next[publisher as usize] += 1;
    }
    assert!(next.iter().all(|&next| next == each), "missing: {next:?}");
}

#[test]
fn everybody_reads_the_same_allocation() {
    struct Payload {
        _guard: common::observe::DropGuard,
    }
    for_each_kind(|setup| {
        let topic = setup.topic("shared");
        let seen = Log::new();
        let subs: Vec<_> = (0..5)
            .map(|_| {
                let seen = seen.clone();
                setup.run(&topic, move |message| {
                    if let Some(payload) = message.get::<Payload>() {
                        seen.push(std::ptr::from_ref(payload) as usize);
                    }
                })
            })
            .collect();
        let flag = DropFlag::new();
        let message = Message::new(Payload {
            _guard: flag.guard(),
        });
        let address = std::ptr::from_ref(message.get::<Payload>().unwrap()) as usize;
        assert_eq!(topic.publish(message).unwrap().offered(), 5);
        for sub in &subs {
            sub.end();
        }
        assert_eq!(seen.get(), [address; 5]);
        assert_eq!(flag.count(), 1, "dropped once, with the last of them");
    });
}

#[test]
fn a_message_that_is_kept_outlives_its_subscription() {
    for_each_kind(|setup| {
        let topic = setup.topic("kept");
        let kept = Log::new();
        let keeps = kept.clone();
        let sub = setup.run(&topic, move |message| keeps.push(message.clone()));
        topic.publish(String::from("still here")).unwrap();
        sub.end();
        drop((sub, topic));
        let kept = kept.take();
        let text = kept[0].get::<String>().map(String::as_str);
        assert_eq!(text, Some("still here"));
        assert!(kept[1].as_final().is_some());
    });
}

#[test]
fn one_publisher_one_topic() {
    for_each_kind(|setup| {
        for overflow in all_overflows() {
            let topic = setup.topic("fifo");
            let seen = Log::new();
            let sees = seen.clone();
            let builder = topic.subscribe().capacity(2048).overflow(overflow);
            let sub = setup.run_with(builder, move |message| {
                if let Some(n) = number(message) {
                    sees.push(n);
                }
            });
            for n in 0..1000_u64 {
                topic.publish(n).unwrap();
            }
            let last = sub.end();
            assert_eq!(last.delivered, 1000);
            assert_eq!(seen.get(), (0..1000).collect::<Vec<_>>());
        }
    });
}

#[test]
fn several_publishers_each_in_its_order() {
    for_each_kind(|setup| {
        let topic = setup.topic("many");
        let logs: Vec<Log<Numbered>> = (0..3).map(|_| Log::new()).collect();
        let subs: Vec<_> = logs
            .iter()
            .map(|log| {
                let log = log.clone();
                setup.run(&topic, move |message| {
                    if let Some(entry) = numbered(message) {
                        log.push(entry);
                    }
                })
            })
            .collect();
        publish_from(3, 300, move |_| topic.clone());
        for (sub, log) in subs.iter().zip(&logs) {
            sub.end();
            assert_fifo(&log.get(), 3, 300);
        }
    });
}

/// Several threads publish numbers, each on the topics that `topic` gives it by its count.
fn publish_from(publishers: u64, each: u64, topic: impl Fn(u64) -> Topic + Send + Sync) {
    thread::scope(|scope| {
        for publisher in 0..publishers {
            let topic = &topic;
            scope.spawn(move || {
                for count in 0..each {
                    topic(count).publish((publisher, count)).unwrap();
                }
            });
        }
    });
}

#[test]
fn order_spans_topics_that_forward_into_one() {
    for_each_kind(|setup| {
        let all = setup.topic("all");
        let legs: Vec<_> = (0..4).map(|n| setup.topic(&format!("leg {n}"))).collect();
        let forwards: Vec<_> = legs.iter().map(|leg| leg.forward_to(&all)).collect();
        let seen = Log::new();
        let sees = seen.clone();
        let sub = setup.run(&all, move |message| {
            if let Some(entry) = numbered(message) {
                sees.push(entry);
            }
        });
        let legs = legs.clone();
        publish_from(3, 400, move |count| legs[count as usize % 4].clone());
        sub.end();
        assert_fifo(&seen.get(), 3, 400);
        drop(forwards);
    });
}

#[test]
fn order_is_kept_when_the_publisher_hands_over() {
    for_each_kind(|setup| {
        let topic = setup.topic("hand over");
        let seen = Log::new();
        let sees = seen.clone();
        let sub = setup.run(&topic, move |message| sees.push(number(message)));
        // Each thread publishes when it is told, and then tells the next one.
        let (send, mut receive) = mpsc::channel::<u64>();
        send.send(0).unwrap();
        let mut threads = Vec::new();
        for _ in 0..40 {
            let (next, taken) = mpsc::channel();
            let told = std::mem::replace(&mut receive, taken);
            let topic = topic.clone();
            threads.push(thread::spawn(move || {
                let n = told.recv().unwrap();
                topic.publish(n).unwrap();
                next.send(n + 1).unwrap();
            }));
        }
        assert_eq!(receive.recv().unwrap(), 40);
        sub.end();
        let mut expected: Vec<_> = (0..40).map(Some).collect();
        expected.push(None);
        assert_eq!(seen.get(), expected);
        threads.into_iter().for_each(|t| t.join().unwrap());
    });
}

#[test]
fn order_survives_spilling_and_coming_back() {
    for_each_kind(|setup| {
        let topic = setup.topic("spill");
        let (seen, gate) = (Log::new(), Gate::new());
        let (sees, stops) = (seen.clone(), gate.clone());
        let sub = setup.run_with(topic.subscribe().capacity(2), move |message| {
            if let Some(n) = number(message) {
                if n == 0 {
                    stops.pass();
                }
                sees.push(n);
            }
        });
        // An inline handler holds up its own publisher: so that is another thread.
        let first = topic.clone();
        let publisher = thread::spawn(move || first.publish(0_u64).unwrap());
        gate.wait_arrived(1);
        for n in 1..100_u64 {
            topic.publish(n).unwrap();
        }
        gate.open();
        publisher.join().unwrap();
        for n in 100..200_u64 {
            topic.publish(n).unwrap();
        }
        sub.end();
        assert_eq!(seen.get(), (0..200).collect::<Vec<_>>());
    });
}

#[test]
fn handler_runs_never_overlap() {
    for_each_kind(|setup| {
        let topics: Vec<_> = (0..3)
            .map(|n| setup.topic(&format!("serial {n}")))
            .collect();
        let all = setup.topic("serial");
        let forwards: Vec<_> = topics.iter().map(|topic| topic.forward_to(&all)).collect();
        let inside = Arc::new(AtomicU32::new(0));
        // Neither `Sync` nor atomic: runs follow one another by happens-before.
        let count = Cell::new(0_u64);
        let total = Arc::new(AtomicU64::new(0));
        let sum = Arc::clone(&total);
        let sub = setup.run(&all, move |message| {
            assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two at once");
            if message.as_final().is_some() {
                sum.store(count.get(), Ordering::SeqCst);
            } else {
                count.set(count.get() + 1);
                if count.get() % 64 == 0 {
                    thread::yield_now();
                }
            }
            inside.fetch_sub(1, Ordering::SeqCst);
        });
        let topics = topics.clone();
        publish_from(3, 300, move |count| topics[count as usize % 3].clone());
        let last = sub.end();
        assert_eq!(total.load(Ordering::SeqCst), 900);
        assert_eq!((last.delivered, sub.stats().panics), (900, 0));
        drop(forwards);
    });
}

#[test]
fn there_is_no_unfiltered_window() {
    static WANTED: MessageType<u64> = MessageType::new("wanted");
    static OTHER: MessageType<u64> = MessageType::new("other");
    for_each_kind(|setup| {
        let topic = setup.topic("window");
        let busy = Publishing::start(&topic, |n| match n % 2 {
            0 => WANTED.message(n),
            _ => OTHER.message(n),
        });
        for round in 0..40_u64 {
            let wrong = Log::new();
            let logs = wrong.clone();
            let by_type = round % 2 == 0;
            let builder = match by_type {
                true => topic.subscribe().accept(&WANTED),
                false => topic.subscribe().filter(|message| message.is(&WANTED)),
            };
            let sub = setup.run_with(builder, move |message| {
                if message.as_final().is_none() && !message.is(&WANTED) {
                    logs.push(message.type_name());
                }
            });
            sub.end();
            assert_eq!(wrong.take(), [""; 0], "by type: {by_type}");
        }
        busy.stop();
    });
}

/// A thread that publishes until it is stopped.
struct Publishing {
    stop: Arc<AtomicU32>,
    thread: thread::JoinHandle<u64>,
}

impl Publishing {
    fn start(topic: &Topic, make: impl Fn(u64) -> Message + Send + 'static) -> Self {
        let stop = Arc::new(AtomicU32::new(0));
        let (stopped, topic) = (Arc::clone(&stop), topic.clone());
        let thread = thread::spawn(move || {
            let mut n = 0;
            while stopped.load(Ordering::Relaxed) == 0 {
                topic.publish(make(n)).unwrap();
                n += 1;
                if n % 16 == 0 {
                    thread::yield_now();
                }
            }
            n
        });
        Self { stop, thread }
    }

    fn stop(self) -> u64 {
        self.stop.store(1, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

#[test]
fn filters_by_type_and_by_closure_act_together() {
    for_each_kind(|setup| {
        for total_order in [false, true] {
            let topic = match total_order {
                false => setup.topic("both"),
                true => setup.bus.topic_with_total_order("both").unwrap(),
            };
            let seen = Log::new();
            let sees = seen.clone();
            let builder = topic
                .subscribe()
                .accept_payload::<u64>()
                .filter(|message| number(message).is_some_and(|n| n % 3 == 0));
            let sub = setup.run_with(builder, move |message| sees.push(number(message)));
            for n in 0..10_u64 {
                topic.publish(n).unwrap();
                topic.publish(n as u32).unwrap();
            }
            let last = sub.end();
            assert_eq!(seen.get(), [Some(0), Some(3), Some(6), Some(9), None]);
            assert_eq!(last.delivered, 4, "total order: {total_order}");
            assert_eq!(sub.stats().filtered, 6, "total order: {total_order}");
            topic.close();
        }
    });
}

/// Subscribes `count` logs to a topic.
fn subscribe_logs(setup: &Setup, topic: &Topic, count: usize) -> Vec<(common::Sub, Log<Numbered>)> {
    (0..count)
        .map(|_| {
            let log = Log::new();
            let logs = log.clone();
            let sub = setup.run(topic, move |message| {
                if let Some(entry) = numbered(message) {
                    logs.push(entry);
                }
            });
            (sub, log)
        })
        .collect()
}

#[track_caller]
fn assert_one_order(subs: Vec<(common::Sub, Log<Numbered>)>, publishers: u64, each: u64) {
    let mut first: Option<Vec<Numbered>> = None;
    for (sub, log) in subs {
        sub.end();
        let got = log.take();
        assert_fifo(&got, publishers, each);
        match &first {
            None => first = Some(got),
            Some(first) => assert!(*first == got, "two orders"),
        }
    }
}

#[test]
fn total_order_with_several_publishers() {
    for_each_kind(|setup| {
        let topic = setup.bus.topic_with_total_order("total").unwrap();
        let subs = subscribe_logs(setup, &topic, 3);
        publish_from(3, 300, move |_| topic.clone());
        assert_one_order(subs, 3, 300);
    });
}

#[test]
fn total_order_of_what_is_forwarded_in() {
    for_each_kind(|setup| {
        let total = setup.bus.topic_with_total_order("total").unwrap();
        let relaxed: Vec<_> = (0..2)
            .map(|n| setup.topic(&format!("relaxed {n}")))
            .collect();
        let forwards: Vec<_> = relaxed
            .iter()
            .map(|topic| topic.forward_to(&total))
            .collect();
        let subs = subscribe_logs(setup, &total, 3);
        let topics = [relaxed[0].clone(), total.clone(), relaxed[1].clone()];
        publish_from(3, 300, move |count| topics[count as usize % 3].clone());
        assert_one_order(subs, 3, 300);
        drop(forwards);
    });
}

#[test]
fn two_total_orders_in_one_reach() {
    for_each_kind(|setup| {
        let bus = &setup.bus;
        let one = bus.topic_with_total_order("one").unwrap();
        let two = bus.topic_with_total_order("two").unwrap();
        // Each reaches the other: whoever publishes holds both sequencers, in one order, so there is no deadlock.
        let forwards = [one.forward_to(&two).unwrap(), two.forward_to(&one).unwrap()];
        let mut subs = subscribe_logs(setup, &one, 2);
        subs.extend(subscribe_logs(setup, &two, 2));
        let topics = [one.clone(), two.clone()];
        publish_from(2, 300, move |count| topics[count as usize % 2].clone());
        assert_one_order(subs, 2, 300);
        drop(forwards);
    });
}

#[test]
fn total_order_with_closure_filters_and_conflation() {
    for_each_kind(|setup| {
        let topic = setup.bus.topic_with_total_order("filtered").unwrap();
        let plain = subscribe_logs(setup, &topic, 1);
        let (odd, newest) = (Log::new(), Log::new());
        let (logs_odd, logs_newest) = (odd.clone(), newest.clone());
        let filtered = setup.run_with(
            topic
                .subscribe()
                .filter(|message| numbered(message).is_some_and(|(_, n)| n % 2 == 1)),
            move |message| logs_odd.push(numbered(message)),
        );
        let conflating = setup.run_with(
            topic
                .subscribe()
                .overflow(Overflow::conflate(|m| numbered(m).map_or(9, |(p, _)| p))),
            move |message| logs_newest.push(numbered(message)),
        );
        let publishes = topic.clone();
        publish_from(2, 300, move |_| publishes.clone());
        filtered.end();
        conflating.end();
        let (sub, log) = &plain[0];
        sub.end();
        let mut all: Vec<_> = log.take().into_iter().map(Some).collect();
        all.push(None);
        // The greatest of each publisher is never conflated away.
        let newest = newest.take();
        for publisher in 0..2 {
            assert!(newest.contains(&Some((publisher, 299))), "{newest:?}");
        }
        all.retain(|entry| entry.is_none_or(|(_, n)| n % 2 == 1));
        assert_eq!(odd.take(), all);
    });
}

/// A topic may join the reach of another one, and get its first subscribers, while that is published to.
#[test]
fn total_order_while_the_reach_changes() {
    with_deadline("reach", || {
        for _ in 0..60 {
            let bus: Bus = bus_with(2);
            let setup = Setup::with_bus(common::Kind::PoolOfThree, bus);
            let source = setup.bus.topic_with_total_order("source").unwrap();
            let late = setup.bus.topic_with_total_order("late").unwrap();
            let anchor = subscribe_logs(&setup, &source, 1);
            let busy = [(&source, 0_u64), (&late, 1)].map(|(topic, publisher)| {
                Publishing::start(topic, move |n| Message::new((publisher, n)))
            });
            let forward = source.forward_to(&late).unwrap();
            let subs: Vec<_> = (0..4).map(|_| subscribe_logs(&setup, &late, 1)).collect();
            busy.into_iter().for_each(|busy| {
                busy.stop();
            });
            let logs: Vec<Vec<Numbered>> = subs
                .into_iter()
                .map(|mut sub| {
                    let (sub, log) = sub.remove(0);
                    sub.end();
                    log.take()
                })
                .collect();
            // The one that came last saw the least: all others end like it.
            let last = &logs[3];
            for log in &logs {
                assert!(log.ends_with(last), "two orders");
            }
            drop((forward, anchor));
        }
    });
}

#[test]
fn a_handler_may_keep_state_that_is_not_sync() {
    for_each_handler_kind(|setup| {
        let topic = setup.topic("state");
        let result = Log::new();
        let results = result.clone();
        let sum = Cell::new(0_u64);
        let sub = setup.run(&topic, move |message| match number(message) {
            Some(n) => sum.set(sum.get() + n),
            None => results.push(sum.get()),
        });
        topic.publish_batch(1..=100_u64).unwrap();
        sub.end();
        assert_eq!(result.get(), [5050]);
    });
}
