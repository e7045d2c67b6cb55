//! Messages about channels as text. An event about one channel vanishes with it if a sanitizer leaves
//! that out.

use super::{copy, event, plain, put, text};
use crate::Rendering;
use crate::channels::{AmiEvent, ChannelBlob, Direction, MultiChannelBlob};
use serde_json::{Map, Value};

/// An event about the blob's channel; none without one.
fn about(kind: &str, blob: &ChannelBlob, rendering: &Rendering<'_>) -> Option<Map<String, Value>> {
    let channel = blob.snapshot()?.rendered(rendering)?;
    let mut fields = event(kind, rendering);
    fields.insert("channel".into(), channel);
    Some(fields)
}

/// The same, with what the blob has under those keys.
fn with(
    kind: &str,
    blob: &ChannelBlob,
    rendering: &Rendering<'_>,
    keys: &[&str],
) -> Option<String> {
    let mut fields = about(kind, blob, rendering)?;
    copy(&mut fields, blob.data(), keys);
    text(Some(fields))
}

pub(super) fn dial(blob: &MultiChannelBlob, rendering: &Rendering<'_>) -> Option<String> {
    let mut fields = event("Dial", rendering);
    let rendered = |role| blob.get(role)?.rendered(rendering);
    put(&mut fields, "peer", Some(rendered("peer")?));
    put(&mut fields, "caller", rendered("caller"));
    put(&mut fields, "forwarded", rendered("forwarded"));
    let keys = ["dialstatus", "forward", "dialstring"];
    copy(&mut fields, blob.data(), &keys);
    text(Some(fields))
}

/// Global variables have no channel, and so nothing that could be left out.
pub(super) fn varset(blob: &ChannelBlob, rendering: &Rendering<'_>) -> Option<String> {
    if blob.snapshot().is_some() {
        return with("ChannelVarset", blob, rendering, &["variable", "value"]);
    }
    let mut fields = event("ChannelVarset", rendering);
    copy(&mut fields, blob.data(), &["variable", "value"]);
    text(Some(fields))
}

pub(super) fn hangup_request(blob: &ChannelBlob, rendering: &Rendering<'_>) -> Option<String> {
    with("ChannelHangupRequest", blob, rendering, &["cause", "soft"])
}

pub(super) fn dtmf_end(blob: &ChannelBlob, rendering: &Rendering<'_>) -> Option<String> {
    if blob.text("direction") != Some(Direction::Received.name()) {
        return None;
    }
    let keys = ["digit", "duration_ms"];
    with("ChannelDtmfReceived", blob, rendering, &keys)
}

pub(super) fn hold(blob: &ChannelBlob, rendering: &Rendering<'_>) -> Option<String> {
    with("ChannelHold", blob, rendering, &["musicclass"])
}

pub(super) fn unhold(blob: &ChannelBlob, rendering: &Rendering<'_>) -> Option<String> {
    with("ChannelUnhold", blob, rendering, &[])
}

pub(super) fn talking_start(blob: &ChannelBlob, rendering: &Rendering<'_>) -> Option<String> {
    with("ChannelTalkingStarted", blob, rendering, &[])
}

pub(super) fn talking_stop(blob: &ChannelBlob, rendering: &Rendering<'_>) -> Option<String> {
    with("ChannelTalkingFinished", blob, rendering, &["duration"])
}

pub(super) fn tone_detect(blob: &ChannelBlob, rendering: &Rendering<'_>) -> Option<String> {
    with("ChannelToneDetected", blob, rendering, &[])
}

pub(super) fn transfer_request(blob: &ChannelBlob, rendering: &Rendering<'_>) -> Option<String> {
    let keys = ["refer_to", "referred_by", "state"];
    with("ChannelTransfer", blob, rendering, &keys)
}

/// An AMI event about the blob's channel; none without one, or if it is to be left out.
fn about_ami(name: &str, blob: &ChannelBlob, rendering: &Rendering<'_>) -> Option<AmiEvent> {
    let channel = blob.snapshot()?;
    let is_seen = !rendering.leaves_out(&channel.subject());
    is_seen.then(|| channel.ami_rendered(AmiEvent::new(name), "", rendering))
}

/// A global variable is set on a channel called `none`.
pub(super) fn varset_ami(blob: &ChannelBlob, rendering: &Rendering<'_>) -> Option<String> {
    let event = match blob.snapshot() {
        Some(_) => about_ami("VarSet", blob, rendering)?,
        None => AmiEvent::new("VarSet")
            .field("Channel", "none")
            .field("Uniqueid", "none"),
    };
    let event = event
        .field("Variable", plain(blob.data(), "variable"))
        .field("Value", plain(blob.data(), "value"));
    Some(event.finish())
}

pub(super) fn agent_login_ami(blob: &ChannelBlob, rendering: &Rendering<'_>) -> Option<String> {
    let event = about_ami("AgentLogin", blob, rendering)?;
    Some(event.field("Agent", plain(blob.data(), "agent")).finish())
}

pub(super) fn agent_logoff_ami(blob: &ChannelBlob, rendering: &Rendering<'_>) -> Option<String> {
    let event = about_ami("AgentLogoff", blob, rendering)?
        .field("Agent", plain(blob.data(), "agent"))
        .field("Logintime", plain(blob.data(), "logintime"));
    Some(event.finish())
}

pub(super) fn talking_start_ami(blob: &ChannelBlob, rendering: &Rendering<'_>) -> Option<String> {
    about_ami("ChannelTalkingStart", blob, rendering).map(AmiEvent::finish)
}

pub(super) fn talking_stop_ami(blob: &ChannelBlob, rendering: &Rendering<'_>) -> Option<String> {
    let event = about_ami("ChannelTalkingStop", blob, rendering)?
        .field("Duration", plain(blob.data(), "duration"));
    Some(event.finish())
}
