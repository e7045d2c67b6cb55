//! Everything is legal inside user code, and nothing waits there (R1, R1b): a table of actions, made once in every
//! place where code of the user's runs.

#![allow(clippy::disallowed_types, reason = "tests use std's own")]

mod common;

use common::{DEADLINE, Gate, Kind, Log, Setup, number, wait_until, with_deadline};
use stasis_bus::{
    Bus, Delivery, Forward, Gap, Message, Overflow, PanicPolicy, RecvError, Subscription,
    SubscriptionBuilder, SyncError, Topic, WaitError,
};
use std::any::Any;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What an action can get at. Clones are the same world.
#[derive(Clone)]
struct World(Arc<Parts>);

struct Parts {
    kind: Kind,
    bus: Mutex<Option<Bus>>,
    topic: Mutex<Option<Topic>>,
    other: Topic,
    /// The subscription whose code runs the action.
    own: Mutex<Option<Arc<Subscription>>>,
    /// One that nobody does anything with, on the other topic.
    bystander: Mutex<Option<Arc<Subscription>>>,
    forward: Mutex<Option<Forward>>,
    gate: Gate,
    begun: AtomicBool,
    acted: Log<Result<(), String>>,
    /// What is to outlive the action.
    kept: Mutex<Vec<Box<dyn Any + Send>>>,
    action: fn(&World),
}

fn get<T: Clone>(place: &Mutex<Option<T>>) -> Option<T> {
    place.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn take<T>(place: &Mutex<Option<T>>) -> Option<T> {
    place.lock().unwrap_or_else(PoisonError::into_inner).take()
}

impl World {
    fn new(setup: &Setup, total_order: bool, action: fn(&World)) -> Self {
        let bus = setup.bus.clone();
        let topic = match total_order {
            false => bus.topic("own").unwrap(),
            true => bus.topic_with_total_order("own").unwrap(),
        };
        let other = bus.topic("other").unwrap();
        let bystander = setup.builder(&other).run(|_: &u64| {});
        let forward = topic.forward_to(&topic).unwrap();
        Self(Arc::new(Parts {
            kind: setup.kind,
            bus: Mutex::new(Some(bus)),
            topic: Mutex::new(Some(topic)),
            other,
            own: Mutex::new(None),
            bystander: Mutex::new(Some(Arc::new(bystander.unwrap()))),
            forward: Mutex::new(Some(forward)),
            gate: Gate::new(),
            begun: AtomicBool::new(false),
            acted: Log::new(),
            kept: Mutex::new(Vec::new()),
            action,
        }))
    }

    fn topic(&self) -> Option<Topic> {
        get(&self.0.topic)
    }

    fn keep(&self, what: impl Any + Send) {
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push(Box::new(what));
    }

    /// Makes the action, the first time. A failure is told, not unwound into the bus.
    fn act(&self) {
        if self.0.begun.swap(true, Ordering::SeqCst) {
            return;
        }
        let action = std::panic::AssertUnwindSafe(|| (self.0.action)(self));
        let result = std::panic::catch_unwind(action);
        self.0.acted.push(result.map_err(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            text.unwrap_or_else(|| "panicked".into())
        }));
    }

    fn subscribed(&self, subscription: Subscription) {
        let mut own = self.0.own.lock().unwrap_or_else(PoisonError::into_inner);
        *own = Some(Arc::new(subscription));
    }
}

type Action = (&'static str, fn(&World));

/// All that may be done in user code.
const ACTIONS: &[Action] = &[
    ("publish here", |world| {
        if let Some(topic) = world.topic() {
            let _ = topic.publish(99_u64);
            let _ = topic.publish_batch([97_u64, 98]);
        }
    }),
    ("publish there", |world| {
        world.0.other.publish(99_u64).unwrap();
    }),
    ("subscribe", |world| {
        let Some(topic) = world.topic() else { return };
        if topic.is_closed() {
            return;
        }
        let delivery = Delivery::Inline;
        let inline = topic.subscribe().delivery(delivery).change_notices();
        world.keep(inline.run(|_: &Message| {}).unwrap());
        world.keep(topic.subscribe().run(|_: &Message| {}).unwrap());
        drop(topic.subscribe().receiver().unwrap());
    }),
    ("unsubscribe itself", |world| {
        if let Some(own) = get(&world.0.own) {
            own.unsubscribe();
            own.unsubscribe();
        }
    }),
    ("drop its own handle", |world| drop(take(&world.0.own))),
    ("unsubscribe another one", |world| {
        get(&world.0.bystander).unwrap().unsubscribe();
    }),
    ("forward", |world| {
        if let Some(topic) = world.topic().filter(|topic| !topic.is_closed()) {
            world.keep(topic.forward_to(&world.0.other).unwrap());
            drop(world.0.other.forward_to(&topic).unwrap());
        }
    }),
    ("cancel a forward", |world| drop(take(&world.0.forward))),
    ("close the topic", |world| {
        if let Some(topic) = world.topic() {
            topic.close();
            assert!(topic.publish(99_u64).is_err());
        }
    }),
    ("drop the last handle of the topic", |world| {
        drop(take(&world.0.forward));
        drop(take(&world.0.topic));
    }),
    ("drop the bus", |world| drop(take(&world.0.bus))),
    ("shut down", |world| {
        let bus = get(&world.0.bus).unwrap();
        assert_eq!(bus.shutdown().unwrap_err(), WaitError::WouldDeadlock);
    }),
    ("make topics", |world| {
        let bus = get(&world.0.bus).unwrap();
        world.keep(bus.topic("more").unwrap());
        drop(bus.topic_with_total_order("still more").unwrap());
    }),
    ("look at the figures", |world| {
        let bus = get(&world.0.bus).unwrap();
        assert!(bus.topics().len() >= 2);
        let _ = (bus.stats(), get(&world.0.bystander).unwrap().stats());
    }),
    ("wait", |world| {
        const SHORT: Duration = Duration::from_secs(1);
        let bystander = get(&world.0.bystander).unwrap();
        assert_eq!(bystander.join(), Err(WaitError::WouldDeadlock));
        assert_eq!(bystander.join_timeout(SHORT), Err(WaitError::WouldDeadlock));
        assert_eq!(bystander.flush(), Err(WaitError::WouldDeadlock));
        let sync = world.0.other.publish_sync(&bystander, 1_u64);
        assert!(matches!(sync, Err(SyncError::WouldDeadlock(_))));
        let mut receiver = world.0.other.subscribe().receiver().unwrap();
        assert_eq!(receiver.recv().unwrap_err(), RecvError::WouldDeadlock);
        assert_eq!(
            receiver.recv_timeout(SHORT).unwrap_err(),
            RecvError::WouldDeadlock
        );
        world.0.other.publish(7_u64).unwrap();
        assert!(receiver.recv().is_ok(), "what is there is taken");
    }),
    ("publish to a mailbox that blocks", |world| {
        let overflow = Overflow::Block { timeout: None };
        let builder = world.0.other.subscribe().capacity(1).overflow(overflow);
        let mut receiver = builder.receiver().unwrap();
        for n in 0..5_u64 {
            assert_eq!(world.0.other.publish(n).unwrap().offered(), 2, "it spills");
        }
        assert_eq!(receiver.try_iter().count(), 5);
    }),
];

/// A place where user code runs: it sets a subscription up, and makes it run.
type Place = (&'static str, fn(SubscriptionBuilder, &World));

fn run(builder: SubscriptionBuilder, world: &World) {
    world.subscribed(builder.run(|_: &Message| {}).unwrap());
}

fn publish(world: &World, payloads: impl IntoIterator<Item = u64>) {
    let _ = world.topic().unwrap().publish_batch(payloads);
}

/// Publishes bursts until the action was made: a thread of its own may take messages while a burst is published.
fn publish_until_acted(world: &World, mut burst: impl FnMut() -> Vec<Message>) {
    wait_until("a burst made it act", || {
        let topic = world.topic();
        let _ = topic.map(|topic| topic.publish_batch(burst()));
        world.0.begun.load(Ordering::SeqCst)
    });
}

fn numbers() -> Vec<Message> {
    (1..=20_u64).map(Message::new).collect()
}

fn end(world: &World) {
    if let Some(own) = get(&world.0.own) {
        own.unsubscribe();
    }
}

/// Acts as it is dropped.
struct ActOnDrop(World);

impl Drop for ActOnDrop {
    fn drop(&mut self) {
        self.0.act();
    }
}

const PLACES: &[Place] = &[
    ("a handler", |builder, world| {
        let acts = world.clone();
        let handler = move |message: &Message| {
            if number(message).is_some() {
                acts.act();
            }
        };
        world.subscribed(builder.run(handler).unwrap());
        publish(world, [1]);
    }),
    ("a typed handler", |builder, world| {
        let acts = world.clone();
        world.subscribed(builder.run(move |_: &u64| acts.act()).unwrap());
        publish(world, [1, 2, 3]);
    }),
    ("a batch handler", |builder, world| {
        let acts = world.clone();
        world.subscribed(builder.run_batch(move |_| acts.act()).unwrap());
        publish(world, [1, 2, 3]);
    }),
    ("a handler's last run", |builder, world| {
        let acts = world.clone();
        let handler = move |message: &Message| {
            if message.as_final().is_some() {
                acts.act();
            }
        };
        world.subscribed(builder.run(handler).unwrap());
        publish(world, [1]);
        end(world);
    }),
    ("on_final", |builder, world| {
        let acts = world.clone();
        run(builder.on_final(move |_| acts.act()), world);
        end(world);
    }),
    ("a filter", |builder, world| {
        let acts = world.clone();
        let filter = move |_: &Message| {
            acts.act();
            true
        };
        run(builder.filter(filter), world);
        publish(world, [1]);
    }),
    ("on_gap", |builder, world| {
        let acts = world.clone();
        let builder = builder.capacity(1).overflow(Overflow::DropNewest);
        run(builder.on_gap(move |_: &Gap| acts.act()), world);
        publish_until_acted(world, numbers);
    }),
    ("a congestion callback, raised", |builder, world| {
        let acts = world.clone();
        let callback = move |congestion: &stasis_bus::Congestion| {
            if congestion.raised {
                acts.act();
            }
        };
        run(builder.congestion(3, 1, callback), world);
        publish_until_acted(world, numbers);
    }),
    ("a congestion callback, cleared", |builder, world| {
        let acts = world.clone();
        let callback = move |congestion: &stasis_bus::Congestion| {
            if !congestion.raised {
                acts.act();
            }
        };
        run(builder.congestion(3, 1, callback), world);
        publish_until_acted(world, numbers);
    }),
    (
        "the drop of a payload that was handled",
        |builder, world| {
            run(builder, world);
            let _ = world.topic().unwrap().publish(ActOnDrop(world.clone()));
        },
    ),
    (
        "the drop of a payload that nobody wants",
        |builder, world| {
            run(builder.filter(|_| false), world);
            let _ = world.topic().unwrap().publish(ActOnDrop(world.clone()));
        },
    ),
    ("the drop of a payload that is shed", |builder, world| {
        run(builder.capacity(1).overflow(Overflow::DropOldest), world);
        let one = || Message::new(ActOnDrop(world.clone()));
        publish_until_acted(world, || (0..20).map(|_| one()).collect());
    }),
    ("the drop of what a handler captured", |builder, world| {
        let captured = ActOnDrop(world.clone());
        let handler = move |_: &Message| {
            let _ = &captured;
        };
        world.subscribed(builder.run(handler).unwrap());
        end(world);
    }),
    ("the drop of what a panic carries", |builder, world| {
        let acts = world.clone();
        let handler = move |_: &u64| std::panic::panic_any(ActOnDrop(acts.clone()));
        world.subscribed(builder.run(handler).unwrap());
        publish(world, [1]);
    }),
];

/// Places that only topics without total order have.
const RELAXED_PLACES: &[Place] = &[("a key function", |builder, world| {
    let acts = world.clone();
    let key = Overflow::conflate(move |_: &Message| {
        acts.act();
        1_u64
    });
    run(builder.overflow(key), world);
    publish(world, [1, 2]);
})];

/// Makes one action in one place, and sees that all of it comes to its end.
fn act_there(
    mut setup: Setup,
    total_order: bool,
    place: &Place,
    action: &(&str, fn(&World)),
    slot: &Slot,
) {
    let world = World::new(&setup, total_order, action.1);
    *slot.lock().unwrap() = Some(world.clone());
    let builder = setup.builder(&world.topic().unwrap());
    // The world has the only handle of the bus.
    setup.bus = common::bus_with(1);
    (place.1)(builder, &world);
    world.0.acted.wait_len(1);
    let what = format!("{}: {} ({:?})", place.0, action.0, world.0.kind);
    assert_eq!(world.0.acted.take(), [Ok(())], "{what}");
    // Whatever was done, everybody can be ended and waited for.
    for place in [&world.0.own, &world.0.bystander] {
        if let Some(subscription) = take(place) {
            subscription.unsubscribe();
            let ended = subscription.join_timeout(DEADLINE);
            assert!(ended.is_ok(), "{what}: {ended:?}");
        }
    }
    world.0.kept.lock().unwrap().clear();
}

fn every_action_in(kinds: &'static [Kind], total_order: bool, places: &'static [Place]) {
    for &kind in kinds {
        for place in places {
            for action in ACTIONS {
                let what = format!("{kind:?}, {}, {}", place.0, action.0);
                with_deadline(&what, move || {
                    let setup = Setup::new(kind);
                    act_there(setup, total_order, place, action, &Slot::default());
                });
            }
        }
    }
}

const KINDS: &[Kind] = &[
    Kind::PoolOfOne,
    Kind::PoolOfThree,
    Kind::OwnPark,
    Kind::OwnSpinThenPark,
    Kind::Inline,
    Kind::SpawningExecutor,
    Kind::ManualExecutor,
];

#[test]
fn every_action_in_every_place() {
    every_action_in(KINDS, false, PLACES);
    every_action_in(KINDS, false, RELAXED_PLACES);
}

#[test]
fn every_action_in_every_place_with_total_order() {
    every_action_in(
        &[Kind::PoolOfOne, Kind::OwnPark, Kind::Inline],
        true,
        PLACES,
    );
}

/// Where the hooks of a bus find their world.
type Slot = Arc<Mutex<Option<World>>>;

fn every_action_in_hook(hook: fn(stasis_bus::BusBuilder, Slot) -> stasis_bus::BusBuilder) {
    for &kind in KINDS {
        for action in ACTIONS {
            with_deadline(&format!("{kind:?}, {}", action.0), move || {
                let slot = Slot::default();
                let bus = hook(Bus::builder().workers(1), Arc::clone(&slot)).build();
                let setup = Setup::with_bus(kind, bus.unwrap());
                let place: &Place = &("a hook", |builder, world| {
                    let builder = builder.panic_policy(PanicPolicy::Close);
                    // There is to be something to discard. An inline handler runs when the batch is complete.
                    let gate = (world.0.kind != Kind::Inline).then(|| world.0.gate.clone());
                    let handler = move |_: &u64| {
                        gate.iter().for_each(Gate::pass);
                        panic!("to be reported");
                    };
                    world.subscribed(builder.run(handler).unwrap());
                    publish(world, 1..=5);
                    world.0.gate.open();
                });
                act_there(setup, false, place, action, &slot);
                *slot.lock().unwrap() = None;
            });
        }
    }
}

#[test]
fn every_action_in_a_panic_hook() {
    every_action_in_hook(|builder, slot| builder.on_panic(move |_| get(&slot).unwrap().act()));
}

#[test]
fn every_action_in_a_discard_hook() {
    every_action_in_hook(|builder, slot| builder.on_discard(move |_| get(&slot).unwrap().act()));
}
