//! Where the runs of inline subscriptions are made, and that none of them gets lost.

use stasis_bus::{Bus, Delivery, Overflow, Topic};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// Runs `f` on a thread; false if it has not returned in time.
fn returns(f: impl FnOnce() + Send + 'static) -> bool {
    let (tx, rx) = mpsc::channel();
    let t = std::thread::spawn(move || {
        f();
        let _ = tx.send(());
    });
    match rx.recv_timeout(Duration::from_secs(3)) {
        Ok(()) => {
            t.join().unwrap();
            true
        }
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            t.join().unwrap();
            true
        }
        Err(_) => false,
    }
}

struct PublishOnDrop(Topic);
impl Drop for PublishOnDrop {
    fn drop(&mut self) {
        let _ = self.0.publish(1_u32);
    }
}

#[test]
fn a_batch_fills_a_blocking_mailbox_that_is_run_inline() {
    assert!(returns(|| {
        let bus = Bus::new().unwrap();
        let topic = bus.topic("t").unwrap();
        let n = Arc::new(AtomicU64::new(0));
        let m = n.clone();
        let _s = topic
            .subscribe()
            .delivery(Delivery::Inline)
            .capacity(1)
            .overflow(Overflow::Block { timeout: None })
            .run(move |_: &u32| {
                m.fetch_add(1, Relaxed);
            })
            .unwrap();
        topic.publish_batch(0..5_u32).unwrap();
        assert_eq!(n.load(Relaxed), 5);
    }));
}

#[test]
fn a_publisher_runs_what_is_inline_before_it_waits_for_room() {
    assert!(returns(|| {
        let bus = Bus::new().unwrap();
        let topic = bus.topic("t").unwrap();
        let (tx, rx) = mpsc::channel();
        let mut r = topic
            .subscribe()
            .capacity(1)
            .overflow(Overflow::Block { timeout: None })
            .accept_payload::<u32>()
            .receiver()
            .unwrap();
        topic.publish(0_u32).unwrap();
        let _s = topic
            .subscribe()
            .delivery(Delivery::Inline)
            .run(move |_: &u32| {
                let _ = tx.send(());
            })
            .unwrap();
        let t = std::thread::spawn(move || {
            rx.recv().unwrap();
            r.recv().unwrap();
            r
        });
        topic.publish(1_u32).unwrap();
        drop(t.join().unwrap());
    }));
}

#[test]
fn what_a_callback_of_a_receiver_publishes_is_run() {
    assert!(returns(|| {
        let bus = Bus::new().unwrap();
        let topic = bus.topic("t").unwrap();
        let other = bus.topic("o").unwrap();
        let n = Arc::new(AtomicU64::new(0));
        let m = n.clone();
        let s = other
            .subscribe()
            .delivery(Delivery::Inline)
            .run(move |_: &u32| {
                m.fetch_add(1, Relaxed);
            })
            .unwrap();
        let o2 = other.clone();
        let mut r = topic
            .subscribe()
            .congestion(1, 0, move |c| {
                if !c.raised {
                    o2.publish(1_u32).unwrap();
                }
            })
            .receiver()
            .unwrap();
        topic.publish(5_u8).unwrap();
        let r = std::thread::spawn(move || {
            r.recv().unwrap();
            r
        })
        .join()
        .unwrap();
        s.flush_timeout(Duration::from_secs(1)).unwrap();
        assert_eq!(n.load(Relaxed), 1);
        drop(r);
    }));
}

#[test]
fn what_a_dropped_filter_of_a_receiver_publishes_is_run() {
    assert!(returns(|| {
        let bus = Bus::new().unwrap();
        let topic = bus.topic("t").unwrap();
        let other = bus.topic("o").unwrap();
        let s = other
            .subscribe()
            .delivery(Delivery::Inline)
            .run(move |_: &u32| {})
            .unwrap();
        let p = PublishOnDrop(other.clone());
        let r = topic
            .subscribe()
            .filter(move |_| {
                let _ = &p;
                true
            })
            .receiver()
            .unwrap();
        std::thread::spawn(move || drop(r)).join().unwrap();
        s.flush_timeout(Duration::from_secs(1)).unwrap();
    }));
}

#[test]
fn two_that_answer_each_other_do_not_keep_the_publisher() {
    assert!(returns(|| {
        let bus = Bus::new().unwrap();
        let (a, b) = (bus.topic("a").unwrap(), bus.topic("b").unwrap());
        let stop = Arc::new(AtomicBool::new(false));
        let (b2, s2) = (b.clone(), stop.clone());
        let x = a
            .subscribe()
            .delivery(Delivery::Inline)
            .run(move |n: &u32| {
                if !s2.load(Relaxed) {
                    b2.publish(*n).unwrap();
                }
            })
            .unwrap();
        let a2 = a.clone();
        let y = b
            .subscribe()
            .delivery(Delivery::Inline)
            .run(move |n: &u32| {
                a2.publish(*n).unwrap();
            })
            .unwrap();
        a.publish(1_u32).unwrap();
        stop.store(true, Relaxed);
        x.detach();
        y.detach();
    }));
}

#[test]
fn nothing_waits_in_the_iterator_of_a_batch() {
    assert!(returns(|| {
        let bus = Bus::new().unwrap();
        let topic = bus.topic("t").unwrap();
        let s = topic.subscribe().run(|_: &u32| {}).unwrap();
        let s = Arc::new(s);
        let s2 = s.clone();
        topic
            .publish_batch((0..3_u32).inspect(move |n| {
                if *n == 1 {
                    let _ = s2.flush();
                }
            }))
            .unwrap();
        s.flush().unwrap();
    }));
}
