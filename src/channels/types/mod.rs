//! The message types of telephony. Their names are those of Asterisk, so that a list of declined types
//! means the same. Which can be rendered as JSON, and which for AMI, is said of each; those that cannot
//! are for subscribers of their own type.

mod bridge;
mod bridge_text;
mod channel;
mod channel_text;
mod endpoint;
mod system;

pub use bridge::{
    ATTENDED_TRANSFER, BLIND_TRANSFER, BRIDGE_MERGE, BRIDGE_SNAPSHOT, CHANNEL_ENTERED_BRIDGE,
    CHANNEL_LEFT_BRIDGE,
};
pub use channel::{
    CHANNEL_AGENT_LOGIN, CHANNEL_AGENT_LOGOFF, CHANNEL_CHANSPY_START, CHANNEL_CHANSPY_STOP,
    CHANNEL_DIAL, CHANNEL_DTMF_BEGIN, CHANNEL_DTMF_END, CHANNEL_FAX, CHANNEL_FLASH,
    CHANNEL_HANGUP_HANDLER, CHANNEL_HANGUP_REQUEST, CHANNEL_HOLD, CHANNEL_MASQUERADE,
    CHANNEL_MIXMONITOR_MUTE, CHANNEL_MIXMONITOR_START, CHANNEL_MIXMONITOR_STOP, CHANNEL_MOH_START,
    CHANNEL_MOH_STOP, CHANNEL_SNAPSHOT, CHANNEL_TALKING_START, CHANNEL_TALKING_STOP,
    CHANNEL_TONE_DETECT, CHANNEL_TRANSFER_REQUEST, CHANNEL_UNHOLD, CHANNEL_VARSET, CHANNEL_WINK,
};
pub use endpoint::{CONTACT_STATE, ENDPOINT_SNAPSHOT, ENDPOINT_STATE, ENDPOINT_UPDATE};
pub use system::{
    CC_AVAILABLE, CC_CALLER_RECALLING, CC_CALLER_START_MONITORING, CC_CALLER_STOP_MONITORING,
    CC_FAILURE, CC_MONITOR_FAILED, CC_OFFER_TIMER_START, CC_RECALL_COMPLETE,
    CC_REQUEST_ACKNOWLEDGED, CC_REQUESTED, CLUSTER_DISCOVERY, NETWORK_CHANGE, SYSTEM_REGISTRY,
    USER_EVENT,
};

use crate::json::{self, JSON, timestamp};
use crate::{Formatter, Rendering};
use serde_json::{Map, Value};

/// The fields that every JSON event begins with.
fn event(kind: &str, rendering: &Rendering<'_>) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("type".into(), kind.into());
    fields.insert(
        "timestamp".into(),
        timestamp(rendering.message().timestamp()),
    );
    fields
}

/// With one more field, if there is something to put into it.
fn put(fields: &mut Map<String, Value>, key: &str, value: Option<Value>) {
    if let Some(value) = value {
        fields.insert(key.into(), value);
    }
}

/// What a blob's JSON has under those keys.
fn copy(fields: &mut Map<String, Value>, data: &Value, keys: &[&str]) {
    for key in keys {
        put(fields, key, data.get(key).cloned());
    }
}

/// The text of a JSON event, if there is one.
fn text(fields: Option<Map<String, Value>>) -> Option<String> {
    json::text(fields.map(Value::Object))
}

/// A formatter of JSON.
const fn json_by<T>(call: fn(&T, &Rendering<'_>) -> Option<String>) -> Formatter<T> {
    Formatter::new(&JSON, call)
}

/// A formatter for AMI.
const fn ami_by<T>(call: fn(&T, &Rendering<'_>) -> Option<String>) -> Formatter<T> {
    Formatter::new(&super::AMI, call)
}

/// What JSON has under a key, as AMI has it: text without its quotes, nothing if there is none.
fn plain(data: &Value, key: &str) -> String {
    match data.get(key) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    }
}
