//! Executors and wakers are values of the user's: they are dropped where any code may run (R1).

use stasis_bus::{Bus, Delivery, Executor, Task, Topic};
use std::future::Future;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
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

struct DropProbe {
    topic: Topic,
    dropped: Arc<AtomicUsize>,
}
impl Executor for DropProbe {
    fn execute(&self, task: Task) {
        std::thread::spawn(|| task.run());
    }
}
impl Drop for DropProbe {
    fn drop(&mut self) {
        // as legal as anywhere
        let s = self.topic.subscribe().run(|_: &u32| {}).unwrap();
        s.unsubscribe();
        self.dropped.fetch_add(1, SeqCst);
    }
}

#[test]
fn an_executor_ends_with_its_subscription_and_may_subscribe_as_it_does() {
    assert!(returns(|| {
        let bus = Bus::new().unwrap();
        let topic = bus.topic("t").unwrap();
        let dropped = Arc::new(AtomicUsize::new(0));
        let e = Arc::new(DropProbe {
            topic: topic.clone(),
            dropped: dropped.clone(),
        });
        let s = topic
            .subscribe()
            .delivery(Delivery::Executor(e))
            .run(|_: &u32| {})
            .unwrap();
        topic.publish(1_u32).unwrap();
        s.unsubscribe();
        s.join().unwrap();
        drop(s);
        // churn: whoever frees it holds the topic's lock
        for _ in 0..2000 {
            let s = topic.subscribe().run(|_: &u32| {}).unwrap();
            drop(s);
        }
        assert_eq!(dropped.load(SeqCst), 1);
    }));
}

#[test]
fn a_waker_ends_with_its_receiver() {
    struct W(Arc<AtomicUsize>);
    impl std::task::Wake for W {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for W {
        fn drop(&mut self) {
            self.0.fetch_add(1, SeqCst);
        }
    }
    let bus = Bus::new().unwrap();
    let topic = bus.topic("t").unwrap();
    let mut r = topic.subscribe().receiver().unwrap();
    let n = Arc::new(AtomicUsize::new(0));
    let waker: std::task::Waker = Arc::new(W(n.clone())).into();
    assert!(
        std::pin::pin!(r.recv_async())
            .poll(&mut std::task::Context::from_waker(&waker))
            .is_pending()
    );
    drop(waker);
    drop(r);
    assert_eq!(n.load(SeqCst), 1);
}
