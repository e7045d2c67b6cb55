//! Bridges: the order in which it is told who enters and who leaves, merges, and transfers.

#![allow(clippy::disallowed_types, reason = "tests use std's own")]

mod scene;

use scene::{Scene, all, hiding, one, scene, to_json, types};
use serde_json::json;
use stasis_bus::channels::*;
use stasis_bus::json::JSON;
use std::sync::Arc;

#[test]
fn who_enters_is_told_before_the_state_and_who_leaves_after_it() {
    let Scene {
        _bus,
        telephony,
        alice,
        bob,
        ..
    } = scene();
    let bridge = telephony.bridge("b1").unwrap();
    bridge.publish().unwrap();
    let mut events = all(telephony.bridge_topic_all());
    let (entered, left) = (
        "ast_channel_entered_bridge_type",
        "ast_channel_left_bridge_type",
    );
    let state = "ast_bridge_snapshot_type";
    bridge.enter(&alice).unwrap();
    assert_eq!(types(&mut events), [entered, state]);
    bridge.enter(&bob).unwrap();
    assert!(matches!(
        bridge.enter(&bob),
        Err(TelephonyError::AlreadyInBridge)
    ));
    let blob = events.try_recv().unwrap();
    let blob = blob.payload(&CHANNEL_ENTERED_BRIDGE).unwrap();
    let update = one(&mut events);
    let update = update.payload(&BRIDGE_SNAPSHOT).unwrap();
    assert!(
        Arc::ptr_eq(&blob.bridge, update.new.as_ref().unwrap()),
        "one and the same"
    );
    assert_eq!(update.old.as_ref().unwrap().num_channels, 1);
    assert_eq!(blob.channel.as_ref().unwrap().bridge.id, "b1");
    assert_eq!(alice.snapshot().unwrap().bridge.id, "b1");

    alice.end().unwrap();
    assert!(matches!(
        bridge.leave(&alice),
        Err(TelephonyError::NotInBridge)
    ));
    assert_eq!(types(&mut events), [state, left]);
    bridge.leave(&bob).unwrap();
    assert_eq!(bob.snapshot().unwrap().bridge.id, "");
    events.try_recv().unwrap();
    let message = one(&mut events);
    let value = to_json(&message);
    assert_eq!(value["type"], "ChannelLeftBridge");
    assert_eq!(value["channel"]["name"], "PJSIP/bob-2");
    assert_eq!(
        (&value["bridge"]["id"], &value["bridge"]["channels"]),
        (&json!("b1"), &json!([]))
    );
    assert_eq!(message.render_with(&JSON, &hiding("PJSIP/bob-2")), None);

    bridge.end().unwrap();
    let gone = one(&mut events);
    let gone = gone.payload(&BRIDGE_SNAPSHOT).unwrap();
    assert!(gone.new.is_none() && gone.old.is_some());
    assert!(matches!(
        bridge.enter(&bob),
        Err(TelephonyError::BridgeEnded)
    ));
    assert!(matches!(bridge.end(), Err(TelephonyError::BridgeEnded)));
    assert!(telephony.bridge_by_id("b1").is_none());
}

#[test]
fn a_bridge_changes_and_merges() {
    let Scene {
        _bus,
        telephony,
        alice,
        ..
    } = scene();
    let (to, from) = (
        telephony.bridge("to").unwrap(),
        telephony.bridge("from").unwrap(),
    );
    let mut events = all(telephony.bridge_topic_all_cached());
    to.set_technology("softmix", 4).unwrap();
    assert_eq!(
        to.set_technology("softmix", 4).unwrap(),
        Publication::Unchanged
    );
    to.set_creator("Stasis", "conference", "stasis").unwrap();
    to.set_video(VideoMode::Single, "1.1").unwrap();
    to.set_variable("X", b"\xff").unwrap();
    assert!(matches!(
        to.set_variable("", ""),
        Err(TelephonyError::Empty { .. })
    ));
    assert_eq!(types(&mut events).len(), 4);
    let value = telephony.bridge_by_id("TO").unwrap().to_json();
    assert_eq!(value["bridge_type"], "mixing");
    assert_eq!(value["bridgevars"], json!({ "X": "\u{fffd}" }));
    assert_eq!(value["video_source_id"], "1.1");

    let mut own = all(to.topic());
    to.merge(&from).unwrap();
    assert!(own.try_recv().is_err(), "on the topic of all");
    let value = to_json(&one(&mut events));
    assert_eq!(
        (&value["bridge"]["id"], &value["bridge_from"]["id"]),
        (&json!("to"), &json!("from"))
    );
    assert!(matches!(
        to.merge(&to.clone()),
        Err(TelephonyError::SameBridge)
    ));

    let hidden = telephony.invisible_bridge("hidden").unwrap();
    assert_eq!(hidden.publish().unwrap(), Publication::Unchanged);
    hidden.enter(&alice).unwrap();
    assert!(matches!(
        hidden.enter(&alice),
        Err(TelephonyError::AlreadyInBridge)
    ));
    to.merge(&hidden).unwrap();
    assert_eq!(alice.current().bridge.id, "");
    hidden.leave(&alice).unwrap();
    assert!(telephony.bridge_by_id("hidden").is_none());
    drop(hidden);
    assert!(events.try_recv().is_err());
}

#[test]
fn leaving_the_old_bridge_keeps_the_new_one() {
    let Scene {
        _bus,
        telephony,
        alice,
        ..
    } = scene();
    let (one, two) = (
        telephony.bridge("b1").unwrap(),
        telephony.bridge("b2").unwrap(),
    );
    one.enter(&alice).unwrap();
    two.enter(&alice).unwrap();
    one.leave(&alice).unwrap();
    assert!(two.snapshot().channels.contains("1.1"));
    assert_eq!(alice.snapshot().unwrap().bridge.id, "b2");
    one.end().unwrap();
    assert_eq!(alice.snapshot().unwrap().bridge.id, "b2");
    two.leave(&alice).unwrap();
    assert_eq!(alice.snapshot().unwrap().bridge.id, "");
}

#[test]
fn a_bridge_that_ends_lets_its_channels_out() {
    let Scene {
        _bus,
        telephony,
        alice,
        bob,
    } = scene();
    let bridge = telephony.bridge("b1").unwrap();
    bridge.enter(&alice).unwrap();
    bridge.enter(&bob).unwrap();
    let mut events = all(telephony.bridge_topic_all());
    let mut states = all(alice.topic());
    bridge.end().unwrap();
    assert_eq!(types(&mut events), ["ast_bridge_snapshot_type"]);
    let update = one(&mut states);
    let update = update.payload(&CHANNEL_SNAPSHOT).unwrap();
    assert_eq!(update.new.bridge.id, "");
    assert_eq!(bob.snapshot().unwrap().bridge.id, "");
    assert!(bridge.snapshot().channels.is_empty());
    assert!(matches!(
        bridge.leave(&alice),
        Err(TelephonyError::BridgeEnded)
    ));

    // The same when the last handle goes; not even that makes channels of an invisible one known.
    let bridge = telephony.bridge("b1").unwrap();
    bridge.enter(&alice).unwrap();
    drop(bridge);
    assert_eq!(alice.snapshot().unwrap().bridge.id, "");
    let unknown = telephony.channel("1.3", "n").unwrap();
    let hidden = telephony.invisible_bridge("b2").unwrap();
    hidden.enter(&unknown).unwrap();
    drop(hidden);
    assert!(unknown.snapshot().is_none());
}

#[test]
fn a_channel_that_ends_leaves_its_bridges() {
    let Scene {
        _bus,
        telephony,
        alice,
        bob,
    } = scene();
    let bridge = telephony.bridge("b1").unwrap();
    let hidden = telephony.invisible_bridge("b2").unwrap();
    bridge.enter(&alice).unwrap();
    hidden.enter(&alice).unwrap();
    bridge.enter(&bob).unwrap();
    let mut events = all(telephony.bridge_topic_all());
    drop(alice);
    assert!(hidden.snapshot().channels.is_empty());
    let update = events.try_recv().unwrap();
    let update = update.payload(&BRIDGE_SNAPSHOT).unwrap();
    assert_eq!(update.new.as_ref().unwrap().num_channels, 1);
    let left = one(&mut events);
    let left = left.payload(&CHANNEL_LEFT_BRIDGE).unwrap();
    let channel = left.channel.as_ref().unwrap();
    assert!(channel.ended && channel.id() == "1.1");

    let again = telephony.channel("1.1", "PJSIP/alice-1").unwrap();
    bridge.enter(&again).unwrap();
    assert_eq!(bridge.snapshot().num_channels, 2);
}

#[test]
fn racing_channels_leave_a_chain_of_states() {
    let Scene {
        _bus, telephony, ..
    } = scene();
    let bridge = telephony.bridge("b").unwrap();
    bridge.publish().unwrap();
    let mut events = all(bridge.topic());
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let (telephony, bridge) = (&telephony, &bridge);
            scope.spawn(move || {
                let channel = telephony.channel(format!("2.{thread}"), "n").unwrap();
                for _ in 0..30 {
                    bridge.enter(&channel).unwrap();
                    bridge.leave(&channel).unwrap();
                }
            });
        }
    });
    assert_eq!(bridge.snapshot().num_channels, 0);
    let mut count = 0;
    let mut entered = None;
    for message in std::iter::from_fn(|| events.try_recv().ok()) {
        if let Some(blob) = message.payload(&CHANNEL_ENTERED_BRIDGE) {
            entered = Some(Arc::clone(&blob.bridge));
        } else if let Some(update) = message.payload(&BRIDGE_SNAPSHOT) {
            let (old, new) = (update.old.as_ref().unwrap(), update.new.as_ref().unwrap());
            assert_eq!(old.num_channels, count, "the state before");
            assert_eq!(new.channels.len(), new.num_channels);
            let grows = new.num_channels > old.num_channels;
            let told = entered.take();
            assert_eq!(
                grows,
                told.is_some_and(|told| Arc::ptr_eq(&told, new)),
                "right before"
            );
            count = new.num_channels;
        }
    }
    assert_eq!(count, 0);
}

fn blind(scene: &Scene) -> BlindTransfer {
    BlindTransfer {
        result: TransferResult::Success,
        is_external: true,
        transferer: scene.alice.snapshot().unwrap(),
        bridge: None,
        context: "from-inside".into(),
        extension: "100".into(),
        transferee: scene.bob.snapshot(),
        replace_channel: None,
    }
}

fn attended(scene: &Scene, destination: Destination) -> AttendedTransfer {
    let leg = || TransferLeg {
        channel: scene.alice.snapshot().unwrap(),
        bridge: Some(scene.telephony.bridge("leg").unwrap().snapshot()),
    };
    AttendedTransfer {
        result: TransferResult::NotPermitted,
        is_external: false,
        to_transferee: leg(),
        to_target: leg(),
        replace_channel: None,
        transferee: scene.bob.snapshot(),
        target: None,
        destination,
    }
}

#[test]
fn blind_transfers_as_json() {
    let scene = scene();
    let telephony = &scene.telephony;
    let mut events = all(telephony.bridge_topic_all());
    telephony.publish_blind_transfer(blind(&scene)).unwrap();
    let message = one(&mut events);
    let value = to_json(&message);
    assert_eq!(
        (&value["type"], &value["result"]),
        (&json!("BridgeBlindTransfer"), &json!("Success"))
    );
    assert_eq!(
        (&value["exten"], &value["is_external"]),
        (&json!("100"), &json!(true))
    );
    assert_eq!(
        (&value["channel"]["id"], &value["transferee"]["id"]),
        (&json!("1.1"), &json!("1.2"))
    );
    assert_eq!(value.get("bridge"), None);
    assert_eq!(message.render_with(&JSON, &hiding("PJSIP/alice-1")), None);
    let without = message.render_with(&JSON, &hiding("PJSIP/bob-2")).unwrap();
    assert!(!without.contains("transferee"));
}

#[test]
fn attended_transfers_as_json() {
    let scene = scene();
    let telephony = &scene.telephony;
    let mut events = all(telephony.bridge_topic_all());
    let bob = || scene.bob.snapshot().unwrap();
    let bridge = telephony.bridge("dest").unwrap();
    for (destination, kind, key) in [
        (Destination::Fail, "fail", "type"),
        (
            Destination::Bridge("dest".into()),
            "bridge",
            "destination_bridge",
        ),
        (
            Destination::App("Park".into()),
            "application",
            "destination_application",
        ),
        (
            Destination::LocalApp {
                app: "Park".into(),
                locals: [bob(), bob()],
            },
            "application",
            "destination_link_first_leg",
        ),
        (
            Destination::Link {
                locals: [bob(), bob()],
            },
            "link",
            "destination_link_second_leg",
        ),
        (
            Destination::ThreeWay {
                channel: bob(),
                bridge: bridge.snapshot(),
            },
            "threeway",
            "destination_threeway_bridge",
        ),
    ] {
        telephony
            .publish_attended_transfer(attended(&scene, destination))
            .unwrap();
        let message = one(&mut events);
        let value = to_json(&message);
        assert_eq!(value["type"], "BridgeAttendedTransfer");
        assert_eq!(
            (&value["result"], &value["destination_type"]),
            (&json!("Not Permitted"), &json!(kind))
        );
        assert_eq!(value["transferer_second_leg_bridge"]["id"], "leg");
        assert!(value.get(key).is_some(), "{kind}: {key}");
        assert_eq!(message.render_with(&JSON, &hiding("PJSIP/alice-1")), None);
    }
}
