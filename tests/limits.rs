//! Capacities, marks, batches and gaps at their edges.

use stasis_bus::{Bus, Delivery, ManualExecutor, Overflow};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[test]
fn any_capacity_will_do() {
    let bus = Bus::new().unwrap();
    let topic = bus.topic("t").unwrap();
    if let Ok(s) = topic.subscribe().capacity(usize::MAX).run(|_: &u32| {}) {
        topic.publish(1_u32).unwrap();
        s.flush().unwrap();
        drop(s);
    }
    assert_eq!(bus.stats().budget_granted, 0);
}

#[test]
fn congestion_counts_what_waits() {
    let ex = Arc::new(ManualExecutor::new());
    let bus = Bus::new().unwrap();
    let topic = bus.topic("t").unwrap();
    let raised = Arc::new(AtomicUsize::new(0));
    let r2 = raised.clone();
    let t2 = topic.clone();
    let s = topic
        .subscribe()
        .delivery(Delivery::Executor(ex.clone()))
        .capacity(64)
        .congestion(5, 0, move |c| {
            if c.raised {
                r2.fetch_add(1, SeqCst);
            }
        })
        .run(move |n: &u32| {
            if *n < 20 {
                t2.publish(*n + 1).unwrap();
            }
        })
        .unwrap();
    topic.publish(0_u32).unwrap();
    ex.run_until_idle();
    assert_eq!(raised.load(SeqCst), 0, "never more than one waited");
    drop(s);
    ex.run_until_idle();
}

#[test]
fn congestion_is_cleared_after_it_was_raised() {
    let bus = Bus::new().unwrap();
    let topic = bus.topic("c").unwrap();
    let log = Arc::new(Mutex::new(Vec::new()));
    let l = log.clone();
    let s = topic
        .subscribe()
        .congestion(1, 0, move |c| {
            if c.raised {
                std::thread::sleep(Duration::from_millis(100));
            }
            l.lock().unwrap().push(c.raised);
        })
        .run(|_: &u32| {})
        .unwrap();
    topic.publish(1_u32).unwrap();
    s.flush().unwrap();
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(*log.lock().unwrap(), [true, false]);
}

#[test]
fn a_gap_notice_counts_in_a_batch() {
    let ex = Arc::new(ManualExecutor::new());
    let bus = Bus::new().unwrap();
    let topic = bus.topic("t").unwrap();
    let most = Arc::new(AtomicUsize::new(0));
    let m = most.clone();
    let s = topic
        .subscribe()
        .delivery(Delivery::Executor(ex.clone()))
        .capacity(2)
        .overflow(Overflow::DropOldest)
        .max_batch(1)
        .run_batch(move |b| {
            m.fetch_max(b.len(), SeqCst);
        })
        .unwrap();
    for n in 0..5_u32 {
        topic.publish(n).unwrap();
    }
    ex.run_until_idle();
    assert_eq!(most.load(SeqCst), 1);
    drop(s);
    ex.run_until_idle();
}

#[test]
fn a_gap_is_told_in_its_place_among_batches() {
    let ex = Arc::new(ManualExecutor::new());
    let bus = Bus::new().unwrap();
    let topic = bus.topic("t").unwrap();
    let log = Arc::new(Mutex::new(Vec::new()));
    let (l1, l2) = (log.clone(), log.clone());
    let s = topic
        .subscribe()
        .delivery(Delivery::Executor(ex.clone()))
        .capacity(2)
        .overflow(Overflow::DropNewest)
        .on_gap(move |g| l1.lock().unwrap().push(format!("gap{}", g.count)))
        .run_batch(move |b| {
            for m in b {
                if let Some(n) = m.get::<u32>() {
                    l2.lock().unwrap().push(n.to_string());
                }
            }
        })
        .unwrap();
    for n in 0..4_u32 {
        topic.publish(n).unwrap();
    }
    ex.run_until_idle();
    assert_eq!(*log.lock().unwrap(), ["0", "1", "gap2"]);
    drop(s);
    ex.run_until_idle();
}

#[test]
fn publish_sync_waits_for_room_no_longer_than_it_may() {
    let bus = Bus::new().unwrap();
    let topic = bus.topic("t").unwrap();
    let mut receiver = topic
        .subscribe()
        .capacity(1)
        .overflow(Overflow::Block { timeout: None })
        .receiver()
        .unwrap();
    topic.publish(1_u32).unwrap();
    let timeout = Duration::from_millis(20);
    let waited = topic.publish_sync_timeout(receiver.subscription(), 2_u32, timeout);
    assert!(waited.is_err());
    assert_eq!(receiver.recv().unwrap().get(), Some(&1_u32));
    assert_eq!(
        receiver.recv().unwrap().get(),
        Some(&2_u32),
        "it was published all the same"
    );
}

#[test]
fn a_full_mailbox_does_not_keep_another_one_waiting() {
    let bus = Bus::new().unwrap();
    let topic = bus.topic("t").unwrap();
    let full = || {
        let block = Overflow::Block { timeout: None };
        topic.subscribe().capacity(1).overflow(block).receiver()
    };
    let (stuck, mut slow) = (full().unwrap(), full().unwrap());
    topic.publish(1_u32).unwrap();
    let publisher = std::thread::spawn({
        let topic = topic.clone();
        move || topic.publish(2_u32).map(|receipt| receipt.offered())
    });
    assert_eq!(slow.recv().unwrap().get(), Some(&1_u32));
    let second = slow.recv_timeout(Duration::from_secs(3));
    assert_eq!(second.unwrap().get(), Some(&2_u32));
    drop(stuck);
    assert_eq!(publisher.join().unwrap().unwrap(), 1);
}
