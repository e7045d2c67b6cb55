//! Telephony while others race, subscribe in between, or keep what has ended.

#![allow(clippy::disallowed_types, reason = "tests use std's own")]

mod scene;

use scene::{Scene, all, scene};
use stasis_bus::channels::*;
use stasis_bus::{Bus, Message, Overflow, PublishError, Receiver, Topic};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;

/// How often what could go wrong in a race is tried.
const ROUNDS: usize = 300;

/// Somebody else's filter is held up while `change` is published; whoever subscribes meanwhile with a filter
/// of his own, and then looks up what is, hears of the change. The event after that is the change.
fn subscriber_in_between<T>(
    topic: &Topic,
    change: impl FnOnce() + Send,
    look_up: impl FnOnce() -> T,
) -> (T, Option<Message>) {
    let (reached, at_filter) = mpsc::channel();
    let (go, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let is_held = AtomicBool::new(false);
    let _slow = topic
        .subscribe()
        .filter(move |_: &Message| {
            if !is_held.swap(true, SeqCst) {
                reached.send(()).unwrap();
                let _ = gate.lock().unwrap().recv_timeout(Duration::from_secs(10));
            }
            true
        })
        .receiver()
        .unwrap();
    thread::scope(|scope| {
        let changing = scope.spawn(change);
        at_filter.recv().unwrap();
        let late = topic.subscribe().filter(|_: &Message| true);
        let mut late = late.receiver().unwrap();
        let seen = look_up();
        go.send(()).unwrap();
        changing.join().unwrap();
        (seen, late.try_recv().ok())
    })
}

#[test]
fn who_subscribes_with_a_filter_and_then_looks_up_misses_no_change() {
    let Scene {
        _bus,
        telephony,
        alice,
        ..
    } = scene();
    let change = || {
        alice.set_state(ChannelState::Up).publish().unwrap();
    };
    let look_up = || telephony.channel_by_id("1.1").unwrap().state();
    let (seen, told) = subscriber_in_between(telephony.channel_topic_all(), change, look_up);
    assert_eq!(seen, ChannelState::Down);
    let told = told.expect("the change");
    let told = told.payload(&CHANNEL_SNAPSHOT).unwrap();
    assert_eq!(told.new.state(), ChannelState::Up);

    let bridge = telephony.bridge("b1").unwrap();
    bridge.publish().unwrap();
    let change = || {
        bridge.set_creator("Queue", "support", "basic").unwrap();
    };
    let look_up = || telephony.bridge_by_id("b1").unwrap().name.clone();
    let (seen, told) = subscriber_in_between(telephony.bridge_topic_all(), change, look_up);
    assert_eq!(seen, "");
    let told = told.expect("the change");
    let told = told.payload(&BRIDGE_SNAPSHOT).unwrap();
    assert_eq!(told.new.as_ref().unwrap().name, "support");

    let change = || alice.hold(None).unwrap();
    let (_, told) = subscriber_in_between(alice.topic(), change, || ());
    assert!(told.is_some_and(|told| told.payload(&CHANNEL_HOLD).is_some()));
}

/// Ends something while another thread makes a new one of that id as soon as it may.
fn taken_over<T: Send>(end: impl FnOnce(), make: impl Fn() -> Option<T> + Sync) -> T {
    let is_ready = AtomicBool::new(false);
    thread::scope(|scope| {
        let heir = scope.spawn(|| {
            is_ready.store(true, SeqCst);
            loop {
                if let Some(heir) = make() {
                    return heir;
                }
                thread::yield_now();
            }
        });
        while !is_ready.load(SeqCst) {
            thread::yield_now();
        }
        end();
        heir.join().unwrap()
    })
}

#[test]
fn a_channel_of_a_reused_id_comes_after_the_end_of_the_old_one_and_is_found_by_name() {
    let bus = Bus::new().unwrap();
    let telephony = Telephony::new(&bus).unwrap();
    for _ in 0..ROUNDS {
        let topic = telephony.channel_topic_all();
        let mut events = topic.subscribe().accept(&CHANNEL_SNAPSHOT).receiver();
        let events = events.as_mut().unwrap();
        let old = telephony.channel("7", "PJSIP/a").unwrap();
        old.publish().unwrap();
        let make = || {
            let new = telephony.channel("7", "PJSIP/a").ok()?;
            new.publish().unwrap();
            Some(new)
        };
        let new = taken_over(|| old.end().unwrap(), make);
        let seen = [(); 3].map(|()| {
            let message = events.try_recv().unwrap();
            let update = message.payload(&CHANNEL_SNAPSHOT).unwrap();
            (update.old.is_none(), update.new.ended)
        });
        assert_eq!(seen, [(true, false), (false, true), (true, false)]);
        assert_eq!(telephony.channel_by_name("PJSIP/a"), new.snapshot());
        assert_eq!(telephony.channel_by_id("7"), new.snapshot());
    }
}

#[test]
fn a_bridge_of_a_reused_id_comes_after_the_end_of_the_old_one() {
    let bus = Bus::new().unwrap();
    let telephony = Telephony::new(&bus).unwrap();
    for _ in 0..ROUNDS {
        let mut events = all(telephony.bridge_topic_all());
        let old = telephony.bridge("7").unwrap();
        old.publish().unwrap();
        let make = || {
            let new = telephony.bridge("7").ok()?;
            new.publish().unwrap();
            Some(new)
        };
        let _new = taken_over(|| old.end().unwrap(), make);
        let seen = [(); 3].map(|()| {
            let message = events.try_recv().unwrap();
            let update = message.payload(&BRIDGE_SNAPSHOT).unwrap();
            (update.old.is_some(), update.new.is_some())
        });
        assert_eq!(seen, [(false, true), (true, false), (false, true)]);
        assert!(telephony.bridge_by_id("7").is_some());
    }
}

#[test]
fn an_endpoint_of_a_reused_id_comes_after_the_end_of_the_old_one() {
    let bus = Bus::new().unwrap();
    let telephony = Telephony::new(&bus).unwrap();
    for _ in 0..ROUNDS {
        let topic = telephony.endpoint_topic_all_cached();
        let mut events = topic.subscribe().accept(&ENDPOINT_UPDATE).receiver();
        let events = events.as_mut().unwrap();
        let old = telephony.endpoint("PJSIP", "a").unwrap();
        let make = || telephony.endpoint("pjsip", "a").ok();
        let new = taken_over(|| old.end().unwrap(), make);
        let seen = [(); 3].map(|()| {
            let message = events.try_recv().unwrap();
            let update = message.payload(&ENDPOINT_UPDATE).unwrap();
            (update.old.is_some(), update.new.is_some())
        });
        assert_eq!(seen, [(false, true), (true, false), (false, true)]);
        assert_eq!(telephony.endpoint_by_id("PJSIP", "a"), Some(new.snapshot()));
    }
}

#[test]
fn a_reused_id_piles_up_no_forwards_and_a_kept_topic_feeds_all_no_more() {
    let bus = Bus::new().unwrap();
    let telephony = Telephony::new(&bus).unwrap();
    let forwards = |name: &str| {
        let topics = bus.topics();
        let topic = topics.iter().find(|topic| &*topic.name == name).unwrap();
        topic.forwards_to.len()
    };
    let channel = telephony.channel("7", "PJSIP/a").unwrap();
    let bridge = telephony.bridge("7").unwrap();
    let endpoint = telephony.endpoint("PJSIP", "a").unwrap();
    let kept = [channel.topic(), bridge.topic(), endpoint.topic()].map(Clone::clone);
    let heard = kept.each_ref().map(|topic| {
        let quiet = topic.subscribe().capacity(4).overflow(Overflow::DropOldest);
        quiet.receiver().unwrap()
    });
    for _ in 0..20 {
        drop(telephony.channel("7", "PJSIP/a"));
        drop((telephony.bridge("7"), telephony.endpoint("PJSIP", "a")));
    }
    drop((channel, bridge, endpoint));
    for _ in 0..20 {
        let channel = telephony.channel("7", "PJSIP/a").unwrap();
        channel.publish().unwrap();
        telephony.bridge("7").unwrap().publish().unwrap();
        telephony.endpoint("PJSIP", "a").unwrap();
    }
    let mut events = all(telephony.channel_topic_all());
    for topic in &kept {
        assert_eq!(forwards(topic.name()), 0, "{}", topic.name());
        topic.publish("who is there").unwrap();
    }
    assert!(events.try_recv().is_err());
    drop(heard);
}

#[test]
fn making_it_again_piles_up_no_forwards() {
    let bus = Bus::new().unwrap();
    let names = ["channel:all", "bridge:all", "endpoint:all"];
    let kept = names.map(|name| {
        let cached = format!("{name}-cached");
        (bus.topic(name).unwrap(), bus.topic(&cached).unwrap())
    });
    for _ in 0..20 {
        Telephony::new(&bus).unwrap();
    }
    let _telephony = Telephony::new(&bus).unwrap();
    for topic in bus.topics() {
        let is_one = names.contains(&&*topic.name);
        assert_eq!(topic.forwards_to.len(), usize::from(is_one), "{topic:?}");
    }
    drop(kept);
}

#[test]
fn channels_and_bridges_agree_after_racing() {
    let Scene {
        _bus,
        telephony,
        alice,
        ..
    } = scene();
    for round in 0..ROUNDS {
        let bridge = telephony.bridge(format!("b{round}")).unwrap();
        bridge.enter(&alice).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| bridge.leave(&alice));
            scope.spawn(|| while bridge.enter(&alice).is_err() {});
        });
        let says = alice.snapshot().unwrap().bridge.id == bridge.id();
        assert_eq!(says, bridge.snapshot().channels.contains("1.1"), "{round}");
        thread::scope(|scope| {
            scope.spawn(|| bridge.end());
            scope.spawn(|| bridge.enter(&alice));
        });
        assert_eq!(alice.snapshot().unwrap().bridge.id, "", "{round}");
    }
}

#[test]
fn a_channel_that_ends_while_it_enters_is_in_no_bridge() {
    let Scene {
        _bus, telephony, ..
    } = scene();
    let bridge = telephony.bridge("b1").unwrap();
    let endpoint = telephony.endpoint("PJSIP", "trunk").unwrap();
    for round in 0..ROUNDS {
        let channel = telephony.channel(format!("7.{round}"), "n").unwrap();
        thread::scope(|scope| {
            scope.spawn(|| channel.end().unwrap());
            scope.spawn(|| bridge.enter(&channel));
            scope.spawn(|| channel.set_endpoint(&endpoint));
        });
        assert!(bridge.snapshot().channels.is_empty(), "{round}");
        assert!(endpoint.snapshot().channel_ids.is_empty(), "{round}");
    }
}

#[test]
fn channels_and_endpoints_agree_after_racing() {
    let Scene {
        _bus,
        telephony,
        alice,
        ..
    } = scene();
    for round in 0..ROUNDS {
        let endpoints = ["x", "y"].map(|name| {
            let resource = format!("{name}{round}");
            telephony.endpoint("PJSIP", resource).unwrap()
        });
        let [one, two] = &endpoints;
        alice.set_endpoint(one).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| alice.set_endpoint(two).unwrap());
            scope.spawn(|| alice.set_endpoint(one).unwrap());
        });
        let mut heard = endpoints.each_ref().map(|endpoint| all(endpoint.topic()));
        alice.hold(None).unwrap();
        for (endpoint, heard) in endpoints.iter().zip(&mut heard) {
            let is_there = !endpoint.snapshot().channel_ids.is_empty();
            assert_eq!(heard.try_recv().is_ok(), is_there, "{round}");
        }
        let count: usize = endpoints
            .iter()
            .map(|endpoint| endpoint.snapshot().num_channels())
            .sum();
        assert_eq!(count, 1, "{round}");
    }
}

/// Somebody whose mailbox is full, so that every publish reports that.
fn full(topic: &Topic) -> Receiver {
    let full = topic.subscribe().capacity(1).overflow(Overflow::Fail);
    let full = full.receiver().unwrap();
    topic.publish("the last one that fits").unwrap();
    full
}

fn assert_full<T: std::fmt::Debug>(result: Result<T, TelephonyError>) {
    let error = result.expect_err("somebody is full");
    let is_full = matches!(error, TelephonyError::Publish(PublishError::Full { .. }));
    assert!(is_full, "{error:?}");
}

#[test]
fn a_full_mailbox_of_somebody_harms_no_bridge() {
    let Scene {
        _bus,
        telephony,
        alice,
        bob,
    } = scene();
    let _full = full(telephony.channel_topic_all());
    let bridge = telephony.bridge("b1").unwrap();
    assert_full(bridge.enter(&alice));
    assert!(bridge.snapshot().channels.contains("1.1"));
    assert_eq!(alice.snapshot().unwrap().bridge.id, "b1");
    assert_full(bridge.leave(&alice));
    assert!(bridge.snapshot().channels.is_empty());
    assert_eq!(alice.snapshot().unwrap().bridge.id, "");

    assert_full(bridge.enter(&alice));
    assert_full(bridge.enter(&bob));
    assert_full(alice.end());
    assert_eq!(bridge.snapshot().num_channels, 1);
    assert_full(bridge.end());
    assert_eq!(bob.snapshot().unwrap().bridge.id, "");
    assert!(telephony.bridge("b1").is_ok(), "the id is free");
    assert!(telephony.channel("1.1", "n").is_ok(), "the id is free");
}

#[test]
fn a_full_mailbox_of_somebody_harms_no_endpoint() {
    let Scene {
        _bus,
        telephony,
        alice,
        ..
    } = scene();
    let one = telephony.endpoint("PJSIP", "one").unwrap();
    let _full = full(telephony.endpoint_topic_all());
    let two = telephony.endpoint("PJSIP", "two").expect("it is there");
    assert_full(alice.set_endpoint(&one));
    assert_eq!(one.snapshot().channel_ids, ["1.1"]);
    assert_full(alice.set_endpoint(&two));
    assert!(one.snapshot().channel_ids.is_empty());
    assert_eq!(two.snapshot().channel_ids, ["1.1"]);
    assert_full(alice.end());
    assert!(two.snapshot().channel_ids.is_empty());
}

#[test]
fn a_full_mailbox_of_somebody_leaves_each_begin_of_a_dial_its_end() {
    let Scene {
        _bus,
        telephony,
        alice,
        bob,
    } = scene();
    let carol = telephony.channel("1.3", "PJSIP/carol-3").unwrap();
    let topic = telephony.channel_topic_all();
    let mut dials = topic.subscribe().accept(&CHANNEL_DIAL).receiver().unwrap();
    let _full = full(topic);
    let mut dial = Dial::begin(&telephony, Some(&alice), &bob, "x").expect("it has begun");
    assert_full(dial.masquerade(&bob, &carol));
    assert_full(dial.end("ANSWER", None));
    let told: Vec<(String, String)> = std::iter::from_fn(|| dials.try_recv().ok())
        .map(|message| {
            let blob = message.payload(&CHANNEL_DIAL).unwrap();
            let status = blob.data()["dialstatus"].as_str().unwrap();
            (blob.get("peer").unwrap().id().into(), status.into())
        })
        .collect();
    let expected = [
        ("1.2", ""),
        ("1.2", "CONTINUE"),
        ("1.3", ""),
        ("1.3", "ANSWER"),
    ];
    let expected = expected.map(|(peer, status)| (peer.to_owned(), status.to_owned()));
    assert_eq!(told, expected);
}

#[test]
fn a_full_mailbox_of_somebody_swallows_no_variable() {
    let bus = Bus::new().unwrap();
    let telephony = Telephony::builder().ari_variable("V").build(&bus).unwrap();
    let channel = telephony.channel("1", "PJSIP/a").unwrap();
    let topic = telephony.channel_topic_all();
    let mut told = topic
        .subscribe()
        .accept(&CHANNEL_VARSET)
        .receiver()
        .unwrap();
    let _full = full(topic);
    assert_full(channel.set_variable("V", "new"));
    let message = told.try_recv().unwrap();
    let blob = message.payload(&CHANNEL_VARSET).unwrap();
    let snapshot = blob.snapshot().unwrap();
    assert_eq!(snapshot.to_json()["channelvars"]["V"], "new");
}
