//! What `docs/stasis.md` says of channels and no other file tests by itself.

#![allow(clippy::disallowed_types, reason = "tests use std's own")]

mod scene;

use scene::{Scene, all, one, scene, types};
use serde_json::json;
use stasis_bus::Bus;
use stasis_bus::channels::*;

#[test]
fn blobs_by_id_and_those_about_nobody_go_to_the_topic_of_all() {
    let Scene {
        _bus,
        telephony,
        alice,
        ..
    } = scene();
    let (mut own, mut everybody) = (all(alice.topic()), all(telephony.channel_topic_all()));
    let blob = telephony.publish_blob_by_id("1.1", &CHANNEL_FAX, json!({ "pages": 2 }));
    assert!(blob.unwrap());
    let message = one(&mut everybody);
    let blob = message.payload(&CHANNEL_FAX).unwrap();
    assert_eq!(blob.snapshot(), alice.snapshot().as_ref());
    assert_eq!(blob["pages"], 2);
    let nobody = telephony.publish_blob_by_id("9.9", &CHANNEL_FAX, None);
    assert!(
        !nobody.unwrap(),
        "nothing is published of whom nobody knows"
    );

    let global = ChannelBlob::new(None, json!({ "variable": "G", "value": "1" }));
    telephony.publish_global(&CHANNEL_VARSET, global).unwrap();
    let message = one(&mut everybody);
    assert!(
        message
            .payload(&CHANNEL_VARSET)
            .unwrap()
            .snapshot()
            .is_none()
    );
    assert!(own.try_recv().is_err(), "they are not on its own topic");
}

#[test]
fn what_was_never_published_has_no_snapshot_and_no_end() {
    let Scene {
        _bus, telephony, ..
    } = scene();
    let mut events = all(telephony.channel_topic_all());
    let quiet = telephony.channel("1.9", "Local/x").unwrap();
    assert!(quiet.snapshot().is_none());
    assert!(telephony.channel_by_id("1.9").is_none());
    assert_eq!(quiet.current().name(), "Local/x");
    quiet.end().unwrap();
    assert!(events.try_recv().is_err());
}

#[test]
fn look_ups_fold_the_case_of_letters() {
    let Scene {
        _bus, telephony, ..
    } = scene();
    let channel = telephony.channel("Host-1.A", "PJSIP/Alice-1").unwrap();
    channel.publish().unwrap();
    let bridge = telephony.bridge("Bridge-A").unwrap();
    bridge.publish().unwrap();
    for known in [
        telephony.channel_by_id("hOST-1.a"),
        telephony.channel_by_name("pjsip/aLICE-1"),
    ] {
        assert_eq!(known, channel.snapshot());
    }
    let known = telephony.bridge_by_id("bridge-a");
    assert_eq!(known, Some(bridge.snapshot()));
    assert!(matches!(
        telephony.channel("HOST-1.A", "x"),
        Err(TelephonyError::DuplicateId { .. })
    ));
}

#[test]
fn a_variable_comes_after_its_snapshot_unless_there_is_a_staging() {
    let bus = Bus::new().unwrap();
    let telephony = Telephony::builder().ami_variable("V").build(&bus).unwrap();
    let channel = telephony.channel("1.1", "n").unwrap();
    channel.publish().unwrap();
    let mut events = all(telephony.channel_topic_all());
    let (snapshot, varset) = ("ast_channel_snapshot_type", "ast_channel_varset_type");
    channel.set_variable("V", "1").unwrap();
    assert_eq!(types(&mut events), [snapshot, varset]);
    let staging = channel.stage();
    channel.set_variable("V", "2").unwrap();
    let message = one(&mut events);
    let text = message.render(&AMI).unwrap();
    assert!(text.contains("ChanVariable: V=1\r\n") && text.contains("Value: 2\r\n"));
    drop(staging);
    assert_eq!(types(&mut events), [snapshot]);
}
