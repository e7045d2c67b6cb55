//! Runs a program on the bus and on the model side by side, and compares after each operation: what became of
//! it, what each subscription has seen, the figures; and in the end, that nothing is left.

use super::bus::{self, Hand, Handle, Hands, lock};
use super::program::{
    Colour, FORWARDS, MAX_OPS, Op, Program, Runner, SUBSCRIPTIONS, TOPICS, Take, What,
};
use super::publish::{Published, Receipt, TimedOut, batch_len};
use super::subscription::{Event, Reason, State};
use super::world::{Handled, Model, Refused};
use stasis_bus::{
    Bus, ForwardError, Message, PublishError, Receiver, SubscribeError, Subscription, SyncError,
    TopicError, TryRecvError, WaitError,
};
use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Replays a program, and panics where the bus does something else than the model.
pub(crate) fn replay(program: &Program) {
    let hands = Arc::new(Hands::default());
    let mut replay = Replay {
        bus: Some(bus::bus(&hands)),
        hands,
        model: Model::default(),
        executors: Vec::new(),
        is_over: false,
    };
    for &op in program.ops.iter().take(MAX_OPS) {
        replay.hands.begin_op();
        replay.model.begin_op();
        replay.step(op);
        replay.compare(op);
    }
    replay.end(program.end);
}

struct Replay {
    bus: Option<Bus>,
    hands: Arc<Hands>,
    model: Model,
    /// By the number of the subscription.
    executors: Vec<Arc<Hand>>,
    is_over: bool,
}

fn slot_of(number: u8, slots: usize) -> usize {
    usize::from(number) % slots
}

impl Replay {
    fn bus(&self) -> &Bus {
        self.bus.as_ref().expect("dropped in the end only")
    }

    fn step(&mut self, op: Op) {
        match op {
            Op::Topic { topic, total } => self.topic(slot_of(topic, TOPICS), total),
            Op::DropTopic { topic } => self.drop_topic(slot_of(topic, TOPICS)),
            Op::CloseTopic { topic } => self.close_topic(slot_of(topic, TOPICS)),
            Op::Subscribe { slot, topic, spec } => {
                self.subscribe(slot_of(slot, SUBSCRIPTIONS), slot_of(topic, TOPICS), spec);
            }
            Op::Publish { topic, what } => self.publish(slot_of(topic, TOPICS), what, None),
            Op::PublishBatch { topic, what, count } => {
                self.publish(slot_of(topic, TOPICS), what, Some(batch_len(count)));
            }
            Op::PublishSync { topic, slot, what } => {
                self.publish_sync(slot_of(topic, TOPICS), slot_of(slot, SUBSCRIPTIONS), what);
            }
            Op::Flush { slot } => self.flush(slot_of(slot, SUBSCRIPTIONS)),
            Op::Unsubscribe { slot } => {
                let slot = slot_of(slot, SUBSCRIPTIONS);
                self.hands.unsubscribe(slot);
                if let Some(sub) = self.model.slots[slot] {
                    self.model.close(sub, Reason::Unsubscribed);
                }
            }
            Op::DropHandle { slot } => self.drop_handle(slot_of(slot, SUBSCRIPTIONS)),
            Op::Detach { slot } => self.detach(slot_of(slot, SUBSCRIPTIONS)),
            Op::Run { slot, take, count } => {
                self.run(slot_of(slot, SUBSCRIPTIONS), take, 1 + count % 8);
            }
            Op::LoseExecutor { slot } => {
                let sub = self.model.slots[slot_of(slot, SUBSCRIPTIONS)];
                let hears = |sub: usize| self.model.subs[sub].spec.changes;
                // Who is told first of one who hears of the other, if both are lost, is open.
                if let Some(sub) = sub.filter(|sub| !hears(*sub)) {
                    self.lose_executor(sub);
                }
            }
            Op::Forward {
                slot,
                from,
                to,
                keep,
            } => {
                let (from, to) = (slot_of(from, TOPICS), slot_of(to, TOPICS));
                self.forward(slot_of(slot, FORWARDS), from, to, keep);
            }
            Op::Cancel { slot } => self.cancel(slot_of(slot, FORWARDS)),
            Op::Shutdown => self.shut_down(),
        }
    }

    fn topic(&mut self, slot: usize, total_order: bool) {
        let name = format!("topic {slot}");
        let topic = match total_order {
            true => self.bus().topic_with_total_order(&name),
            false => self.bus().topic(&name),
        };
        let refused = topic.as_ref().err().map(|error| match error {
            TopicError::ShutDown => Refused::ShutDown,
            TopicError::OtherOrder => Refused::OtherOrder,
            other => panic!("{other}"),
        });
        let expected = self.model.get_topic(slot, total_order);
        assert_eq!(refused, expected.err());
        if let Ok(topic) = topic {
            let closed = topic.is_closed();
            let old = lock(&self.hands.topics)[slot].replace(topic);
            drop(old);
            assert!(!closed, "a topic that was asked for is open");
        }
    }

    fn drop_topic(&mut self, slot: usize) {
        let topic = lock(&self.hands.topics)[slot].take();
        drop(topic);
        self.model.handles[slot] = None;
    }

    fn close_topic(&mut self, slot: usize) {
        let Some(number) = self.model.handles[slot] else {
            return;
        };
        if self.model.is_ambiguous(Some(number)) {
            return;
        }
        self.model.close_topic(number, Reason::TopicClosed);
        self.hands.topic(slot).expect("as the model has it").close();
    }

    fn subscribe(&mut self, slot: usize, topic: usize, spec: super::program::Spec) {
        let (Some(handle), Some(topic)) = (self.hands.topic(topic), self.model.handles[topic])
        else {
            return;
        };
        self.drop_handle(slot);
        let spec = self.model.tame(spec);
        let sub = self.model.subs.len();
        let executor = Hand::new();
        let made = bus::subscribe(&self.hands, &handle, sub, spec, &executor);
        let reasons = self.model.refuses(topic, &spec);
        match made {
            Ok(made) => {
                assert_eq!(reasons, BTreeSet::new(), "{spec:?}");
                lock(&self.hands.slots)[slot] = Some(made);
                self.executors.push(executor);
                self.model.subscribe(slot, topic, spec);
            }
            Err(error) => {
                let reason = refused(&error);
                assert!(reasons.contains(&reason), "{error} is none of {reasons:?}");
            }
        }
    }

    fn publish(&mut self, slot: usize, what: What, count: Option<u32>) {
        let (Some(topic), Some(number)) = (self.hands.topic(slot), self.model.handles[slot]) else {
            return;
        };
        let published = match count {
            None => topic.publish(self.hands.message(what)),
            Some(count) => {
                let messages: Vec<_> = (0..count).map(|_| self.hands.message(what)).collect();
                topic.publish_batch(messages)
            }
        };
        let published = match published {
            Ok(receipt) => Published::To(seen(receipt)),
            Err(PublishError::Full { receipt, .. }) => Published::Full(seen(receipt)),
            Err(PublishError::Closed(_)) => Published::Closed,
            Err(PublishError::ShutDown(_)) => Published::ShutDown,
            Err(PublishError::Declined(_)) => Published::Declined,
            Err(other) => panic!("{other}"),
        };
        let expected = self.model.publish(number, what, count.unwrap_or(1));
        assert_eq!(published, expected, "{what:?}");
    }

    fn publish_sync(&mut self, topic: usize, slot: usize, what: What) {
        let (Some(topic), Some(number)) = (self.hands.topic(topic), self.model.handles[topic])
        else {
            return;
        };
        let Some(sub) = self.model.slots[slot] else {
            return;
        };
        let message = self.hands.message(what);
        let publish = |subscription: &Subscription| {
            topic.publish_sync_timeout(subscription, message, Duration::ZERO)
        };
        let handled = self.with_subscription(slot, publish);
        let handled = match handled {
            Ok(handled) => Ok(Some(handled_as(handled))),
            Err(SyncError::Refused(_)) => Ok(None),
            Err(SyncError::TimedOut) => Err(TimedOut),
            Err(other) => panic!("{other}"),
        };
        assert_eq!(handled, self.model.publish_sync(number, sub, what));
    }

    fn flush(&mut self, slot: usize) {
        let Some(sub) = self.model.slots[slot] else {
            return;
        };
        let flush = |subscription: &Subscription| subscription.flush_timeout(Duration::ZERO);
        let flushed = match self.with_subscription(slot, flush) {
            Ok(()) => Ok(true),
            Err(WaitError::Closed) => Ok(false),
            Err(WaitError::TimedOut) => Err(TimedOut),
            Err(other) => panic!("{other}"),
        };
        assert_eq!(flushed, self.model.flush(sub));
    }

    fn with_subscription<R>(&self, slot: usize, f: impl FnOnce(&Subscription) -> R) -> R {
        if let Some(subscription) = self.hands.subscription(slot) {
            return f(&subscription);
        }
        // Out of the slot meanwhile: no lock is held over a call.
        let handle = lock(&self.hands.slots)[slot].take();
        let Some(Handle::Receiver(receiver)) = &handle else {
            panic!("the model has a subscription there");
        };
        let result = f(receiver.subscription());
        lock(&self.hands.slots)[slot] = handle;
        result
    }

    fn drop_handle(&mut self, slot: usize) {
        let handle = lock(&self.hands.slots)[slot].take();
        drop(handle);
        self.model.drop_handle(slot);
    }

    fn detach(&mut self, slot: usize) {
        let handle =
            lock(&self.hands.slots)[slot].take_if(|handle| matches!(handle, Handle::Run(_)));
        let Some(Handle::Run(subscription)) = handle else {
            return;
        };
        let subscription = Arc::into_inner(subscription).expect("nobody else has it now");
        subscription.detach();
        let sub = self.model.slots[slot].take().expect("as the bus has it");
        self.model.subs[sub].has_handle = false;
    }

    fn run(&mut self, slot: usize, take: Take, count: u8) {
        let Some(sub) = self.model.slots[slot] else {
            return;
        };
        if self.model.subs[sub].spec.runner == Runner::Receiver {
            return self.receive(slot, sub, take, count);
        }
        let executor = Arc::clone(&self.executors[sub]);
        if self.model.subs[sub].spec.runner.is_manual() {
            let is_due = self.model.subs[sub].state == State::Due;
            if is_due && !self.model.subs[sub].executor_lost {
                assert_eq!(executor.pending(), 1, "there is one task of a subscription");
                self.model.run(sub);
            }
            executor.run();
            assert_eq!(executor.pending(), 0);
        }
    }

    fn receive(&mut self, slot: usize, sub: usize, take: Take, count: u8) {
        let handle = lock(&self.hands.slots)[slot].take();
        let Some(Handle::Receiver(mut receiver)) = handle else {
            panic!("the model has a receiver there");
        };
        // Of notices that come in an open order it takes all: else which of them would be open, too.
        let all = self.model.subs[sub].spec.changes;
        let mut left = if all { usize::MAX } else { usize::from(count) };
        while left > 0 {
            left -= 1;
            let was_done = self.model.subs[sub].is_done();
            let message = take_one(&mut receiver, take);
            let expected = self.model.take(sub);
            assert_eq!(
                message.is_some(),
                expected.is_some(),
                "{message:?}, {expected:?}"
            );
            let (Some(message), Some(expected)) = (message, expected) else {
                let ended = matches!(receiver.try_recv(), Err(TryRecvError::Ended));
                assert_eq!(ended, was_done);
                break;
            };
            // Compared with what the others see.
            self.hands.see(sub, self.hands.event(&message).0);
            self.model.subs[sub].seen.push(expected);
        }
        lock(&self.hands.slots)[slot] = Some(Handle::Receiver(receiver));
    }

    fn lose_executor(&mut self, sub: usize) {
        if self.model.subs[sub].spec.runner.is_manual() {
            self.executors[sub].lose();
            self.model.lose_executor(sub);
        }
    }

    fn forward(&mut self, slot: usize, from: usize, to: usize, keep: bool) {
        self.cancel(slot);
        let topics = (self.hands.topic(from), self.hands.topic(to));
        let numbers = (self.model.handles[from], self.model.handles[to]);
        let ((Some(from), Some(to)), (Some(from_number), Some(to_number))) = (topics, numbers)
        else {
            return;
        };
        let closed = |topic: usize| self.model.topics[topic].is_closed;
        let expected = match self.model.is_shut_down {
            true => Some(ForwardError::ShutDown),
            false => {
                (closed(from_number) || closed(to_number)).then_some(ForwardError::TopicClosed)
            }
        };
        match from.forward_to(&to) {
            Err(error) => assert_eq!(Some(error), expected),
            Ok(forward) => {
                assert_eq!(expected, None);
                if keep {
                    forward.detach();
                    self.model.kept.push((from_number, to_number));
                } else {
                    lock(&self.hands.forwards)[slot] = Some(forward);
                    self.model.forwards[slot] = Some((from_number, to_number));
                }
            }
        }
    }

    fn cancel(&mut self, slot: usize) {
        let forward = lock(&self.hands.forwards)[slot].take();
        drop(forward);
        self.model.forwards[slot] = None;
    }

    fn shut_down(&mut self) {
        if !self.model.is_shut_down && self.model.is_ambiguous(None) {
            return;
        }
        self.model.shut_down();
        let report = self.bus().shutdown().expect("this is no handler");
        let open = |is_kind: fn(Runner) -> bool| -> BTreeSet<usize> {
            let subs = self.model.subs.iter().enumerate();
            let open = subs.filter(|(_, sub)| !sub.is_done() && is_kind(sub.spec.runner));
            open.map(|(sub, _)| sub).collect()
        };
        let numbers = |names: &[String]| -> BTreeSet<usize> {
            names.iter().map(|name| bus::number(name)).collect()
        };
        assert!(report.is_complete() && report.workers_ended, "{report:?}");
        let is_receiver = |runner| runner == Runner::Receiver;
        assert_eq!(numbers(&report.receivers), open(is_receiver));
        assert_eq!(numbers(&report.executors), open(Runner::is_manual));
    }
}

fn take_one(receiver: &mut Receiver, take: Take) -> Option<Message> {
    match take {
        Take::Try => receiver.try_recv().ok(),
        Take::Timeout => receiver.recv_timeout(Duration::ZERO).ok(),
        Take::Poll => {
            let mut context = Context::from_waker(Waker::noop());
            match pin!(receiver.recv_async()).poll(&mut context) {
                Poll::Ready(message) => message.ok(),
                Poll::Pending => None,
            }
        }
    }
}

fn seen(receipt: stasis_bus::Receipt) -> Receipt {
    Receipt {
        offered: receipt.offered(),
        filtered: receipt.filtered(),
        shed: receipt.shed(),
        closed: receipt.closed(),
    }
}

fn handled_as(handled: stasis_bus::Handled) -> Handled {
    match handled {
        stasis_bus::Handled::Handled => Handled::Handled,
        stasis_bus::Handled::Filtered => Handled::Filtered,
        stasis_bus::Handled::Shed => Handled::Shed,
        stasis_bus::Handled::Closed => Handled::Closed,
        stasis_bus::Handled::NotSubscribed => Handled::NotSubscribed,
        stasis_bus::Handled::HandlerPanicked => Handled::HandlerPanicked,
        other => panic!("{other:?}"),
    }
}

fn refused(error: &SubscribeError) -> Refused {
    match error {
        SubscribeError::ShutDown => Refused::ShutDown,
        SubscribeError::TopicClosed => Refused::TopicClosed,
        SubscribeError::ZeroCapacity => Refused::ZeroCapacity,
        SubscribeError::LimitBelowCapacity { .. } => Refused::LimitBelowCapacity,
        SubscribeError::DeclinedType { .. } => Refused::DeclinedType,
        SubscribeError::BlockingOnTotalOrder => Refused::BlockingOnTotalOrder,
        other => panic!("{other}"),
    }
}

/// Comparing.
impl Replay {
    fn compare(&mut self, op: impl std::fmt::Debug) {
        for sub in 0..self.model.subs.len() {
            self.compare_seen(sub, &op);
        }
        assert_eq!(
            self.hands.panics(),
            self.model.panics,
            "panics after {op:?}"
        );
        let mut discards = self.hands.take_discards();
        let mut expected = std::mem::take(&mut self.model.discards);
        if !self.is_over {
            discards.sort_unstable();
            expected.sort_unstable();
            assert_eq!(discards, expected, "discarded after {op:?}");
            self.compare_figures();
        }
        assert_eq!(self.hands.copies(), 0, "a payload was copied");
    }

    fn compare_seen(&mut self, sub: usize, op: &impl std::fmt::Debug) {
        let model = &mut self.model.subs[sub];
        let (mut seen, mut expected) = (self.hands.take_seen(sub), std::mem::take(&mut model.seen));
        if self.is_over && model.spec.changes {
            return;
        }
        // In which order several are closed at once is open.
        for events in [&mut seen, &mut expected] {
            let is_change = |event: &Event| matches!(event, Event::Change(..));
            let runs = events.chunk_by_mut(|a, b| is_change(a) && is_change(b));
            runs.for_each(<[Event]>::sort_unstable);
        }
        let spec = model.spec;
        assert_eq!(seen, expected, "seen by {sub} after {op:?}, {spec:?}");
    }

    fn compare_figures(&self) {
        for slot in 0..TOPICS {
            let found = self.bus().get_topic(&format!("topic {slot}")).is_some();
            assert_eq!(
                found,
                self.model.has_topic(slot),
                "whether topic {slot} lives"
            );
            self.compare_topic(slot);
        }
        for slot in 0..SUBSCRIPTIONS {
            if let Some(sub) = self.model.slots[slot] {
                self.with_subscription(slot, |subscription| self.compare_sub(sub, subscription));
            }
        }
        assert_eq!(self.bus().stats().workers, 0, "nothing here needs the pool");
    }

    fn compare_topic(&self, slot: usize) {
        let (Some(topic), Some(number)) = (self.hands.topic(slot), self.model.handles[slot]) else {
            return;
        };
        let model = &self.model.topics[number];
        let stats = topic.stats();
        assert_eq!((stats.closed, model.name), (model.is_closed, slot));
        assert_eq!(stats.total_order, model.total_order);
        let subs = || self.model.subs.iter().filter(|sub| sub.topic == number);
        assert_eq!(
            stats.subscriptions.len(),
            subs().filter(|sub| sub.is_open).count()
        );
        assert_eq!(
            stats.filtered,
            subs().map(|sub| sub.books.filtered).sum::<u64>()
        );
        assert_eq!(stats.shed, subs().map(|sub| sub.books.shed).sum::<u64>());
        assert_eq!(
            stats.delivered,
            subs().map(|sub| sub.books.delivered).sum::<u64>()
        );
        assert_eq!(
            stats.discarded,
            subs().map(|sub| sub.books.discarded).sum::<u64>()
        );
        let edges = self.model.edges().filter(|(from, _)| *from == number);
        assert_eq!(stats.forwards_to.len(), edges.count());
        for colour in Colour::ALL {
            let has = bus::has_subscribers_for(&topic, colour);
            assert_eq!(
                has,
                self.model.has_subscribers_for(number, colour),
                "{colour:?}"
            );
        }
    }

    fn compare_sub(&self, sub: usize, subscription: &Subscription) {
        let model = &self.model.subs[sub];
        let stats = subscription.stats();
        let books = &model.books;
        let found = (stats.offered, stats.filtered, stats.shed, stats.conflated);
        let expected = (books.offered, books.filtered, books.shed, books.conflated);
        assert_eq!(
            found, expected,
            "offered, filtered, shed, conflated by {sub}"
        );
        let found = (stats.delivered, stats.discarded, stats.panics);
        let panics = books.panics + books.filter_panics;
        let expected = (books.delivered, books.discarded, panics);
        assert_eq!(found, expected, "delivered, discarded, panics of {sub}");
        assert_eq!(
            (stats.closed, stats.done),
            (!model.is_open, model.is_done())
        );
        assert_eq!(subscription.is_subscribed(), model.is_open);
        let last = subscription.join_timeout(Duration::ZERO).ok();
        let totals = match model.state {
            State::Done(totals) => Some(totals),
            _ => None,
        };
        assert_eq!(
            last.as_ref().map(bus::totals),
            totals,
            "final message of {sub}"
        );
    }

    /// Drops everything, in an order of the program's (L7); then nothing is left.
    fn end(mut self, order: u8) {
        self.is_over = true;
        self.hands.begin_op();
        self.model.begin_op();
        let mut parts = ["bus", "topics", "forwards", "subscriptions", "executors"];
        parts.rotate_left(usize::from(order) % 5);
        if order % 2 == 1 {
            parts.reverse();
        }
        for part in parts {
            match part {
                "bus" => {
                    self.model.shut_down();
                    self.bus = None;
                }
                "topics" => (0..TOPICS).for_each(|slot| self.drop_topic(slot)),
                "forwards" => (0..FORWARDS).for_each(|slot| self.cancel(slot)),
                "subscriptions" => (0..SUBSCRIPTIONS).for_each(|slot| self.drop_handle(slot)),
                _ => (0..self.executors.len()).for_each(|sub| self.lose_executor(sub)),
            }
            self.compare(part);
        }
        for (sub, model) in self.model.subs.iter().enumerate() {
            assert!(model.is_done(), "{sub} is done");
        }
        let left = Arc::strong_count(&self.hands.alive) - 1;
        assert_eq!(left, 0, "payloads and handlers that are left");
        assert_eq!(Arc::strong_count(&self.hands), 1);
    }
}
