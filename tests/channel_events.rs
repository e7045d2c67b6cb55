//! What happens to channels: what is told of it, what it is as JSON, and what a sanitizer leaves of it.

#![allow(clippy::disallowed_types, reason = "tests use std's own")]

mod scene;

use scene::{Scene, all, hiding, one, scene, to_json};
use serde_json::{Value, json};
use stasis_bus::channels::*;
use stasis_bus::json::{JSON, MultiBlob, UserEvent};
use stasis_bus::{MessageType, Receiver, Sanitizer};
use std::collections::HashSet;
use std::time::Duration;

#[test]
fn a_channel_as_json() {
    let Scene { _bus, alice, .. } = scene();
    let keys =
        |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    let value = alice.snapshot().unwrap().to_json();
    let always = [
        "accountcode",
        "caller",
        "connected",
        "creationtime",
        "dialplan",
        "id",
        "language",
        "name",
        "protocol_id",
        "state",
    ];
    assert_eq!(keys(&value), always);
    assert_eq!(
        keys(&value["dialplan"]),
        ["app_data", "app_name", "context", "exten", "priority"]
    );
    assert_eq!(value["caller"], json!({ "name": "", "number": "" }));
    assert_eq!(
        (&value["id"], &value["state"]),
        (&json!("1.1"), &json!("Down"))
    );

    alice.set_tenantid("t").set_state(ChannelState::Up);
    alice.set_caller(Caller {
        rdnis: "9".into(),
        ..Caller::default()
    });
    let value = alice.current().to_json();
    assert_eq!(
        (&value["tenantid"], &value["caller_rdnis"]),
        (&json!("t"), &json!("9"))
    );
    assert_eq!(value["state"], "Up");
}

#[test]
fn events_of_one_channel_as_json() {
    let Scene { _bus, alice, .. } = scene();
    let mut events = all(alice.topic());
    type Tell = fn(&Channel) -> Result<(), TelephonyError>;
    let cases: [(&str, Value, Tell); 9] = [
        ("ChannelHold", json!({ "musicclass": "jazz" }), |channel| {
            channel.hold(Some("jazz"))
        }),
        ("ChannelHold", json!({}), |channel| channel.hold(None)),
        ("ChannelUnhold", json!({}), Channel::unhold),
        (
            "ChannelHangupRequest",
            json!({ "cause": 16, "soft": true }),
            |channel| channel.hangup_request(Some(16), true),
        ),
        ("ChannelHangupRequest", json!({}), |channel| {
            channel.hangup_request(None, false)
        }),
        (
            "ChannelDtmfReceived",
            json!({ "digit": "A", "duration_ms": 80 }),
            |channel| channel.dtmf_end('a', Direction::Received, Duration::from_millis(80)),
        ),
        ("ChannelTalkingStarted", json!({}), |channel| {
            channel.publish_blob(&CHANNEL_TALKING_START, None)
        }),
        ("ChannelToneDetected", json!({}), |channel| {
            channel.publish_blob(&CHANNEL_TONE_DETECT, None)
        }),
        (
            "ChannelTransfer",
            json!({ "state": "channel_progress" }),
            |channel| {
                let data = json!({ "state": "channel_progress", "unknown": 1 });
                channel.publish_blob(&CHANNEL_TRANSFER_REQUEST, data)
            },
        ),
    ];
    for (kind, data, tell) in cases {
        tell(&alice).unwrap();
        let message = one(&mut events);
        let mut expected = data;
        expected["type"] = kind.into();
        expected["timestamp"] = stasis_bus::json::timestamp(message.timestamp());
        expected["channel"] = alice.snapshot().unwrap().to_json();
        assert_eq!(to_json(&message), expected);
        assert_eq!(message.render_with(&JSON, &hiding("PJSIP/alice-1")), None);
        assert!(message.render_with(&JSON, &hiding("PJSIP/bob-2")).is_some());
    }
}

#[test]
fn digits_that_are_sent_are_no_json() {
    let Scene { _bus, alice, .. } = scene();
    let mut events = all(alice.topic());
    alice.dtmf_begin('#', Direction::Received).unwrap();
    assert_eq!(one(&mut events).render(&JSON), None);
    alice
        .dtmf_end('*', Direction::Sent, Duration::ZERO)
        .unwrap();
    let message = one(&mut events);
    assert_eq!(message.render(&JSON), None);
    assert_eq!(message.payload(&CHANNEL_DTMF_END).unwrap()["digit"], "*");
    for digit in ['x', ' ', '\n', 'é'] {
        let refused = alice.dtmf_begin(digit, Direction::Sent);
        assert!(matches!(refused, Err(TelephonyError::BadDigit { digit: d }) if d == digit));
    }
    assert!(events.try_recv().is_err());
}

#[test]
fn variables_with_a_channel_and_without() {
    let Scene {
        _bus,
        telephony,
        alice,
        ..
    } = scene();
    let mut events = all(telephony.channel_topic_all());
    alice.set_variable("X", "1").unwrap();
    telephony.publish_variable("G", b"\xff").unwrap();
    let own = to_json(&events.try_recv().unwrap());
    assert_eq!(
        (&own["variable"], &own["value"]),
        (&json!("X"), &json!("1"))
    );
    assert_eq!(own["channel"]["name"], "PJSIP/alice-1");
    let message = one(&mut events);
    let global = to_json(&message);
    assert_eq!(
        (&global["variable"], &global["value"]),
        (&json!("G"), &json!("\u{fffd}"))
    );
    assert_eq!(global.get("channel"), None);
    assert!(
        message
            .render_with(&JSON, &Sanitizer::new("all", |_| true))
            .is_some()
    );
    assert!(matches!(
        telephony.publish_variable("", ""),
        Err(TelephonyError::Empty { .. })
    ));

    assert!(
        telephony
            .publish_blob_by_id("1.1", &CHANNEL_FLASH, None)
            .unwrap()
    );
    assert!(one(&mut events).is(&CHANNEL_FLASH));
    assert!(
        !telephony
            .publish_blob_by_id("1.9", &CHANNEL_FLASH, None)
            .unwrap()
    );
    assert!(events.try_recv().is_err());
}

fn dial_events(receiver: &mut Receiver) -> Vec<(String, String, String)> {
    let messages = std::iter::from_fn(|| receiver.try_recv().ok());
    messages
        .filter(|message| message.is(&CHANNEL_DIAL))
        .map(|message| {
            let blob = message.payload(&CHANNEL_DIAL).unwrap();
            let id = |role| {
                blob.get(role)
                    .map_or(String::new(), |channel| channel.id().into())
            };
            let status = blob.data()["dialstatus"].as_str().unwrap();
            (id("caller"), id("peer"), status.into())
        })
        .collect()
}

fn triple(caller: &str, peer: &str, status: &str) -> (String, String, String) {
    (caller.into(), peer.into(), status.into())
}

#[test]
fn each_begin_of_a_dial_has_its_end() {
    let Scene {
        _bus,
        telephony,
        alice,
        bob,
        ..
    } = scene();
    let mut events = all(telephony.channel_topic_all());
    let dial = Dial::begin(&telephony, Some(&alice), &bob, b"PJSIP/bob\xff").unwrap();
    dial.progress("RINGING").unwrap();
    assert!(matches!(
        dial.progress(""),
        Err(TelephonyError::Empty { .. })
    ));
    dial.end("ANSWER", None).unwrap();
    let begun = |status| triple("1.1", "1.2", status);
    assert_eq!(
        dial_events(&mut events),
        ["", "RINGING", "ANSWER"].map(begun)
    );

    // Another channel takes the place of who is called.
    let carol = telephony.channel("1.3", "PJSIP/carol-3").unwrap();
    let mut dial = Dial::begin(&telephony, Some(&alice), &bob, "x").unwrap();
    bob.masquerade(&carol).unwrap();
    dial.masquerade(&bob, &carol).unwrap();
    dial.masquerade(&bob, &carol).unwrap();
    bob.end().unwrap();
    assert!(matches!(
        dial.masquerade(&carol, &bob),
        Err(TelephonyError::ChannelEnded)
    ));
    // Who has ended can still be told of.
    alice.end().unwrap();
    dial.end("CANCEL", Some("Local/7")).unwrap();
    let expected = [
        triple("1.1", "1.2", ""),
        triple("1.1", "1.2", "CONTINUE"),
        triple("1.1", "1.3", ""),
        triple("1.1", "1.3", "CANCEL"),
    ];
    assert_eq!(dial_events(&mut events), expected);
    assert!(matches!(
        Dial::begin(&telephony, Some(&alice), &carol, "x"),
        Err(TelephonyError::ChannelEnded)
    ));

    let mut dial = Dial::begin(&telephony, None, &carol, "x").unwrap();
    dial.masquerade(&alice, &carol).unwrap();
    dial.end("BUSY", None).unwrap();
    assert_eq!(
        dial_events(&mut events),
        ["", "BUSY"].map(|status| triple("", "1.3", status))
    );
}

#[test]
fn a_dial_as_json() {
    let Scene {
        _bus,
        telephony,
        alice,
        bob,
        ..
    } = scene();
    let mut events = telephony
        .channel_topic_all()
        .subscribe()
        .accept_format(&JSON)
        .receiver()
        .unwrap();
    let dial = Dial::begin(&telephony, Some(&alice), &bob, "PJSIP/bob").unwrap();
    let message = one(&mut events);
    let value = to_json(&message);
    assert_eq!(
        (&value["type"], &value["dialstring"]),
        (&json!("Dial"), &json!("PJSIP/bob"))
    );
    assert_eq!(value["caller"]["id"], "1.1");
    assert_eq!(value["peer"]["id"], "1.2");
    assert_eq!(message.render_with(&JSON, &hiding("PJSIP/bob-2")), None);
    let text = message
        .render_with(&JSON, &hiding("PJSIP/alice-1"))
        .unwrap();
    assert!(!text.contains("alice"));
    drop(dial);

    let blob = MultiBlob::new(None);
    let refused = telephony.publish_roles(&CHANNEL_DIAL, blob.clone());
    assert!(matches!(
        refused,
        Err(TelephonyError::MissingRole { role: "peer" })
    ));
    let refused = telephony.publish_roles(&CHANNEL_CHANSPY_START, blob);
    assert!(matches!(
        refused,
        Err(TelephonyError::MissingRole {
            role: "spyer_channel"
        })
    ));
    let pair = ("", &bob);
    let refused = alice.publish_pair(&CHANNEL_CHANSPY_START, "spyer_channel", pair, None);
    assert!(matches!(refused, Err(TelephonyError::Blob(_))));
    let refused = alice.publish_pair(&CHANNEL_CHANSPY_STOP, "", ("spyee_channel", &bob), None);
    assert!(matches!(refused, Err(TelephonyError::Blob(_))));
    let pair = ("spyee_channel", &bob);
    alice
        .publish_pair(&CHANNEL_CHANSPY_START, "spyer_channel", pair, None)
        .unwrap();
}

/// Whoever is faster: an event that was published came before the end, and none comes after it.
#[test]
fn nothing_follows_the_end() {
    for _ in 0..if cfg!(miri) { 2 } else { 100 } {
        let Scene { _bus, alice, .. } = scene();
        let mut events = all(alice.topic());
        let told = std::thread::scope(|scope| {
            let tell = || (0..20).take_while(|_| alice.hold(None).is_ok()).count();
            let tellers = [scope.spawn(tell), scope.spawn(tell)];
            alice.end().unwrap();
            tellers
                .map(|teller| teller.join().unwrap())
                .iter()
                .sum::<usize>()
        });
        let heard: Vec<_> = std::iter::from_fn(|| events.try_recv().ok()).collect();
        assert_eq!(heard.len(), told + 1);
        let last = heard
            .last()
            .and_then(|last| last.payload(&CHANNEL_SNAPSHOT));
        assert!(last.is_some_and(|update| update.new.ended));
    }
}

#[test]
fn user_events_have_all_their_objects() {
    let Scene {
        _bus,
        telephony,
        alice,
        bob,
        ..
    } = scene();
    let mut events = all(alice.topic());
    let event = || {
        UserEvent::<EventObject>::new("Alarm", json!({ "level": 3 }))
            .and_then(|event| event.with(alice.snapshot().unwrap()))
            .and_then(|event| event.with(bob.snapshot().unwrap()))
            .and_then(|event| event.with(telephony.bridge("b").unwrap().snapshot()))
            .and_then(|event| event.with(telephony.endpoint("SIP", "x").unwrap().snapshot()))
            .unwrap()
    };
    telephony.publish_user_event(Some(&alice), event()).unwrap();
    let message = one(&mut events);
    let value = to_json(&message);
    let ids: Vec<_> = value["channel"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["id"])
        .collect();
    assert_eq!(ids, ["1.1", "1.2"]);
    assert_eq!(value["bridge"][0]["id"], "b");
    assert_eq!(value["endpoint"][0]["resource"], "x");
    let text = message
        .render_with(&JSON, &hiding("PJSIP/alice-1"))
        .unwrap();
    assert!(text.contains("bob") && !text.contains("alice"));

    let mut everywhere = all(telephony.channel_topic_all());
    telephony.publish_user_event(None, event()).unwrap();
    assert!(one(&mut everywhere).is(&USER_EVENT));
    assert!(events.try_recv().is_err());
}

/// The name of a type, and whether it has JSON and AMI.
fn about<T>(message_type: &'static MessageType<T>) -> (&'static str, bool, bool)
where
    T: Send + Sync + 'static,
{
    let info = message_type.info();
    (info.name(), info.has_format(&JSON), info.has_format(&AMI))
}

fn of_channels() -> [(&'static str, bool, bool); 26] {
    [
        about(&CHANNEL_SNAPSHOT),
        about(&CHANNEL_DIAL),
        about(&CHANNEL_VARSET),
        about(&CHANNEL_HANGUP_REQUEST),
        about(&CHANNEL_MASQUERADE),
        about(&CHANNEL_DTMF_BEGIN),
        about(&CHANNEL_DTMF_END),
        about(&CHANNEL_HOLD),
        about(&CHANNEL_UNHOLD),
        about(&CHANNEL_FLASH),
        about(&CHANNEL_WINK),
        about(&CHANNEL_CHANSPY_START),
        about(&CHANNEL_CHANSPY_STOP),
        about(&CHANNEL_FAX),
        about(&CHANNEL_HANGUP_HANDLER),
        about(&CHANNEL_MOH_START),
        about(&CHANNEL_MOH_STOP),
        about(&CHANNEL_MIXMONITOR_START),
        about(&CHANNEL_MIXMONITOR_STOP),
        about(&CHANNEL_MIXMONITOR_MUTE),
        about(&CHANNEL_AGENT_LOGIN),
        about(&CHANNEL_AGENT_LOGOFF),
        about(&CHANNEL_TALKING_START),
        about(&CHANNEL_TALKING_STOP),
        about(&CHANNEL_TONE_DETECT),
        about(&CHANNEL_TRANSFER_REQUEST),
    ]
}

fn of_all_else() -> [(&'static str, bool, bool); 23] {
    [
        about(&BRIDGE_SNAPSHOT),
        about(&BRIDGE_MERGE),
        about(&CHANNEL_ENTERED_BRIDGE),
        about(&CHANNEL_LEFT_BRIDGE),
        about(&BLIND_TRANSFER),
        about(&ATTENDED_TRANSFER),
        about(&ENDPOINT_SNAPSHOT),
        about(&ENDPOINT_STATE),
        about(&CONTACT_STATE),
        about(&NETWORK_CHANGE),
        about(&SYSTEM_REGISTRY),
        about(&CC_AVAILABLE),
        about(&CC_OFFER_TIMER_START),
        about(&CC_REQUESTED),
        about(&CC_REQUEST_ACKNOWLEDGED),
        about(&CC_CALLER_STOP_MONITORING),
        about(&CC_CALLER_START_MONITORING),
        about(&CC_CALLER_RECALLING),
        about(&CC_RECALL_COMPLETE),
        about(&CC_FAILURE),
        about(&CC_MONITOR_FAILED),
        about(&CLUSTER_DISCOVERY),
        about(&USER_EVENT),
    ]
}

#[test]
fn types_have_names_and_formats_of_their_own() {
    let all = [&of_channels()[..], &of_all_else()].concat();
    let names: HashSet<_> = all.iter().map(|(name, ..)| name).collect();
    assert_eq!(names.len(), all.len());
    let count = |json, ami| {
        let of_both = |(_, j, a): &&(&str, bool, bool)| (*j, *a) == (json, ami);
        all.iter().filter(of_both).count()
    };
    // Channels: 3 with both, 7 with JSON, 2 with AMI; bridges: 2 and 3; endpoints: 2; system: 11 with AMI;
    // and user events.
    assert_eq!(
        (count(true, true), count(true, false), count(false, true)),
        (8, 10, 13)
    );
}

#[test]
fn no_way_leads_past_the_roles_that_a_type_needs() {
    let Scene {
        _bus,
        telephony,
        alice,
        bob,
    } = scene();
    let mut events = all(telephony.channel_topic_all());
    let refused = [
        alice.publish_pair(&CHANNEL_DIAL, "caller", ("nobody", &bob), None),
        alice.publish_pair(&CHANNEL_CHANSPY_START, "spy", ("spyee_channel", &bob), None),
        telephony.publish_global(&CHANNEL_DIAL, MultiBlob::new(None)),
        telephony.publish_global(&CHANNEL_CHANSPY_START, MultiBlob::new(None)),
    ];
    for refused in refused {
        let is_named = matches!(refused, Err(TelephonyError::MissingRole { .. }));
        assert!(is_named, "{refused:?}");
    }
    assert!(events.try_recv().is_err());
    let pair = ("peer", &bob);
    alice
        .publish_pair(&CHANNEL_DIAL, "caller", pair, None)
        .unwrap();
}
