//! Overflow policies (D5) in every delivery kind: how much a mailbox admits, what is shed, what is told of
//! it and where. Blocking and the budget of the bus have files of their own.

mod support;

use stasis_bus::{Bus, FinalReason, Message, MessageId, Overflow, PublishError, Receipt};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::{DEADLINE, Gate, Item, KINDS, Kind, Seen, Sub, bus_and_topic, eventually, subscribe};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Policy {
    SpillLimit,
    BlockZero,
    DropOldest,
    DropNewest,
    Fail,
    Conflate,
    Evict,
}

const POLICIES: [Policy; 7] = [
    Policy::SpillLimit,
    Policy::BlockZero,
    Policy::DropOldest,
    Policy::DropNewest,
    Policy::Fail,
    Policy::Conflate,
    Policy::Evict,
];

const SHEDDING: [Policy; 6] = [
    Policy::SpillLimit,
    Policy::BlockZero,
    Policy::DropOldest,
    Policy::DropNewest,
    Policy::Fail,
    Policy::Conflate,
];

impl Policy {
    fn overflow(self, capacity: usize) -> Overflow {
        match self {
            Self::SpillLimit => Overflow::Spill {
                limit: Some(capacity as u64),
            },
            Self::BlockZero => Overflow::Block {
                timeout: Some(Duration::ZERO),
            },
            Self::DropOldest => Overflow::DropOldest,
            Self::DropNewest => Overflow::DropNewest,
            Self::Fail => Overflow::Fail,
            Self::Conflate => {
                // Plugs, too, have a key, and no two messages have the same.
                Overflow::conflate(|m: &Message| m.get::<Item>().map_or(u64::MAX, |item| item.0))
            }
            Self::Evict => Overflow::Evict,
        }
    }

    fn sheds_oldest(self) -> bool {
        matches!(self, Self::DropOldest | Self::Conflate)
    }
}

/// What publish said, whether it failed or not.
fn receipt_of(result: Result<Receipt, PublishError>) -> Receipt {
    match result {
        Ok(receipt) => receipt,
        Err(PublishError::Full { receipt, .. }) => receipt,
        Err(error) => panic!("{error}"),
    }
}

fn figures(receipt: Receipt) -> (u64, u64, u64) {
    (receipt.offered(), receipt.shed(), receipt.closed())
}

fn sub(kind: Kind, policy: Policy, capacity: usize) -> (Bus, Sub) {
    let (bus, topic) = bus_and_topic();
    let sub = subscribe(kind, &topic, |builder| {
        builder
            .capacity(capacity)
            .overflow(policy.overflow(capacity))
    });
    (bus, sub)
}

#[test]
fn a_capacity_of_n_admits_exactly_n_waiting_messages() {
    for kind in KINDS {
        for policy in POLICIES {
            for capacity in [1, 3, 8, 33] {
                admits_exactly(kind, policy, capacity);
            }
        }
    }
}

fn admits_exactly(kind: Kind, policy: Policy, capacity: usize) {
    let what = format!("{kind:?} {policy:?} {capacity}");
    let (_bus, sub) = sub(kind, policy, capacity);
    let plug = sub.plug();
    for value in 0..capacity as u64 {
        let receipt = receipt_of(sub.topic().publish(Item(value)));
        assert_eq!(figures(receipt), (1, 0, 0), "{what}: {value} fits");
    }
    assert_eq!(
        sub.stats().depth,
        capacity as u64,
        "{what}: all of them wait"
    );
    let one_more = Message::new(Item(capacity as u64));
    let receipt = receipt_of(sub.topic().publish(one_more));
    let expected = match policy {
        Policy::DropOldest | Policy::Conflate => (1, 1, 0),
        Policy::Evict => (0, 0, 1),
        _ => (0, 1, 0),
    };
    assert_eq!(figures(receipt), expected, "{what}: one more does not fit");
    plug.open();
    if policy == Policy::Evict {
        let (last, stats) = sub.done();
        assert_eq!(last.reason, FinalReason::Evicted, "{what}");
        sub.log.check_books(&last, &stats);
    } else {
        sub.finish();
    }
    let values: Vec<_> = match policy.sheds_oldest() {
        true => (1..=capacity as u64).collect(),
        false => (0..capacity as u64).collect(),
    };
    assert_eq!(sub.log.values(), values, "{what}");
    let shed = u64::from(policy != Policy::Evict);
    assert_eq!(sub.log.gap_total(), shed, "{what}");
}

#[test]
fn room_is_free_again_when_the_handler_has_begun() {
    for kind in KINDS {
        for policy in SHEDDING {
            let what = format!("{kind:?} {policy:?}");
            let (_bus, sub) = sub(kind, policy, 2);
            let first = sub.plug();
            // The second plug waits, and one item does.
            let second = Gate::new();
            let plug = support::Plug {
                log: sub.log.number(),
                gate: Arc::clone(&second),
            };
            let plugged = sub.topic().publish(plug).expect("there is room");
            assert_eq!(plugged.offered(), 1, "{what}");
            assert_eq!(receipt_of(sub.topic().publish(Item(1))).shed(), 0, "{what}");
            first.open();
            second.wait_for(1);
            // One waits, one is being handled: there is room for one, not for two.
            assert_eq!(sub.stats().depth, 1, "{what}");
            assert_eq!(receipt_of(sub.topic().publish(Item(2))).shed(), 0, "{what}");
            assert_eq!(receipt_of(sub.topic().publish(Item(3))).shed(), 1, "{what}");
            second.open();
            sub.finish();
        }
    }
}

#[test]
fn a_gap_is_exact_and_told_even_if_nothing_follows() {
    for kind in KINDS {
        for policy in SHEDDING {
            let what = format!("{kind:?} {policy:?}");
            let (_bus, sub) = sub(kind, policy, 4);
            let plug = sub.plug();
            let messages: Vec<_> = (0..10).map(|value| Message::new(Item(value))).collect();
            for message in &messages {
                let _ = receipt_of(sub.topic().publish(message.clone()));
            }
            plug.open();
            sub.log.wait_for_gaps(6);
            sub.log.wait_for_items(4);
            let shed = if policy.sheds_oldest() { 0..6 } else { 4..10 };
            let gaps = sub.log.gaps();
            assert_eq!(
                gaps.len(),
                1,
                "{what}: one notice for all of them: {gaps:?}"
            );
            assert_eq!(gaps[0].count, 6, "{what}");
            assert_eq!(gaps[0].first, messages[shed.start].id(), "{what}");
            assert_eq!(gaps[0].last, messages[shed.end - 1].id(), "{what}");
            assert_eq!(
                sub.log.final_message(),
                None,
                "{what}: it is still subscribed"
            );
            sub.finish();
            assert_eq!(sub.log.gaps().len(), 1, "{what}: told once");
        }
    }
}

#[test]
fn a_gap_comes_before_the_final_message() {
    for kind in KINDS {
        for policy in SHEDDING {
            let what = format!("{kind:?} {policy:?}");
            let (_bus, sub) = sub(kind, policy, 1);
            let plug = sub.plug();
            for value in 0..3 {
                let _ = receipt_of(sub.topic().publish(Item(value)));
            }
            sub.unsubscribe();
            // A receiver's own thread has to get around to it.
            if !kind.is_receiver() {
                assert_eq!(
                    sub.topic().publish(Item(99)).unwrap().offered(),
                    0,
                    "{what}"
                );
            }
            plug.open();
            sub.finish();
            let seen = sub.log.seen();
            assert_eq!(seen.len(), 3, "{what}: {seen:?}");
            assert!(
                matches!(seen.last(), Some(Seen::Final(last)) if last.shed == 2),
                "{what}"
            );
            assert_eq!(sub.log.gap_total(), 2, "{what}");
        }
    }
}

/// The mailbox as a publisher and a receiver on one thread see it: nothing is racy, so the dumbest model is
/// exact.
#[derive(Default)]
struct Model {
    waiting: Vec<(u64, MessageId)>,
    /// What was shed: which message, and how many were published before its shedding publish had returned.
    shed: Vec<(MessageId, u64)>,
    told: usize,
    published: u64,
}

impl Model {
    fn publish(&mut self, policy: Policy, capacity: usize, id: MessageId) {
        let entry = (self.published, id);
        self.published += 1;
        if self.waiting.len() < capacity {
            self.waiting.push(entry);
        } else if policy.sheds_oldest() {
            self.waiting.push(entry);
            let oldest = self.waiting.remove(0);
            self.shed.push((oldest.1, self.published));
        } else {
            self.shed.push((id, self.published));
        }
    }

    fn gap(&mut self, gap: &stasis_bus::Gap) {
        let told = &self.shed[self.told..self.told + gap.count as usize];
        assert_eq!(told.first().map(|shed| shed.0), Some(gap.first));
        assert_eq!(told.last().map(|shed| shed.0), Some(gap.last));
        self.told += gap.count as usize;
    }

    fn item(&mut self, value: u64, id: MessageId) {
        let (number, next) = self.waiting.remove(0);
        assert_eq!((value, id), (number, next), "in order");
        let due = self.shed.iter().filter(|shed| shed.1 <= number).count();
        assert!(
            self.told >= due,
            "{due} were shed before {number} was published"
        );
    }
}

#[test]
fn gaps_are_where_the_model_wants_them() {
    for policy in SHEDDING {
        for seed in 1..=support::scaled(200, 2) as u64 {
            replay(policy, seed);
        }
    }
}

fn replay(policy: Policy, seed: u64) {
    let (_bus, topic) = bus_and_topic();
    let capacity = 1 + (seed % 5) as usize;
    let mut receiver = topic
        .subscribe()
        .capacity(capacity)
        .overflow(policy.overflow(capacity))
        .receiver()
        .unwrap();
    let mut model = Model::default();
    let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    for _ in 0..100 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        if random % 5 < 3 {
            let message = Message::new(Item(model.published));
            model.publish(policy, capacity, message.id());
            let _ = receipt_of(topic.publish(message));
            continue;
        }
        while let Ok(message) = receiver.try_recv() {
            match (message.as_gap(), message.get::<Item>()) {
                // What comes after it is taken at once.
                (Some(gap), _) => model.gap(gap),
                (None, Some(item)) => {
                    model.item(item.0, message.id());
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
    }
    receiver.subscription().unsubscribe();
    for message in receiver.iter() {
        match (message.as_gap(), message.get::<Item>(), message.as_final()) {
            (Some(gap), ..) => model.gap(gap),
            (_, Some(item), _) => model.item(item.0, message.id()),
            (.., Some(last)) => assert_eq!(last.shed as usize, model.shed.len()),
            other => panic!("{other:?}"),
        }
    }
    assert!(
        model.waiting.is_empty(),
        "{policy:?} {seed}: nothing is lost"
    );
    assert_eq!(
        model.told,
        model.shed.len(),
        "{policy:?} {seed}: all was told"
    );
}

#[test]
fn typed_handlers_hear_of_gaps_where_they_ask_to() {
    for policy in SHEDDING {
        let (_bus, topic) = bus_and_topic();
        let gate = Gate::new();
        let gaps = Arc::new(Mutex::new(Vec::new()));
        let (passes, writes) = (Arc::clone(&gate), Arc::clone(&gaps));
        let deaf_items = Arc::new(AtomicU64::new(0));
        let counts = Arc::clone(&deaf_items);
        let deaf = topic
            .subscribe()
            .capacity(2)
            .overflow(policy.overflow(2))
            .run(move |_: &Item| {
                counts.fetch_add(1, Ordering::SeqCst);
            })
            .unwrap();
        let subscription = topic
            .subscribe()
            .capacity(2)
            .overflow(policy.overflow(2))
            .on_gap(move |gap| writes.lock().unwrap().push(gap.count))
            .run(move |item: &Item| {
                if item.0 == 0 {
                    passes.pass();
                }
            })
            .unwrap();
        let _ = receipt_of(topic.publish(Item(0)));
        gate.wait_for(1);
        for value in 1..=7 {
            let _ = receipt_of(topic.publish(Item(value)));
        }
        gate.open();
        eventually("the gap", || gaps.lock().unwrap().iter().sum::<u64>() == 5);
        subscription.unsubscribe();
        let last = subscription.join_timeout(DEADLINE).unwrap();
        assert_eq!((last.delivered, last.shed), (3, 5), "{policy:?}");
        deaf.unsubscribe();
        let last = deaf.join_timeout(DEADLINE).unwrap();
        assert_eq!(last.delivered + last.shed, 8, "{policy:?}");
        assert_eq!(
            deaf_items.load(Ordering::SeqCst),
            last.delivered,
            "{policy:?}"
        );
    }
}

#[test]
fn the_newer_of_a_key_takes_the_tail_and_is_no_gap() {
    for kind in KINDS {
        let (_bus, topic) = bus_and_topic();
        let sub = subscribe(kind, &topic, |builder| {
            let key = |m: &Message| m.get::<Item>().map_or(1000, |item| item.0 % 10);
            builder.capacity(3).overflow(Overflow::conflate(key))
        });
        let plug = sub.plug();
        for value in [1, 2, 11, 3, 21, 12] {
            let receipt = topic.publish(Item(value)).unwrap();
            assert_eq!(figures(receipt), (1, 0, 0), "{kind:?} {value}");
        }
        assert_eq!(sub.stats().depth, 3, "{kind:?}");
        assert_eq!(sub.stats().conflated, 3, "{kind:?}");
        plug.open();
        sub.log.wait_for_items(3);
        assert_eq!(sub.log.values(), [3, 21, 12], "{kind:?}");
        let (last, stats) = sub.finish();
        assert_eq!((last.delivered, last.shed), (4, 0), "{kind:?}");
        assert_eq!(stats.conflated, 3, "{kind:?}");
        assert_eq!(stats.offered, last.delivered + stats.conflated, "{kind:?}");
    }
}

#[test]
fn more_keys_than_the_capacity_shed_the_oldest() {
    for kind in KINDS {
        let (_bus, topic) = bus_and_topic();
        let sub = subscribe(kind, &topic, |builder| {
            let key = |m: &Message| m.get::<Item>().map_or(1000, |item| item.0 % 10);
            builder.capacity(2).overflow(Overflow::conflate(key))
        });
        let plug = sub.plug();
        let messages: Vec<_> = [1, 2, 11, 3].map(|value| Message::new(Item(value))).into();
        let receipts: Vec<_> = messages
            .iter()
            .map(|message| figures(topic.publish(message.clone()).unwrap()))
            .collect();
        assert_eq!(
            receipts,
            [(1, 0, 0), (1, 0, 0), (1, 0, 0), (1, 1, 0)],
            "{kind:?}"
        );
        plug.open();
        let (last, stats) = sub.finish();
        assert_eq!(sub.log.values(), [11, 3], "{kind:?}");
        let gaps = sub.log.gaps();
        assert_eq!(gaps.len(), 1, "{kind:?}");
        assert_eq!(
            (gaps[0].first, gaps[0].last),
            (messages[1].id(), messages[1].id())
        );
        assert_eq!((last.shed, stats.conflated), (1, 1), "{kind:?}");
    }
}

#[test]
fn a_key_function_that_panics_declines_the_message() {
    let (_bus, topic) = bus_and_topic();
    let mut receiver = topic
        .subscribe()
        .overflow(Overflow::conflate(|m: &Message| {
            assert_ne!(m.get::<Item>(), Some(&Item(2)));
            1_u64
        }))
        .receiver()
        .unwrap();
    assert_eq!(topic.publish(Item(1)).unwrap().offered(), 1);
    let receipt = topic.publish(Item(2)).unwrap();
    assert_eq!((receipt.offered(), receipt.filtered()), (0, 1));
    assert_eq!(receiver.try_recv().unwrap().get(), Some(&Item(1)));
    assert_eq!(receiver.subscription().stats().panics, 1);
}

#[test]
fn fail_hands_the_message_back_when_everybody_else_was_offered_it() {
    for kind in KINDS {
        let (_bus, topic) = bus_and_topic();
        let failing = subscribe(kind, &topic, |builder| {
            builder.capacity(1).overflow(Overflow::Fail)
        });
        // Two inline ones would wait for each other on the thread that publishes the plug.
        let others: Vec<_> = KINDS
            .into_iter()
            .filter(|other| (kind, *other) != (Kind::Inline, Kind::Inline))
            .map(|kind| subscribe(kind, &topic, |builder| builder))
            .collect();
        let plug = failing.plug();
        let all = others.len() as u64;
        assert_eq!(
            topic.publish(Item(1)).unwrap().offered(),
            all + 1,
            "{kind:?}"
        );
        let message = Message::new(Item(2));
        match topic.publish(message.clone()).unwrap_err() {
            PublishError::Full {
                message: back,
                receipt,
            } => {
                assert_eq!(back.id(), message.id(), "{kind:?}");
                assert_eq!(back.get(), Some(&Item(2)), "{kind:?}");
                assert_eq!(figures(receipt), (all, 1, 0), "{kind:?}");
            }
            error => panic!("{error}"),
        }
        for other in &others {
            other.log.wait_for_items(2);
            assert_eq!(other.log.values(), [1, 2], "{kind:?} {:?}", other.kind);
        }
        plug.open();
        failing.finish();
        assert_eq!(failing.log.values(), [1], "{kind:?}");
    }
}

#[test]
fn a_batch_goes_on_where_a_mailbox_fails() {
    let (_bus, topic) = bus_and_topic();
    let mut failing = topic
        .subscribe()
        .capacity(2)
        .overflow(Overflow::Fail)
        .receiver()
        .unwrap();
    let mut other = topic.subscribe().receiver().unwrap();
    let messages: Vec<_> = (0..5).map(|value| Message::new(Item(value))).collect();
    match topic.publish_batch(messages.clone()).unwrap_err() {
        PublishError::Full { message, receipt } => {
            assert_eq!(message.id(), messages[2].id(), "the first that did not fit");
            assert_eq!(figures(receipt), (7, 3, 0));
        }
        error => panic!("{error}"),
    }
    assert_eq!(other.try_iter().count(), 5);
    let gap = failing
        .try_iter()
        .find_map(|message| message.as_gap().copied())
        .unwrap();
    assert_eq!(
        (gap.count, gap.first, gap.last),
        (3, messages[2].id(), messages[4].id())
    );
}

#[test]
fn evict_delivers_what_was_accepted_and_nothing_behind_a_hole() {
    for kind in KINDS {
        let (_bus, sub) = sub(kind, Policy::Evict, 3);
        let plug = sub.plug();
        let mut opened = Some(plug);
        let log = Arc::clone(&sub.log);
        // The handler comes free in the middle of the batch: what does not fit any more must not be skipped.
        let items = (0..6).map(|value| {
            if let (5, Some(plug)) = (value, opened.take_if(|_| value == 5)) {
                plug.open();
                log.wait_for_items(3);
            }
            Item(value)
        });
        let receipt = sub.topic().publish_batch(items).unwrap();
        assert_eq!(receipt.offered(), 3, "{kind:?}");
        let (last, stats) = sub.done();
        assert_eq!(last.reason, FinalReason::Evicted, "{kind:?}");
        assert_eq!(sub.log.values(), [0, 1, 2], "{kind:?}");
        sub.log.check_books(&last, &stats);
        assert_eq!(sub.topic().stats().subscriptions.len(), 0, "{kind:?}");
    }
}
