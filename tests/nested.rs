//! Publishing inside user code: nobody is left waiting, the stack does not grow, order holds; and nothing of the
//! user's is left behind in the bus's own memory (R1, R1b).

#![allow(clippy::disallowed_types, reason = "tests use std's own")]

mod common;

use common::{
    DEADLINE, DropFlag, Kind, Log, Setup, block_on, bus_with, for_each_kind, number, wait_until,
    with_deadline,
};
use stasis_bus::{Bus, Delivery, Message, Overflow, Receiver, Task, Topic};
use std::cell::RefCell;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

/// An inline subscription that logs numbers.
fn inline_log(topic: &Topic) -> (stasis_bus::Subscription, Log<u64>) {
    let log = Log::new();
    let logs = log.clone();
    let builder = topic.subscribe().delivery(Delivery::Inline);
    (builder.run(move |n: &u64| logs.push(*n)).unwrap(), log)
}

#[test]
fn a_publish_in_a_handler_is_queued_behind() {
    for_each_kind(|setup| {
        let topic = setup.topic("own");
        let log = Log::new();
        let (logs, again) = (log.clone(), topic.clone());
        let sub = setup.run(&topic, move |message| {
            let Some(n) = number(message) else { return };
            if n < 10 {
                again.publish_batch([n * 10, n * 10 + 1]).unwrap();
            }
            logs.push(n);
        });
        topic.publish_batch([1_u64, 2]).unwrap();
        log.wait_len(6);
        sub.end();
        assert_eq!(log.get(), [1, 2, 10, 11, 20, 21]);
    });
}

#[test]
fn chains_of_inline_handlers_do_not_eat_the_stack() {
    with_deadline("chain", || {
        let bus = bus_with(1);
        let topics: Vec<_> = (0..2)
            .map(|n| bus.topic(&format!("ping {n}")).unwrap())
            .collect();
        let log = Log::new();
        let subs: Vec<_> = (0..2)
            .map(|n| {
                let (there, logs) = (topics[1 - n].clone(), log.clone());
                let handler = move |n: &u64| {
                    if *n > 0 {
                        there.publish(*n - 1).unwrap();
                    } else {
                        logs.push(());
                    }
                };
                let builder = topics[n].subscribe().delivery(Delivery::Inline);
                builder.run(handler).unwrap()
            })
            .collect();
        let publishes = topics[0].clone();
        let small = thread::Builder::new().stack_size(128 * 1024);
        let publisher = small.spawn(move || publishes.publish(100_000_u64).unwrap());
        publisher.unwrap().join().unwrap();
        log.wait_len(1);
        drop(subs);
    });
}

#[test]
fn an_inline_handler_is_serial_when_several_publish() {
    with_deadline("serial", || {
        let setup = Setup::new(Kind::Inline);
        let topic = setup.topic("serial");
        let inside = AtomicU32::new(0);
        let sub = setup.run(&topic, move |_| {
            assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
            thread::yield_now();
            inside.fetch_sub(1, Ordering::SeqCst);
        });
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for n in 0..300_u64 {
                        topic.publish(n).unwrap();
                    }
                });
            }
        });
        let last = sub.end();
        assert_eq!((last.delivered, sub.stats().panics), (900, 0));
    });
}

/// Who publishes a batch to an inline subscription whose mailbox blocks is the one who is to make room.
#[test]
fn a_batch_to_a_blocking_inline_subscription() {
    with_deadline("batch", || {
        let bus = bus_with(1);
        let topic = bus.topic("batch").unwrap();
        let log = Log::new();
        let logs = log.clone();
        let sub = topic
            .subscribe()
            .delivery(Delivery::Inline)
            .capacity(2)
            .overflow(Overflow::Block { timeout: None })
            .run(move |n: &u64| logs.push(*n))
            .unwrap();
        let receipt = topic.publish_batch(0..20_u64).unwrap();
        assert_eq!((receipt.offered(), receipt.shed()), (20, 0));
        assert_eq!(log.get(), (0..20).collect::<Vec<_>>());
        drop(sub);
    });
}

#[test]
fn a_filter_that_fills_a_blocking_inline_subscription() {
    with_deadline("filter", || {
        let bus = bus_with(1);
        let topic = bus.topic("filter").unwrap();
        let log = Log::new();
        let logs = log.clone();
        let blocking = topic
            .subscribe()
            .delivery(Delivery::Inline)
            .capacity(1)
            .overflow(Overflow::Block { timeout: None })
            .run(move |n: &u64| logs.push(*n))
            .unwrap();
        let again = topic.clone();
        let filtering = topic
            .subscribe()
            .filter(move |message| {
                if number(message) == Some(1) {
                    again.publish(2_u64).unwrap();
                }
                true
            })
            .run(|_: &u64| {})
            .unwrap();
        topic.publish(1_u64).unwrap();
        assert_eq!(log.get(), [2, 1]);
        drop((blocking, filtering));
    });
}

/// A receiver runs code of the user's too: what that publishes to inline subscriptions is delivered at once.
#[test]
fn inline_subscriptions_are_run_when_a_receiver_published_to_them() {
    with_deadline("receiver", || {
        let bus = bus_with(1);
        let topic = bus.topic_with_total_order("receiver").unwrap();
        let other = bus.topic("other").unwrap();
        let (_inline, log) = inline_log(&other);
        let (in_filter, in_congestion) = (other.clone(), other.clone());
        let mut receiver = topic
            .subscribe()
            .filter(move |message| in_filter.publish(number(message).unwrap_or(0)).is_ok())
            .congestion(2, 1, move |congestion| {
                let n = if congestion.raised { 100_u64 } else { 101 };
                in_congestion.publish(n).map(drop).unwrap();
            })
            .receiver()
            .unwrap();
        topic.publish_batch(1..=3_u64).unwrap();
        assert_eq!(log.take(), [100]);
        receiver.recv().unwrap();
        assert_eq!(log.take(), [1], "the filter's");
        receiver.recv().unwrap();
        assert_eq!(log.take(), [101, 2], "the callback's, and the filter's");
    });
}

/// Publishes as it is dropped.
struct LastWords(Topic, u64);

impl Drop for LastWords {
    fn drop(&mut self) {
        let _ = self.0.publish(self.1);
    }
}

/// Has a closure capture all of it.
fn keep(_: &LastWords) -> bool {
    true
}

#[test]
fn inline_subscriptions_are_run_when_a_drop_published_to_them() {
    with_deadline("drop", || {
        let bus = bus_with(1);
        let (topic, other) = (bus.topic("drop").unwrap(), bus.topic("other").unwrap());
        let (_inline, log) = inline_log(&other);
        // A receiver that is dropped discards what waits, and its filter with what that captured.
        let captured = LastWords(other.clone(), 1);
        let filter = move |_: &Message| keep(&captured);
        let receiver = topic.subscribe().filter(filter).receiver().unwrap();
        topic.publish(LastWords(other.clone(), 2)).unwrap();
        drop(receiver);
        assert_eq!(log.take(), [2, 1]);
        // One that takes its final message has its filter dropped as well.
        let captured = LastWords(other.clone(), 3);
        let filter = move |_: &Message| keep(&captured);
        let mut receiver: Receiver = topic.subscribe().filter(filter).receiver().unwrap();
        receiver.subscription().unsubscribe();
        assert!(receiver.recv().unwrap().as_final().is_some());
        assert_eq!(log.take(), [3]);
        // An executor that drops its tasks ends the subscription, and its handler goes.
        let captured = LastWords(other.clone(), 4);
        let dropping = topic
            .subscribe()
            .delivery(Delivery::Executor(Arc::new(|task: Task| drop(task))))
            .run(move |_: &u64| assert!(keep(&captured)))
            .unwrap();
        topic.publish(1_u64).unwrap();
        assert!(dropping.is_done());
        assert_eq!(log.take(), [4]);
    });
}

thread_local! {
    static LAST_WORDS: RefCell<Vec<LastWords>> = const { RefCell::new(Vec::new()) };
}

#[test]
fn publishing_while_a_thread_is_torn_down() {
    for_each_kind(|setup| {
        let topic = setup.topic("torn down");
        let log = Log::new();
        let logs = log.clone();
        let sub = setup.run(&topic, move |message| logs.push(number(message)));
        for early in [true, false] {
            let publishes = topic.clone();
            let thread = thread::spawn(move || {
                // Which of the thread's locals goes first depends on which was used first.
                if early {
                    publishes.publish(1_u64).unwrap();
                }
                LAST_WORDS.with_borrow_mut(|words| words.push(LastWords(publishes, 2)));
            });
            thread.join().unwrap();
        }
        log.wait_len(3);
        sub.end();
        assert_eq!(log.get(), [Some(1), Some(2), Some(2), None]);
    });
}

#[test]
fn an_executor_may_publish_when_it_is_given_a_task() {
    with_deadline("executor", || {
        let bus = bus_with(1);
        let (topic, other) = (bus.topic("own").unwrap(), bus.topic("other").unwrap());
        let (_inline, log) = inline_log(&other);
        let told = other.clone();
        let executor = Arc::new(move |task: Task| {
            told.publish(1_u64).unwrap();
            thread::spawn(move || task.run());
        });
        let sub = topic
            .subscribe()
            .delivery(Delivery::Executor(executor))
            .run(|_: &u64| {})
            .unwrap();
        topic.publish(5_u64).unwrap();
        assert_eq!(log.take(), [1]);
        sub.unsubscribe();
        sub.join_timeout(DEADLINE).unwrap();
    });
}

/// The bus's own memory is freed later, on any thread: nothing of the user's may go with it.
#[test]
fn an_executor_goes_with_its_subscription() {
    with_deadline("executor goes", || {
        let bus = bus_with(1);
        let topic = bus.topic("executor").unwrap();
        let flag = DropFlag::new();
        let guard = flag.guard();
        let executor = Arc::new(move |task: Task| {
            let _ = &guard;
            thread::spawn(move || task.run());
        });
        let sub = topic
            .subscribe()
            .delivery(Delivery::Executor(executor))
            .run(|_: &u64| {})
            .unwrap();
        topic.publish(1_u64).unwrap();
        sub.unsubscribe();
        sub.join_timeout(DEADLINE).unwrap();
        drop(sub);
        wait_until("the executor is dropped", || flag.is_dropped());
    });
}

/// A waker that does nothing, and tells when it is gone.
struct Quiet {
    _guard: common::observe::DropGuard,
}

impl Wake for Quiet {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn a_waker_goes_with_its_receiver() {
    with_deadline("waker goes", || {
        let bus = bus_with(1);
        let topic = bus.topic("waker").unwrap();
        let flag = DropFlag::new();
        let mut receiver = topic.subscribe().receiver().unwrap();
        {
            let waker = Waker::from(Arc::new(Quiet {
                _guard: flag.guard(),
            }));
            let mut next = pin!(receiver.recv_async());
            let poll = next.as_mut().poll(&mut Context::from_waker(&waker));
            assert!(matches!(poll, Poll::Pending));
        }
        drop(receiver);
        assert!(flag.is_dropped());
    });
}

#[test]
fn a_waker_may_publish_and_unsubscribe() {
    struct Publishing(Topic, Log<u64>);
    impl Wake for Publishing {
        fn wake(self: Arc<Self>) {
            self.1.push(self.0.publish(9_u64).unwrap().offered());
        }
    }
    with_deadline("waker", || {
        let bus: Bus = bus_with(1);
        let (topic, other) = (bus.topic("own").unwrap(), bus.topic("other").unwrap());
        let (inline, log) = inline_log(&other);
        let receipts = Log::new();
        let waker = Waker::from(Arc::new(Publishing(other.clone(), receipts.clone())));
        let mut receiver = topic.subscribe().receiver().unwrap();
        {
            let mut next = pin!(receiver.recv_async());
            let poll = next.as_mut().poll(&mut Context::from_waker(&waker));
            assert!(matches!(poll, Poll::Pending));
        }
        topic.publish(1_u64).unwrap();
        assert_eq!(receipts.take(), [1]);
        assert_eq!(log.take(), [9]);
        assert_eq!(number(&block_on(receiver.recv_async()).unwrap()), Some(1));
        let mut joins = pin!(inline.join_async());
        let poll = joins.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(poll.is_pending());
        inline.unsubscribe();
        assert_eq!(receipts.take(), [0]);
    });
}
