//! Messages about bridges as text. An event vanishes if a sanitizer leaves out the channel that it is
//! about.

use super::{event, put, text};
use crate::channels::{
    AmiEvent, AttendedTransfer, BlindTransfer, BridgeBlob, BridgeMerge, BridgeSnapshot,
    ChannelSnapshot, Destination, TransferLeg,
};
use crate::sync::unmodelled::Arc;
use crate::{Rendering, Subject};
use serde_json::Value;

fn optional_channel(
    channel: Option<&Arc<ChannelSnapshot>>,
    rendering: &Rendering<'_>,
) -> Option<Value> {
    channel?.rendered(rendering)
}

fn optional_bridge(
    bridge: Option<&Arc<BridgeSnapshot>>,
    rendering: &Rendering<'_>,
) -> Option<Value> {
    bridge?.rendered(rendering)
}

pub(super) fn merge(merge: &BridgeMerge, rendering: &Rendering<'_>) -> Option<String> {
    let mut fields = event("BridgeMerged", rendering);
    put(&mut fields, "bridge", Some(merge.to.rendered(rendering)?));
    put(
        &mut fields,
        "bridge_from",
        Some(merge.from.rendered(rendering)?),
    );
    text(Some(fields))
}

fn passage(kind: &str, blob: &BridgeBlob, rendering: &Rendering<'_>) -> Option<String> {
    let mut fields = event(kind, rendering);
    let channel = optional_channel(blob.channel.as_ref(), rendering)?;
    put(&mut fields, "channel", Some(channel));
    put(
        &mut fields,
        "bridge",
        Some(blob.bridge.rendered(rendering)?),
    );
    text(Some(fields))
}

pub(super) fn entered(blob: &BridgeBlob, rendering: &Rendering<'_>) -> Option<String> {
    passage("ChannelEnteredBridge", blob, rendering)
}

pub(super) fn left(blob: &BridgeBlob, rendering: &Rendering<'_>) -> Option<String> {
    passage("ChannelLeftBridge", blob, rendering)
}

pub(super) fn blind(transfer: &BlindTransfer, rendering: &Rendering<'_>) -> Option<String> {
    let mut fields = event("BridgeBlindTransfer", rendering);
    let mut put = |key, value| put(&mut fields, key, value);
    put("channel", Some(transfer.transferer.rendered(rendering)?));
    put("result", Some(transfer.result.name().into()));
    put("is_external", Some(transfer.is_external.into()));
    put("context", Some((*transfer.context).into()));
    put("exten", Some((*transfer.extension).into()));
    put(
        "bridge",
        optional_bridge(transfer.bridge.as_ref(), rendering),
    );
    let transferee = transfer.transferee.as_ref();
    put("transferee", optional_channel(transferee, rendering));
    let replacing = transfer.replace_channel.as_ref();
    put("replace_channel", optional_channel(replacing, rendering));
    text(Some(fields))
}

pub(super) fn attended(transfer: &AttendedTransfer, rendering: &Rendering<'_>) -> Option<String> {
    let mut fields = event("BridgeAttendedTransfer", rendering);
    let mut put = |key: &str, value| put(&mut fields, key, value);
    for (leg, key) in [
        (&transfer.to_transferee, "transferer_first_leg"),
        (&transfer.to_target, "transferer_second_leg"),
    ] {
        put(key, Some(leg.channel.rendered(rendering)?));
        let bridge = optional_bridge(leg.bridge.as_ref(), rendering);
        put(&format!("{key}_bridge"), bridge);
    }
    put("result", Some(transfer.result.name().into()));
    put("is_external", Some(transfer.is_external.into()));
    for (channel, key) in [
        (&transfer.transferee, "transferee"),
        (&transfer.target, "transfer_target"),
        (&transfer.replace_channel, "replace_channel"),
    ] {
        put(key, optional_channel(channel.as_ref(), rendering));
    }
    put(
        "destination_type",
        Some(destination_kind(&transfer.destination).into()),
    );
    match &transfer.destination {
        Destination::Fail => {}
        Destination::Bridge(id) => {
            let is_seen = !hides_bridge(rendering, id);
            put("destination_bridge", is_seen.then(|| (**id).into()));
        }
        Destination::App(app) => put("destination_application", Some((**app).into())),
        Destination::LocalApp { app, locals } => {
            put("destination_application", Some((**app).into()));
            for (local, leg) in locals.iter().zip(["first", "second"]) {
                let key = format!("destination_link_{leg}_leg");
                put(&key, local.rendered(rendering));
            }
        }
        Destination::Link { locals } => {
            for (local, leg) in locals.iter().zip(["first", "second"]) {
                let key = format!("destination_link_{leg}_leg");
                put(&key, local.rendered(rendering));
            }
        }
        Destination::ThreeWay { channel, bridge } => {
            put("destination_threeway_channel", channel.rendered(rendering));
            put("destination_threeway_bridge", bridge.rendered(rendering));
        }
    }
    text(Some(fields))
}

fn destination_kind(destination: &Destination) -> &'static str {
    match destination {
        Destination::Fail => "fail",
        Destination::Bridge(_) => "bridge",
        Destination::App(_) | Destination::LocalApp { .. } => "application",
        Destination::Link { .. } => "link",
        Destination::ThreeWay { .. } => "threeway",
    }
}

/// The lines of a channel that may be left out, or not be there.
fn channel_ami(
    event: AmiEvent,
    channel: Option<&Arc<ChannelSnapshot>>,
    prefix: &str,
    rendering: &Rendering<'_>,
) -> AmiEvent {
    match channel {
        Some(channel) => channel.ami_rendered(event, prefix, rendering),
        None => event,
    }
}

fn bridge_ami(
    event: AmiEvent,
    bridge: Option<&Arc<BridgeSnapshot>>,
    prefix: &str,
    rendering: &Rendering<'_>,
) -> AmiEvent {
    match bridge {
        Some(bridge) => bridge.ami_rendered(event, prefix, rendering),
        None => event,
    }
}

fn yes_or_no(is_so: bool) -> &'static str {
    if is_so { "Yes" } else { "No" }
}

pub(super) fn blind_ami(transfer: &BlindTransfer, rendering: &Rendering<'_>) -> Option<String> {
    if rendering.leaves_out(&transfer.transferer.subject()) {
        return None;
    }
    let event = AmiEvent::new("BlindTransfer").field("Result", transfer.result.name());
    let transferer = Some(&transfer.transferer);
    let event = channel_ami(event, transferer, "Transferer", rendering);
    let transferee = transfer.transferee.as_ref();
    let event = channel_ami(event, transferee, "Transferee", rendering);
    let event = bridge_ami(event, transfer.bridge.as_ref(), "", rendering)
        .field("IsExternal", yes_or_no(transfer.is_external))
        .field("Context", &transfer.context)
        .field("Extension", &transfer.extension);
    Some(event.finish())
}

fn leg_ami(
    event: AmiEvent,
    leg: &TransferLeg,
    prefix: &str,
    rendering: &Rendering<'_>,
) -> AmiEvent {
    let transferer = format!("{prefix}Transferer");
    let event = channel_ami(event, Some(&leg.channel), &transferer, rendering);
    bridge_ami(event, leg.bridge.as_ref(), prefix, rendering)
}

pub(super) fn attended_ami(
    transfer: &AttendedTransfer,
    rendering: &Rendering<'_>,
) -> Option<String> {
    let (first, second) = (&transfer.to_transferee, &transfer.to_target);
    let is_hidden = |leg: &TransferLeg| rendering.leaves_out(&leg.channel.subject());
    if is_hidden(first) || is_hidden(second) {
        return None;
    }
    let event = AmiEvent::new("AttendedTransfer").field("Result", transfer.result.name());
    let event = leg_ami(event, first, "Orig", rendering);
    let event = leg_ami(event, second, "Second", rendering)
        .field("IsExternal", yes_or_no(transfer.is_external));
    let transferee = transfer.transferee.as_ref();
    let event = channel_ami(event, transferee, "Transferee", rendering);
    let event = channel_ami(event, transfer.target.as_ref(), "TransferTarget", rendering);
    Some(destination_ami(event, &transfer.destination, rendering).finish())
}

fn destination_ami(
    event: AmiEvent,
    destination: &Destination,
    rendering: &Rendering<'_>,
) -> AmiEvent {
    match destination {
        Destination::Fail => event.field("DestType", "Fail"),
        Destination::Bridge(id) => event.field("DestType", "Bridge").optional(
            "DestBridgeUniqueid",
            (!hides_bridge(rendering, id)).then_some(id),
        ),
        Destination::App(app) => event.field("DestType", "App").field("DestApp", app),
        Destination::LocalApp { app, locals } => {
            let event = event.field("DestType", "App").field("DestApp", app);
            locals_ami(event, locals, rendering)
        }
        Destination::Link { locals } => {
            locals_ami(event.field("DestType", "Link"), locals, rendering)
        }
        Destination::ThreeWay { channel, bridge } => {
            let bridge = Some(bridge).filter(|it| !rendering.leaves_out(&it.subject()));
            let channel = Some(channel).filter(|it| !rendering.leaves_out(&it.subject()));
            event
                .field("DestType", "Threeway")
                .optional("DestBridgeUniqueid", bridge.map(|it| &it.uniqueid))
                .optional("DestTransfererChannel", channel.map(|it| it.name()))
        }
    }
}

/// True if a bridge of which nothing but the id is known is to be left out.
fn hides_bridge(rendering: &Rendering<'_>, id: &str) -> bool {
    rendering.leaves_out(&Subject::new("bridge", id))
}

fn locals_ami(
    event: AmiEvent,
    locals: &[Arc<ChannelSnapshot>; 2],
    rendering: &Rendering<'_>,
) -> AmiEvent {
    let [one, two] = locals;
    let event = channel_ami(event, Some(one), "LocalOne", rendering);
    channel_ami(event, Some(two), "LocalTwo", rendering)
}
