//! Routers on caching topics: updates are routed by the type that is cached, those of other types to a route for
//! updates in general, what is left to the default.

#![allow(clippy::disallowed_types, reason = "tests use std's own")]

mod common;

use common::{DEADLINE, Log, for_each_handler_kind};
use stasis_bus::{
    Bus, CACHE_UPDATE, Cache, CacheUpdate, CachingTopic, Message, MessageType, Router, RouterError,
    Topic,
};

static LINE: MessageType<u64> = MessageType::new("line");
static TRUNK: MessageType<u64> = MessageType::new("trunk");
static PEER: MessageType<u64> = MessageType::new("peer");

type Entries = Log<(&'static str, u64)>;

/// A topic whose messages of all three types are cached, by themselves.
fn cached(bus: &Bus) -> (Topic, CachingTopic) {
    let mut builder = Cache::builder();
    for message_type in [&LINE, &TRUNK, &PEER] {
        builder = builder.key(message_type, |n| Some((*n).into()));
    }
    let topic = bus.topic("states").unwrap();
    let caching = builder.build().unwrap().attach(&topic).unwrap();
    (topic, caching)
}

fn publish(topic: &Topic, n: u64) {
    for message_type in [&LINE, &TRUNK, &PEER] {
        topic.publish(message_type.message(n)).unwrap();
    }
}

fn note(log: &Entries, who: &'static str) -> impl FnMut(&CacheUpdate) + Send + 'static {
    let log = log.clone();
    move |update| log.push((who, update.new_as().copied().unwrap_or_default()))
}

fn note_message(log: &Entries, who: &'static str) -> impl FnMut(&Message) + Send + 'static {
    let mut note = note(log, who);
    move |message| message.get().into_iter().for_each(&mut note)
}

#[test]
fn updates_go_by_the_type_that_is_cached() {
    for_each_handler_kind(|setup| {
        let (topic, caching) = cached(&setup.bus);
        let log = Log::new();
        let router = Router::builder()
            .on_update(&LINE, note(&log, "line"))
            .on_message(&CACHE_UPDATE, note_message(&log, "another"))
            .on_update(&TRUNK, note(&log, "trunk"))
            .on(&LINE, |_| panic!("that is no update"))
            .default(note_message(&log, "default"))
            .subscribe(setup.builder(caching.topic()))
            .unwrap();
        publish(&topic, 1);
        router.remove(&CACHE_UPDATE).unwrap();
        publish(&topic, 2);
        router.remove_update(&LINE).unwrap();
        publish(&topic, 3);
        router.remove_default().unwrap();
        publish(&topic, 4);
        router.add_update(&PEER, note(&log, "peer")).unwrap();
        publish(&topic, 5);
        router.subscription().flush_timeout(DEADLINE).unwrap();
        let expected = [
            [("line", 1), ("trunk", 1), ("another", 1)].as_slice(),
            &[("line", 2), ("trunk", 2), ("default", 2)],
            &[("default", 3), ("trunk", 3), ("default", 3)],
            &[("trunk", 4)],
            &[("trunk", 5), ("peer", 5)],
        ];
        assert_eq!(log.get(), expected.concat());
    });
}

#[test]
fn updates_are_accepted_as_long_as_a_route_wants_some() {
    let bus = Bus::new().unwrap();
    let (_topic, caching) = cached(&bus);
    let updates = caching.topic();
    let router = Router::builder().subscribe(updates.subscribe()).unwrap();
    let wanted = || updates.has_subscribers_for(&CACHE_UPDATE);
    assert!(!wanted());
    router.add_update(&LINE, |_| {}).unwrap();
    router.add_update(&TRUNK, |_| {}).unwrap();
    router.add_message(&CACHE_UPDATE, |_| {}).unwrap();
    for left in ["line", "trunk"] {
        assert!(wanted(), "there is a route for {left} still");
        let removed = if left == "line" {
            router.remove_update(&LINE)
        } else {
            router.remove_update(&TRUNK)
        };
        removed.unwrap().wait_timeout(DEADLINE).unwrap();
    }
    assert!(wanted());
    router.remove(&CACHE_UPDATE).unwrap();
    assert!(!wanted());
    router.add_update(&LINE, |_| {}).unwrap();
    assert!(wanted());
}

#[test]
fn an_update_route_is_no_route_for_the_type() {
    let bus = Bus::new().unwrap();
    let (_topic, caching) = cached(&bus);
    let router = Router::builder()
        .on_update(&LINE, |_| {})
        .subscribe(caching.topic().subscribe())
        .unwrap();
    assert!(!router.has_route(&LINE));
    let error = router.add_update(&LINE, |_| {}).unwrap_err();
    assert!(matches!(
        error,
        RouterError::DuplicateRoute { name: "line" }
    ));
    router.add(&LINE, |_| {}).unwrap();
    router.remove(&LINE).unwrap();
    let error = router.remove_update(&TRUNK).unwrap_err();
    assert!(matches!(error, RouterError::NoSuchRoute { name: "trunk" }));
    let twice = Router::builder()
        .on_update(&PEER, |_| {})
        .on_update(&PEER, |_| {});
    let error = twice.subscribe(caching.topic().subscribe()).unwrap_err();
    assert!(matches!(
        error,
        RouterError::DuplicateRoute { name: "peer" }
    ));
}
