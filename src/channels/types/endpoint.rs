//! The three message types of endpoints, and the one of their updates.

use super::{ami_by, copy, event, json_by, plain, text};
use crate::channels::{AmiEvent, EndpointBlob, EndpointSnapshot, EndpointUpdate};
use crate::sync::unmodelled::Arc;
use crate::{MessageType, Rendering};
use serde_json::{Map, Value};

/// An endpoint has changed: what it is like now.
pub static ENDPOINT_SNAPSHOT: MessageType<Arc<EndpointSnapshot>> =
    MessageType::new("ast_endpoint_snapshot_type");

/// An endpoint has changed: what it was like, and what it is like now. On the topic
/// `endpoint:all-cached`.
pub static ENDPOINT_UPDATE: MessageType<EndpointUpdate> = MessageType::new("endpoint_update");

/// An endpoint's registration has changed. JSON: `PeerStatusChange`; AMI: `PeerStatus`. No sanitizer
/// leaves the endpoint out, but the ids of its channels may be.
pub static ENDPOINT_STATE: MessageType<EndpointBlob> = MessageType::with_formats(
    "ast_endpoint_state_type",
    &[json_by(state), ami_by(state_ami)],
);

/// A contact of an endpoint has changed. JSON: `ContactStatusChange`; AMI: `ContactStatus`. No sanitizer
/// leaves the endpoint out, but the ids of its channels may be.
pub static CONTACT_STATE: MessageType<EndpointBlob> = MessageType::with_formats(
    "ast_endpoint_contact_state_type",
    &[json_by(contact), ami_by(contact_ami)],
);

/// The blob's endpoint, and what its JSON has under `keys` under one key.
fn about(
    kind: &str,
    blob: &EndpointBlob,
    rendering: &Rendering<'_>,
    key: &str,
    keys: &[&str],
) -> Option<String> {
    let mut fields = event(kind, rendering);
    fields.insert("endpoint".into(), blob.snapshot()?.rendered(rendering));
    let mut details = Map::new();
    copy(&mut details, blob.data(), keys);
    fields.insert(key.into(), Value::Object(details));
    text(Some(fields))
}

fn state(blob: &EndpointBlob, rendering: &Rendering<'_>) -> Option<String> {
    let keys = ["peer_status", "cause", "address", "port", "time"];
    about("PeerStatusChange", blob, rendering, "peer", &keys)
}

fn contact(blob: &EndpointBlob, rendering: &Rendering<'_>) -> Option<String> {
    let keys = ["uri", "contact_status", "aor", "roundtrip_usec"];
    about(
        "ContactStatusChange",
        blob,
        rendering,
        "contact_info",
        &keys,
    )
}

/// One line for each key that the JSON has.
fn lines(mut event: AmiEvent, data: &Value, lines: &[(&str, &str)]) -> AmiEvent {
    for (line, key) in lines {
        if data.get(key).is_some() {
            event = event.field(line, plain(data, key));
        }
    }
    event
}

fn state_ami(blob: &EndpointBlob, _: &Rendering<'_>) -> Option<String> {
    let endpoint = blob.snapshot()?;
    let event = AmiEvent::new("PeerStatus")
        .field("ChannelType", &endpoint.technology)
        .field("Peer", &endpoint.id);
    let all = [
        ("PeerStatus", "peer_status"),
        ("Cause", "cause"),
        ("Address", "address"),
        ("Port", "port"),
        ("Time", "time"),
    ];
    Some(lines(event, blob.data(), &all).finish())
}

fn contact_ami(blob: &EndpointBlob, _: &Rendering<'_>) -> Option<String> {
    let endpoint = blob.snapshot()?;
    let event = AmiEvent::new("ContactStatus").field("EndpointName", &endpoint.resource);
    let all = [
        ("URI", "uri"),
        ("ContactStatus", "contact_status"),
        ("AOR", "aor"),
        ("RoundtripUsec", "roundtrip_usec"),
    ];
    Some(lines(event, blob.data(), &all).finish())
}
