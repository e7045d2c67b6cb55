//! What is counted: each case calls something so many times and counts what that executes, on the thread that does it.
//! Nothing is left to the scheduler: consumers are where the case says, *running* (they have not come to rest, so
//! nobody is woken) or *at rest*, with their threads asleep in the kernel. What is done between the calls, to get
//! there, is not counted.

mod cache;
mod deliver;
mod publish;
mod scenes;
mod subscribe;

pub(crate) use publish::pool_subscriptions;
pub(crate) use scenes::{SCENES, play};

use crate::probe::toggle;
use crate::support::{self, Other, Payload};
use crate::table::Kind::{self, Frees, Instructions, ReadModifyWrites};
use crate::table::Loose;
use crate::threads::Others;
use stasis_bus::{Bus, MessageType, Receiver, Subscription, Timestamp, Topic};
use std::hint::black_box;
use std::sync::{Arc, Barrier};
use std::time::Duration;

/// How often most cases are called, and how often those that wait for a thread to fall asleep in between.
const CALLS: usize = 1_024;
const FEW_CALLS: usize = 128;

/// So many calls are made before the mailboxes are drained. They have room for that, so no ring grows meanwhile.
const BURST: usize = 16;

static OTHER: MessageType<Other> = MessageType::new("other");

/// See the module.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) calls: usize,
    pub(crate) loose: Option<Loose>,
    run: fn(),
}

const fn case(name: &'static str, run: fn()) -> Case {
    Case {
        name,
        calls: CALLS,
        loose: None,
        run,
    }
}

const fn with_sleep(name: &'static str, run: fn()) -> Case {
    Case {
        calls: FEW_CALLS,
        ..case(name, run)
    }
}

/// What is not the same in each run, and why.
const fn inexact(by: &'static [(Kind, f64)], why: &'static str, case: Case) -> Case {
    Case {
        loose: Some(Loose { by, why }),
        ..case
    }
}

const BOTH_WAYS: &str = "who lets go of the wake-up last, caller or called, frees it";
const HASH: &str =
    "how far one has to look is up to the seed of the map's hash, another one each time";
const GARBAGE: &str =
    "what an epoch leaves behind is cleared away by whoever comes first, the worker too";
const SOONER: &str =
    "what an epoch leaves behind is cleared away some calls sooner in one run than in another";

const fn sooner(case: Case) -> Case {
    inexact(&[(ReadModifyWrites, 0.5)], SOONER, case)
}

pub(crate) const CASES: &[Case] = &[
    case("publish, nobody", || publish::running(0)),
    case("publish, 1 in the pool, running", || publish::running(1)),
    case("publish, 8 in the pool, running", || publish::running(8)),
    case("publish, 64 in the pool, running", || publish::running(64)),
    with_sleep("publish, 1 in the pool, at rest", || publish::at_rest(1)),
    with_sleep("publish, 8 in the pool, at rest", || publish::at_rest(8)),
    with_sleep("publish, 64 in the pool, at rest", || publish::at_rest(64)),
    case("publish, 1 of another type", || publish::unwanted(1)),
    case("publish, 8 of another type", || publish::unwanted(8)),
    case("publish, 64 of another type", || publish::unwanted(64)),
    case("publish, 1 receiver, running", || publish::to_receivers(1)),
    case("publish, 64 receivers, running", || {
        publish::to_receivers(64)
    }),
    inexact(
        &[(Instructions, 15.0), (ReadModifyWrites, 2.0), (Frees, 1.0)],
        BOTH_WAYS,
        with_sleep("publish, 1 receiver, waiting", publish::to_waiting_receiver),
    ),
    with_sleep("publish, 1 own thread, parked", publish::to_parked_thread),
    case("publish, 1 in the pool, spilling", publish::spilling),
    case(
        "publish 16 as a batch, 8 in the pool, running",
        publish::batch,
    ),
    case("publish a handle, 8 receivers, running", publish::handle),
    case(
        "publish through a forward, 1 receiver, running",
        publish::forwarded,
    ),
    case(
        "publish past a filter, 1 receiver, running",
        publish::filtered,
    ),
    case("publish, 1 inline, handled", publish::inline),
    case("has_subscribers_for, 64 of another type", publish::asking),
    case("deliver, pool", deliver::pool),
    case(
        "deliver, pool, 1 of 8 that get the message",
        deliver::shared,
    ),
    case("deliver, pool, from the spill", deliver::spilled),
    case("deliver, own thread", deliver::own_thread),
    case("deliver, receiver", deliver::receiver),
    case("deliver, executor, 16 a run", deliver::executor),
    with_sleep("wake up and deliver, pool", deliver::woken_worker),
    with_sleep(
        "wake up and deliver, own thread that parks",
        deliver::woken_thread,
    ),
    inexact(
        &[(ReadModifyWrites, 2.0), (Frees, 1.0)],
        BOTH_WAYS,
        with_sleep("wake up and deliver, receiver", deliver::woken_receiver),
    ),
    case("dispatch to one of 16 routes", || deliver::dispatched(16)),
    case("dispatch to one of 1000 routes", || {
        deliver::dispatched(1_000)
    }),
    inexact(
        &[(ReadModifyWrites, 0.5)],
        GARBAGE,
        case("subscribe, pool, beside 10", || subscribe::to_pool(10)),
    ),
    inexact(
        &[(ReadModifyWrites, 0.5)],
        GARBAGE,
        case("unsubscribe, pool, beside 10, worker awake", || {
            subscribe::from_pool(10)
        }),
    ),
    case("subscribe, receiver, beside 10", || subscribe::to(10)),
    case("unsubscribe, receiver, beside 10", || subscribe::from(10)),
    sooner(case("subscribe, receiver, beside 1000", || {
        subscribe::to(1_000)
    })),
    sooner(case("unsubscribe, receiver, beside 1000", || {
        subscribe::from(1_000)
    })),
    sooner(case("subscribe, receiver, beside 100000", || {
        subscribe::to(100_000)
    })),
    sooner(case("unsubscribe, receiver, beside 100000", || {
        subscribe::from(100_000)
    })),
    inexact(
        &[(Instructions, 6.0)],
        HASH,
        case("cache update, nobody listens", cache::unheard),
    ),
    inexact(
        &[(Instructions, 6.0)],
        HASH,
        case("cache update, 1 in the pool, running", cache::heard),
    ),
    inexact(
        &[(Instructions, 30.0)],
        HASH,
        case("cache read", cache::read),
    ),
];

/// How far off the case of that name may be.
pub(crate) fn loose(name: &str) -> Option<&'static Loose> {
    let case = CASES.iter().find(|case| case.name == name);
    case.and_then(|case| case.loose.as_ref())
}

/// Runs the case of that name.
pub(crate) fn run(name: &str) {
    know_the_time();
    let case = CASES.iter().find(|case| case.name == name);
    (case.expect("the name of a case").run)();
}

/// A process learns the rate of its time-stamp counter when it is 100 ms old. Before, it takes longer to tell a time.
fn know_the_time() {
    let start = Timestamp::now();
    while start.elapsed_nanos() < 110_000_000 {
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// What is counted.
#[inline(never)]
fn measured_calls(count: usize, call: &mut dyn FnMut()) {
    toggle();
    for _ in 0..count {
        call();
    }
    toggle();
}

/// Calls in bursts, with `drain` before the first burst and after each.
fn count(call: &mut dyn FnMut(), mut drain: impl FnMut()) {
    // What is there once in a thread comes into being.
    (0..BURST).for_each(|_| call());
    drain();
    for _ in 0..CALLS / BURST {
        measured_calls(BURST, call);
        drain();
    }
}

fn bus_and_topic() -> (Bus, Topic) {
    let bus = support::bus(1);
    let topic = bus.topic("t").expect("a topic");
    (bus, topic)
}

fn publish(topic: &Topic) -> impl FnMut() + '_ {
    || {
        black_box(topic.publish(Payload::new(1))).expect("an open topic");
    }
}

fn receivers(topic: &Topic, count: usize) -> Vec<Receiver> {
    let receivers = (0..count).map(|_| topic.subscribe().capacity(BURST).receiver());
    receivers.collect::<Result<_, _>>().expect("receivers")
}

/// Keeps the only worker of a bus away for as long as one wants, so that what is in the pool stays *running*.
struct Keeper {
    gate: Topic,
    barrier: Arc<Barrier>,
    workers: Others,
    _subscription: Subscription,
}

impl Keeper {
    fn new(bus: &Bus) -> Self {
        let gate = bus.topic("gate").expect("a topic");
        let barrier = Arc::new(Barrier::new(2));
        let shared = Arc::clone(&barrier);
        let keep = move |_: &Other| {
            shared.wait();
            shared.wait();
        };
        let subscription = gate.subscribe().run(keep).expect("a subscription");
        Self {
            gate,
            barrier,
            workers: Others::now(),
            _subscription: subscription,
        }
    }

    /// The worker has done all that was to be done, and is away while `action` runs.
    fn keep_away(&self, action: impl FnOnce()) {
        self.workers.wait_until_asleep();
        self.gate.publish(Other).expect("an open topic");
        self.barrier.wait();
        action();
        self.barrier.wait();
    }
}
