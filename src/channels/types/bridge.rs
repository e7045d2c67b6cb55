//! The six message types of bridges. How they are rendered is in `bridge_text.rs`.

use super::bridge_text as render;
use super::{ami_by, json_by};
use crate::MessageType;
use crate::channels::{AttendedTransfer, BlindTransfer, BridgeBlob, BridgeMerge, BridgeUpdate};

/// A bridge has changed, or is no more.
pub static BRIDGE_SNAPSHOT: MessageType<BridgeUpdate> =
    MessageType::new("ast_bridge_snapshot_type");

/// The channels of a bridge come to another one. On the topic of all bridges. JSON: `BridgeMerged`.
pub static BRIDGE_MERGE: MessageType<BridgeMerge> =
    MessageType::with_formats("ast_bridge_merge_message_type", &[json_by(render::merge)]);

/// A channel has entered; what the bridge is like now comes after it. JSON: `ChannelEnteredBridge`.
pub static CHANNEL_ENTERED_BRIDGE: MessageType<BridgeBlob> = MessageType::with_formats(
    "ast_channel_entered_bridge_type",
    &[json_by(render::entered)],
);

/// A channel has left; what the bridge is like now came before it. JSON: `ChannelLeftBridge`.
pub static CHANNEL_LEFT_BRIDGE: MessageType<BridgeBlob> =
    MessageType::with_formats("ast_channel_left_bridge_type", &[json_by(render::left)]);

/// A call was transferred to an extension. On the topic of all bridges. JSON: `BridgeBlindTransfer`; AMI:
/// `BlindTransfer`.
pub static BLIND_TRANSFER: MessageType<BlindTransfer> = MessageType::with_formats(
    "ast_blind_transfer_type",
    &[json_by(render::blind), ami_by(render::blind_ami)],
);

/// A call was transferred to somebody who was asked first. On the topic of all bridges. JSON:
/// `BridgeAttendedTransfer`; AMI: `AttendedTransfer`.
pub static ATTENDED_TRANSFER: MessageType<AttendedTransfer> = MessageType::with_formats(
    "ast_attended_transfer_type",
    &[json_by(render::attended), ami_by(render::attended_ami)],
);
