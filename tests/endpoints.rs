//! Endpoints: who counts which channels, who hears of them, and what they are as JSON.

#![allow(clippy::disallowed_types, reason = "tests use std's own")]

mod scene;

use scene::{Scene, all, one, scene, to_json, types};
use serde_json::json;
use stasis_bus::Sanitizer;
use stasis_bus::channels::*;
use stasis_bus::json::JSON;

#[test]
fn an_endpoint_counts_its_channels_and_hears_of_them() {
    let Scene {
        _bus, telephony, ..
    } = scene();
    let mut raw = telephony
        .endpoint_topic_all()
        .subscribe()
        .receiver()
        .unwrap();
    let cached = telephony.endpoint_topic_all_cached();
    let mut both = cached.subscribe().receiver().unwrap();
    let technology = telephony.technology_topic("pjsip").unwrap();
    let mut sink = technology.subscribe().receiver().unwrap();
    let alice = telephony.endpoint("PJSIP", "alice").unwrap();
    assert_eq!(alice.topic().name(), "endpoint:PJSIP/alice");
    let (snapshot, update) = ("ast_endpoint_snapshot_type", "endpoint_update");
    assert_eq!(types(&mut raw), [snapshot]);
    assert_eq!(types(&mut both), [snapshot, update]);
    assert_eq!(types(&mut sink), [snapshot]);

    let channel = telephony.channel("1.3", "PJSIP/alice-3").unwrap();
    channel.set_endpoint(&alice).unwrap();
    channel.set_endpoint(&alice).unwrap();
    assert_eq!(alice.snapshot().channel_ids, ["1.3"]);
    channel.publish().unwrap();
    channel.hold(None).unwrap();
    let expected = [
        snapshot,
        "ast_channel_snapshot_type",
        "ast_channel_hold_type",
    ];
    assert_eq!(types(&mut raw), expected);
    assert_eq!(types(&mut sink), expected);
    assert_eq!(types(&mut both).len(), 4);
    channel.end().unwrap();
    assert_eq!(alice.snapshot().num_channels(), 0);
    assert_eq!(types(&mut raw), ["ast_channel_snapshot_type", snapshot]);
}

#[test]
fn an_endpoint_is_found_until_it_is_taken_down() {
    let Scene {
        _bus, telephony, ..
    } = scene();
    let cached = telephony.endpoint_topic_all_cached();
    let mut both = cached.subscribe().receiver().unwrap();
    let mut sink = all(&telephony.technology_topic("PJSIP").unwrap());
    let alice = telephony.endpoint("PJSIP", "alice").unwrap();
    assert_eq!(
        alice.set_state(EndpointState::Online).unwrap(),
        Publication::Published
    );
    assert_eq!(
        alice.set_state(EndpointState::Online).unwrap(),
        Publication::Unchanged
    );
    alice.set_max_channels(Some(2)).unwrap();
    assert_eq!(
        telephony.endpoint_by_id("pjsip", "alice"),
        Some(alice.snapshot())
    );
    assert!(
        telephony.endpoint_by_id("pjsip", "ALICE").is_none(),
        "resources have a case"
    );
    assert!(matches!(
        telephony.endpoint("pjsip", "alice"),
        Err(TelephonyError::DuplicateId { .. })
    ));
    assert!(telephony.endpoint("PJSIP", "Alice").is_ok());
    types(&mut both);
    types(&mut sink);
    alice.end().unwrap();
    let gone = both.try_recv().unwrap();
    let gone = gone.payload(&ENDPOINT_UPDATE).unwrap();
    assert!(gone.new.is_none() && gone.old.as_ref().unwrap().state == EndpointState::Online);
    assert!(types(&mut sink).is_empty());
    assert!(telephony.endpoint_by_id("PJSIP", "alice").is_none());
    assert!(matches!(alice.end(), Err(TelephonyError::EndpointEnded)));
    assert!(matches!(
        alice.set_state(EndpointState::Offline),
        Err(TelephonyError::EndpointEnded)
    ));
}

#[test]
fn a_channel_that_moves_to_another_endpoint_leaves_the_first() {
    let Scene {
        _bus, telephony, ..
    } = scene();
    let (one, two) = (
        telephony.endpoint("SIP", "one").unwrap(),
        telephony.endpoint("SIP", "two").unwrap(),
    );
    let mut first = one
        .topic()
        .subscribe()
        .accept(&CHANNEL_HOLD)
        .receiver()
        .unwrap();
    let channel = telephony.channel("1.3", "n").unwrap();
    channel.set_endpoint(&one).unwrap();
    channel.set_endpoint(&two).unwrap();
    channel.hold(None).unwrap();
    assert!(first.try_recv().is_err());
    assert!(one.snapshot().channel_ids.is_empty());
    assert_eq!(two.snapshot().channel_ids, ["1.3"]);
    drop(channel);
    assert!(two.snapshot().channel_ids.is_empty());
}

#[test]
fn endpoints_as_json_are_never_left_out() {
    let Scene {
        _bus, telephony, ..
    } = scene();
    let endpoint = telephony.endpoint("PJSIP", "alice").unwrap();
    let mut events = all(endpoint.topic());
    endpoint
        .publish_state(json!({ "peer_status": "Registered", "address": "192.0.2.1" }))
        .unwrap();
    let everything = Sanitizer::new("everything", |_| true);
    let message = one(&mut events);
    let value = to_json(&message);
    assert_eq!(value["type"], "PeerStatusChange");
    assert_eq!(
        value["peer"],
        json!({ "peer_status": "Registered", "address": "192.0.2.1" })
    );
    assert_eq!(value["endpoint"]["state"], "unknown");
    assert!(message.render_with(&JSON, &everything).is_some());
    endpoint
        .publish_contact(json!({ "uri": "sip:alice@192.0.2.1", "contact_status": "Reachable" }))
        .unwrap();
    let value = to_json(&one(&mut events));
    assert_eq!(value["contact_info"]["contact_status"], "Reachable");
    assert!(matches!(
        endpoint.publish_state(json!(7)),
        Err(TelephonyError::Blob(_))
    ));
    endpoint.end().unwrap();
    assert!(matches!(
        endpoint.publish_contact(json!({})),
        Err(TelephonyError::EndpointEnded)
    ));
}
