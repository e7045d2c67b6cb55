//! How subscriptions and buses end, and what is told of it.

use stasis_bus::{Bus, Delivery, ManualExecutor, Overflow, PanicPolicy};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
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

#[test]
fn change_notices_do_not_wait_for_room() {
    assert!(returns(|| {
        let bus = Bus::new().unwrap();
        let topic = bus.topic("t").unwrap();
        let r = topic
            .subscribe()
            .change_notices()
            .capacity(1)
            .overflow(Overflow::Block { timeout: None })
            .receiver()
            .unwrap();
        let s = topic.subscribe().run(|_: &u32| {}).unwrap(); // waits for r
        s.unsubscribe();
        bus.shutdown_timeout(Duration::from_millis(100)).unwrap();
        drop(r);
    }));
}

#[test]
fn no_workers_have_ended_too() {
    let bus = Bus::new().unwrap();
    let r = bus.topic("t").unwrap().subscribe().receiver().unwrap();
    let report = bus.shutdown().unwrap();
    assert!(report.workers_ended);
    assert_eq!(report.receivers.len(), 1);
    drop(r);
}

#[test]
fn the_report_names_each_of_several_of_one_name() {
    for _ in 0..20 {
        let bus = Bus::new().unwrap();
        let topic = bus.topic("t").unwrap();
        let r: Vec<_> = (0..3)
            .map(|_| topic.subscribe().name("x").receiver().unwrap())
            .collect();
        let s: Vec<_> = (0..3)
            .map(|_| topic.subscribe().name("x").run(|_: &u32| {}).unwrap())
            .collect();
        let report = bus.shutdown().unwrap();
        assert_eq!(report.receivers.len(), 3);
        drop((r, s));
    }
}

#[test]
fn a_forward_detached_after_shutdown_keeps_nothing() {
    let probe = Arc::new(());
    let p = probe.clone();
    let bus = Bus::builder()
        .on_discard(move |_| {
            let _ = &p;
        })
        .build()
        .unwrap();
    let (a, b) = (bus.topic("a").unwrap(), bus.topic("b").unwrap());
    let f = a.forward_to(&b).unwrap();
    bus.shutdown().unwrap();
    f.detach();
    drop((a, b, bus));
    assert_eq!(Arc::strong_count(&probe), 1);
}

#[test]
fn a_second_shutdown_waits_as_well() {
    let bus = Bus::new().unwrap();
    let topic = bus.topic("t").unwrap();
    let gone = Arc::new(AtomicBool::new(false));
    for i in 0..4 {
        let g = gone.clone();
        topic
            .subscribe()
            .delivery(Delivery::Inline)
            .on_final(move |_| {
                std::thread::sleep(Duration::from_millis(100));
                if i == 3 {};
                g.store(true, SeqCst);
            })
            .run(|_: &u32| {})
            .unwrap()
            .detach();
    }
    let b2 = bus.clone();
    let t = std::thread::spawn(move || {
        b2.shutdown().unwrap();
    });
    std::thread::sleep(Duration::from_millis(50));
    let report = bus.shutdown().unwrap();
    assert!(report.is_complete());
    assert_eq!(bus.stats().ending, 0);
    let left: usize = bus.topics().iter().map(|t| t.subscriptions.len()).sum();
    assert_eq!(left, 0);
    t.join().unwrap();
}

#[test]
fn a_panic_after_unsubscribe_leaves_the_final_message() {
    let ex = Arc::new(ManualExecutor::new());
    let bus = Bus::new().unwrap();
    let topic = bus.topic("t").unwrap();
    let got = Arc::new(AtomicUsize::new(0));
    let g = got.clone();
    let s = topic
        .subscribe()
        .delivery(Delivery::Executor(ex.clone()))
        .panic_policy(PanicPolicy::CloseWithFinal)
        .on_final(move |_| {
            g.fetch_add(1, SeqCst);
        })
        .run(|_: &u32| panic!("x"))
        .unwrap();
    topic.publish(1_u32).unwrap();
    s.unsubscribe();
    ex.run_until_idle();
    assert!(s.is_done());
    assert_eq!(got.load(SeqCst), 1);
}

#[test]
fn figures_are_there_when_join_returns() {
    let bus = Bus::new().unwrap();
    for i in 0..3000 {
        let topic = bus.topic(&format!("t{i}")).unwrap();
        let s = topic.subscribe().run(|_: &u32| {}).unwrap();
        topic.publish(1_u32).unwrap();
        s.unsubscribe();
        s.join().unwrap();
        assert_eq!(topic.stats().delivered, 1, "{i}");
    }
}

#[test]
fn what_is_behind_a_gap_notice_is_discarded_with_its_receiver() {
    let discarded = Arc::new(AtomicU64::new(0));
    let d = discarded.clone();
    let bus = Bus::builder()
        .on_discard(move |x| {
            d.fetch_add(x.count, SeqCst);
        })
        .build()
        .unwrap();
    let topic = bus.topic("t").unwrap();
    let mut r = topic
        .subscribe()
        .capacity(1)
        .overflow(Overflow::DropOldest)
        .receiver()
        .unwrap();
    topic.publish(1_u32).unwrap();
    topic.publish(2_u32).unwrap();
    assert!(r.recv().unwrap().as_gap().is_some());
    drop(r);
    assert_eq!(discarded.load(SeqCst), 1);
}

/// Nobody is woken for an end that nothing of the user's has a part in.
#[test]
fn the_end_of_a_handler_that_owns_nothing_comes_with_its_unsubscribe() {
    let bus = Bus::new().unwrap();
    let topic = bus.topic("t").unwrap();
    let subscription = topic.subscribe().run(|_: &u32| {}).unwrap();
    topic.publish(1_u32).unwrap();
    subscription.flush().unwrap();
    // It may be about to rest.
    while bus.stats().workers_parked < bus.stats().workers {
        std::thread::yield_now();
    }
    subscription.unsubscribe();
    assert!(subscription.is_done());
    assert_eq!(subscription.join().unwrap().delivered, 1);
    assert_eq!((bus.stats().ending, topic.stats().delivered), (0, 1));
}

/// What a handler owns is dropped where the handler runs.
#[test]
fn a_handler_that_owns_something_ends_on_the_pool() {
    struct Tells(mpsc::Sender<std::thread::ThreadId>);
    impl Drop for Tells {
        fn drop(&mut self) {
            self.0.send(std::thread::current().id()).unwrap();
        }
    }
    let (tx, rx) = mpsc::channel();
    let bus = Bus::new().unwrap();
    let topic = bus.topic("t").unwrap();
    let tells = Tells(tx);
    let subscription = topic.subscribe().run(move |_: &u32| {
        let _tells = &tells;
    });
    subscription.unwrap().unsubscribe();
    assert_ne!(rx.recv().unwrap(), std::thread::current().id());
}
