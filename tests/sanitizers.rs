//! What a sanitizer leaves out is nowhere: not as itself, and not as an id in something else.

#![allow(clippy::disallowed_types, reason = "tests use std's own")]

mod scene;

use scene::{Scene, all, one, scene};
use serde_json::json;
use stasis_bus::channels::*;
use stasis_bus::json::{JSON, UserEvent};
use stasis_bus::{Format, Message, Receiver, Sanitizer, Subject};
use std::sync::Arc;

/// Leaves out what has that id, of whatever kind, by the id alone.
fn hide(id: &'static str) -> Sanitizer {
    Sanitizer::new("hide", move |subject: &Subject<'_>| subject.id() == id)
}

/// The text speaks of what is hidden without the sanitizer, and does not with it.
#[track_caller]
fn without(message: &Message, format: &Format, id: &'static str, name: &str) -> String {
    let speaks = |text: &str| text.contains(&format!("\"{id}\"")) || text.contains(name);
    let open = message.render(format).expect("a text");
    assert!(speaks(&open), "nothing to hide: {open}");
    let text = message
        .render_with(format, &hide(id))
        .expect("a text is left");
    assert!(!speaks(&text), "{text}");
    text.to_string()
}

fn last(events: &mut Receiver) -> Message {
    events.try_iter().last().expect("a message")
}

#[test]
fn a_hidden_channel_is_nowhere_in_bridge_json() {
    let Scene {
        _bus,
        telephony,
        alice,
        bob,
        ..
    } = scene();
    let topic = telephony.bridge_topic_all();
    let bridge = telephony.bridge("b").unwrap();
    bridge.enter(&alice).unwrap();
    bridge.set_video(VideoMode::Single, "1.1").unwrap();
    let mut entered = topic
        .subscribe()
        .accept(&CHANNEL_ENTERED_BRIDGE)
        .receiver()
        .unwrap();
    bridge.enter(&bob).unwrap();
    let text = without(&one(&mut entered), &JSON, "1.1", "video_source_id");
    assert!(text.contains(r#""channels":["1.2"]"#), "{text}");

    let mut merges = topic.subscribe().accept(&BRIDGE_MERGE).receiver().unwrap();
    bridge.merge(&telephony.bridge("from").unwrap()).unwrap();
    without(&one(&mut merges), &JSON, "1.1", "video_source_id");
}

#[test]
fn a_hidden_channel_is_nowhere_in_user_events() {
    let Scene {
        _bus,
        telephony,
        alice,
        bob,
        ..
    } = scene();
    let endpoint = telephony.endpoint("PJSIP", "alice").unwrap();
    alice.set_endpoint(&endpoint).unwrap();
    let bridge = telephony.bridge("b").unwrap();
    bridge.enter(&alice).unwrap();
    bridge.enter(&bob).unwrap();
    bridge.set_video(VideoMode::Single, "1.1").unwrap();
    let mut linked = (*bob.snapshot().unwrap()).clone();
    Arc::make_mut(&mut linked.peer).linkedid = "1.1".into();
    let event = UserEvent::new("x", json!({}))
        .and_then(|event| event.with(endpoint.snapshot()))
        .and_then(|event| event.with(bridge.snapshot()))
        .and_then(|event| event.with(Arc::new(linked)));
    let mut events = all(telephony.channel_topic_all());
    telephony.publish_user_event(None, event.unwrap()).unwrap();
    let message = one(&mut events);
    let text = without(&message, &JSON, "1.1", "video_source_id");
    assert!(text.contains(r#""channel_ids":[]"#), "{text}");
    let text = without(&message, &AMI, "1.1", ": 1.1\r\n");
    assert!(text.contains("\r\nBridgeNumChannels: 1\r\n"), "{text}");
    assert!(!text.contains("Linkedid"), "{text}");
}

#[test]
fn a_hidden_channel_is_nowhere_in_what_endpoints_tell() {
    let Scene {
        _bus,
        telephony,
        alice,
        bob,
        ..
    } = scene();
    let endpoint = telephony.endpoint("PJSIP", "alice").unwrap();
    alice.set_endpoint(&endpoint).unwrap();
    bob.set_endpoint(&endpoint).unwrap();
    let mut events = all(endpoint.topic());
    endpoint
        .publish_state(json!({ "peer_status": "Registered" }))
        .unwrap();
    let text = without(&one(&mut events), &JSON, "1.1", "\"1.1\"");
    assert!(text.contains(r#""channel_ids":["1.2"]"#), "{text}");
}

fn attended(scene: &Scene, destination: Destination) -> AttendedTransfer {
    let leg = || TransferLeg {
        channel: scene.bob.snapshot().unwrap(),
        bridge: None,
    };
    AttendedTransfer {
        result: TransferResult::Success,
        is_external: false,
        to_transferee: leg(),
        to_target: leg(),
        replace_channel: None,
        transferee: None,
        target: None,
        destination,
    }
}

#[test]
fn a_hidden_channel_or_bridge_is_nowhere_in_where_a_transfer_ended() {
    let scene = scene();
    let telephony = &scene.telephony;
    let bridge = telephony.bridge("secret").unwrap();
    let mut events = all(telephony.bridge_topic_all());
    let three_way = Destination::ThreeWay {
        channel: scene.alice.snapshot().unwrap(),
        bridge: bridge.snapshot(),
    };
    let publish = |destination| {
        let transfer = attended(&scene, destination);
        telephony.publish_attended_transfer(transfer).unwrap();
    };
    publish(three_way);
    let message = last(&mut events);
    for format in [&JSON, &AMI] {
        let text = without(&message, format, "1.1", "PJSIP/alice-1");
        assert!(text.contains("secret"), "{text}");
        let text = without(&message, format, "secret", "secret");
        assert!(text.contains("alice"), "{text}");
    }
    publish(Destination::Bridge("secret".into()));
    let message = last(&mut events);
    for format in [&JSON, &AMI] {
        without(&message, format, "secret", "secret");
    }
}
