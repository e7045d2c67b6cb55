//! Claim: however a message is published, passed on, cloned, refused and dropped, from whatever threads, its
//! payload is dropped exactly once, after everybody who had it has let go, and nothing of it is leaked.
//!
//! The code that runs is `src/message/payload.rs` and `header.rs`. The slot stands for a mailbox: it gives the
//! one edge that every queue gives, from the push of a delivery to whoever takes it.
//!
//! Kills, each kept in `mutants/message_count--<name>.patch`:
//! - `relaxed-decrement`: `Deliveries::remove` subtracts Relaxed;
//! - `no-acquire`: the last `remove` frees without an Acquire;
//! - `add-after-push`: the deliveries are counted after the first of them was pushed;
//! - `handle-never-given-back`: a publisher keeps its handle though another one stands for the deliveries;
//! - `handle-always-given-back`: a publisher gives its handle up though none stands for the deliveries;
//! - `decide-by-load`: whether there were deliveries is read before the addition, not by it;
//! - `always-fresh`: the count is stored, not added, though there are other handles;
//! - `refund-forgets-the-last`: a refund to zero does not give the handle up;
//! - `clone-without-retain`: the clone of a message that owns a delivery takes no handle;
//! - `pass-on-adds-n`: a delivery that becomes n deliveries is not counted as one of them.
#![cfg(loom)]
#![allow(
    clippy::disallowed_types,
    reason = "std's Arc holds what the model looks at, and is no part of it"
)]
#![expect(unsafe_code, reason = "deliveries are owned by hand in here")]

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicPtr, Ordering};
use loom::thread;
use loom_tests::check;
use stasis_bus::Message;
use stasis_bus::internals::RawDelivery;
use std::ptr;
use std::sync::Arc;

/// Stands for the memory of the payload, and outlives it, so that a use after free is seen and not suffered.
struct Probe(UnsafeCell<u32>);

// SAFETY: loom checks the accesses to the cell; that is what it is for
unsafe impl Send for Probe {}
// SAFETY: as above
unsafe impl Sync for Probe {}

impl Probe {
    fn new() -> Arc<Self> {
        Arc::new(Self(UnsafeCell::new(0)))
    }

    /// What a subscriber does with a payload: read it.
    fn read(&self) {
        // SAFETY: a concurrent write is what loom reports
        let drops = self.0.with(|drops| unsafe { *drops });
        assert_eq!(drops, 0, "read after it was freed");
    }

    fn drops(&self) -> u32 {
        // SAFETY: as in `read`
        self.0.with(|drops| unsafe { *drops })
    }
}

struct Payload(Arc<Probe>);

impl Drop for Payload {
    fn drop(&mut self) {
        // SAFETY: a concurrent access is what loom reports
        self.0.0.with_mut(|drops| unsafe { *drops += 1 });
    }
}

/// A mailbox for one message.
struct Slot(AtomicPtr<()>);

impl Slot {
    fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    fn push(&self, delivery: RawDelivery) {
        // Release: as in a ring, what was done to the message before is visible to `take`. Not a store: loom
        // lets a later `swap` miss one that it has not ordered with an earlier `swap`.
        let prior = self.0.swap(delivery.as_ptr(), Ordering::Release);
        assert!(prior.is_null());
    }

    fn take(&self) -> Option<Message> {
        // Acquire: pairs with `push`.
        let taken = self.0.swap(ptr::null_mut(), Ordering::Acquire);
        if taken.is_null() {
            return None;
        }
        // SAFETY: only `push` writes pointers
        let delivery = unsafe { RawDelivery::from_ptr(taken) };
        // SAFETY: each push brings one delivery, and the swap takes it out once
        Some(unsafe { delivery.into_message() })
    }
}

fn slots<const N: usize>() -> Arc<[Slot; N]> {
    Arc::new(std::array::from_fn(|_| Slot::new()))
}

fn publish(message: Message, slots: &[Slot]) {
    let delivery = RawDelivery::new(message, u32::try_from(slots.len()).unwrap());
    for slot in slots {
        slot.push(delivery);
    }
}

/// At the end, in one thread: what nobody took is dropped, and that was all.
fn drain(slots: &[Slot], probe: &Probe) {
    for slot in slots {
        if let Some(message) = slot.take() {
            probe.read();
            drop(message);
        }
    }
    assert_eq!(probe.drops(), 1, "the payload is dropped exactly once");
}

/// What a subscriber does: a handle that outlives the delivery that it was cloned from.
fn take_and_keep_a_handle(slot: &Slot, probe: &Probe) {
    if let Some(message) = slot.take() {
        let handle = message.clone();
        drop(message);
        assert!(handle.get::<Payload>().is_some());
        probe.read();
        drop(handle);
    }
}

/// What another one does.
fn take_and_drop(slot: &Slot, probe: &Probe) {
    if let Some(message) = slot.take() {
        probe.read();
        drop(message);
    }
}

#[test]
fn two_publish_one_message() {
    check("message_count/two_publish_one_message", 150, || {
        let probe = Probe::new();
        let slots = slots::<3>();
        let first = Message::new(Payload(Arc::clone(&probe)));
        let second = first.clone();
        let consumer = {
            let (probe, slots) = (Arc::clone(&probe), Arc::clone(&slots));
            thread::spawn(move || {
                take_and_keep_a_handle(&slots[0], &probe);
                take_and_drop(&slots[1], &probe);
            })
        };
        let publisher = {
            let (probe, slots) = (Arc::clone(&probe), Arc::clone(&slots));
            thread::spawn(move || {
                publish(second, &slots[1..]);
                take_and_drop(&slots[0], &probe);
            })
        };
        publish(first, &slots[..1]);
        take_and_drop(&slots[2], &probe);
        publisher.join().unwrap();
        consumer.join().unwrap();
        drain(&slots[..], &probe);
    });
}

#[test]
fn a_fresh_message_to_three() {
    check("message_count/a_fresh_message_to_three", 75, || {
        let probe = Probe::new();
        let slots = slots::<3>();
        let consumers: Vec<_> = (0..2)
            .map(|at| {
                let (probe, slots) = (Arc::clone(&probe), Arc::clone(&slots));
                thread::spawn(move || take_and_keep_a_handle(&slots[at], &probe))
            })
            .collect();
        publish(Message::new(Payload(Arc::clone(&probe))), &slots[..]);
        take_and_drop(&slots[2], &probe);
        for consumer in consumers {
            consumer.join().unwrap();
        }
        drain(&slots[..], &probe);
    });
}

#[test]
fn one_is_refused_and_one_passed_on() {
    check(
        "message_count/one_is_refused_and_one_passed_on",
        120,
        || {
            let probe = Probe::new();
            let slots = slots::<3>();
            let message = Message::new(Payload(Arc::clone(&probe)));
            let kept = message.clone();
            let relay = {
                let (probe, slots) = (Arc::clone(&probe), Arc::clone(&slots));
                thread::spawn(move || {
                    if let Some(message) = slots[0].take() {
                        probe.read();
                        publish(message, &slots[1..]);
                    }
                })
            };
            let consumer = {
                let (probe, slots) = (Arc::clone(&probe), Arc::clone(&slots));
                thread::spawn(move || {
                    take_and_drop(&slots[2], &probe);
                    take_and_keep_a_handle(&slots[1], &probe);
                })
            };
            let delivery = RawDelivery::new(message, 2);
            slots[0].push(delivery);
            // SAFETY: two were made and one was pushed
            unsafe { delivery.refund(1) };
            // Once more, and all mailboxes refuse it.
            let refused = RawDelivery::new(kept, 2);
            probe.read();
            // SAFETY: two were made and none was pushed
            unsafe { refused.refund(2) };
            relay.join().unwrap();
            consumer.join().unwrap();
            drain(&slots[..], &probe);
        },
    );
}
