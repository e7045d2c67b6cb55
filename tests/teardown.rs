//! Whatever is dropped, in whatever order and on whatever thread: nothing is kept, and nothing hangs.

#![allow(clippy::disallowed_types, reason = "tests use std's own")]

mod common;

use common::cached::{A, Cached, HERE, STATE, State, cache, set, summing};
use common::observe::DropGuard;
use common::{DropFlag, Gate, wait_until, with_deadline};
use stasis_bus::{
    Aggregate, Bus, Cache, CacheFamily, CacheMember, CacheUpdate, CachingTopic, MessageType,
    Router, Routes, Snapshots, StateTopics, Subscription, Tap, Topic, TopicPool,
};
use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// A bus with something of everything on it, much of which refers to the rest.
struct Everything {
    bus: Bus,
    topic: Topic,
    caches: (Cache, CachingTopic, Subscription),
    family: (CacheFamily, CacheMember, CacheMember),
    states: StateTopics,
    tap: Tap,
    router: (Router, Routes),
    pool: (TopicPool, Topic, Topic),
}

fn everything(guard: DropGuard) -> Everything {
    let keep = move |_: &stasis_bus::HandlerPanic<'_>| {
        let _ = &guard;
    };
    let bus = Bus::builder().on_panic(keep).build().unwrap();
    let topic = bus.topic("t").unwrap();
    let cache = summing();
    let caching = cache.attach(&topic).unwrap();
    let family = CacheFamily::new(&bus, "family", cache.clone()).unwrap();
    let member = family.single("member").unwrap();
    let sink = family.sink("sink").unwrap();
    member.forward_to(&sink).unwrap().bind();
    let states = StateTopics::new(&bus.topic("all").unwrap()).unwrap();
    states.publish_by_id("x", A, 1_u64).unwrap();
    let subscription = states.subscribe_with_retained("x", |it| it.run(|_: &u64| {}));
    subscription.unwrap().detach();
    let kept = (topic.clone(), states.clone());
    let tap = topic.tap(move |_| drop(kept.clone())).unwrap();
    let router = router(&topic, &family, &member);
    let pool = topic.pool().unwrap();
    let child = pool.topic("child").unwrap();
    let aggregate = bus.topics_matching("t/**").unwrap();
    set(&child, HERE, 1, 1);
    set(member.topic(), HERE, 2, 1);
    let kept = cache.clone();
    let board = caching.subscribe_with_snapshot(|it| it, move |_| drop(kept.dump().to_vec()));
    Everything {
        bus,
        topic,
        caches: (cache, caching, board.unwrap()),
        family: (family, member, sink),
        states,
        tap,
        router,
        pool: (pool, child, aggregate),
    }
}

/// Its handlers keep the routes, a member and the family.
fn router(topic: &Topic, family: &CacheFamily, member: &CacheMember) -> (Router, Routes) {
    let builder = Router::builder();
    let routes = builder.routes();
    let kept = (routes.clone(), member.clone());
    let builder = builder.on(&STATE, move |_: &State| drop(kept.clone()));
    let router = builder.subscribe(topic.subscribe()).unwrap();
    let kept = (routes.clone(), family.clone());
    let on_update = move |_: &CacheUpdate| drop(kept.clone());
    routes.add_update(&STATE, on_update).unwrap();
    (router, routes)
}

impl Everything {
    fn detach(self) -> Remainder {
        self.router.0.detach();
        self.caches.2.detach();
        let parts = (self.topic, self.caches.0, self.caches.1, self.family);
        let others = (self.states, self.tap, self.router.1, self.pool);
        (self.bus, Box::new((parts, others)))
    }
}

/// The bus, and all the rest.
type Remainder = (Bus, Box<dyn Send>);

#[test]
fn a_bus_is_freed_in_whatever_order_it_is_dropped() {
    let orders: [fn(Everything); 6] = [
        |all| {
            let Everything { bus, .. } = &all;
            bus.shutdown().unwrap();
            drop(all);
        },
        drop,
        |all| {
            let Everything { bus, family, .. } = all;
            drop(bus);
            drop(family);
        },
        |all| {
            let (bus, rest) = all.detach();
            drop(bus);
            drop(rest);
        },
        |all| {
            let (bus, rest) = all.detach();
            drop(rest);
            drop(bus);
        },
        |all| {
            let (bus, rest) = all.detach();
            thread::spawn(move || drop(rest)).join().unwrap();
            drop(bus);
        },
    ];
    for order in orders {
        let freed = DropFlag::new();
        order(everything(freed.guard()));
        wait_until("the bus is freed", || freed.count() == 1);
    }
}

/// As documented: a router's routes keep its subscription's books, and the topic with them.
#[test]
fn routes_keep_the_topic_of_a_router_that_is_gone() {
    let bus = Bus::new().unwrap();
    let topic = bus.topic("t").unwrap();
    let router = Router::builder().on(&STATE, |_: &State| {});
    let router = router.subscribe(topic.subscribe()).unwrap();
    let routes = router.routes().clone();
    router.subscription().unsubscribe();
    router.subscription().join().unwrap();
    drop((router, topic));
    assert!(bus.get_topic("t").is_some());
    drop(routes);
    wait_until("the topic goes", || bus.get_topic("t").is_none());
}

/// A state that does something when it goes.
struct Loud {
    value: u64,
    last_act: Option<Box<dyn FnOnce() + Send + Sync>>,
}
static LOUD: MessageType<Loud> = MessageType::new("loud");

fn loud(value: u64) -> Loud {
    let last_act = None;
    Loud { value, last_act }
}

impl Drop for Loud {
    fn drop(&mut self) {
        if let Some(act) = self.last_act.take() {
            act();
        }
    }
}

/// An aggregate that was overtaken while it was calculated is dropped, and publishes the same key as it goes.
#[test]
fn an_aggregate_that_is_void_is_dropped_without_a_lock() {
    with_deadline("void aggregate", || {
        let bus = Bus::new().unwrap();
        let topic = bus.topic("t").unwrap();
        let (calculating, once) = (Gate::new(), AtomicBool::new(false));
        let (gate, acting) = (calculating.clone(), Mutex::new(Some(topic.clone())));
        let acted = DropFlag::new();
        let acts = acted.clone();
        let calculate = move |all: &Snapshots<'_, Loud>| {
            let mut sum = loud(all.iter().map(|(_, it)| it.value).sum());
            if !once.swap(true, Ordering::SeqCst) {
                gate.pass();
                let topic = acting.lock().unwrap().take().unwrap();
                let guard = acts.guard();
                sum.last_act = Some(Box::new(move || {
                    topic.publish(LOUD.message(loud(3))).unwrap();
                    drop(guard);
                }));
            }
            Aggregate::New(sum)
        };
        let cache = Cache::builder()
            .key(&LOUD, |_| Some(1_u32.into()))
            .aggregate(&LOUD, calculate)
            .keep_aggregates()
            .build()
            .unwrap();
        let _caching = cache.attach(&topic).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| topic.publish(LOUD.message(loud(1))).unwrap());
            calculating.wait_arrived(1);
            topic.publish(LOUD.message(loud(2))).unwrap();
            calculating.open();
        });
        wait_until("it is dropped", || acted.count() == 1);
        let aggregate = cache.aggregate(&LOUD, 1).unwrap().unwrap();
        assert_eq!(aggregate.get().map(|it: &Loud| it.value), Some(3));
    });
}

/// Runs something when its thread ends.
struct AtEnd(Option<Box<dyn FnOnce()>>);

impl Drop for AtEnd {
    fn drop(&mut self) {
        (self.0.take().expect("once"))();
    }
}

thread_local! {
    static FIRST: RefCell<Vec<AtEnd>> = const { RefCell::new(Vec::new()) };
    static LAST: RefCell<Vec<AtEnd>> = const { RefCell::new(Vec::new()) };
}

/// The thread-locals of what is underneath may be gone before those of the user's.
#[test]
fn caches_work_while_a_thread_is_torn_down() {
    let world = Arc::new(Cached::new(cache()));
    for _ in 0..3 {
        let world = world.clone();
        let thread = thread::spawn(move || {
            let at_end = |id: u32| {
                let world = world.clone();
                AtEnd(Some(Box::new(move || {
                    world.set(A, id, 1);
                    assert_eq!(world.value(A, id), Some(1));
                    assert!(!world.cache.dump().all_origins().to_vec().is_empty());
                    world.caching.clear(&STATE, id, A).unwrap();
                })))
            };
            // One that is torn down before what the first publish sets up, and one after, whatever the order.
            FIRST.with_borrow_mut(|it| it.push(at_end(1)));
            world.set(HERE, 5, 1);
            assert_eq!(world.cache.dump().to_vec().len(), 1);
            LAST.with_borrow_mut(|it| it.push(at_end(2)));
        });
        thread.join().expect("nothing panics at the end");
    }
    assert_eq!(world.cache.len(), 1);
}

/// The topic of updates was closed by hand: what is read is right nevertheless.
#[test]
fn a_cache_goes_on_without_its_topic_of_updates() {
    let world = Cached::new(summing());
    let updates = world.caching.topic();
    let _asked = updates.subscribe().filter(|_| true).receiver().unwrap();
    updates.close();
    world.set(HERE, 1, 1);
    assert_eq!(world.value(HERE, 1), Some(1));
    let aggregate = world.cache.aggregate(&STATE, 1).unwrap().unwrap();
    assert_eq!(aggregate.get(), Some(&(1_u32, 1_u64)));
    world.caching.clear(&STATE, 1, HERE).unwrap();
    assert!(world.cache.is_empty());
}
