//! What must hold when all is over, whatever the interleaving was. Each check names its guarantee.

use super::program::{Policy, TOPICS};
use super::world::{Handle, Held, NEVER, Publish, Record, Seen, World, let_go};
use stasis_bus::{FinalMessage, JoinFuture, MessageId};
use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

/// Ends what is not over yet, and checks everything.
pub(crate) fn check(world: Arc<World>) {
    let finals = end(&world);
    let publishes = std::mem::take(&mut *world.publishes.lock().unwrap());
    let by_id: HashMap<MessageId, &Publish> = publishes.iter().map(|p| (p.id, p)).collect();
    let records = std::mem::take(&mut *world.records.lock().unwrap());
    for (record, last) in records.iter().zip(&finals) {
        let Some(last) = last else { continue };
        let seen = record.seen.lock().unwrap();
        assert_eq!(
            record.overlaps.load(Ordering::Relaxed),
            0,
            "D3: runs overlapped"
        );
        fifo(record, &seen);
        final_is_last(record, &seen, last);
        gaps(record, &seen, last, &by_id);
        closed(&world, record, &seen);
        nothing_lost(&world, record, &seen, &publishes);
    }
    total_order(&records);
    books(&world, &records, &finals);
    drop(records);
    let world = Arc::into_inner(world).expect("handlers were dropped with all that they captured");
    let alive = Arc::clone(&world.alive);
    drop(world);
    assert_eq!(Arc::strong_count(&alive), 1, "payloads are left");
}

/// Everything is closed, run by hand where need be, and joined.
fn end(world: &Arc<World>) -> Vec<Option<FinalMessage>> {
    for topic in 0..TOPICS {
        world.topics_closing[topic].note(world.clock.tick());
        world.topics[topic].close();
    }
    for slot in &world.slots {
        let held = slot.lock().unwrap().take();
        match held {
            Some(Held {
                handle: Handle::Receiver(mut receiver),
                record,
            }) => {
                for message in receiver.iter() {
                    record.see(&message);
                }
                assert!(
                    receiver.try_recv().is_err(),
                    "L2: something after the final message"
                );
            }
            Some(held) => let_go(world, held),
            None => {}
        }
    }
    for forward in &world.forwards {
        let forward = forward.lock().unwrap().take();
        drop(forward);
    }
    let records = world.records.lock().unwrap().clone();
    let join = |record: &Arc<Record>| {
        let future = record.join.lock().unwrap().take()?;
        let last = wait(world, future);
        has_let_go(record);
        Some(last)
    };
    let finals = records.iter().map(join).collect();
    if world.has_own_bus {
        let report = world.bus.shutdown().expect("this is no handler");
        let is_over = report.is_complete() && report.workers_ended;
        let is_over = is_over && report.receivers.is_empty() && report.executors.is_empty();
        assert!(is_over, "L6: all was joined: {report:?}");
    }
    finals
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// That it comes to an end is part of the check (L4). A worker may only now hand over the task of one that it published
/// to, so tasks are run all the while.
fn wait(world: &World, future: JoinFuture) -> FinalMessage {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        world.executor.run_until_idle();
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(last) => return last,
            Poll::Pending => thread::park_timeout(Duration::from_micros(200)),
        }
    }
}

pub(crate) fn has_let_go(record: &Record) {
    let captured = record.captured.lock().unwrap();
    let left = captured
        .as_ref()
        .is_some_and(|captured| captured.strong_count() > 0);
    assert!(!left, "L4: joined, but the handler is still there");
}

/// D2 and D4: of each publisher, in its order, and nothing twice.
fn fifo(record: &Record, seen: &[Seen]) {
    let mut last: HashMap<usize, u32> = HashMap::new();
    for event in seen {
        if let Seen::Item { publisher, seq, .. } = *event {
            let before = last.insert(publisher, seq);
            let in_order = before.is_none_or(|before| before < seq);
            assert!(
                in_order,
                "D2: {seq} of {publisher} after {before:?}: {record:?}"
            );
            assert!(record.spec.passes(seq), "D6: {seq} had to be filtered");
        }
    }
}

fn final_is_last(record: &Record, seen: &[Seen], last: &FinalMessage) {
    let finals = seen.iter().filter(|event| **event == Seen::Final).count();
    let deserted = record.is_deserted.load(Ordering::SeqCst);
    if deserted {
        assert!(finals <= 1, "L2: {finals} final messages");
    } else {
        assert_eq!(finals, 1, "L2: final messages: {record:?}");
        assert_eq!(
            last.discarded, 0,
            "L3: accepted, but not delivered: {record:?}"
        );
    }
    if finals == 1 {
        assert_eq!(
            seen.last(),
            Some(&Seen::Final),
            "L2: something after the final message"
        );
    }
    let items = seen
        .iter()
        .filter(|event| matches!(event, Seen::Item { .. }));
    assert_eq!(
        items.count() as u64,
        last.delivered,
        "L2: totals: {record:?}"
    );
}

/// D5: what is shed is told, exactly, and before what was published later.
fn gaps(record: &Record, seen: &[Seen], last: &FinalMessage, by_id: &HashMap<MessageId, &Publish>) {
    let mut told = 0;
    let mut latest_begin = 0;
    for event in seen {
        match *event {
            Seen::Item { begin, .. } => latest_begin = latest_begin.max(begin),
            Seen::Gap {
                count,
                first,
                last: shed_last,
            } => {
                told += count;
                assert!(
                    count > 0 && (count > 1 || first == shed_last),
                    "D5: {record:?}"
                );
                // Here the publish of what was shed is the one that shed it.
                let sheds_itself = record.spec.policy != Policy::DropOldest;
                let shed_at = by_id.get(&first).map_or(NEVER, |publish| publish.end);
                if sheds_itself {
                    assert!(
                        latest_begin <= shed_at,
                        "D5: the notice is late: {record:?}"
                    );
                }
            }
            Seen::Final => {}
        }
    }
    if !record.is_deserted.load(Ordering::SeqCst) {
        assert_eq!(told, last.shed, "D5: shed and not told: {record:?}");
    }
}

/// L3: nothing that was published when a close had returned.
fn closed(world: &World, record: &Record, seen: &[Seen]) {
    let closed = record
        .closed
        .get()
        .min(world.topics_closed[record.topic].get());
    for event in seen {
        if let Seen::Item { begin, .. } = *event {
            assert!(
                begin < closed,
                "L3: began at {begin}, closed at {closed}: {record:?}"
            );
        }
    }
}

/// D5: who is subscribed all the while and sheds nothing gets everything.
fn nothing_lost(world: &World, record: &Record, seen: &[Seen], publishes: &[Publish]) {
    let sheds = !matches!(record.spec.policy, Policy::Spill | Policy::Block)
        || (record.spec.policy == Policy::Block && record.spec.is_run_by_hand());
    if sheds || record.is_deserted.load(Ordering::SeqCst) {
        return;
    }
    let from = record.subscribed.get();
    let to = record
        .closing
        .get()
        .min(world.topics_closing[record.topic].get());
    let got: std::collections::HashSet<_> = seen
        .iter()
        .filter_map(|event| match *event {
            Seen::Item { publisher, seq, .. } => Some((publisher, seq)),
            _ => None,
        })
        .collect();
    for publish in publishes {
        let due = publish.done && publish.topic == record.topic;
        let in_time = from < publish.begin && publish.end < to;
        if due && in_time && record.spec.passes(publish.seq) {
            let is_there = got.contains(&(publish.publisher, publish.seq));
            assert!(is_there, "D5: {publish:?} was lost: {record:?}");
        }
    }
}

/// D7: all see what they share in one order.
fn total_order(records: &[Arc<Record>]) {
    let ordered: Vec<Vec<(usize, u32)>> = records
        .iter()
        .filter(|record| record.topic == TOPICS - 1)
        .map(|record| {
            let seen = record.seen.lock().unwrap();
            let items = seen.iter().filter_map(|event| match *event {
                Seen::Item { publisher, seq, .. } => Some((publisher, seq)),
                _ => None,
            });
            items.collect()
        })
        .collect();
    for (index, one) in ordered.iter().enumerate() {
        let places: HashMap<_, _> = one.iter().zip(0..).collect();
        for other in &ordered[..index] {
            let shared: Vec<i32> = other
                .iter()
                .filter_map(|item| places.get(item).copied())
                .collect();
            assert!(shared.is_sorted(), "D7: {one:?} and {other:?}");
        }
    }
}

/// D5: accepted is delivered and discarded; nothing else is shed.
fn books(world: &World, records: &[Arc<Record>], finals: &[Option<FinalMessage>]) {
    if world.lost_receipts.load(Ordering::SeqCst) {
        return;
    }
    let total = *world.total.lock().unwrap();
    let sum = |figure: fn(&FinalMessage) -> u64| finals.iter().flatten().map(figure).sum::<u64>();
    assert_eq!(total.shed(), sum(|last| last.shed), "D5: shed: {records:?}");
    let of_oldest = || {
        let drops = records.iter().zip(finals);
        let drops = drops.filter(|(record, _)| record.spec.policy == Policy::DropOldest);
        drops
            .filter_map(|(_, last)| *last)
            .map(|last| last.shed)
            .sum::<u64>()
    };
    let accepted = sum(|last| last.delivered) + sum(|last| last.discarded) + of_oldest();
    // With total order, closure filters act behind the mailbox.
    let filters_late = |record: &Arc<Record>| record.spec.filter && record.topic == TOPICS - 1;
    if !records.iter().any(filters_late) {
        assert_eq!(total.offered(), accepted, "D5: accepted: {records:?}");
    }
}
