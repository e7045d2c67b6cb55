//! Executors of the user's: what is handed to them and when, what follows if they run it late, elsewhere,
//! never, or panic, and that no two runs of one subscription are ever under way at a time (D3).

mod support;

use stasis_bus::{Bus, Delivery, Executor, FinalReason, ManualExecutor, Message, Task, Topic};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;
use support::{DEADLINE, Item, Log, bus_and_topic, eventually, join, scaled};

fn logged(
    topic: &Topic,
    executor: Arc<dyn Executor>,
    name: &str,
) -> (stasis_bus::Subscription, Arc<Log>) {
    let log = Log::new();
    let writes = Arc::clone(&log);
    let subscription = topic
        .subscribe()
        .name(name)
        .delivery(Delivery::Executor(executor))
        .run(move |message: &Message| writes.note(message))
        .unwrap();
    (subscription, log)
}

#[test]
fn a_manual_executor_runs_nothing_by_itself_and_all_in_order() {
    let (_bus, topic) = bus_and_topic();
    let executor = Arc::new(ManualExecutor::new());
    let order = Arc::new(Mutex::new(Vec::new()));
    let subscriptions: Vec<_> = (0..3)
        .map(|number| {
            let writes = Arc::clone(&order);
            topic
                .subscribe()
                .delivery(Delivery::Executor(executor.clone()))
                .run(move |item: &Item| writes.lock().unwrap().push((number, item.0)))
                .unwrap()
        })
        .collect();
    assert_eq!(executor.pending(), 0, "nothing to do, nothing handed over");
    assert!(!executor.run_one());
    topic.publish(Item(1)).unwrap();
    topic.publish(Item(2)).unwrap();
    assert_eq!(
        executor.pending(),
        3,
        "one task each, however many messages"
    );
    assert!(order.lock().unwrap().is_empty());
    assert!(executor.run_one());
    assert_eq!(*order.lock().unwrap(), [(0, 1), (0, 2)]);
    topic.publish(Item(3)).unwrap();
    assert_eq!(executor.run_until_idle(), 3);
    let expected = [
        (0, 1),
        (0, 2),
        (1, 1),
        (1, 2),
        (1, 3),
        (2, 1),
        (2, 2),
        (2, 3),
        (0, 3),
    ];
    assert_eq!(*order.lock().unwrap(), expected, "as in every other run");
    drop(subscriptions);
    assert_eq!(executor.run_until_idle(), 3, "the final runs");
}

#[test]
fn a_run_has_a_budget_and_goes_to_the_back() {
    let (_bus, topic) = bus_and_topic();
    let executor = Arc::new(ManualExecutor::new());
    let (busy, busy_log) = logged(&topic, executor.clone(), "busy");
    let other = topic.clone();
    topic.publish_batch((0..1000).map(Item)).unwrap();
    let (late, late_log) = logged(&other, executor.clone(), "late");
    topic.publish(Item(1000)).unwrap();
    let mut runs = 0;
    while late_log.values().is_empty() {
        assert!(executor.run_one());
        runs += 1;
    }
    assert_eq!(runs, 2, "the one that came later is next");
    assert!(busy_log.values().len() < 1000);
    executor.run_until_idle();
    assert_eq!(busy_log.values(), Vec::from_iter(0..=1000));
    drop((busy, late));
    executor.run_until_idle();
}

#[test]
fn handlers_that_publish_are_run_by_later_tasks() {
    let (_bus, topic) = bus_and_topic();
    let executor = Arc::new(ManualExecutor::new());
    let depth = Arc::new(AtomicUsize::new(0));
    let (inside, publishes) = (Arc::clone(&depth), topic.clone());
    let seen = Arc::new(AtomicU64::new(0));
    let counts = Arc::clone(&seen);
    let subscription = topic
        .subscribe()
        .delivery(Delivery::Executor(executor.clone()))
        .run(move |item: &Item| {
            assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "no recursion");
            counts.fetch_add(1, Ordering::SeqCst);
            if item.0 < 5000 {
                publishes.publish(Item(item.0 + 1)).unwrap();
            }
            inside.fetch_sub(1, Ordering::SeqCst);
        })
        .unwrap();
    topic.publish(Item(0)).unwrap();
    executor.run_until_idle();
    assert_eq!(seen.load(Ordering::SeqCst), 5001);
    assert_eq!(subscription.stats().panics, 0);
    drop(subscription);
    executor.run_until_idle();
}

/// Each task on a thread of its own: the worst that D3 can meet.
#[test]
fn no_two_runs_of_one_subscription_overlap() {
    let each = scaled(2000, 20) as u64;
    let (_bus, topic) = bus_and_topic();
    let spawn = Arc::new(|task: Task| {
        thread::spawn(move || task.run());
    });
    let inside = Arc::new(AtomicBool::new(false));
    let overlaps = Arc::new(AtomicU64::new(0));
    // Not shared, and not atomic: whoever comes next sees what was written before.
    let mut count = 0_u64;
    let (sender, last_count) = mpsc::channel();
    let (enters, books) = (Arc::clone(&inside), Arc::clone(&overlaps));
    let subscription = topic
        .subscribe()
        .delivery(Delivery::Executor(spawn))
        .run(move |message: &Message| {
            if enters.swap(true, Ordering::SeqCst) {
                books.fetch_add(1, Ordering::SeqCst);
            }
            if message.as_final().is_some() {
                sender.send(count).unwrap();
            }
            count += 1;
            enters.store(false, Ordering::SeqCst);
        })
        .unwrap();
    let publishers: Vec<_> = (0..3)
        .map(|_| {
            let topic = topic.clone();
            thread::spawn(move || {
                for value in 0..each {
                    topic.publish(Item(value)).unwrap();
                    if value % 8 == 0 {
                        thread::yield_now();
                    }
                }
            })
        })
        .collect();
    for publisher in publishers {
        join("a publisher", publisher);
    }
    subscription.unsubscribe();
    let last = subscription.join_timeout(DEADLINE).unwrap();
    assert_eq!(last.delivered, 3 * each);
    assert_eq!(last_count.recv().unwrap(), 3 * each);
    assert_eq!(overlaps.load(Ordering::SeqCst), 0);
}

#[test]
fn a_task_that_is_dropped_ends_its_subscription() {
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
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keeps = Arc::clone(&kept);
    let executor = Arc::new(move |task: Task| keeps.lock().unwrap().push(task));
    let (subscription, log) = logged(&topic, executor, "kept");
    let payload = Arc::new(());
    for _ in 0..5 {
        topic.publish(Arc::clone(&payload)).unwrap();
    }
    assert_eq!(kept.lock().unwrap().len(), 1, "one task, not five");
    assert!(!subscription.is_done() && subscription.is_subscribed());
    let task = kept.lock().unwrap().pop();
    drop(task);
    assert!(subscription.is_done() && !subscription.is_subscribed());
    let last = subscription.join().unwrap();
    assert_eq!((last.delivered, last.discarded), (0, 5));
    assert_eq!(last.reason, FinalReason::Unsubscribed);
    assert_eq!(
        log.seen(),
        [],
        "the handler is not run any more, not even for that"
    );
    assert_eq!(told.try_recv().unwrap(), (String::from("kept"), 5));
    assert!(told.try_recv().is_err());
    assert_eq!(Arc::strong_count(&payload), 1);
    assert_eq!(topic.publish(Item(0)).unwrap().offered(), 0);
    let stats = topic.stats();
    assert_eq!((stats.discarded, stats.subscriptions.len()), (5, 0));
}

#[test]
fn an_executor_that_drops_everything_ends_whoever_uses_it() {
    let (_bus, topic) = bus_and_topic();
    let executor = Arc::new(|task: Task| drop(task));
    let (subscription, _) = logged(&topic, executor, "dropped");
    assert!(!subscription.is_done(), "it was not asked for anything yet");
    let receipt = topic.publish(Item(0)).unwrap();
    assert_eq!(receipt.offered(), 1);
    let last = subscription.join_timeout(DEADLINE).unwrap();
    assert_eq!((last.delivered, last.discarded), (0, 1));
}

#[test]
fn an_executor_that_panics_harms_its_own_subscriptions_only() {
    let (_bus, topic) = bus_and_topic();
    let executor = Arc::new(|_: Task| panic!("the executor does"));
    let (panics, _) = logged(&topic, executor, "panics");
    let mut other = topic.subscribe().receiver().unwrap();
    let receipt = topic.publish(Item(0)).unwrap();
    assert_eq!(receipt.offered(), 2, "the publisher does not notice");
    assert_eq!(other.recv_timeout(DEADLINE).unwrap().get(), Some(&Item(0)));
    let last = panics.join_timeout(DEADLINE).unwrap();
    assert_eq!((last.delivered, last.discarded), (0, 1));
    assert_eq!(topic.publish(Item(1)).unwrap().offered(), 1);
}

/// It takes the first task and panics at the second: at the one that a run hands over for the rest.
#[test]
fn an_executor_that_panics_in_the_middle_loses_no_count() {
    let (_bus, topic) = bus_and_topic();
    let (sender, tasks) = mpsc::channel::<Task>();
    let sender = Mutex::new(Some(sender));
    let executor = Arc::new(move |task: Task| {
        let sender = sender
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .take();
        sender.expect("the first one").send(task).unwrap();
    });
    let (subscription, log) = logged(&topic, executor, "in the middle");
    topic.publish_batch((0..1000).map(Item)).unwrap();
    tasks.recv().unwrap().run();
    let last = subscription.join_timeout(DEADLINE).unwrap();
    assert!(last.delivered > 0 && last.discarded > 0, "{last:?}");
    assert_eq!(last.delivered + last.discarded, 1000);
    assert_eq!(log.values().len() as u64, last.delivered);
}

#[test]
fn shutdown_names_who_is_not_done_and_does_not_wait_for_them() {
    let bus = Bus::new().unwrap();
    let topic = bus.topic("topic").unwrap();
    let executor = Arc::new(ManualExecutor::new());
    let (first, first_log) = logged(&topic, executor.clone(), "first");
    let (second, _) = logged(&topic, executor.clone(), "second");
    let receiver = topic.subscribe().name("receiver").receiver().unwrap();
    let (pooled, _) = {
        let log = Log::new();
        let writes = Arc::clone(&log);
        let subscription = topic.subscribe().name("pooled");
        let run = subscription.run(move |message: &Message| writes.note(message));
        (run.unwrap(), log)
    };
    topic.publish(Item(0)).unwrap();
    let report = bus.shutdown().unwrap();
    let mut executors = report.executors.clone();
    executors.sort();
    assert_eq!(executors, ["first", "second"]);
    assert_eq!(report.receivers, ["receiver"]);
    assert!(report.is_complete() && report.workers_ended);
    assert!(pooled.is_done() && !first.is_done() && !second.is_done());
    executor.run_until_idle();
    assert!(first.is_done() && second.is_done());
    assert_eq!(
        first_log.values(),
        [0],
        "what was accepted is not lost (L6)"
    );
    assert_eq!(
        first_log.final_message().unwrap().reason,
        FinalReason::Shutdown
    );
    let report = bus.shutdown_timeout(Duration::ZERO).unwrap();
    assert!(report.executors.is_empty());
    drop(receiver);
    assert_eq!(bus.shutdown().unwrap().receivers, [] as [String; 0]);
}

#[test]
fn tasks_may_be_run_on_any_thread_and_late() {
    let (_bus, topic) = bus_and_topic();
    let (sender, tasks) = mpsc::channel::<Task>();
    let sender = Mutex::new(sender);
    let executor = Arc::new(move |task: Task| sender.lock().unwrap().send(task).unwrap());
    let (subscription, log) = logged(&topic, executor, "late");
    let mut published = 0;
    for round in 0..100_u64 {
        for _ in 0..=round % 3 {
            topic.publish(Item(published)).unwrap();
            published += 1;
        }
        let task = tasks.recv_timeout(DEADLINE).unwrap();
        assert!(tasks.try_recv().is_err(), "never two at a time");
        join("a run", thread::spawn(move || task.run()));
        eventually("all of it", || log.values().len() as u64 == published);
        assert!(tasks.try_recv().is_err(), "nothing is left to do");
    }
    assert_eq!(log.values(), Vec::from_iter(0..published));
    subscription.unsubscribe();
    tasks.recv_timeout(DEADLINE).unwrap().run();
    assert!(subscription.is_done());
}
