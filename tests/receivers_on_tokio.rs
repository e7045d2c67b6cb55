//! Receivers, joins and executors on the runtime that most people use: `select!`, cancelling, tasks that
//! move between threads.

mod support;

use stasis_bus::{Delivery, Executor, Message, Overflow, Task};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use support::{DEADLINE, Item, Log, bus_and_topic, join, scaled};
use tokio::runtime::{Builder, Runtime};

fn runtimes() -> [Runtime; 2] {
    [
        Builder::new_current_thread().enable_time().build().unwrap(),
        Builder::new_multi_thread()
            .worker_threads(2)
            .enable_time()
            .build()
            .unwrap(),
    ]
}

async fn in_time<F: Future>(what: &str, future: F) -> F::Output {
    let ended = tokio::time::timeout(DEADLINE, future).await;
    ended.unwrap_or_else(|_| panic!("it hangs: {what}"))
}

#[test]
fn a_task_receives_all_of_it() {
    let count = scaled(5000, 50) as u64;
    for runtime in runtimes() {
        let (_bus, topic) = bus_and_topic();
        let mut receiver = topic.subscribe().receiver().unwrap();
        let publisher = std::thread::spawn(move || {
            for value in 0..count {
                topic.publish(Item(value)).unwrap();
            }
            topic.close();
        });
        let receives = async move {
            let mut values = Vec::new();
            while let Ok(message) = receiver.recv_async().await {
                values.extend(message.get::<Item>().map(|item| item.0));
            }
            values
        };
        let values = runtime.block_on(async {
            let task = tokio::spawn(receives);
            in_time("the receiver", task).await.unwrap()
        });
        assert_eq!(values, Vec::from_iter(0..count));
        join("the publisher", publisher);
    }
}

/// `select!` drops the future that has not won, at whatever point it is.
#[test]
fn select_loses_nothing() {
    let count = scaled(2000, 50) as u64;
    for runtime in runtimes() {
        let (bus, topic) = bus_and_topic();
        let other = bus.topic("other").unwrap();
        let mut first = topic.subscribe().receiver().unwrap();
        let mut second = other.subscribe().receiver().unwrap();
        let publisher = std::thread::spawn(move || {
            for value in 0..count {
                topic.publish(Item(value)).unwrap();
                other.publish(Item(value)).unwrap();
                if value % 16 == 0 {
                    std::thread::yield_now();
                }
            }
        });
        let both = async move {
            let (mut firsts, mut seconds, mut ticks) = (Vec::new(), Vec::new(), 0_u64);
            let count = count as usize;
            while firsts.len() < count || seconds.len() < count {
                tokio::select! {
                    message = first.recv_async() => {
                        firsts.push(message.unwrap().get::<Item>().unwrap().0);
                    }
                    message = second.recv_async() => {
                        seconds.push(message.unwrap().get::<Item>().unwrap().0);
                    }
                    () = tokio::task::yield_now() => ticks += 1,
                }
            }
            (firsts, seconds, ticks)
        };
        let (firsts, seconds, _) = runtime.block_on(in_time("both receivers", both));
        assert_eq!(firsts, Vec::from_iter(0..count));
        assert_eq!(seconds, Vec::from_iter(0..count));
        join("the publisher", publisher);
    }
}

#[test]
fn an_aborted_task_drops_its_receiver() {
    for runtime in runtimes() {
        let (_bus, topic) = bus_and_topic();
        let mut receiver = topic.subscribe().receiver().unwrap();
        let joins = receiver.subscription().join_async();
        runtime.block_on(async {
            let task = tokio::spawn(async move {
                loop {
                    let _ = receiver.recv_async().await;
                }
            });
            tokio::task::yield_now().await;
            task.abort();
            in_time("the end of the subscription", joins).await;
        });
        assert_eq!(topic.publish(Item(0)).unwrap().offered(), 0);
    }
}

#[test]
fn a_timeout_of_the_runtimes_cancels_and_loses_nothing() {
    for runtime in runtimes() {
        let (_bus, topic) = bus_and_topic();
        let mut receiver = topic.subscribe().receiver().unwrap();
        runtime.block_on(async {
            for value in 0..10 {
                let cancelled =
                    tokio::time::timeout(Duration::from_millis(1), receiver.recv_async()).await;
                assert!(cancelled.is_err());
                topic.publish(Item(value)).unwrap();
                let message = in_time("the message", receiver.recv_async()).await.unwrap();
                assert_eq!(message.get(), Some(&Item(value)));
            }
        });
    }
}

fn spawning(runtime: &Runtime) -> Arc<dyn Executor> {
    let handle = runtime.handle().clone();
    Arc::new(move |task: Task| {
        handle.spawn(async move { task.run() });
    })
}

#[test]
fn handlers_run_on_the_runtime() {
    let count = scaled(5000, 50) as u64;
    let [_, runtime] = runtimes();
    let (bus, topic) = bus_and_topic();
    let log = Log::new();
    let writes = Arc::clone(&log);
    let subscription = topic
        .subscribe()
        .delivery(Delivery::Executor(spawning(&runtime)))
        .run(move |message: &Message| writes.note(message))
        .unwrap();
    for value in 0..count {
        topic.publish(Item(value)).unwrap();
    }
    log.wait_for_items(count as usize);
    subscription.unsubscribe();
    let last = runtime.block_on(in_time("the end", subscription.join_async()));
    assert_eq!(last.delivered, count);
    assert_eq!(log.values(), Vec::from_iter(0..count));
    let report = bus.shutdown_timeout(DEADLINE).unwrap();
    assert!(report.is_complete() && report.executors.is_empty());
}

/// A runtime that is shut down drops the tasks that it has not run, and takes no more.
#[test]
fn a_runtime_that_ends_ends_its_subscriptions() {
    let [runtime, _] = runtimes();
    let (_bus, topic) = bus_and_topic();
    let subscription = topic
        .subscribe()
        .delivery(Delivery::Executor(spawning(&runtime)))
        .run(|_: &Item| {})
        .unwrap();
    // Nothing drives it, so this stays in its queue.
    topic.publish_batch((0..5).map(Item)).unwrap();
    assert!(!subscription.is_done());
    drop(runtime);
    let last = subscription.join_timeout(DEADLINE).unwrap();
    assert_eq!((last.delivered, last.discarded), (0, 5));
    assert_eq!(topic.publish(Item(5)).unwrap().offered(), 0);
}

#[test]
fn publishing_tasks_wait_for_room_side_by_side() {
    let each = scaled(300, 10) as u64;
    for runtime in runtimes() {
        let (_bus, topic) = bus_and_topic();
        let mut receiver = topic
            .subscribe()
            .capacity(2)
            .overflow(Overflow::Block { timeout: None })
            .receiver()
            .unwrap();
        runtime.block_on(async {
            let publishers: Vec<_> = (0..8_u64)
                .map(|publisher| {
                    let topic = topic.clone();
                    tokio::spawn(async move {
                        for number in 0..each {
                            let item = Item(publisher << 32 | number);
                            assert_eq!(topic.publish_async(item).await.unwrap().offered(), 1);
                        }
                    })
                })
                .collect();
            let mut next = [0; 8];
            for _ in 0..8 * each {
                let message = in_time("a message", receiver.recv_async()).await.unwrap();
                let Item(value) = message.get::<Item>().unwrap();
                let next = &mut next[(value >> 32) as usize];
                assert_eq!(value & 0xffff_ffff, *next, "in order");
                *next += 1;
            }
            for publisher in publishers {
                in_time("a publisher", publisher).await.unwrap();
            }
        });
        assert_eq!(receiver.subscription().stats().shed, 0);
    }
}
