//! What once went wrong: a test each, named after that.

use stasis_bus::{Bus, Delivery, FinalReason, ManualExecutor, Message, Overflow, PanicPolicy};
use std::panic::resume_unwind;
use std::pin::pin;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn shutdown_of_a_bus_without_workers_reported_that_they_had_not_ended() {
    let report = Bus::new().unwrap().shutdown().unwrap();
    assert!(report.is_complete() && report.workers_ended);
}

#[test]
fn a_gap_took_an_inline_subscription_to_the_pool() {
    let bus = Bus::new().unwrap();
    let topic = bus.topic("numbers").unwrap();
    let builder = topic.subscribe().delivery(Delivery::Inline);
    let builder = builder.overflow(Overflow::DropNewest).capacity(1);
    let subscription = builder.run(|_: &Message| {}).unwrap();
    let receipt = topic.publish_batch([1_u32, 2, 3]).unwrap();
    assert_eq!((receipt.offered(), receipt.shed()), (1, 2));
    assert_eq!(subscription.stats().delivered, 1);
    assert_eq!(bus.stats().workers, 0, "nothing here needs a thread");
}

#[test]
fn a_batch_handler_that_panicked_was_ended_by_the_pool_though_it_was_inline() {
    let bus = Bus::new().unwrap();
    let topic = bus.topic("numbers").unwrap();
    let builder = topic.subscribe().delivery(Delivery::Inline);
    let builder = builder.panic_policy(PanicPolicy::Close);
    let subscription = builder.run_batch(|_| resume_unwind(Box::new(()))).unwrap();
    topic.publish(1_u32).unwrap();
    assert!(subscription.is_done() && bus.stats().workers == 0);
}

/// What a batch handler sees: `None` is a gap notice, numbers are messages, and the final message is left out.
type Batches = Arc<Mutex<Vec<Vec<Option<u32>>>>>;

fn write_batches(batches: &Batches) -> impl FnMut(&[Message]) + Send + 'static {
    let batches = Arc::clone(batches);
    move |messages| {
        let seen = messages
            .iter()
            .filter(|message| message.as_final().is_none());
        let seen = seen.map(|message| message.get().copied()).collect();
        batches.lock().unwrap().push(seen);
    }
}

#[test]
fn a_gap_was_told_before_the_batch_that_it_comes_after() {
    let bus = Bus::new().unwrap();
    let topic = bus.topic("numbers").unwrap();
    let batches = Batches::default();
    let gaps = Arc::clone(&batches);
    let builder = topic.subscribe().delivery(Delivery::Inline).capacity(2);
    let builder = builder.overflow(Overflow::DropNewest);
    let builder = builder.on_gap(move |_| gaps.lock().unwrap().push(vec![None]));
    let subscription = builder.run_batch(write_batches(&batches)).unwrap();
    topic.publish_batch([1_u32, 2, 3]).unwrap();
    assert_eq!(
        *batches.lock().unwrap(),
        [vec![Some(1), Some(2)], vec![None]]
    );
    drop(subscription);
}

#[test]
fn a_gap_notice_made_a_batch_longer_than_the_longest() {
    let bus = Bus::new().unwrap();
    let topic = bus.topic("numbers").unwrap();
    let batches = Batches::default();
    let builder = topic.subscribe().delivery(Delivery::Inline).capacity(1);
    let builder = builder.overflow(Overflow::DropOldest).max_batch(1);
    let subscription = builder.run_batch(write_batches(&batches)).unwrap();
    topic.publish_batch([1_u32, 2]).unwrap();
    assert_eq!(*batches.lock().unwrap(), [vec![None], vec![Some(2)]]);
    drop(subscription);
}

/// Runs what once waited for ever.
#[track_caller]
fn ends(what: impl FnOnce() + Send + 'static) {
    let (ended, end) = mpsc::channel();
    let thread = thread::spawn(move || {
        what();
        let _ = ended.send(());
    });
    let result = end.recv_timeout(Duration::from_secs(20));
    assert_ne!(result, Err(mpsc::RecvTimeoutError::Timeout), "it hangs");
    thread.join().unwrap();
}

#[test]
fn a_batch_waited_for_room_that_only_its_own_thread_could_make() {
    ends(|| {
        let bus = Bus::new().unwrap();
        let topic = bus.topic("numbers").unwrap();
        let builder = topic.subscribe().delivery(Delivery::Inline).capacity(1);
        let builder = builder.overflow(Overflow::Block { timeout: None });
        let subscription = builder.run(|_: &u32| {}).unwrap();
        let receipt = topic.publish_batch([1_u32, 2, 3]).unwrap();
        assert_eq!(receipt.offered(), 3);
        assert_eq!(subscription.stats().delivered, 3);
    });
}

#[test]
fn the_close_of_a_handler_that_panicked_waited_for_room_inside_its_run() {
    ends(|| {
        let bus = Bus::new().unwrap();
        let topic = bus.topic("numbers").unwrap();
        let executor = || Arc::new(ManualExecutor::new());
        let (panics, hears) = (executor(), executor());
        let builder = topic.subscribe().panic_policy(PanicPolicy::Close);
        let builder = builder.delivery(Delivery::Executor(panics.clone()));
        let panicking = builder.run(|_: &u32| resume_unwind(Box::new(()))).unwrap();
        // The notice of its own subscribing fills its mailbox.
        let builder = topic
            .subscribe()
            .accept_payload::<String>()
            .change_notices();
        let builder = builder
            .overflow(Overflow::Block { timeout: None })
            .capacity(1);
        let builder = builder.delivery(Delivery::Executor(hears.clone()));
        let hearing = builder.run(|_: &Message| {}).unwrap();
        topic.publish(1_u32).unwrap();
        panics.run_until_idle();
        hears.run_until_idle();
        assert!(panicking.is_done());
        assert_eq!(
            hearing.stats().delivered,
            2,
            "a subscriber came, another one went"
        );
    });
}

#[test]
fn a_message_that_a_receiver_held_back_for_a_gap_notice_was_lost_from_the_books() {
    let bus = Bus::new().unwrap();
    let topic = bus.topic("numbers").unwrap();
    let builder = topic.subscribe().overflow(Overflow::DropOldest);
    let mut receiver = builder.capacity(2).receiver().unwrap();
    topic.publish_batch([1_u32, 2, 3]).unwrap();
    assert!(receiver.try_recv().unwrap().as_gap().is_some());
    let join = receiver.subscription().join_async();
    drop(receiver);
    let last = poll_once(join).unwrap();
    assert_eq!((last.delivered, last.shed, last.discarded), (0, 1, 2));
}

#[test]
fn a_handler_that_panicked_after_it_was_unsubscribed_did_not_get_the_final_message() {
    let bus = Bus::new().unwrap();
    let topic = bus.topic("numbers").unwrap();
    let executor = Arc::new(ManualExecutor::new());
    let finals = Arc::new(AtomicU32::new(0));
    let seen = Arc::clone(&finals);
    let builder = topic.subscribe().panic_policy(PanicPolicy::CloseWithFinal);
    let builder = builder.delivery(Delivery::Executor(executor.clone()));
    let handler = move |message: &Message| match message.as_final() {
        Some(_) => drop(seen.fetch_add(1, Relaxed)),
        None => resume_unwind(Box::new(())),
    };
    let subscription = builder.run(handler).unwrap();
    topic.publish_batch([1_u32, 2]).unwrap();
    subscription.unsubscribe();
    executor.run_until_idle();
    let last = subscription.join().unwrap();
    assert_eq!(
        (last.reason, last.discarded),
        (FinalReason::Unsubscribed, 1)
    );
    assert_eq!(finals.load(Relaxed), 1);
}

fn poll_once<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

#[test]
fn an_inline_subscription_was_not_run_while_its_publisher_waited_for_another_one() {
    const TIMEOUT: Duration = Duration::from_millis(300);
    let bus = Bus::new().unwrap();
    let topic = bus.topic("numbers").unwrap();
    let started = Instant::now();
    let handled = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&handled);
    let builder = topic.subscribe().delivery(Delivery::Inline).capacity(1);
    let builder = builder.overflow(Overflow::Block { timeout: None });
    let quick = move |_: &Message| log.lock().unwrap().push(started.elapsed());
    let quick = builder.run(quick).unwrap();
    let timeout = Some(TIMEOUT);
    let builder = topic.subscribe().overflow(Overflow::Block { timeout });
    let stuck = builder.capacity(1).receiver().unwrap();
    let receipt = topic.publish_batch([1_u32, 2]).unwrap();
    assert_eq!((receipt.offered(), receipt.shed()), (3, 1));
    let handled = handled.lock().unwrap().clone();
    assert!(handled[1] < TIMEOUT, "{handled:?}");
    drop((quick, stuck));
}

#[test]
fn there_was_no_room_yet_for_what_the_handler_of_a_gap_notice_published() {
    let bus = Bus::new().unwrap();
    let topic = bus.topic("numbers").unwrap();
    let builder = topic.subscribe().delivery(Delivery::Inline).capacity(1);
    let publisher = topic.clone();
    let handler = move |message: &Message| {
        let next = match (message.get::<u32>(), message.as_gap()) {
            (Some(1), _) => 3_u32,
            (_, Some(_)) => 4,
            _ => return,
        };
        publisher.publish(next).unwrap();
    };
    let builder = builder.overflow(Overflow::DropNewest);
    let subscription = builder.run(handler).unwrap();
    topic.publish_batch([1_u32, 2]).unwrap();
    let stats = subscription.stats();
    assert_eq!((stats.delivered, stats.shed), (3, 1), "1, 3 and 4; not 2");
}
