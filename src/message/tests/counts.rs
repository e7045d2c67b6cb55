//! Handles and deliveries on one thread and on several: dropped once, whatever happens in between.

#![expect(unsafe_code, reason = "deliveries are owned by hand in here")]

use super::*;
use crate::queue::Pointer;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;

/// Counts its drops.
#[derive(Clone, Default)]
struct Drops(Arc<AtomicUsize>);

struct Payload(Drops);

impl Drop for Payload {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Relaxed);
    }
}

impl Drops {
    fn message(&self) -> Message {
        Message::new(Payload(self.clone()))
    }
    fn count(&self) -> usize {
        self.0.load(Relaxed)
    }
}

fn refund(raw: RawDelivery, r: u32) {
    // SAFETY: the tests refund what they made and did not take
    unsafe { raw.refund(r) };
}

#[test]
fn the_last_handle_drops_the_payload() {
    let drops = Drops::default();
    let message = drops.message();
    let clone = message.clone();
    drop(message);
    assert_eq!(drops.count(), 0);
    assert!(clone.get::<Payload>().is_some());
    drop(clone);
    assert_eq!(drops.count(), 1);
}

#[test]
fn the_last_delivery_of_a_fresh_message_drops_the_payload() {
    let drops = Drops::default();
    let raw = drops.message().into_deliveries(3);
    assert_eq!(raw.as_ptr().addr() % 8, 0);
    let first = Message::from_raw(raw);
    let second = Message::from_raw(raw);
    refund(raw, 1);
    drop(first);
    assert_eq!(drops.count(), 0);
    drop(second);
    assert_eq!(drops.count(), 1);
}

#[test]
fn deliveries_and_handles_keep_one_another_alive() {
    let drops = Drops::default();
    let handle = drops.message();
    let raw = handle.clone().into_deliveries(2);
    refund(raw, 2);
    assert_eq!(drops.count(), 0, "the handle is still there");

    // From zero again, twice over: the second publish joins the first.
    let raw = handle.clone().into_deliveries(1);
    let again = handle.clone().into_deliveries(2);
    assert_eq!(raw, again);
    drop(handle);
    refund(raw, 2);
    assert_eq!(drops.count(), 0, "a delivery is still there");
    let received = Message::from_raw(raw);
    let handle = received.clone();
    drop(received);
    assert_eq!(drops.count(), 0, "the handle is still there");
    drop(handle);
    assert_eq!(drops.count(), 1);
}

#[test]
fn a_received_message_is_passed_on() {
    let drops = Drops::default();
    let received = Message::from_raw(drops.message().into_deliveries(1));
    let id = received.id();
    let received = Message::from_raw(received.into_raw_delivery());
    let raw = received.into_deliveries(4);
    for _ in 0..3 {
        assert_eq!(Message::from_raw(raw).id(), id);
    }
    assert_eq!(drops.count(), 0);
    refund(raw, 1);
    assert_eq!(drops.count(), 1);
    refund(raw, 0);
}

#[test]
fn a_queue_gives_back_what_it_was_given() {
    let drops = Drops::default();
    let message = drops.message();
    let id = message.id();
    let pointer = message.into_ptr();
    // SAFETY: it came from `into_ptr` and is turned back once
    let back = unsafe { Message::from_ptr(pointer) };
    assert_eq!((back.id(), drops.count()), (id, 0));
    assert_eq!(back.into_ptr(), pointer);
    // SAFETY: as above
    drop(unsafe { Message::from_ptr(pointer) });
    assert_eq!(drops.count(), 1);
}

#[test]
#[should_panic(expected = "no deliveries")]
fn no_deliveries_are_none() {
    let _ = Message::new(1).into_deliveries(0);
}

/// Panics with a payload of a panic that panics when it is dropped, too.
struct Bomb(#[expect(dead_code, reason = "dropped")] Payload);
struct Shrapnel;

impl Drop for Shrapnel {
    fn drop(&mut self) {
        panic!("the panic's payload panics, on purpose");
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        std::panic::panic_any(Shrapnel);
    }
}

#[test]
fn a_payload_that_panics_when_it_is_dropped_harms_nobody() {
    let drops = Drops::default();
    let bomb = || Message::new(Bomb(Payload(drops.clone())));
    drop(bomb());
    assert_eq!(
        drops.count(),
        1,
        "the other fields are dropped all the same"
    );
    let raw = bomb().into_deliveries(2);
    drop(Message::from_raw(raw));
    refund(raw, 1);
    assert_eq!(drops.count(), 2);

    // While the thread is unwinding already.
    let message = bomb();
    let panicked = catch_unwind(AssertUnwindSafe(move || {
        let _message = message;
        panic!("a handler's panic, on purpose");
    }));
    assert!(panicked.is_err());
    assert_eq!(drops.count(), 3);
}

#[test]
fn one_message_published_from_all_sides() {
    let rounds = if cfg!(miri) { 10 } else { 3_000 };
    let drops = Drops::default();
    let threads = thread_count();
    let barrier = Barrier::new(threads);
    let messages: Vec<Message> = (0..rounds).map(|_| drops.message()).collect();
    let handed_out = vec![messages.clone(); threads];
    drop(messages);
    thread::scope(|scope| {
        for (at, messages) in handed_out.into_iter().enumerate() {
            let barrier = &barrier;
            scope.spawn(move || {
                barrier.wait();
                for (round, message) in messages.into_iter().enumerate() {
                    let id = message.id();
                    let n = (1 + (round + at) % 4) as u32;
                    let raw = message.into_deliveries(n);
                    for _ in 1..n {
                        let delivered = Message::from_raw(raw);
                        assert_eq!(delivered.id(), id);
                        let handle = delivered.clone();
                        drop(delivered);
                        assert!(handle.get::<Payload>().is_some());
                    }
                    refund(raw, 1);
                }
            });
        }
    });
    assert_eq!(drops.count(), rounds);
}

#[test]
fn deliveries_are_dropped_on_other_threads() {
    let rounds: usize = if cfg!(miri) { 20 } else { 20_000 };
    let drops = Drops::default();
    thread::scope(|scope| {
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..2)
            .map(|_| std::sync::mpsc::sync_channel::<Message>(64))
            .unzip();
        for receiver in receivers {
            scope.spawn(move || {
                for (round, message) in receiver.into_iter().enumerate() {
                    assert!(message.get::<Payload>().is_some());
                    if round % 3 == 0 {
                        drop(message.clone());
                    }
                }
            });
        }
        let mut kept = None;
        for round in 0..rounds {
            let message = drops.message();
            if round % 5 == 0 {
                kept = Some(message.clone());
            }
            let raw = message.into_deliveries(3);
            for sender in &senders {
                sender.send(Message::from_raw(raw)).unwrap();
            }
            refund(raw, 1);
        }
        drop(kept);
    });
    assert_eq!(drops.count(), rounds);
}
