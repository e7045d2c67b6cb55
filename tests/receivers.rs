//! Receivers: every way to take a message, and that none of them loses one, whatever is dropped when.

mod support;

use stasis_bus::{
    Bus, FinalReason, Message, Overflow, Receiver, RecvError, Subscription, Topic, TryRecvError,
};
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};
use support::{
    DEADLINE, Flag, Item, KINDS, block_on, bus_and_topic, eventually, join, poll_once, scaled,
};

fn receiver() -> (Bus, Topic, Receiver) {
    let (bus, topic) = bus_and_topic();
    let receiver = topic.subscribe().receiver().unwrap();
    (bus, topic, receiver)
}

#[track_caller]
fn value(message: &Message) -> u64 {
    message.get::<Item>().expect("an item").0
}

#[test]
fn try_recv_takes_what_is_there() {
    let (_bus, topic, mut receiver) = receiver();
    assert_eq!(receiver.try_recv().unwrap_err(), TryRecvError::Empty);
    topic.publish_batch((0..3).map(Item)).unwrap();
    for expected in 0..3 {
        assert_eq!(value(&receiver.try_recv().unwrap()), expected);
    }
    assert_eq!(receiver.try_recv().unwrap_err(), TryRecvError::Empty);
    topic.publish(Item(3)).unwrap();
    topic.close();
    assert_eq!(value(&receiver.try_recv().unwrap()), 3);
    let last = receiver.try_recv().unwrap();
    let last = last.as_final().expect("the final message");
    assert_eq!((last.reason, last.delivered), (FinalReason::TopicClosed, 4));
    for _ in 0..3 {
        assert_eq!(receiver.try_recv().unwrap_err(), TryRecvError::Ended);
    }
}

#[test]
fn recv_waits_for_each_message() {
    let (_bus, topic, mut receiver) = receiver();
    let taken = Arc::new(AtomicU64::new(0));
    let counts = Arc::clone(&taken);
    let receives = thread::spawn(move || {
        let mut values = Vec::new();
        while let Ok(message) = receiver.recv() {
            values.extend(message.get::<Item>().map(|item| item.0));
            counts.fetch_add(1, Ordering::SeqCst);
        }
        assert_eq!(receiver.recv().unwrap_err(), RecvError::Ended);
        assert_eq!(
            receiver.recv_timeout(DEADLINE).unwrap_err(),
            RecvError::Ended
        );
        values
    });
    for value in 0..100 {
        topic.publish(Item(value)).unwrap();
        // One by one, so that it has to wait for each.
        eventually("it is taken", || taken.load(Ordering::SeqCst) == value + 1);
    }
    topic.close();
    assert_eq!(join("the receiver", receives), Vec::from_iter(0..100));
}

#[test]
fn recv_timeout_gives_up_and_loses_nothing() {
    let (_bus, topic, mut receiver) = receiver();
    for round in 0..20 {
        let begin = Instant::now();
        let timeout = Duration::from_millis(2);
        assert_eq!(
            receiver.recv_timeout(timeout).unwrap_err(),
            RecvError::TimedOut
        );
        assert!(begin.elapsed() >= timeout);
        assert_eq!(
            receiver.recv_timeout(Duration::ZERO).unwrap_err(),
            RecvError::TimedOut
        );
        topic.publish(Item(round)).unwrap();
        assert_eq!(
            value(&receiver.recv_timeout(Duration::ZERO).unwrap()),
            round
        );
    }
    topic.publish(Item(0)).unwrap();
    assert_eq!(value(&receiver.recv_timeout(Duration::MAX).unwrap()), 0);
}

/// A publisher and a receiver that keeps giving up: each message either comes now or at the next try.
#[test]
fn timeouts_that_race_with_publishers_lose_nothing() {
    let count = scaled(5000, 50) as u64;
    let (_bus, topic, mut receiver) = receiver();
    let publisher = thread::spawn(move || {
        for value in 0..count {
            topic.publish(Item(value)).unwrap();
            if value % 3 == 0 {
                thread::yield_now();
            }
        }
    });
    let begin = Instant::now();
    let mut next = 0;
    while next < count {
        match receiver.recv_timeout(Duration::from_micros(next % 50)) {
            Ok(message) => {
                assert_eq!(value(&message), next);
                next += 1;
            }
            Err(error) => assert_eq!(error, RecvError::TimedOut),
        }
        assert!(begin.elapsed() < DEADLINE, "{next} is lost");
    }
    join("the publisher", publisher);
}

#[test]
fn recv_many_takes_what_is_there_up_to_its_limit() {
    let (_bus, topic, mut receiver) = receiver();
    let mut messages = Vec::new();
    assert_eq!(receiver.recv_many(&mut messages, 0).unwrap(), 0);
    topic.publish_batch((0..10).map(Item)).unwrap();
    assert_eq!(receiver.recv_many(&mut messages, 0).unwrap(), 0);
    assert_eq!(receiver.recv_many(&mut messages, 4).unwrap(), 4);
    assert_eq!(
        receiver.recv_many(&mut messages, usize::MAX).unwrap(),
        6,
        "it appends"
    );
    assert!(messages.iter().map(value).eq(0..10));
    topic.publish(Item(10)).unwrap();
    topic.close();
    messages.clear();
    assert_eq!(receiver.recv_many(&mut messages, 10).unwrap(), 2);
    assert!(messages[1].as_final().is_some());
    assert_eq!(
        receiver.recv_many(&mut messages, 10).unwrap_err(),
        RecvError::Ended
    );
    assert_eq!(messages.len(), 2);
}

#[test]
fn iterators_end_with_the_final_message_or_when_nothing_is_there() {
    let (_bus, topic, mut receiver) = receiver();
    assert_eq!(receiver.try_iter().count(), 0);
    topic.publish_batch((0..5).map(Item)).unwrap();
    assert!(receiver.try_iter().take(2).map(|m| value(&m)).eq(0..2));
    assert_eq!(receiver.try_iter().count(), 3);
    topic.publish_batch((5..8).map(Item)).unwrap();
    topic.close();
    let messages: Vec<_> = receiver.iter().collect();
    assert_eq!(messages.len(), 4);
    assert!(messages[3].as_final().is_some());
    assert_eq!(receiver.iter().count(), 0);
    assert_eq!(receiver.try_iter().count(), 0);
}

#[test]
fn a_future_is_woken_once_there_is_something() {
    let (_bus, topic, mut receiver) = receiver();
    let flag = Flag::new();
    {
        let waker = flag.waker();
        let mut cx = Context::from_waker(&waker);
        let mut future = pin!(receiver.recv_async());
        for _ in 0..5 {
            assert!(
                future.as_mut().poll(&mut cx).is_pending(),
                "polls may be spurious"
            );
        }
        assert_eq!(flag.woken(), 0);
        topic.publish(Item(1)).unwrap();
        assert_eq!(flag.woken(), 1);
        topic.publish(Item(2)).unwrap();
        assert_eq!(flag.woken(), 1, "it is awake already");
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(message) => assert_eq!(value(&message.unwrap()), 1),
            Poll::Pending => panic!("it is there"),
        }
    }
    assert_eq!(value(&block_on(receiver.recv_async()).unwrap()), 2);
    topic.close();
    assert!(
        block_on(receiver.recv_async())
            .unwrap()
            .as_final()
            .is_some()
    );
    assert_eq!(
        block_on(receiver.recv_async()).unwrap_err(),
        RecvError::Ended
    );
}

#[test]
fn the_waker_of_the_last_poll_counts() {
    let (_bus, topic, mut receiver) = receiver();
    let (first, second) = (Flag::new(), Flag::new());
    {
        let mut future = pin!(receiver.recv_async());
        for flag in [&first, &second] {
            let waker = flag.waker();
            assert!(
                future
                    .as_mut()
                    .poll(&mut Context::from_waker(&waker))
                    .is_pending()
            );
        }
        topic.publish(Item(0)).unwrap();
        assert_eq!((first.woken(), second.woken()), (0, 1));
    }
    // The same between futures.
    assert!(poll_once(&first.waker(), receiver.recv_async()).is_some());
    assert!(poll_once(&first.waker(), receiver.recv_async()).is_none());
    assert!(poll_once(&second.waker(), receiver.recv_async()).is_none());
    topic.publish(Item(1)).unwrap();
    assert_eq!((first.woken(), second.woken()), (0, 2));
}

/// Cancel safety: each future is dropped after one poll, whether it was woken or not.
#[test]
fn a_future_that_is_dropped_loses_nothing() {
    let count = scaled(5000, 50) as u64;
    let (_bus, topic, mut receiver) = receiver();
    let publishes = topic.clone();
    let publisher = thread::spawn(move || {
        for value in 0..count {
            publishes.publish(Item(value)).unwrap();
            if value % 5 == 0 {
                thread::yield_now();
            }
        }
        publishes.close();
    });
    let flag = Flag::new();
    let begin = Instant::now();
    let mut values = Vec::new();
    loop {
        match poll_once(&flag.waker(), receiver.recv_async()) {
            Some(Ok(message)) if message.as_final().is_some() => break,
            Some(message) => values.push(value(&message.unwrap())),
            None => thread::park_timeout(DEADLINE),
        }
        assert!(
            begin.elapsed() < DEADLINE,
            "no wake-up after {}",
            values.len()
        );
    }
    assert_eq!(values, Vec::from_iter(0..count));
    join("the publisher", publisher);
}

#[test]
fn waits_of_every_kind_can_be_mixed() {
    let count = scaled(2000, 50) as u64;
    let (_bus, topic, mut receiver) = receiver();
    let publisher = thread::spawn(move || {
        for value in 0..count {
            topic.publish(Item(value)).unwrap();
            thread::yield_now();
        }
    });
    let flag = Flag::new();
    let begin = Instant::now();
    let mut next = 0;
    for turn in 0.. {
        let message = match turn % 5 {
            0 => receiver.try_recv().ok(),
            1 => receiver.recv_timeout(Duration::from_micros(20)).ok(),
            2 => poll_once(&flag.waker(), receiver.recv_async()).map(Result::unwrap),
            3 => receiver.try_iter().next(),
            _ => Some(block_on(receiver.recv_async()).unwrap()),
        };
        if let Some(message) = message {
            assert_eq!(value(&message), next);
            next += 1;
        }
        if next == count {
            break;
        }
        assert!(begin.elapsed() < DEADLINE, "{next} is lost");
    }
    join("the publisher", publisher);
}

#[test]
fn dropping_it_discards_counts_and_tells() {
    let (sender, told) = mpsc::channel();
    let sender = Mutex::new(sender);
    let bus = Bus::builder()
        .on_discard(move |discarded| {
            let what = (discarded.subscription.to_owned(), discarded.count);
            sender.lock().unwrap().send(what).unwrap();
        })
        .build()
        .unwrap();
    let topic = bus.topic("topic").unwrap();
    let mut receiver = topic.subscribe().name("dropped").receiver().unwrap();
    let payload = Arc::new(());
    for _ in 0..100 {
        topic.publish(Arc::clone(&payload)).unwrap();
    }
    assert!(receiver.try_recv().is_ok());
    let joins = receiver.subscription().join_async();
    drop(receiver);
    let last = block_on(joins);
    assert_eq!((last.delivered, last.shed, last.discarded), (1, 0, 99));
    assert_eq!(last.reason, FinalReason::Unsubscribed);
    assert_eq!(told.try_recv().unwrap(), (String::from("dropped"), 99));
    assert!(told.try_recv().is_err(), "once");
    assert_eq!(Arc::strong_count(&payload), 1, "all payloads are dropped");
    assert_eq!(topic.publish(Item(0)).unwrap().offered(), 0);
    let stats = topic.stats();
    assert_eq!((stats.delivered, stats.discarded), (1, 99));
}

#[test]
fn an_empty_or_finished_one_discards_nothing() {
    let bus = Bus::builder()
        .on_discard(|_| panic!("nothing was discarded"))
        .build()
        .unwrap();
    let topic = bus.topic("topic").unwrap();
    drop(topic.subscribe().receiver().unwrap());
    let mut receiver = topic.subscribe().receiver().unwrap();
    topic.publish(Item(0)).unwrap();
    receiver.subscription().unsubscribe();
    assert_eq!(receiver.iter().count(), 2);
    drop(receiver);
    assert_eq!(bus.stats().ending, 0);
}

#[test]
fn wakers_end_with_the_receiver() {
    let flag = Flag::new();
    for ends in [false, true] {
        let (_bus, topic, mut receiver) = receiver();
        assert!(poll_once(&flag.waker(), receiver.recv_async()).is_none());
        assert_eq!(Arc::strong_count(&flag), 2);
        if ends {
            topic.close();
            assert!(receiver.try_recv().unwrap().as_final().is_some());
        } else {
            drop(receiver);
        }
        assert_eq!(
            Arc::strong_count(&flag),
            1,
            "at once, not when memory is reclaimed"
        );
    }
}

#[test]
fn it_goes_from_thread_to_thread() {
    let (_bus, topic, mut receiver) = receiver();
    for round in 0..50 {
        // It waits on one thread, gives up, and is taken from on another.
        receiver = join(
            "a thread",
            thread::spawn(move || {
                let timed_out = receiver.recv_timeout(Duration::from_micros(100));
                assert_eq!(timed_out.unwrap_err(), RecvError::TimedOut);
                receiver
            }),
        );
        topic.publish(Item(round)).unwrap();
        assert_eq!(value(&receiver.try_recv().unwrap()), round);
    }
}

#[test]
fn publishers_race_with_the_drop() {
    let (_bus, topic) = bus_and_topic();
    for round in 0..scaled(300, 5) {
        let mut receiver = topic
            .subscribe()
            .capacity(1 + round % 4)
            .receiver()
            .unwrap();
        let publisher = {
            let topic = topic.clone();
            thread::spawn(move || {
                let receipts = (0..20).map(|value| topic.publish(Item(value)).unwrap().offered());
                receipts.sum::<u64>()
            })
        };
        let mut taken = 0;
        for _ in 0..round % 7 {
            taken += u64::from(receiver.recv_timeout(Duration::from_micros(50)).is_ok());
        }
        let joins = receiver.subscription().join_async();
        drop(receiver);
        let last = block_on(joins);
        let offered = join("the publisher", publisher);
        assert_eq!(last.delivered, taken);
        assert_eq!(
            offered,
            last.delivered + last.discarded,
            "{round}: {last:?}"
        );
    }
}

/// R1b: inside a handler nothing waits, whatever runs it.
#[test]
fn inside_a_handler_it_gives_what_is_there_and_does_not_wait() {
    for kind in KINDS.into_iter().filter(|kind| !kind.is_receiver()) {
        let (bus, topic) = bus_and_topic();
        let other = bus.topic("other").unwrap();
        let mut receiver = other.subscribe().receiver().unwrap();
        let publishes = other.clone();
        let (sender, results) = mpsc::channel();
        let subscription = topic
            .subscribe()
            .delivery(kind.delivery())
            .run(move |_: &Item| {
                publishes.publish(Item(7)).unwrap();
                sender.send(receiver.recv().map(|m| value(&m))).unwrap();
                sender.send(receiver.recv().map(|m| value(&m))).unwrap();
                let timed = receiver.recv_timeout(DEADLINE);
                sender.send(timed.map(|m| value(&m))).unwrap();
                let many = receiver.recv_many(&mut Vec::new(), 2);
                sender.send(many.map(|count| count as u64)).unwrap();
                assert_eq!(receiver.iter().count(), 0);
                assert_eq!(receiver.try_recv().unwrap_err(), TryRecvError::Empty);
            })
            .unwrap();
        topic.publish(Item(0)).unwrap();
        subscription.flush_timeout(DEADLINE).unwrap();
        let results: Vec<_> = results.try_iter().collect();
        let expected = [Ok(7), Err(RecvError::WouldDeadlock)];
        assert_eq!(results[..2], expected, "{kind:?}");
        assert_eq!(results[2..], [Err(RecvError::WouldDeadlock); 2], "{kind:?}");
        assert_eq!(subscription.stats().panics, 0, "{kind:?}");
    }
}

/// Whether its filter is run by the publisher or, with total order, by the receiver itself.
#[test]
fn what_a_filter_declines_is_counted_wherever_it_is_run() {
    let bus = Bus::new().unwrap();
    for total_order in [false, true] {
        let topic = if total_order {
            bus.topic_with_total_order("total").unwrap()
        } else {
            bus.topic("relaxed").unwrap()
        };
        let mut receiver = topic
            .subscribe()
            .filter(|message| message.get::<Item>().is_some_and(|item| item.0 % 2 == 0))
            .receiver()
            .unwrap();
        for value in 0..10 {
            topic.publish(Item(value)).unwrap();
        }
        let values: Vec<_> = receiver.try_iter().map(|m| value(&m)).collect();
        assert_eq!(values, [0, 2, 4, 6, 8]);
        let stats = receiver.subscription().stats();
        assert_eq!((stats.filtered, stats.delivered), (5, 5));
    }
}

#[test]
fn a_gap_comes_as_a_message_in_its_place() {
    let (_bus, topic) = bus_and_topic();
    let mut receiver = topic
        .subscribe()
        .capacity(2)
        .overflow(Overflow::DropNewest)
        .receiver()
        .unwrap();
    topic.publish_batch((0..5).map(Item)).unwrap();
    assert_eq!(value(&receiver.recv().unwrap()), 0);
    topic.publish(Item(5)).unwrap();
    assert_eq!(value(&receiver.recv().unwrap()), 1);
    let gap = block_on(receiver.recv_async()).unwrap();
    assert_eq!(gap.as_gap().map(|gap| gap.count), Some(3));
    assert_eq!(value(&receiver.try_recv().unwrap()), 5);
}

#[test]
fn it_can_be_unsubscribed_while_somebody_waits() {
    for shutdown in [false, true] {
        let (bus, topic, mut receiver) = receiver();
        let waits = thread::spawn(move || {
            let last = receiver.recv().unwrap();
            *last.as_final().expect("the final message")
        });
        thread::yield_now();
        if shutdown {
            bus.shutdown_timeout(Duration::ZERO).unwrap();
        } else {
            topic.close();
        }
        let last = join("who waits", waits);
        assert_eq!(last.reason == FinalReason::Shutdown, shutdown);
    }
}

/// What a waker does when it is woken is the user's: it may publish.
#[test]
fn a_waker_may_publish_to_where_it_was_woken_from() {
    struct Publishes(Topic, AtomicU64);
    impl std::task::Wake for Publishes {
        fn wake(self: Arc<Self>) {
            if self.1.fetch_add(1, Ordering::SeqCst) < 3 {
                self.0.publish(Item(100)).unwrap();
            }
        }
    }
    let (_bus, topic, mut receiver) = receiver();
    let waker = Arc::new(Publishes(topic.clone(), AtomicU64::new(0))).into();
    assert!(poll_once(&waker, receiver.recv_async()).is_none());
    topic.publish(Item(0)).unwrap();
    let values: Vec<_> = receiver.try_iter().map(|m| value(&m)).collect();
    assert_eq!(values, [0, 100]);
}

#[test]
fn a_receiver_and_its_subscription_are_send() {
    fn is_send<T: Send>() {}
    is_send::<Receiver>();
    is_send::<Subscription>();
}

#[cfg(feature = "stream")]
#[test]
fn as_a_stream_it_ends_after_the_final_message() {
    use futures_core::Stream;
    use std::pin::Pin;
    let (_bus, topic, mut receiver) = receiver();
    let flag = Flag::new();
    let waker = flag.waker();
    let mut cx = Context::from_waker(&waker);
    assert!(Pin::new(&mut receiver).poll_next(&mut cx).is_pending());
    topic.publish(Item(1)).unwrap();
    assert_eq!(flag.woken(), 1);
    let next = Pin::new(&mut receiver).poll_next(&mut cx);
    assert!(matches!(next, Poll::Ready(Some(message)) if value(&message) == 1));
    topic.close();
    let next = Pin::new(&mut receiver).poll_next(&mut cx);
    assert!(matches!(next, Poll::Ready(Some(message)) if message.as_final().is_some()));
    for _ in 0..3 {
        let next = Pin::new(&mut receiver).poll_next(&mut cx);
        assert!(matches!(next, Poll::Ready(None)));
    }
}
