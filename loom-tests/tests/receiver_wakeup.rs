//! A receiver that waits misses nothing: neither a publish nor the end leaves it asleep (a lost wake-up is reported as
//! a deadlock), be it a thread or a task that waits; and it may be dropped while a publisher is about to wake it.
//!
//! Mutants: the waiter is put in place after the park, a claim that leaves PARKED, a park by store, an
//! unpark that does not wake the sleeper, a sleeper that overwrites its token, a
//! receiver that is dropped and stays listed.
#![cfg(loom)]

use loom::sync::Notify;
use loom_tests::{Got, Note, Role, phased, race};
use stasis_bus::{Bus, Receiver, Topic};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

/// A receiver is given back, so that its end is no part of what is explored.
fn publish(topic: &Topic, producer: u8) -> Role<Option<Receiver>> {
    let topic = topic.clone();
    Box::new(move || {
        topic.publish(Note::new(producer, 0)).unwrap();
        None
    })
}

#[test]
fn two_publish() {
    phased("receiver_wakeup, publish", 30_800, || {
        let bus = Bus::new().unwrap();
        let topic = bus.topic("t").unwrap();
        let mut receiver = topic.subscribe().receiver().unwrap();
        let receive = Box::new(move || {
            for _ in 0..2 {
                assert!(matches!(Got::of(&receiver.recv().unwrap()), Got::Note(_)));
            }
            Some(receiver)
        });
        race(&topic, [receive, publish(&topic, 0), publish(&topic, 1)]);
    });
}

#[test]
fn it_is_closed() {
    phased("receiver_wakeup, close", 33, || {
        let bus = Bus::new().unwrap();
        let topic = bus.topic("t").unwrap();
        let mut receiver = topic.subscribe().receiver().unwrap();
        let closer = topic.clone();
        let receive = Box::new(move || {
            let got = Got::of(&receiver.recv().unwrap());
            assert_eq!(got, Got::Final(0, 0, 0));
        });
        race(&topic, [receive, Box::new(move || closer.close())]);
    });
}

#[test]
fn it_is_dropped_meanwhile() {
    phased("receiver_wakeup, drop", 1_900, || {
        let bus = Bus::new().unwrap();
        let topic = bus.topic("t").unwrap();
        let mut receiver = topic.subscribe().receiver().unwrap();
        // At rest, with somebody to wake, as a task leaves it that gave up waiting.
        let waker = Waker::from(Arc::new(Task(Notify::new())));
        let mut context = Context::from_waker(&waker);
        assert!(pin!(receiver.recv_async()).poll(&mut context).is_pending());
        let end = Box::new(move || {
            drop(receiver);
            None
        });
        race(&topic, [end, publish(&topic, 0), publish(&topic, 1)]);
        assert!(!topic.has_subscribers_for_payload::<Note>());
        assert!(topic.stats().subscriptions.is_empty());
    });
}

/// A task of a runtime: it is polled again once it was woken.
struct Task(Notify);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.notify();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let task = Arc::new(Task(Notify::new()));
    let waker = Waker::from(Arc::clone(&task));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        task.0.wait();
    }
}

#[test]
fn a_task_waits() {
    phased("receiver_wakeup, task", 2_000, || {
        let bus = Bus::new().unwrap();
        let topic = bus.topic("t").unwrap();
        let publisher = topic.clone();
        let mut receiver = topic.subscribe().receiver().unwrap();
        let receive = Box::new(move || {
            let message = block_on(receiver.recv_async()).unwrap();
            assert_eq!(Got::of(&message), Got::Note((0, 0)));
            let message = block_on(receiver.recv_async()).unwrap();
            assert_eq!(Got::of(&message), Got::Note((0, 1)));
            Some(receiver)
        });
        let publish = Box::new(move || {
            for sequence in 0..2 {
                publisher.publish(Note::new(0, sequence)).unwrap();
            }
            None
        });
        race(&topic, [receive, publish]);
    });
}
