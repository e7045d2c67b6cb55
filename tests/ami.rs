//! AMI: what the events look like, and that nothing that anybody puts into them makes a line of its own.

#![allow(clippy::disallowed_types, reason = "tests use std's own")]

use serde_json::{Value, json};
use stasis_bus::channels::*;
use stasis_bus::json::{JSON, UserEvent};
use stasis_bus::{Bus, Message, MessageType, Receiver, Sanitizer};

/// Reads an event as a client does: lines ended by CR LF, up to an empty one, each with a key.
#[track_caller]
fn parse(text: &str) -> Vec<(String, String)> {
    let body = text
        .strip_suffix("\r\n\r\n")
        .expect("an empty line at the end");
    assert!(
        !body.contains("\r\n\r\n"),
        "an empty line in between: {text:?}"
    );
    body.split("\r\n")
        .map(|line| {
            assert!(!line.chars().any(char::is_control), "{line:?}");
            assert!(!line.contains(['\u{2028}', '\u{2029}']), "{line:?}");
            let (key, value) = line.split_once(": ").expect("a key");
            assert!(
                !key.is_empty() && key.chars().all(|c| c.is_ascii_graphic()),
                "{key:?}"
            );
            (key.to_owned(), value.to_owned())
        })
        .collect()
}

fn value<'a>(lines: &'a [(String, String)], key: &str) -> Option<&'a str> {
    let mut found = lines.iter().filter(|(own, _)| own == key);
    let value = found.next().map(|(_, value)| &**value);
    assert!(found.next().is_none(), "{key} twice");
    value
}

fn lines(message: &Message) -> Vec<(String, String)> {
    parse(&message.render(&AMI).expect("AMI"))
}

fn one(receiver: &mut Receiver) -> Message {
    let message = receiver.try_recv().expect("a message");
    assert!(receiver.try_recv().is_err(), "one only");
    message
}

/// Bytes that somebody would like to have taken for lines.
fn hostile() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = [
        &b"\r\nEvent: Injected\r\n\r\n"[..],
        b"\nEvent: Injected\n\n",
        b"\rEvent: Injected\r\r",
        b"x\0y",
        b": ",
        b":",
        b"a: b\r\nc: d",
        b"\x85Event: Injected",
        b"\xc2\x85Event: Injected\xe2\x80\xa8Event: Injected\xe2\x80\xa9",
        b"\x0b\x0c\x1b[31m\x7f\xc2\x9b",
        b"\xc0\x8d\xc0\x8aEvent: Overlong",
        b"\xff\xfe\x0d\x00\x0a\x00",
        b"\"}],\"type\":\"Injected\"",
        b" leading and trailing ",
        "ü€😀".as_bytes(),
    ]
    .map(<[u8]>::to_vec)
    .into();
    all.extend((1..=255_u8).map(|byte| vec![b'a', byte, b'\n', byte, b'z']));
    let mut state = 7_u64;
    let pieces: [&[u8]; 12] = [
        b"\r\n",
        b"\r",
        b"\n",
        b"\0",
        b": ",
        b"Event",
        b"\xff",
        b"\xc2",
        b"\x85",
        b"\xe2\x80\xa8",
        b"a",
        b" ",
    ];
    for _ in 0..300 {
        let mut bytes = Vec::new();
        for _ in 0..12 {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            bytes.extend_from_slice(pieces[(state >> 33) as usize % pieces.len()]);
        }
        all.push(bytes);
    }
    all
}

/// What is not a part of a line, as spaces.
fn neutral(bytes: &[u8]) -> String {
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let text = text(bytes);
    text.chars()
        .map(|c| if breaks(c) { ' ' } else { c })
        .collect()
}

fn telephony() -> (Bus, Telephony) {
    let bus = Bus::builder().workers(1).build().unwrap();
    let telephony = Telephony::builder()
        .ami_variable("SEEN")
        .ari_variable("SEEN")
        .build(&bus)
        .unwrap();
    (bus, telephony)
}

#[test]
fn a_variable() {
    let (_bus, telephony) = telephony();
    let channel = telephony.channel("1.1", "PJSIP/alice-1").unwrap();
    channel
        .set_state(ChannelState::Up)
        .set_accountcode("sales")
        .set_language("de");
    channel.set_caller(Caller {
        number: "100".into(),
        ..Caller::default()
    });
    channel.set_dialplan(Dialplan {
        context: "from-inside".into(),
        extension: "200".into(),
        priority: 3,
        ..Dialplan::default()
    });
    let mut events = channel
        .topic()
        .subscribe()
        .accept_format(&AMI)
        .receiver()
        .unwrap();
    channel.set_variable("SEEN", "yes").unwrap();
    let message = one(&mut events);
    let expected = "Event: VarSet\r\nChannel: PJSIP/alice-1\r\nChannelState: 6\r\n\
        ChannelStateDesc: Up\r\nCallerIDNum: 100\r\nCallerIDName: <unknown>\r\n\
        ConnectedLineNum: <unknown>\r\nConnectedLineName: <unknown>\r\nLanguage: de\r\n\
        AccountCode: sales\r\nContext: from-inside\r\nExten: 200\r\nPriority: 3\r\n\
        Uniqueid: 1.1\r\nLinkedid: 1.1\r\nChanVariable: SEEN=yes\r\nVariable: SEEN\r\n\
        Value: yes\r\n\r\n";
    assert_eq!(message.render(&AMI).as_deref(), Some(expected));
    assert_eq!(
        message.render_with(&AMI, &Sanitizer::new("all", |_| true)),
        None
    );
}

#[test]
fn events_about_a_channel() {
    let (_bus, telephony) = telephony();
    let channel = telephony.channel("1.1", "PJSIP/alice-1").unwrap();
    let mut events = channel.topic().subscribe().receiver().unwrap();
    type Case = (
        &'static MessageType<ChannelBlob>,
        Value,
        &'static str,
        Option<(&'static str, &'static str)>,
    );
    let cases: [Case; 4] = [
        (
            &CHANNEL_AGENT_LOGIN,
            json!({ "agent": "7" }),
            "AgentLogin",
            Some(("Agent", "7")),
        ),
        (
            &CHANNEL_AGENT_LOGOFF,
            json!({ "agent": "7", "logintime": 60 }),
            "AgentLogoff",
            Some(("Logintime", "60")),
        ),
        (
            &CHANNEL_TALKING_START,
            Value::Null,
            "ChannelTalkingStart",
            None,
        ),
        (
            &CHANNEL_TALKING_STOP,
            json!({ "duration": 5 }),
            "ChannelTalkingStop",
            Some(("Duration", "5")),
        ),
    ];
    for (message_type, data, name, line) in cases {
        channel.publish_blob(message_type, data).unwrap();
        let lines = lines(&one(&mut events));
        assert_eq!(value(&lines, "Event"), Some(name));
        assert_eq!(value(&lines, "Uniqueid"), Some("1.1"));
        if let Some((key, expected)) = line {
            assert_eq!(value(&lines, key), Some(expected));
        }
    }
    channel.hold(None).unwrap();
    assert_eq!(one(&mut events).render(&AMI), None);
    telephony.publish_variable("G", "1").unwrap();
}

#[test]
fn blind_transfers() {
    let (_bus, telephony) = telephony();
    let channel = telephony.channel("1.1", "PJSIP/alice-1").unwrap();
    let snapshot = || std::sync::Arc::new(channel.current());
    let bridge = telephony.bridge("b").unwrap();
    let mut events = telephony.bridge_topic_all().subscribe().receiver().unwrap();
    let blind = BlindTransfer {
        result: TransferResult::Success,
        is_external: true,
        transferer: snapshot(),
        bridge: Some(bridge.snapshot()),
        context: "c".into(),
        extension: "1\r\nEvent: Injected".into(),
        transferee: Some(snapshot()),
        replace_channel: None,
    };
    telephony.publish_blind_transfer(blind).unwrap();
    let text = lines(&one(&mut events));
    assert_eq!(value(&text, "TransfererChannel"), Some("PJSIP/alice-1"));
    assert_eq!(value(&text, "TransfereeUniqueid"), Some("1.1"));
    assert_eq!(value(&text, "BridgeUniqueid"), Some("b"));
    assert_eq!(value(&text, "IsExternal"), Some("Yes"));
    assert_eq!(value(&text, "Extension"), Some("1  Event: Injected"));
}

#[test]
fn attended_transfers() {
    let (_bus, telephony) = telephony();
    let channel = telephony.channel("1.1", "PJSIP/alice-1").unwrap();
    let snapshot = || std::sync::Arc::new(channel.current());
    let bridge = telephony.bridge("b").unwrap();
    let mut events = telephony.bridge_topic_all().subscribe().receiver().unwrap();
    let leg = || TransferLeg {
        channel: snapshot(),
        bridge: Some(bridge.snapshot()),
    };
    for (destination, kind) in [
        (Destination::Fail, "Fail"),
        (Destination::Bridge("b".into()), "Bridge"),
        (Destination::App("Park".into()), "App"),
        (
            Destination::LocalApp {
                app: "Park".into(),
                locals: [snapshot(), snapshot()],
            },
            "App",
        ),
        (
            Destination::Link {
                locals: [snapshot(), snapshot()],
            },
            "Link",
        ),
        (
            Destination::ThreeWay {
                channel: snapshot(),
                bridge: bridge.snapshot(),
            },
            "Threeway",
        ),
    ] {
        let transfer = AttendedTransfer {
            result: TransferResult::Fail,
            is_external: false,
            to_transferee: leg(),
            to_target: leg(),
            replace_channel: None,
            transferee: None,
            target: Some(snapshot()),
            destination,
        };
        telephony.publish_attended_transfer(transfer).unwrap();
        let message = one(&mut events);
        let text = lines(&message);
        assert_eq!(value(&text, "DestType"), Some(kind));
        assert_eq!(value(&text, "OrigTransfererChannel"), Some("PJSIP/alice-1"));
        assert_eq!(value(&text, "SecondBridgeUniqueid"), Some("b"));
        assert_eq!(value(&text, "TransferTargetChannel"), Some("PJSIP/alice-1"));
        assert_eq!(
            message.render_with(&AMI, &Sanitizer::new("all", |_| true)),
            None
        );
    }
}

#[test]
fn endpoints_and_the_system() {
    let (_bus, telephony) = telephony();
    let endpoint = telephony.endpoint("PJSIP", "alice").unwrap();
    let mut events = endpoint.topic().subscribe().receiver().unwrap();
    endpoint
        .publish_state(json!({ "peer_status": "Registered", "port": 5060 }))
        .unwrap();
    let text = lines(&one(&mut events));
    let expected = [
        ("Event", "PeerStatus"),
        ("ChannelType", "PJSIP"),
        ("Peer", "PJSIP/alice"),
        ("PeerStatus", "Registered"),
        ("Port", "5060"),
    ];
    assert_eq!(
        text,
        expected.map(|(key, value)| (key.into(), value.into()))
    );
    endpoint
        .publish_contact(json!({ "uri": "sip:a", "contact_status": "Reachable" }))
        .unwrap();
    let text = lines(&one(&mut events));
    assert_eq!(value(&text, "URI"), Some("sip:a"));

    let mut system = telephony.system_topic().subscribe().receiver().unwrap();
    let registry = Registry {
        domain: "example.org".into(),
        ..Registry::default()
    };
    telephony
        .publish_system(&SYSTEM_REGISTRY, registry)
        .unwrap();
    assert_eq!(
        value(&lines(&one(&mut system)), "Domain"),
        Some("example.org")
    );
    let step = CallCompletion {
        core_id: 9,
        expires: Some(20),
        ..CallCompletion::default()
    };
    telephony
        .publish_system(&CC_OFFER_TIMER_START, step)
        .unwrap();
    let text = one(&mut system).render(&AMI);
    assert_eq!(
        text.as_deref(),
        Some("Event: CCOfferTimerStart\r\nCoreID: 9\r\nExpires: 20\r\n\r\n")
    );
    telephony
        .publish_system(&NETWORK_CHANGE, NetworkChange)
        .unwrap();
    assert_eq!(one(&mut system).render(&AMI), None);
}

#[test]
fn user_events_number_their_objects_from_the_second() {
    let (_bus, telephony) = telephony();
    let channels: Vec<_> = (1..=3)
        .map(|number| {
            telephony
                .channel(format!("1.{number}"), format!("SIP/{number}"))
                .unwrap()
        })
        .collect();
    let mut event =
        UserEvent::<EventObject>::new("Alarm", json!({ "Level": 3, "Text": "a\nb" })).unwrap();
    for channel in &channels {
        event = event.with(std::sync::Arc::new(channel.current())).unwrap();
    }
    event = event
        .with(telephony.bridge("b").unwrap().snapshot())
        .unwrap();
    event = event
        .with(telephony.endpoint("SIP", "e").unwrap().snapshot())
        .unwrap();
    let text = lines(&USER_EVENT.message(event));
    for (key, expected) in [
        ("Event", "UserEvent"),
        ("UserEvent", "Alarm"),
        ("Uniqueid", "1.1"),
        ("Chan2Uniqueid", "1.2"),
        ("Chan3Uniqueid", "1.3"),
        ("BridgeUniqueid", "b"),
        ("Level", "3"),
        ("Text", "a b"),
    ] {
        assert_eq!(value(&text, key), Some(expected), "{key}");
    }
    assert!(!text.iter().any(|(_, value)| value.contains("SIP/e")));
}

#[test]
fn nothing_that_is_put_in_makes_a_line() {
    let (_bus, telephony) = telephony();
    let plain = telephony.channel("plain", "plain").unwrap();
    let mut events = plain
        .topic()
        .subscribe()
        .accept_format(&AMI)
        .receiver()
        .unwrap();
    plain.set_variable("SEEN", "x").unwrap();
    let usual = lines(&one(&mut events)).len();
    for (number, bytes) in hostile().iter().enumerate() {
        let id = [format!("{number}").as_bytes(), bytes].concat();
        let channel = telephony.channel(&id, &id).unwrap();
        channel.set_accountcode(bytes).set_language(bytes);
        let string = text(bytes);
        channel.set_caller(Caller {
            name: string.clone(),
            number: string.clone(),
            ..Caller::default()
        });
        channel.set_connected(Connected {
            name: string.clone(),
            number: string.clone(),
        });
        let mut dialplan = Dialplan {
            context: string.clone(),
            ..Dialplan::default()
        };
        dialplan.extension.clone_from(&string);
        channel.set_dialplan(dialplan);
        let mut events = channel
            .topic()
            .subscribe()
            .accept_format(&AMI)
            .receiver()
            .unwrap();
        channel.set_variable("SEEN", bytes).unwrap();
        let message = one(&mut events);
        let written = lines(&message);
        assert_eq!(written.len(), usual, "{bytes:?}");
        assert_eq!(value(&written, "Event"), Some("VarSet"));
        assert_eq!(value(&written, "Value"), Some(&*neutral(bytes)));
        assert_eq!(value(&written, "AccountCode"), Some(&*neutral(bytes)));
        // The same as JSON is as it was, in one string.
        let json: Value = serde_json::from_str(&message.render(&JSON).unwrap()).unwrap();
        assert_eq!(json["value"], string);
        assert_eq!(json["channel"]["accountcode"], string);
        assert_eq!(json["channel"]["channelvars"]["SEEN"], string);
    }
}

#[test]
fn nothing_that_is_a_key_makes_a_line() {
    for bytes in hostile() {
        let key = text(&bytes);
        let event = AmiEvent::new(&key)
            .field(&key, &key)
            .prefixed(&key, &key, 1)
            .finish();
        assert_eq!(parse(&event).len(), 3, "{key:?}");
        let event = UserEvent::<EventObject>::new("x", json!({ &*key: key, "z": { &*key: key } }));
        let text = lines(&USER_EVENT.message(event.unwrap()));
        assert_eq!(text.len(), 4, "{key:?}");
    }
    let event = AmiEvent::new("")
        .field("", "")
        .prefixed("", "", "x")
        .finish();
    assert_eq!(event, "Event: \r\n_: \r\n_: x\r\n\r\n");
    let event = AmiEvent::new("x")
        .optional("a", None::<u8>)
        .optional("b", Some(1))
        .finish();
    assert_eq!(event, "Event: x\r\nb: 1\r\n\r\n");
}

#[test]
fn an_event_has_one_name() {
    let data = json!({ "Event": "Hangup", "response": "Success", "ActionId": 1, "Eventful": 2 });
    let event = UserEvent::<EventObject>::new("x", data).unwrap();
    let text = lines(&USER_EVENT.message(event));
    assert_eq!(value(&text, "Event"), Some("UserEvent"));
    for key in ["_Event", "_response", "_ActionId", "Eventful"] {
        assert!(value(&text, key).is_some(), "{key}");
    }
    let event = AmiEvent::new("x")
        .prefixed("Ev", "ent", "y")
        .prefixed("", "PRIVILEGE", "z");
    assert_eq!(
        event.finish(),
        "Event: x\r\n_Event: y\r\n_PRIVILEGE: z\r\n\r\n"
    );
}

#[test]
fn user_event_fields_do_not_pose_as_the_channels() {
    let (_bus, telephony) = telephony();
    let channel = telephony.channel("1.1", "PJSIP/alice-1").unwrap();
    let snapshot = std::sync::Arc::new(channel.current());
    let data = json!({
        "Channel": "PJSIP/boss",
        "uniqueid": "99",
        "UserEvent": "Other",
        "TenantId": "boss",
        "chan2Channel": "PJSIP/boss",
        "ChannelTalk": "own",
        "Chanel": "own",
        "BridgeUniqueid": "own",
        "Timestamp": 1,
        "EventList": "start",
        "message": "x",
    });
    let event = UserEvent::<EventObject>::new("x", data).unwrap();
    let about = event.clone().with(snapshot).unwrap();
    let message = USER_EVENT.message(about);
    let hidden = message.render_with(&AMI, &Sanitizer::new("all", |_| true));
    for (text, channels) in [(lines(&message), 1), (parse(&hidden.unwrap()), 0)] {
        let count = |key: &str| text.iter().filter(|(own, _)| own == key).count();
        assert_eq!((count("Channel"), count("Uniqueid")), (channels, channels));
        assert_eq!(value(&text, "UserEvent"), Some("x"));
        assert_eq!(value(&text, "_Channel"), Some("PJSIP/boss"));
        for key in ["_uniqueid", "_UserEvent", "_TenantId", "_chan2Channel"] {
            assert!(value(&text, key).is_some(), "{key}: {text:?}");
        }
        for key in ["ChannelTalk", "Chanel", "BridgeUniqueid"] {
            assert_eq!(
                value(&text, key),
                Some("own"),
                "the event is about no bridge"
            );
        }
        for key in ["_Timestamp", "_EventList", "_message"] {
            assert!(value(&text, key).is_some(), "{key}: {text:?}");
        }
    }
    // About nobody, all but its name is free.
    let text = lines(&USER_EVENT.message(event));
    assert_eq!(value(&text, "Channel"), Some("PJSIP/boss"));
    assert_eq!(value(&text, "UserEvent"), Some("x"));
}
