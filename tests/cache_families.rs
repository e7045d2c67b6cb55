//! Families of cached objects: singles, sinks, and what ends with what.

#![allow(clippy::disallowed_types, reason = "tests use std's own")]

mod common;

use common::{Gate, Log, wait_until, with_deadline};
use stasis_bus::{
    Bus, CACHE_UPDATE, Cache, CacheError, CacheFamily, CacheUpdate, Message, MessageType, Origin,
    Receiver, Topic, TopicError,
};
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

type State = (u32, u64);
static STATE: MessageType<State> = MessageType::new("state");

fn family(bus: &Bus) -> CacheFamily {
    let cache = Cache::builder()
        .key(&STATE, |(id, _)| Some((*id).into()))
        .build()
        .unwrap();
    CacheFamily::new(bus, "things", cache).unwrap()
}

/// What has come: values, and updates as pairs.
fn got(receiver: &mut Receiver) -> Vec<String> {
    std::iter::from_fn(|| receiver.try_recv().ok())
        .filter_map(|message: Message| {
            let of = |state: Option<&State>| state.map_or("-".into(), |(_, n)| n.to_string());
            let update = message.payload(&CACHE_UPDATE);
            let update = update.map(|it| format!("{}>{}", of(it.old_as()), of(it.new_as())));
            update.or_else(|| Some(message.payload(&STATE)?.1.to_string()))
        })
        .collect()
}

#[test]
fn all_of_a_single_goes_to_both_aggregates() {
    let bus = Bus::new().unwrap();
    let family = family(&bus);
    let mut all = family.all().subscribe().receiver().unwrap();
    let mut cached = family.all_cached().subscribe().receiver().unwrap();
    let one = family.single("things/1").unwrap();
    let two = family.single("things/2").unwrap();
    let mut updates = one.caching().topic().subscribe().receiver().unwrap();
    one.topic().publish(STATE.message((1, 10))).unwrap();
    two.topic().publish(STATE.message((2, 20))).unwrap();
    one.topic().publish(STATE.message((1, 11))).unwrap();
    assert_eq!(got(&mut all), ["10", "20", "11"]);
    assert_eq!(
        got(&mut cached),
        ["10", "->10", "20", "->20", "11", "10>11"]
    );
    assert_eq!(got(&mut updates), ["->10", "10>11"]);
    // What is published on the aggregate itself is not cached.
    family.all().publish(STATE.message((3, 30))).unwrap();
    assert_eq!(got(&mut cached), ["30"]);
    assert_eq!(family.cache().len(), 2);
    one.caching().clear(&STATE, 1, Origin::LOCAL).unwrap();
    assert_eq!(got(&mut cached), ["11>-"]);
}

#[test]
fn a_sink_caches_what_is_forwarded_to_it_and_no_more() {
    let bus = Bus::new().unwrap();
    let family = family(&bus);
    let mut cached = family.all_cached().subscribe().receiver().unwrap();
    let one = family.single("sip/1").unwrap();
    let technology = family.sink("sip").unwrap();
    let mut sunk = technology.caching().topic().subscribe().receiver().unwrap();
    let forward = one.forward_to(&technology).unwrap();
    one.topic().publish(STATE.message((1, 10))).unwrap();
    assert_eq!(got(&mut sunk).len(), 1);
    assert!(got(&mut cached).starts_with(&["10".into(), "->10".into()]));
    drop(forward);
    one.topic().publish(STATE.message((1, 11))).unwrap();
    assert_eq!(got(&mut sunk), [""; 0]);
    assert!(matches!(family.single("sip"), Err(CacheError::OtherMember)));
    assert!(matches!(family.sink("sip/1"), Err(CacheError::OtherMember)));
}

#[test]
fn a_member_ends_in_one_step_and_comes_back_without_a_twin() {
    let bus = Bus::new().unwrap();
    let family = family(&bus);
    let topics = bus.topics().len();
    let mut all = family.all().subscribe().receiver().unwrap();
    let one = family.single("things/1").unwrap();
    let same = family.single("things/1").unwrap();
    assert!(one.topic().is_same(same.topic()));
    assert_eq!(bus.topics().len(), topics + 2);
    drop(one);
    same.topic().publish(STATE.message((1, 10))).unwrap();
    assert_eq!(
        got(&mut all),
        ["10"],
        "once, although there were two handles"
    );
    let kept = same.topic().clone();
    let mut listener = kept.subscribe().receiver().unwrap();
    drop(same);
    kept.publish(STATE.message((1, 11))).unwrap();
    assert_eq!(got(&mut all), [""; 0], "no longer forwarded");
    assert_eq!(got(&mut listener), ["11"]);
    let cached = family.cache().get(&STATE, 1).unwrap().unwrap();
    assert_eq!(cached.get(), Some(&(1_u32, 10_u64)), "nor cached");
    let again = family.single("things/1").unwrap();
    assert!(again.topic().is_same(&kept), "no stale twin");
    again.topic().publish(STATE.message((1, 12))).unwrap();
    assert_eq!(got(&mut listener), ["12"]);
    assert_eq!(got(&mut all), ["12"]);
    drop((again, kept, listener));
    assert_eq!(bus.topics().len(), topics, "nothing is left");
    // A closed topic makes way for a new one.
    let closed = family.single("things/1").unwrap();
    closed.topic().close();
    let new = family.single("things/1").unwrap();
    assert!(!new.topic().is_same(closed.topic()));
    drop(closed);
    assert!(
        family
            .single("things/1")
            .unwrap()
            .topic()
            .is_same(new.topic())
    );
}

#[test]
fn what_fails_leaves_nothing_behind() {
    let bus = Bus::new().unwrap();
    let family = family(&bus);
    let topics = bus.topics().len();
    assert!(matches!(
        family.single(""),
        Err(CacheError::Topic(TopicError::EmptyName))
    ));
    // The topic can be had, the one of its updates cannot: its name is longer.
    let long = "x".repeat(1_020);
    assert!(matches!(
        family.single(&long),
        Err(CacheError::Topic(TopicError::NameTooLong { .. }))
    ));
    assert_eq!(bus.topics().len(), topics);
    family.all().close();
    assert!(matches!(
        family.single("things/1"),
        Err(CacheError::Forward(_))
    ));
    assert_eq!(bus.topics().len(), topics);
    bus.shutdown().unwrap();
    assert!(matches!(
        family.single("things/1"),
        Err(CacheError::Topic(TopicError::ShutDown))
    ));
}

#[test]
fn a_member_whose_updates_are_closed_makes_way() {
    let bus = Bus::new().unwrap();
    let family = family(&bus);
    let member = family.single("things/1").unwrap();
    member.caching().topic().close();
    let again = family.single("things/1").unwrap();
    assert!(!again.caching().topic().is_closed());
    assert!(again.topic().is_same(member.topic()));
}

/// A member's topic may have its publishers before the member is made: of what is cached from then on, all hear.
#[test]
fn a_member_in_the_making_is_told_of_from_its_first_update() {
    with_deadline("in the making", || {
        let bus = Bus::new().unwrap();
        let family = family(&bus);
        let (wrong, mut seen) = (Log::new(), HashSet::new());
        let complain = wrong.clone();
        let handler = move |update: &CacheUpdate| {
            if seen.insert(update.key.clone()) && update.old.is_some() {
                complain.push(format!("{update:?}"));
            }
        };
        let subscription = family.subscribe_with_snapshot(|it| it, handler).unwrap();
        let now = Mutex::new(None::<(u32, Topic)>);
        let (done, going) = (AtomicBool::new(false), AtomicUsize::new(usize::MAX));
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut n = 0;
                while !done.load(Ordering::Relaxed) {
                    let current = now.lock().unwrap().clone();
                    let Some((id, topic)) = current else {
                        continue;
                    };
                    n += 1;
                    topic.publish(STATE.message((id, n))).unwrap();
                    going.store(id as usize, Ordering::SeqCst);
                }
            });
            let mut members = Vec::new();
            for id in 0..500_u32 {
                let name = format!("things/{id}");
                *now.lock().unwrap() = Some((id, bus.topic(&name).unwrap()));
                wait_until("it is published on", || {
                    going.load(Ordering::SeqCst) == id as usize
                });
                members.push(family.single(&name).unwrap());
            }
            done.store(true, Ordering::Relaxed);
        });
        subscription.flush().unwrap();
        let wrong = wrong.take();
        assert!(wrong.is_empty(), "{} of 500: {:?}", wrong.len(), wrong[0]);
    });
}

/// A message that is late in the one's cache is late there alone.
#[test]
fn a_sink_of_another_family_has_an_order_of_its_own() {
    with_deadline("two families", || {
        let bus = Bus::new().unwrap();
        let held = Gate::new();
        let gate = held.clone();
        let slow = Cache::builder().key(&STATE, move |(id, value)| {
            if *value == 1 {
                gate.pass();
            }
            Some((*id).into())
        });
        let single = family(&bus);
        let sinks = CacheFamily::new(&bus, "sinks", slow.build().unwrap()).unwrap();
        let one = single.single("things/1").unwrap();
        let sink = sinks.sink("sinks/all").unwrap();
        let _forward = one.forward_to(&sink).unwrap();
        let mut updates = one.caching().topic().subscribe().receiver().unwrap();
        let mut of_sink = sink.caching().topic().subscribe().receiver().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| one.topic().publish(STATE.message((1, 1))).unwrap());
            held.wait_arrived(1);
            one.topic().publish(STATE.message((1, 2))).unwrap();
            held.open();
        });
        let cached = |family: &CacheFamily| {
            let state = family.cache().get(&STATE, 1).unwrap().unwrap();
            state.get::<State>().unwrap().1
        };
        assert_eq!(
            (got(&mut updates).join(" "), cached(&single)),
            ("->1 1>2".into(), 2)
        );
        assert_eq!(
            (got(&mut of_sink).join(" "), cached(&sinks)),
            ("->2 2>1".into(), 1)
        );
    });
}

#[test]
fn members_come_and_go_under_fire() {
    with_deadline("members", || {
        let bus = Bus::new().unwrap();
        let family = family(&bus);
        let topics = bus.topics().len();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        let subscription = family
            .subscribe_with_snapshot(
                |it| it,
                move |update: &CacheUpdate| {
                    log.lock().unwrap().push(update.new_as::<State>().copied())
                },
            )
            .unwrap();
        thread::scope(|scope| {
            for half in 0..2_u64 {
                let family = &family;
                scope.spawn(move || {
                    for n in 0..500_u64 {
                        let id = (n % 3) as u32;
                        let member = family.single(&format!("things/{id}")).unwrap();
                        let state = STATE.message((id, 2 * n + half));
                        member.topic().publish(state).unwrap();
                    }
                });
            }
        });
        subscription.flush().unwrap();
        let seen = seen.lock().unwrap();
        // Two members of one name, one ending and one beginning, may both cache a message for a moment.
        let mut values: Vec<_> = seen.iter().flatten().map(|(_, value)| *value).collect();
        values.sort_unstable();
        values.dedup();
        assert!(values.into_iter().eq(0..1_000), "each is told");
        assert_eq!(bus.topics().len(), topics);
    });
}
