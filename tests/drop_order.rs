//! Drop order is free (L7): bus, topics, subscriptions, forwards and messages go in any order, on any thread, in
//! handlers too, and in the end nothing is left.

#![allow(clippy::disallowed_types, reason = "tests use std's own")]

mod common;

use common::{DropFlag, Kind, Log, Setup, for_each_kind, number, wait_until, with_deadline};
use stasis_bus::{Bus, Forward, Message, Topic};
use std::sync::{Arc, Mutex};
use std::thread;

/// All orders of `len` things.
fn permutations(len: usize) -> Vec<Vec<usize>> {
    if len == 0 {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for shorter in permutations(len - 1) {
        for place in 0..len {
            let mut longer = shorter.clone();
            longer.insert(place, len - 1);
            all.push(longer);
        }
    }
    all
}

/// Things that are dropped one by one, and flags that tell when all of it is gone.
struct Parts {
    things: Vec<Option<Box<dyn Send>>>,
    /// What the bus's hook captured, what the handler captured, what the message carries.
    flags: [DropFlag; 3],
}

/// A handler that never sees its final message would leave its flag; one that panicked, its count.
struct Payload {
    _guard: common::observe::DropGuard,
}

fn parts(kind: Kind) -> Parts {
    let flags: [DropFlag; 3] = std::array::from_fn(|_| DropFlag::new());
    let [in_bus, in_handler, in_message] = flags.each_ref().map(DropFlag::guard);
    let bus = Bus::builder().workers(1).on_panic(move |_| {
        let _ = &in_bus;
    });
    let setup = Setup::with_bus(kind, bus.build().unwrap());
    let (topic, down) = (setup.topic("topic"), setup.topic("down"));
    let forward = topic.forward_to(&down).unwrap();
    let kept: Arc<Mutex<Vec<Message>>> = Arc::default();
    let keeps = Arc::clone(&kept);
    let subscription = setup.run(&down, move |message| {
        let _ = &in_handler;
        if message.get::<Payload>().is_some() {
            keeps.lock().unwrap().push(message.clone());
        }
    });
    let message = Message::new(Payload { _guard: in_message });
    topic.publish(message.clone()).unwrap();
    topic.publish(1_u64).unwrap();
    drop(down);
    // The bus goes with the setup, whose executor runs until there is nothing more to run.
    let things: [Box<dyn Send>; 5] = [
        Box::new(setup),
        Box::new(topic),
        Box::new(forward),
        Box::new(subscription),
        Box::new((message, kept)),
    ];
    Parts {
        things: things.map(Some).into(),
        flags,
    }
}

#[track_caller]
fn assert_gone(flags: &[DropFlag; 3], what: &str) {
    for (flag, name) in flags.iter().zip(["bus", "handler", "message"]) {
        wait_until(&format!("the {name} is gone: {what}"), || flag.is_dropped());
        assert_eq!(flag.count(), 1);
    }
}

#[test]
fn every_order_on_one_thread() {
    for_each_kind(|setup| {
        let kind = setup.kind;
        // A manual executor's pump ends with its setup: that has to outlive the subscription.
        for order in permutations(5) {
            let place = |thing| order.iter().position(|other| *other == thing);
            if kind == Kind::ManualExecutor && place(0) < place(3) {
                continue;
            }
            let mut parts = parts(kind);
            for thing in &order {
                drop(parts.things[*thing].take());
            }
            assert_gone(&parts.flags, &format!("{order:?}"));
        }
    });
}

#[test]
fn each_on_a_thread_of_its_own() {
    for_each_kind(|setup| {
        let kind = setup.kind;
        if kind == Kind::ManualExecutor {
            return;
        }
        for _ in 0..20 {
            let parts = parts(kind);
            let threads: Vec<_> = parts
                .things
                .into_iter()
                .map(|thing| thread::spawn(move || drop(thing)))
                .collect();
            threads.into_iter().for_each(|t| t.join().unwrap());
            assert_gone(&parts.flags, "at once");
        }
    });
}

#[test]
fn every_order_in_a_handler() {
    with_deadline("in a handler", || {
        for runs in [Kind::PoolOfOne, Kind::OwnPark, Kind::Inline] {
            for kind in [
                Kind::PoolOfOne,
                Kind::OwnPark,
                Kind::Inline,
                Kind::Receiver,
                Kind::SpawningExecutor,
            ] {
                let setup = Setup::new(runs);
                let topic = setup.topic("dropping");
                let dropped = Log::new();
                let told = dropped.clone();
                type Dropping = Mutex<Option<(Vec<Option<Box<dyn Send>>>, Vec<usize>)>>;
                let sub = setup.run(&topic, move |message| {
                    let Some(dropping) = message.get::<Dropping>() else {
                        return;
                    };
                    let taken = dropping.lock().unwrap().take();
                    if let Some((mut things, order)) = taken {
                        for thing in order {
                            drop(things[thing].take());
                        }
                        told.push(());
                    }
                });
                for order in permutations(5).into_iter().step_by(7) {
                    let what = format!("{runs:?}, {kind:?}, {order:?}");
                    let Parts { things, flags } = parts(kind);
                    let dropping: Dropping = Mutex::new(Some((things, order)));
                    topic.publish(dropping).unwrap();
                    dropped.wait_len(1);
                    dropped.take();
                    assert_gone(&flags, &what);
                }
                sub.end();
            }
        }
    });
}

/// The last handles of everything are in the handler's own hands.
#[test]
fn a_handler_that_owns_its_own_world() {
    for_each_kind(|setup| {
        let kind = setup.kind;
        if kind == Kind::ManualExecutor {
            return;
        }
        let flag = DropFlag::new();
        let guard = flag.guard();
        let bus = Bus::builder().workers(1).on_panic(move |_| {
            let _ = &guard;
        });
        let setup = Setup::with_bus(kind, bus.build().unwrap());
        let (topic, other) = (setup.topic("own"), setup.topic("other"));
        let forward = topic.forward_to(&other).unwrap();
        let world: (Bus, Topic, Topic, Forward) =
            (setup.bus.clone(), topic.clone(), other, forward);
        let log = Log::new();
        let logs = log.clone();
        let mut world = Some(world);
        let sub = setup.run(&topic, move |message| {
            logs.push(number(message));
            if number(message) == Some(2) {
                drop(world.take());
            }
        });
        topic.publish_batch([1_u64, 2, 3]).unwrap();
        // The handle is dropped while the handler may be at work; what it captured may be the last of all.
        drop((setup, topic));
        drop(sub);
        log.wait_len(4);
        assert_eq!(log.get(), [Some(1), Some(2), Some(3), None]);
        wait_until("all is gone", || flag.is_dropped());
    });
}

/// A handler that is never called again, and owns the bus, goes when the topic is closed.
#[test]
fn a_subscription_that_is_in_its_own_handler() {
    with_deadline("circle", || {
        for kind in [Kind::PoolOfOne, Kind::OwnPark, Kind::Inline] {
            let setup = Setup::new(kind);
            let topic = setup.topic("circle");
            let flag = DropFlag::new();
            let guard = flag.guard();
            let slot: Arc<Mutex<Option<stasis_bus::Subscription>>> = Arc::default();
            let owns = Arc::clone(&slot);
            let subscription = setup.builder(&topic).run(move |_: &Message| {
                let _ = (&guard, owns.lock().unwrap().as_ref().map(|own| own.id()));
            });
            *slot.lock().unwrap() = Some(subscription.unwrap());
            drop(slot);
            topic.publish(1_u64).unwrap();
            topic.close();
            wait_until("the circle is broken", || flag.is_dropped());
        }
    });
}

/// Messages that nobody takes go with the mailbox that they wait in.
#[test]
fn messages_that_wait_in_a_receiver_go_with_it() {
    with_deadline("waiting", || {
        let setup = Setup::new(Kind::Receiver);
        let topic = setup.topic("waiting");
        let flag = DropFlag::new();
        let receiver = topic.subscribe().capacity(2).receiver().unwrap();
        for _ in 0..100 {
            let guard = flag.guard();
            topic.publish(Payload { _guard: guard }).unwrap();
        }
        drop(topic);
        drop(setup);
        assert_eq!(flag.count(), 0);
        drop(receiver);
        assert_eq!(flag.count(), 100);
    });
}
