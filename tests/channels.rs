//! Channels as they live: what a snapshot shares, when none is published, who finds what
//! by which name, and in which order subscribers see it.

#![allow(clippy::disallowed_types, reason = "tests use std's own")]

mod common;

use common::{Log, with_deadline};
use stasis_bus::channels::*;
use stasis_bus::{Bus, Delivery, Message, Receiver, Topic};
use std::sync::Arc;
use std::thread;

fn telephony() -> (Bus, Telephony) {
    let bus = Bus::builder().workers(1).build().unwrap();
    let telephony = Telephony::new(&bus).unwrap();
    (bus, telephony)
}

fn updates(topic: &Topic) -> Receiver {
    topic
        .subscribe()
        .accept(&CHANNEL_SNAPSHOT)
        .receiver()
        .unwrap()
}

fn next(receiver: &mut Receiver) -> ChannelUpdate {
    let message = receiver.try_recv().expect("an update");
    message.payload(&CHANNEL_SNAPSHOT).unwrap().clone()
}

fn types(receiver: &mut Receiver) -> Vec<&'static str> {
    std::iter::from_fn(|| receiver.try_recv().ok())
        .map(|message| message.type_name())
        .collect()
}

/// Which segments two snapshots share.
fn shared(one: &ChannelSnapshot, two: &ChannelSnapshot) -> Vec<&'static str> {
    let all = [
        ("base", Arc::ptr_eq(&one.base, &two.base)),
        ("peer", Arc::ptr_eq(&one.peer, &two.peer)),
        ("caller", Arc::ptr_eq(&one.caller, &two.caller)),
        ("connected", Arc::ptr_eq(&one.connected, &two.connected)),
        ("bridge", Arc::ptr_eq(&one.bridge, &two.bridge)),
        ("dialplan", Arc::ptr_eq(&one.dialplan, &two.dialplan)),
        ("hangup", Arc::ptr_eq(&one.hangup, &two.hangup)),
        ("direct", Arc::ptr_eq(&one.direct, &two.direct)),
    ];
    let all = all.iter().filter(|(_, same)| *same);
    all.map(|(name, _)| *name).collect()
}

fn caller(number: &str) -> Caller {
    Caller {
        number: number.into(),
        ..Caller::default()
    }
}

const SEGMENTS: [&str; 8] = [
    "base",
    "peer",
    "caller",
    "connected",
    "bridge",
    "dialplan",
    "hangup",
    "direct",
];

#[test]
fn each_change_costs_one_segment() {
    let (_bus, telephony) = telephony();
    let channel = telephony.channel("1.1", "PJSIP/alice-1").unwrap();
    type Change = fn(&Channel) -> &Channel;
    let changes: [(&str, Change); 8] = [
        ("base", |channel| channel.set_accountcode("sales")),
        ("peer", |channel| channel.set_peer(Peer::default())),
        ("caller", |channel| channel.set_caller(caller("100"))),
        ("connected", |channel| {
            let mut connected = Connected::default();
            connected.name.push_str("Bob");
            channel.set_connected(connected)
        }),
        ("dialplan", |channel| {
            let mut dialplan = Dialplan::default();
            dialplan.context.push_str("from-inside");
            channel.set_dialplan(dialplan)
        }),
        ("hangup", |channel| {
            let cause = 16;
            channel.set_hangup(Hangup {
                cause,
                ..Hangup::default()
            })
        }),
        ("direct", |channel| channel.set_state(ChannelState::Up)),
        ("direct", |channel| channel.set_flags(1, 2).set_amaflags(3)),
    ];
    channel.publish().unwrap();
    for (changed, change) in changes {
        let before = channel.snapshot().unwrap();
        change(&channel);
        assert_eq!(
            channel.publish().unwrap(),
            Publication::Published,
            "{changed}"
        );
        let after = channel.snapshot().unwrap();
        let expected: Vec<_> = SEGMENTS
            .into_iter()
            .filter(|name| *name != changed)
            .collect();
        assert_eq!(shared(&before, &after), expected);
    }
}

#[test]
fn what_is_as_it_was_is_not_published() {
    let (_bus, telephony) = telephony();
    let channel = telephony.channel("1.1", "PJSIP/alice-1").unwrap();
    let mut receiver = updates(channel.topic());
    assert_eq!(channel.publish().unwrap(), Publication::Published);
    assert_eq!(channel.publish().unwrap(), Publication::Unchanged);
    // The same content in another place is the same.
    channel.set_caller(Caller::default());
    channel
        .set_state(ChannelState::Up)
        .set_state(ChannelState::Down);
    channel.set_name("PJSIP/alice-1").unwrap();
    assert_eq!(channel.publish().unwrap(), Publication::Unchanged);
    // And what comes along with a change is shared.
    let before = channel.snapshot().unwrap();
    channel.set_caller(Caller::default()).set_accountcode("x");
    assert_eq!(channel.publish().unwrap(), Publication::Published);
    let after = channel.snapshot().unwrap();
    assert!(shared(&before, &after).contains(&"caller"));

    let (first, second) = (next(&mut receiver), next(&mut receiver));
    assert_eq!(first.old, None);
    assert!(Arc::ptr_eq(&first.new, &before));
    assert!(Arc::ptr_eq(second.old.as_ref().unwrap(), &before));
    assert!(Arc::ptr_eq(&second.new, &after));
    assert!(receiver.try_recv().is_err());
}

#[test]
fn look_ups_know_what_subscribers_are_told() {
    let (_bus, telephony) = telephony();
    let channel = telephony.channel("1.1a", "PJSIP/alice-1").unwrap();
    let found = Log::new();
    let (log, lookup) = (found.clone(), telephony.clone());
    let subscription = telephony
        .channel_topic_all()
        .subscribe()
        .delivery(Delivery::Inline)
        .run_type(&CHANNEL_SNAPSHOT, move |update| {
            let by_id = lookup.channel_by_id("1.1A");
            let by_name = lookup.channel_by_name(&update.new.name().to_uppercase());
            log.push((update.new.clone(), by_id, by_name));
        })
        .unwrap();
    assert!(
        telephony.channel_by_id("1.1a").is_none(),
        "nobody has heard of it"
    );
    channel.publish().unwrap();
    channel.set_name("PJSIP/alice-1<ZOMBIE>").unwrap();
    assert!(telephony.channel_by_name("PJSIP/alice-1<ZOMBIE>").is_none());
    channel.publish().unwrap();
    for (new, by_id, by_name) in found.take() {
        assert_eq!(by_id.as_ref(), Some(&new));
        assert_eq!(by_name.as_ref(), Some(&new));
    }
    assert!(telephony.channel_by_name("PJSIP/alice-1").is_none());
    assert_eq!(telephony.channels().len(), 1);

    channel.end().unwrap();
    let (last, by_id, by_name) = found.take().pop().unwrap();
    assert!(last.ended && by_id.is_none() && by_name.is_none());
    assert!(telephony.channels().is_empty());
    drop(subscription);
}

#[test]
fn of_two_channels_of_one_name_the_later_one_is_found() {
    let (_bus, telephony) = telephony();
    let one = telephony.channel("1.1", "Local/x").unwrap();
    let two = telephony.channel("1.2", "local/X").unwrap();
    one.publish().unwrap();
    two.publish().unwrap();
    assert_eq!(telephony.channel_by_name("LOCAL/X").unwrap().id(), "1.2");
    one.end().unwrap();
    assert_eq!(telephony.channel_by_name("Local/x").unwrap().id(), "1.2");
    two.end().unwrap();
    assert!(telephony.channel_by_name("Local/x").is_none());
}

#[test]
fn bad_ids_and_names() {
    let (_bus, telephony) = telephony();
    let long = "x".repeat(MAX_ID_LEN + 1);
    let _just_right = telephony.channel(&long[1..], "name").unwrap();
    for (id, name) in [("", "n"), ("i", "")] {
        let error = telephony.channel(id, name).unwrap_err();
        assert!(matches!(error, TelephonyError::Empty { .. }), "{error}");
    }
    for (id, name) in [(&*long, "n"), ("i", &*long)] {
        let error = telephony.channel(id, name).unwrap_err();
        let len = long.len();
        assert!(
            matches!(error, TelephonyError::TooLong { len: l, .. } if l == len),
            "{error}"
        );
    }
    for id in ["all", "all-cached"] {
        assert!(matches!(
            telephony.channel(id, "n"),
            Err(TelephonyError::ReservedId)
        ));
        assert!(matches!(
            telephony.bridge(id),
            Err(TelephonyError::ReservedId)
        ));
    }
    let channel = telephony.channel("1.1a", "n").unwrap();
    let twice = telephony.channel("1.1A", "m");
    assert!(matches!(twice, Err(TelephonyError::DuplicateId { id }) if id == "1.1A"));
    assert!(matches!(
        channel.set_name(""),
        Err(TelephonyError::Empty { .. })
    ));
    assert!(matches!(
        channel.set_name(&long),
        Err(TelephonyError::TooLong { .. })
    ));
    assert!(matches!(
        telephony.bridge(""),
        Err(TelephonyError::Empty { .. })
    ));
    let bridge = telephony.bridge("b").unwrap();
    assert!(matches!(
        telephony.bridge("B"),
        Err(TelephonyError::DuplicateId { .. })
    ));
    let slash = telephony.endpoint("PJ/SIP", "alice");
    assert!(matches!(slash, Err(TelephonyError::SlashInTechnology)));
    assert!(matches!(
        telephony.endpoint("", "a"),
        Err(TelephonyError::Empty { .. })
    ));
    assert!(matches!(
        telephony.endpoint("SIP", ""),
        Err(TelephonyError::Empty { .. })
    ));
    // An id is free once its owner is gone, published or not.
    drop((channel, bridge));
    let channel = telephony.channel("1.1a", "n").unwrap();
    channel.publish().unwrap();
    channel.end().unwrap();
    assert!(telephony.channel("1.1a", "n").is_ok());
    assert!(telephony.bridge("b").is_ok());
}

#[test]
fn bytes_that_are_no_text_are_replaced() {
    let (_bus, telephony) = telephony();
    let channel = telephony.channel(b"1.\xff", b"PJSIP/\xc3\xa9\xc3").unwrap();
    assert_eq!(channel.id(), "1.\u{fffd}");
    channel
        .set_userfield(b"\xf0\x9f\x98")
        .set_language(b"de")
        .set_tenantid(b"\0");
    channel.set_protocol_id(b"abc").set_technology(b"IAX2", 7);
    channel.publish().unwrap();
    let snapshot = telephony.channel_by_name("pjsip/\u{e9}\u{fffd}").unwrap();
    assert_eq!(snapshot.base.userfield, "\u{fffd}");
    assert_eq!(
        (&*snapshot.base.technology, snapshot.base.tech_properties),
        ("IAX2", 7)
    );
    assert_eq!(snapshot.base.tenantid, "\0");
}

#[test]
fn an_ended_channel_says_nothing_more() {
    let (_bus, telephony) = telephony();
    let channel = telephony.channel("1.1", "n").unwrap();
    let mut all = telephony
        .channel_topic_all()
        .subscribe()
        .receiver()
        .unwrap();
    channel.publish().unwrap();
    channel.set_state(ChannelState::Busy);
    channel.end().unwrap();
    assert!(channel.has_ended());
    let last = channel.snapshot().unwrap();
    assert!(last.ended && last.state() == ChannelState::Busy);
    let ended = |result: Result<(), TelephonyError>| {
        assert!(
            matches!(result, Err(TelephonyError::ChannelEnded)),
            "{result:?}"
        );
    };
    ended(channel.end());
    ended(channel.publish().map(drop));
    ended(channel.hold(None));
    ended(channel.set_variable("a", "b"));
    ended(channel.publish_blob(&CHANNEL_FLASH, None));
    ended(channel.dtmf_begin('1', Direction::Sent));
    let endpoint = telephony.endpoint("SIP", "a").unwrap();
    ended(channel.set_endpoint(&endpoint));
    assert!(endpoint.snapshot().channel_ids.is_empty());
    ended(telephony.bridge("b").unwrap().enter(&channel));
    drop(channel);
    assert_eq!(types(&mut all), ["ast_channel_snapshot_type"; 2]);
}

#[test]
fn a_channel_that_is_dropped_has_ended() {
    let (_bus, telephony) = telephony();
    let mut all = updates(telephony.channel_topic_all());
    drop(telephony.channel("1.1", "n").unwrap());
    assert!(all.try_recv().is_err(), "nobody had heard of it");
    let channel = telephony.channel("1.1", "n").unwrap();
    channel.publish().unwrap();
    let clone = channel.clone();
    drop(channel);
    assert!(telephony.channel_by_id("1.1").is_some());
    drop(clone);
    next(&mut all);
    let last = next(&mut all);
    assert!(last.new.ended && !last.old.unwrap().ended);
    assert!(telephony.channel_by_id("1.1").is_none());
}

#[test]
fn staging_makes_one_snapshot_of_many_changes() {
    let (_bus, telephony) = telephony();
    let channel = telephony.channel("1.1", "n").unwrap();
    let mut receiver = updates(channel.topic());
    channel.publish().unwrap();
    next(&mut receiver);
    let outer = channel.stage();
    let inner = channel.stage();
    channel.set_state(ChannelState::Ring);
    assert_eq!(channel.publish().unwrap(), Publication::Deferred);
    drop(inner);
    channel.set_accountcode("a");
    assert_eq!(channel.publish().unwrap(), Publication::Deferred);
    assert!(receiver.try_recv().is_err());
    assert_eq!(channel.snapshot().unwrap().state(), ChannelState::Down);
    assert_eq!(outer.publish().unwrap(), Publication::Published);
    let update = next(&mut receiver);
    assert_eq!(update.new.state(), ChannelState::Ring);
    assert_eq!(update.new.base.accountcode, "a");
    assert!(receiver.try_recv().is_err());
    // Nothing was set, so nothing is told.
    drop(channel.stage());
    assert!(receiver.try_recv().is_err());
    // The end does not wait.
    let staging = channel.stage();
    channel.end().unwrap();
    assert!(next(&mut receiver).new.ended);
    assert!(matches!(
        staging.publish(),
        Err(TelephonyError::ChannelEnded)
    ));
}

#[test]
fn updates_of_racing_publishers_form_a_chain() {
    with_deadline("a chain", || {
        let (_bus, telephony) = telephony();
        let channel = telephony.channel("1.1", "n").unwrap();
        let mut receiver = updates(telephony.channel_topic_all_cached());
        thread::scope(|scope| {
            for thread in 0..3 {
                let channel = &channel;
                scope.spawn(move || {
                    for round in 0..100 {
                        channel.set_amaflags(1000 * thread + round);
                        channel.publish().unwrap();
                        let seen = channel.snapshot().unwrap();
                        // Others may have been faster, nobody slower.
                        assert!(seen.direct.amaflags >= 0);
                    }
                });
            }
        });
        channel.end().unwrap();
        let mut last: Option<Arc<ChannelSnapshot>> = None;
        loop {
            let update = next(&mut receiver);
            match (&update.old, &last) {
                (None, None) => {}
                (Some(old), Some(last)) => assert!(Arc::ptr_eq(old, last)),
                other => panic!("a broken chain: {other:?}"),
            }
            assert_ne!(Some(&update.new), last.as_ref(), "the same twice");
            let ended = update.new.ended;
            last = Some(update.new);
            if ended {
                break;
            }
        }
        assert!(receiver.try_recv().is_err());
    });
}

#[test]
fn a_subscriber_may_publish_the_channel_it_is_told_of() {
    let (_bus, telephony) = telephony();
    let channel = telephony.channel("1.1", "n").unwrap();
    let mine = channel.clone();
    let filter = channel.clone();
    let subscription = channel
        .topic()
        .subscribe()
        .delivery(Delivery::Inline)
        // Filters run without a lock of the channel's.
        .filter(move |_| filter.current().state() != ChannelState::Busy)
        .run_type(&CHANNEL_SNAPSHOT, move |update| {
            if update.new.state() == ChannelState::Down {
                mine.set_state(ChannelState::Up);
                mine.publish().unwrap();
            }
        })
        .unwrap();
    channel.publish().unwrap();
    assert_eq!(channel.snapshot().unwrap().state(), ChannelState::Up);
    drop(subscription);
}

#[test]
fn equality_helpers() {
    let (_bus, telephony) = telephony();
    let channel = telephony.channel("1.1", "n").unwrap();
    let place = |application: &str, extension: &str| {
        channel.set_dialplan(Dialplan {
            application: application.into(),
            extension: extension.into(),
            ..Dialplan::default()
        });
        channel.current()
    };
    let (none, first, second, moved) = (
        place("", "1"),
        place("Dial", "1"),
        place("Wait", "1"),
        place("Wait", "2"),
    );
    assert!(!none.is_at_same_place(&first), "it began to run");
    assert!(first.is_at_same_place(&second) && second.is_at_same_place(&none));
    assert!(!second.is_at_same_place(&moved));
    let before = channel.current();
    channel.set_caller(Caller {
        dnid: "9".into(),
        ..Caller::default()
    });
    assert!(before.has_same_caller_id(&channel.current()));
    channel.set_caller(caller("100"));
    assert!(!before.has_same_caller_id(&channel.current()));
    assert!(before.has_same_connected_line(&channel.current()));
    channel.set_connected(Connected {
        name: "x".into(),
        number: String::new(),
    });
    assert!(!before.has_same_connected_line(&channel.current()));
}

#[test]
fn variables_that_clients_want_to_see_come_first() {
    let bus = Bus::new().unwrap();
    let telephony = Telephony::builder()
        .ami_variable("LANG")
        .ami_variable("BOTH")
        .ari_variable("BOTH")
        .build(&bus)
        .unwrap();
    let channel = telephony.channel("1.1", "n").unwrap();
    channel.publish().unwrap();
    let mut all = channel.topic().subscribe().receiver().unwrap();
    let (snapshot, varset) = ("ast_channel_snapshot_type", "ast_channel_varset_type");
    channel.set_variable("HIDDEN", "1").unwrap();
    assert_eq!(types(&mut all), [varset]);
    channel.set_variable("BOTH", b"\xff").unwrap();
    assert_eq!(types(&mut all), [snapshot, varset]);
    channel.set_variable("BOTH", b"\xff").unwrap();
    assert_eq!(types(&mut all), [varset], "the snapshot would be the same");
    channel.set_variable("LANG", "de").unwrap();
    assert_eq!(types(&mut all), [snapshot, varset]);
    let direct = channel.snapshot().unwrap().direct.clone();
    let both = (String::from("BOTH"), String::from("\u{fffd}"));
    assert_eq!(direct.ari_vars, std::slice::from_ref(&both));
    assert_eq!(direct.manager_vars, [("LANG".into(), "de".into()), both]);
    assert_eq!(channel.variable("HIDDEN").as_deref(), Some("1"));
    assert_eq!(channel.variable("NONE"), None);
    assert!(matches!(
        channel.set_variable("", "x"),
        Err(TelephonyError::Empty { .. })
    ));
    let long = "x".repeat(MAX_ID_LEN + 1);
    assert!(matches!(
        channel.set_variable(long, "x"),
        Err(TelephonyError::TooLong { .. })
    ));
}

#[test]
fn types_that_the_bus_declines_are_passed_over() {
    let bus = Bus::builder()
        .decline("ast_channel_snapshot_type")
        .decline("ast_channel_varset_type")
        .build()
        .unwrap();
    let telephony = Telephony::new(&bus).unwrap();
    let channel = telephony.channel("1.1", "n").unwrap();
    let mut all = channel.topic().subscribe().receiver().unwrap();
    channel.publish().unwrap();
    channel.set_variable("a", "b").unwrap();
    channel.hold(None).unwrap();
    assert_eq!(types(&mut all), ["ast_channel_hold_type"]);
    assert!(
        telephony.channel_by_id("1.1").is_some(),
        "it is known all the same"
    );
}

#[test]
fn after_shutdown_everything_is_refused_and_nothing_hangs() {
    let (bus, telephony) = telephony();
    let channel = telephony.channel("1.1", "n").unwrap();
    let bridge = telephony.bridge("b").unwrap();
    channel.publish().unwrap();
    bridge.publish().unwrap();
    bus.shutdown().unwrap();
    channel.set_state(ChannelState::Up);
    assert!(matches!(channel.publish(), Err(TelephonyError::Publish(_))));
    assert!(matches!(
        telephony.channel("1.2", "n"),
        Err(TelephonyError::Topic(_))
    ));
    assert!(matches!(bridge.end(), Err(TelephonyError::Publish(_))));
    assert!(matches!(channel.end(), Err(TelephonyError::Publish(_))));
    assert!(telephony.channels().is_empty() && telephony.bridges().is_empty());
    assert!(Telephony::new(&bus).is_err());
}

#[test]
fn topics_go_with_their_objects() {
    let (bus, telephony) = telephony();
    let count = || bus.topics().len();
    let lasting = count();
    for number in 0..20 {
        let channel = telephony.channel(format!("1.{number}"), "n").unwrap();
        let bridge = telephony.bridge(format!("b{number}")).unwrap();
        let endpoint = telephony.endpoint("SIP", format!("e{number}")).unwrap();
        channel.set_endpoint(&endpoint).unwrap();
        channel.publish().unwrap();
        bridge.enter(&channel).unwrap();
        assert!(count() > lasting);
    }
    assert_eq!(count(), lasting);
    let all = telephony.channel_topic_all();
    assert!(all.publish(Message::new(1)).is_ok());
}

#[test]
fn handles_are_sent_and_shared() {
    fn is_shared<T: Send + Sync + Unpin + std::fmt::Debug + 'static>() {}
    is_shared::<(Telephony, TelephonyBuilder, Channel, Bridge, Endpoint, Dial)>();
    is_shared::<(ChannelUpdate, BridgeUpdate, EndpointUpdate, BridgeBlob)>();
    is_shared::<(ChannelBlob, MultiChannelBlob, EventObject, Staging<'static>)>();
    is_shared::<(AttendedTransfer, BlindTransfer, TelephonyError)>();
    fn is_error<T: std::error::Error>() {}
    is_error::<TelephonyError>();
    let error = TelephonyError::from(stasis_bus::TopicError::ShutDown);
    assert!(std::error::Error::source(&error).is_some() && !error.to_string().is_empty());
}

#[test]
fn nobody_hears_of_the_end_of_what_was_never_published() {
    let (_bus, telephony) = telephony();
    let mut events = telephony
        .channel_topic_all()
        .subscribe()
        .receiver()
        .unwrap();
    let channel = telephony.channel("1.1", "n").unwrap();
    channel.end().unwrap();
    assert!(channel.has_ended() && channel.snapshot().is_none());
    assert!(matches!(channel.end(), Err(TelephonyError::ChannelEnded)));
    drop(channel);
    drop(telephony.channel("1.1", "n").expect("the id is free"));
    assert!(events.try_recv().is_err());
}

#[test]
fn of_two_channels_of_one_name_the_last_one_is_found() {
    let (_bus, telephony) = telephony();
    let one = telephony.channel("1.1", "n").unwrap();
    let two = telephony.channel("1.2", "N").unwrap();
    one.publish().unwrap();
    two.publish().unwrap();
    assert_eq!(telephony.channel_by_name("n"), two.snapshot());
    one.end().unwrap();
    assert_eq!(telephony.channel_by_name("n"), two.snapshot());
    two.set_name("m").unwrap().publish().unwrap();
    assert_eq!(telephony.channel_by_name("n"), None);
    assert_eq!(telephony.channel_by_name("m"), two.snapshot());
}
