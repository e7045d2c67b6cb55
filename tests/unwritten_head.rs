//! A publisher that is preempted between claiming a position and writing it (R5): it delays that mailbox
//! and no other, costs no CPU to speak of while it lasts, and loses nothing and disorders nothing when it
//! is over.

mod support;

use stasis_bus::internals::HeldPublish;
use stasis_bus::{
    Bus, Delivery, ManualExecutor, Message, OwnThread, Subscription, Topic, TryRecvError,
    WaitStrategy,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;
use support::{
    DEADLINE, Gate, Item, KINDS, Log, Plug, alone, block_on, bus_and_topic, cpu, eventually, join,
    one_thread, subscribe,
};

/// For so long a claim is held where CPU time is measured.
const HOLD: Duration = Duration::from_millis(300);

/// Less than what a hot loop gets of a core, even if three others want it.
const MOST_CPU: f64 = 0.25;

/// A subscription whose handler is held at a first message, with a claim behind that, and two messages
/// behind the claim. Once the handler goes on, it meets the claim.
struct Stuck {
    log: Arc<Log>,
    subscription: Subscription,
    gate: Arc<Gate>,
    held: HeldPublish,
}

impl Stuck {
    fn new(topic: &Topic, delivery: Delivery) -> Self {
        let log = Log::new();
        let writes = Arc::clone(&log);
        let subscription = topic
            .subscribe()
            .delivery(delivery)
            .run(move |message: &Message| writes.note(message))
            .unwrap();
        let gate = Gate::new();
        let plug = Plug {
            log: log.number(),
            gate: Arc::clone(&gate),
        };
        let publishes = topic.clone();
        // On a thread of its own: if it is inline, the publisher is held too.
        thread::spawn(move || publishes.publish(plug).map(drop));
        gate.wait_for(1);
        let held = HeldPublish::claim(&subscription).expect("a ring, and open");
        for value in [2, 3] {
            assert_eq!(topic.publish(Item(value)).unwrap().offered(), 1);
        }
        Self {
            log,
            subscription,
            gate,
            held,
        }
    }

    fn write_and_check(self) {
        self.held.write(Message::new(Item(1)));
        self.log.wait_for_items(3);
        self.subscription.unsubscribe();
        let last = self.subscription.join_timeout(DEADLINE).unwrap();
        assert_eq!(self.log.values(), [1, 2, 3], "nothing lost, in order");
        assert_eq!((last.delivered, last.shed, last.discarded), (4, 0, 0));
    }
}

fn deliveries() -> Vec<(&'static str, Delivery)> {
    vec![
        ("pool", Delivery::Pool),
        ("park", OwnThread::new(WaitStrategy::Park).into()),
        (
            "spin then park",
            OwnThread::new(WaitStrategy::SpinThenPark).into(),
        ),
        ("inline", Delivery::Inline),
        ("executor", Delivery::Executor(one_thread())),
    ]
}

#[test]
fn handlers_wait_without_burning_cpu() {
    let _alone = alone();
    for (name, delivery) in deliveries() {
        let (_bus, topic) = bus_and_topic();
        let stuck = Stuck::new(&topic, delivery);
        stuck.gate.open();
        if let Some(cpu) = cpu::fraction_over(HOLD) {
            assert!(cpu < MOST_CPU, "{name}: {cpu} of a core");
        }
        assert_eq!(
            stuck.log.values(),
            [0_u64; 0],
            "{name}: nothing overtakes the claim"
        );
        assert!(!stuck.subscription.is_done());
        stuck.write_and_check();
    }
}

#[test]
fn everybody_else_goes_on_meanwhile() {
    let _alone = alone();
    for (name, delivery) in deliveries() {
        // One worker: it must not be taken up by the subscription that cannot go on.
        let bus = Bus::builder().workers(1).build().unwrap();
        let topic = bus.topic("topic").unwrap();
        let stuck = Stuck::new(&topic, delivery);
        let others: Vec<_> = KINDS
            .map(|kind| subscribe(kind, &topic, |builder| builder))
            .into();
        stuck.gate.open();
        for value in 4..1000 {
            assert_eq!(topic.publish(Item(value)).unwrap().offered(), 9, "{name}");
        }
        for other in &others {
            other.log.wait_for_items(996);
            assert_eq!(other.log.values(), Vec::from_iter(4..1000), "{name}");
            other.finish();
        }
        assert_eq!(stuck.log.values(), [0_u64; 0], "{name}");
        stuck.held.write(Message::new(Item(1)));
        stuck.log.wait_for_items(999);
        assert_eq!(stuck.log.values(), Vec::from_iter(1..1000), "{name}");
        stuck.subscription.unsubscribe();
        stuck.subscription.join_timeout(DEADLINE).unwrap();
    }
}

#[test]
fn the_final_message_waits_for_the_claim() {
    let _alone = alone();
    for (name, delivery) in deliveries() {
        let (bus, topic) = bus_and_topic();
        let stuck = Stuck::new(&topic, delivery);
        stuck.gate.open();
        stuck.subscription.unsubscribe();
        let report = bus.shutdown_timeout(Duration::from_millis(20)).unwrap();
        let named = report.unfinished.len() + report.executors.len();
        assert_eq!(named, 1, "{name}: {report:?}");
        assert_eq!(stuck.log.final_message(), None, "{name}");
        stuck.write_and_check();
    }
}

#[test]
fn a_manual_executor_can_give_up_and_come_back() {
    let _alone = alone();
    let (_bus, topic) = bus_and_topic();
    let executor = Arc::new(ManualExecutor::new());
    let log = Log::new();
    let writes = Arc::clone(&log);
    let subscription = topic
        .subscribe()
        .delivery(Delivery::Executor(executor.clone()))
        .run(move |message: &Message| writes.note(message))
        .unwrap();
    topic.publish(Item(0)).unwrap();
    let held = HeldPublish::claim(&subscription).unwrap();
    topic.publish(Item(2)).unwrap();
    for _ in 0..20 {
        assert!(executor.run_one(), "it comes back by itself");
        assert_eq!(executor.pending(), 1, "never two");
    }
    assert_eq!(log.values(), [0]);
    held.write(Message::new(Item(1)));
    executor.run_until_idle();
    assert_eq!(log.values(), [0, 1, 2]);
    subscription.unsubscribe();
    executor.run_until_idle();
    assert!(subscription.is_done());
}

#[test]
fn a_receiver_waits_without_burning_cpu() {
    let _alone = alone();
    let (_bus, topic) = bus_and_topic();
    let mut receiver = topic.subscribe().receiver().unwrap();
    let held = HeldPublish::claim(receiver.subscription()).unwrap();
    topic.publish(Item(2)).unwrap();
    assert_eq!(receiver.try_recv().unwrap_err(), TryRecvError::Empty);
    let received = thread::spawn(move || {
        let values: Vec<_> = receiver
            .iter()
            .take(2)
            .filter_map(|m| m.get::<Item>().cloned())
            .collect();
        (values, receiver)
    });
    if let Some(cpu) = cpu::fraction_over(HOLD) {
        assert!(cpu < MOST_CPU, "{cpu} of a core");
    }
    held.write(Message::new(Item(1)));
    let (values, receiver) = join("the receiver", received);
    assert_eq!(values, [Item(1), Item(2)]);
    drop(receiver);
}

/// A future of its own for each message, and each of them dropped after one poll, as `select!` does.
#[test]
fn a_receiver_that_is_polled_waits_without_burning_cpu() {
    let _alone = alone();
    let (_bus, topic) = bus_and_topic();
    let mut receiver = topic.subscribe().receiver().unwrap();
    let held = HeldPublish::claim(receiver.subscription()).unwrap();
    topic.publish(Item(2)).unwrap();
    let polls = Arc::new(AtomicU64::new(0));
    let counts = Arc::clone(&polls);
    let received = thread::spawn(move || {
        let flag = support::Flag::new();
        let mut values = Vec::new();
        while values.len() < 2 {
            counts.fetch_add(1, Ordering::SeqCst);
            match support::poll_once(&flag.waker(), receiver.recv_async()) {
                Some(message) => values.extend(message.unwrap().get::<Item>().cloned()),
                None => thread::park_timeout(DEADLINE),
            }
        }
        values
    });
    if let Some(cpu) = cpu::fraction_over(HOLD) {
        assert!(cpu < MOST_CPU, "{cpu} of a core");
    }
    // However little of a core there was: it does not come back without a pause.
    let polls = polls.load(Ordering::SeqCst);
    assert!(polls < 15_000, "{polls} polls in {HOLD:?}");
    held.write(Message::new(Item(1)));
    assert_eq!(join("the receiver", received), [Item(1), Item(2)]);
}

#[test]
fn a_future_that_meets_a_claim_is_woken_when_it_is_written() {
    let _alone = alone();
    let (_bus, topic) = bus_and_topic();
    let mut receiver = topic.subscribe().receiver().unwrap();
    let held = HeldPublish::claim(receiver.subscription()).unwrap();
    let writes = thread::spawn(move || {
        thread::sleep(Duration::from_millis(20));
        held.write(Message::new(Item(1)));
    });
    let message = block_on(receiver.recv_async()).unwrap();
    assert_eq!(message.get(), Some(&Item(1)));
    join("the writer", writes);
}

#[test]
fn a_receiver_dropped_at_a_claim_is_done_when_it_is_written() {
    let _alone = alone();
    let (_bus, topic) = bus_and_topic();
    let receiver = topic.subscribe().receiver().unwrap();
    let held = HeldPublish::claim(receiver.subscription()).unwrap();
    topic.publish(Item(2)).unwrap();
    let joins = receiver.subscription().join_async();
    drop(receiver);
    held.write(Message::new(Item(1)));
    let last = block_on(joins);
    assert_eq!((last.delivered, last.discarded), (0, 2));
}

#[test]
fn a_claim_on_a_full_lap_is_no_room() {
    let _alone = alone();
    // One slot, claimed and not written: what follows spills, and keeps its order.
    let (_bus, topic) = bus_and_topic();
    let sub = subscribe(support::Kind::Receiver, &topic, |builder| {
        builder.capacity(1)
    });
    drop(sub);
    let mut receiver = topic.subscribe().capacity(1).receiver().unwrap();
    let held = HeldPublish::claim(receiver.subscription()).unwrap();
    for value in 2..200 {
        topic.publish(Item(value)).unwrap();
    }
    assert_eq!(receiver.try_recv().unwrap_err(), TryRecvError::Empty);
    held.write(Message::new(Item(1)));
    let values: Vec<_> = receiver
        .try_iter()
        .map(|m| m.get::<Item>().unwrap().0)
        .collect();
    assert_eq!(values, Vec::from_iter(1..200));
    eventually("nothing waits", || {
        receiver.subscription().stats().depth == 0
    });
}

/// What waits behind such a claim is still paid for: a run that ends at the claim gives nothing back.
#[test]
fn what_waits_behind_a_claim_keeps_its_part_of_the_budget() {
    let (bus, topic) = bus_and_topic();
    let log = Log::new();
    let writes = Arc::clone(&log);
    let subscription = topic
        .subscribe()
        .capacity(8)
        .run(move |message: &Message| writes.note(message))
        .unwrap();
    let gate = Gate::new();
    topic
        .publish(Plug {
            log: log.number(),
            gate: Arc::clone(&gate),
        })
        .unwrap();
    gate.wait_for(1);
    let held = HeldPublish::claim(&subscription).expect("a ring, and open");
    for value in 2..1_002 {
        topic.publish(Item(value)).unwrap();
    }
    gate.open();
    // It has come to the claim, and tries again and again.
    eventually("handled", || subscription.stats().delivered == 1);
    thread::sleep(Duration::from_millis(20));
    let granted = bus.stats().budget_granted;
    assert!(granted >= 1_000 - 8, "{granted} for a thousand");
    held.write(Message::new(Item(1)));
    eventually("all is given back", || bus.stats().budget_granted == 0);
}
