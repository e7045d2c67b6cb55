//! Taps: run with every message before its publish returns, and never under anything.

#![allow(clippy::disallowed_types, reason = "tests use std's own")]

mod common;

use common::{Log, block_on, wait_until, with_deadline};
use stasis_bus::{Bus, Delivery, Message, Overflow, SubscribeError};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

fn number(message: &Message) -> u64 {
    *message.get::<u64>().expect("a number")
}

#[test]
fn it_has_run_when_publish_returns_however_that_is_done() {
    let bus = Bus::new().unwrap();
    let topic = bus.topic("t").unwrap();
    let seen = Log::new();
    let log = seen.clone();
    let _tap = topic.tap(move |m| log.push(number(m))).unwrap();
    topic.publish(1_u64).unwrap();
    assert_eq!(seen.get(), [1]);
    topic.publish_batch([2_u64, 3]).unwrap();
    assert_eq!(seen.get(), [1, 2, 3]);
    block_on(topic.publish_async(4_u64)).unwrap();
    assert_eq!(seen.get(), [1, 2, 3, 4]);
    let subscription = topic.subscribe().run(|_: &u64| ()).unwrap();
    topic.publish_sync(&subscription, 5_u64).unwrap();
    topic.stage(6_u64).unwrap().offer().settle().unwrap();
    drop(topic.stage(7_u64).unwrap().offer());
    assert_eq!(seen.get(), [1, 2, 3, 4, 5, 6, 7]);
    drop(topic.stage(8_u64).unwrap());
    assert_eq!(
        seen.get().len(),
        7,
        "what is staged and not offered is not published"
    );
}

#[test]
fn it_runs_once_for_each_way_here_and_not_after_cancel() {
    let bus = Bus::new().unwrap();
    let [a, b, c] = ["a", "b", "c"].map(|name| bus.topic(name).unwrap());
    let _forwards = [
        a.forward_to(&b).unwrap(),
        a.forward_to(&c).unwrap(),
        b.forward_to(&c).unwrap(),
    ];
    let seen = Log::new();
    let log = seen.clone();
    let tap = c.tap(move |m| log.push(number(m))).unwrap();
    a.publish(1_u64).unwrap();
    b.publish(2_u64).unwrap();
    assert_eq!(seen.get(), [1, 2]);
    assert!(
        a.has_subscribers_for_payload::<u64>(),
        "a tap wants everything"
    );
    tap.cancel();
    a.publish(3_u64).unwrap();
    assert_eq!(seen.get(), [1, 2]);
    assert!(!a.has_subscribers_for_payload::<u64>());
}

#[test]
fn notices_of_the_bus_are_not_tapped() {
    let bus = Bus::new().unwrap();
    let topic = bus.topic("t").unwrap();
    let runs = Arc::new(AtomicUsize::new(0));
    let count = runs.clone();
    let _tap = topic
        .tap(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        })
        .unwrap();
    let listener = topic
        .subscribe()
        .change_notices()
        .run(|_: &Message| ())
        .unwrap();
    topic
        .subscribe()
        .run(|_: &Message| ())
        .unwrap()
        .unsubscribe();
    listener.flush().unwrap();
    assert_eq!(listener.stats().delivered, 3);
    assert_eq!(runs.load(Ordering::Relaxed), 0);
}

#[test]
fn what_it_publishes_comes_after_its_cause() {
    // With a mailbox that blocks its publisher, too: the tap waits for that.
    with_deadline("cause before effect", || {
        let bus = Bus::new().unwrap();
        let topic = bus.topic("t").unwrap();
        let again = topic.clone();
        let tap = topic.tap(move |m| {
            if number(m) < 100 {
                again.publish(number(m) + 100).unwrap();
            }
        });
        let _tap = tap.unwrap();
        let seen = Log::new();
        let log = seen.clone();
        let _slow = topic
            .subscribe()
            .capacity(1)
            .overflow(Overflow::Block { timeout: None })
            .run(move |n: &u64| {
                thread::sleep(Duration::from_millis(1));
                log.push(*n);
            })
            .unwrap();
        for n in 0..20_u64 {
            topic.publish(n).unwrap();
            block_on(topic.publish_async(n + 20)).unwrap();
        }
        wait_until("all", || seen.get().len() == 80);
        let position = |n| seen.get().iter().position(|seen| *seen == n).unwrap();
        for n in 0..40 {
            assert!(position(n) < position(n + 100), "{n}: {:?}", seen.get());
        }
    });
}

#[test]
fn a_panic_goes_to_the_hook_and_no_further() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = told.clone();
    let bus = Bus::builder()
        .on_panic(move |panic| {
            let text = format!("{} {} {}", panic.topic, panic.subscription, panic.panic);
            tell.lock().unwrap().push(text);
        })
        .build()
        .unwrap();
    let topic = bus.topic("t").unwrap();
    let _tap = topic.tap(|_| panic!("no")).unwrap();
    let subscription = topic.subscribe().run(|_: &u64| ()).unwrap();
    topic.publish(1_u64).unwrap();
    subscription.flush().unwrap();
    assert_eq!(*told.lock().unwrap(), ["t tap no"]);
    assert_eq!(subscription.stats().delivered, 1);
}

#[test]
fn everything_is_legal_in_it() {
    with_deadline("re-entrancy", || {
        let bus = Bus::new().unwrap();
        let topic = bus.topic("t").unwrap();
        let other = bus.topic("other").unwrap();
        let (inner, own) = (other.clone(), Arc::new(Mutex::new(None)));
        let slot = own.clone();
        let bus_again = bus.clone();
        let tap = topic
            .tap(move |m| {
                let subscription = inner.subscribe().run(|_: &Message| ()).unwrap();
                assert!(subscription.join().is_err(), "nothing waits in here");
                inner.publish(number(m)).unwrap();
                bus_again.topic("new").unwrap();
                // It cancels itself.
                drop(slot.lock().unwrap().take());
            })
            .unwrap();
        *own.lock().unwrap() = Some(tap);
        topic.publish(1_u64).unwrap();
        topic.publish(2_u64).unwrap();
        assert_eq!(other.stats().published, 1);
    });
}

#[test]
fn its_captures_are_dropped_outside_of_the_epoch() {
    let bus = Bus::new().unwrap();
    let topic = bus.topic("t").unwrap();
    let alive = Arc::new(());
    let captured = alive.clone();
    let tap = topic.tap(move |_| drop(captured.clone())).unwrap();
    topic.publish(1_u64).unwrap();
    drop(tap);
    assert_eq!(Arc::strong_count(&alive), 1, "gone with the handle");
}

#[test]
fn none_on_what_has_ended() {
    let bus = Bus::new().unwrap();
    let topic = bus.topic("t").unwrap();
    topic.close();
    assert!(matches!(
        topic.tap(|_| ()),
        Err(SubscribeError::TopicClosed)
    ));
    let topic = bus.topic("t").unwrap();
    bus.shutdown().unwrap();
    assert!(matches!(topic.tap(|_| ()), Err(SubscribeError::ShutDown)));
}

/// A forward may be about to pass something on to a topic while that is closed: what has ended hears nothing.
#[test]
fn a_closed_topic_is_not_tapped() {
    let bus = Bus::new().unwrap();
    let (from, to) = (bus.topic("from").unwrap(), bus.topic("to").unwrap());
    let _forward = from.forward_to(&to).unwrap();
    let seen = Log::new();
    let log = seen.clone();
    let _tap = to.tap(move |m| log.push(number(m))).unwrap();
    from.publish(1_u64).unwrap();
    to.close();
    from.publish(2_u64).unwrap();
    assert_eq!(seen.get(), [1]);
}

#[test]
fn taps_may_answer_each_other() {
    with_deadline("answers", || {
        let bus = Bus::new().unwrap();
        let topics = ["a", "b"].map(|name| bus.topic(name).unwrap());
        let seen = Log::new();
        let _taps = [0, 1].map(|here| {
            let (other, log) = (topics[1 - here].clone(), seen.clone());
            let answer = move |m: &Message| {
                log.push(number(m));
                if number(m) > 0 {
                    other.publish(number(m) - 1).unwrap();
                }
            };
            topics[here].tap(answer).unwrap()
        });
        topics[0].publish(100_u64).unwrap();
        assert!(seen.get().into_iter().eq((0..=100).rev()));
    });
}

#[test]
fn taps_come_and_go_under_fire() {
    with_deadline("fire", || {
        let bus = Bus::new().unwrap();
        let topic = bus.topic("t").unwrap();
        let sum = Arc::new(AtomicU64::new(0));
        let adds = sum.clone();
        let _always = topic
            .tap(move |m| {
                adds.fetch_add(number(m), Ordering::Relaxed);
            })
            .unwrap();
        let inline = topic
            .subscribe()
            .delivery(Delivery::Inline)
            .run(|_: &u64| ())
            .unwrap();
        thread::scope(|scope| {
            let threads = [(); 2].map(|()| {
                scope.spawn(|| {
                    (1..=2_000_u64).for_each(|n| {
                        topic.publish(n).unwrap();
                    })
                })
            });
            for _ in 0..500 {
                let tap = topic.tap(|_| ()).unwrap();
                let subscription = topic.subscribe().run(|_: &u64| ()).unwrap();
                drop(tap);
                drop(subscription);
            }
            let _ = threads.map(|thread| thread.join().unwrap());
        });
        assert_eq!(sum.load(Ordering::Relaxed), 2 * (2_000 * 2_001 / 2));
        inline.flush().unwrap();
        assert_eq!(inline.stats().delivered, 4_000);
    });
}
