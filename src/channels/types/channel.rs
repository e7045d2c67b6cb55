//! The 26 message types of channels. How they are rendered is in `channel_text.rs`.

use super::channel_text as render;
use super::{ami_by, json_by};
use crate::MessageType;
use crate::channels::{ChannelBlob, ChannelUpdate, MultiChannelBlob};

/// A channel has changed.
pub static CHANNEL_SNAPSHOT: MessageType<ChannelUpdate> =
    MessageType::new("ast_channel_snapshot_type");

/// A dial begins, goes on, or ends: `dialstatus` (empty at the begin), `forward` and `dialstring`; who
/// calls has the role `caller`, who is called `peer`, where it was forwarded to `forwarded`. JSON:
/// `Dial`.
pub static CHANNEL_DIAL: MessageType<MultiChannelBlob> =
    MessageType::with_formats("ast_channel_dial_type", &[json_by(render::dial)]);

/// A variable was set: `variable` and `value`. Without a channel it is a global one. JSON:
/// `ChannelVarset`; AMI: `VarSet`.
pub static CHANNEL_VARSET: MessageType<ChannelBlob> = MessageType::with_formats(
    "ast_channel_varset_type",
    &[json_by(render::varset), ami_by(render::varset_ami)],
);

/// Somebody asks a channel to hang up: `cause` and `soft`. JSON: `ChannelHangupRequest`.
pub static CHANNEL_HANGUP_REQUEST: MessageType<ChannelBlob> = MessageType::with_formats(
    "ast_channel_hangup_request_type",
    &[json_by(render::hangup_request)],
);

/// A channel takes another one's place: the other's id is `newchanid`.
pub static CHANNEL_MASQUERADE: MessageType<ChannelBlob> =
    MessageType::new("ast_channel_masquerade_type");

/// A digit begins: `digit` and `direction`.
pub static CHANNEL_DTMF_BEGIN: MessageType<ChannelBlob> =
    MessageType::new("ast_channel_dtmf_begin_type");

/// A digit has ended: `digit`, `direction` and `duration_ms`. JSON: `ChannelDtmfReceived`, for those that
/// were received only.
pub static CHANNEL_DTMF_END: MessageType<ChannelBlob> =
    MessageType::with_formats("ast_channel_dtmf_end_type", &[json_by(render::dtmf_end)]);

/// A channel is put on hold: `musicclass`. JSON: `ChannelHold`.
pub static CHANNEL_HOLD: MessageType<ChannelBlob> =
    MessageType::with_formats("ast_channel_hold_type", &[json_by(render::hold)]);

/// A channel is taken off hold. JSON: `ChannelUnhold`.
pub static CHANNEL_UNHOLD: MessageType<ChannelBlob> =
    MessageType::with_formats("ast_channel_unhold_type", &[json_by(render::unhold)]);

/// The hook was flashed.
pub static CHANNEL_FLASH: MessageType<ChannelBlob> = MessageType::new("ast_channel_flash_type");

/// The line winked.
pub static CHANNEL_WINK: MessageType<ChannelBlob> = MessageType::new("ast_channel_wink_type");

/// A channel listens to another one: roles `spyer_channel` and `spyee_channel`.
pub static CHANNEL_CHANSPY_START: MessageType<MultiChannelBlob> =
    MessageType::new("ast_channel_chanspy_start_type");

/// A channel listens to another one no more.
pub static CHANNEL_CHANSPY_STOP: MessageType<MultiChannelBlob> =
    MessageType::new("ast_channel_chanspy_stop_type");

/// A fax goes on.
pub static CHANNEL_FAX: MessageType<ChannelBlob> = MessageType::new("ast_channel_fax_type");

/// A hangup handler was pushed, popped or run.
pub static CHANNEL_HANGUP_HANDLER: MessageType<ChannelBlob> =
    MessageType::new("ast_channel_hangup_handler_type");

/// Music on hold starts: its `class`.
pub static CHANNEL_MOH_START: MessageType<ChannelBlob> =
    MessageType::new("ast_channel_moh_start_type");

/// Music on hold stops.
pub static CHANNEL_MOH_STOP: MessageType<ChannelBlob> =
    MessageType::new("ast_channel_moh_stop_type");

/// A recording starts.
pub static CHANNEL_MIXMONITOR_START: MessageType<ChannelBlob> =
    MessageType::new("ast_channel_mixmonitor_start_type");

/// A recording stops.
pub static CHANNEL_MIXMONITOR_STOP: MessageType<ChannelBlob> =
    MessageType::new("ast_channel_mixmonitor_stop_type");

/// A recording is muted, or no more: `direction` and `state`.
pub static CHANNEL_MIXMONITOR_MUTE: MessageType<ChannelBlob> =
    MessageType::new("ast_channel_mixmonitor_mute_type");

/// An agent logs in: `agent`. AMI: `AgentLogin`.
pub static CHANNEL_AGENT_LOGIN: MessageType<ChannelBlob> = MessageType::with_formats(
    "ast_channel_agent_login_type",
    &[ami_by(render::agent_login_ami)],
);

/// An agent logs off: `agent` and `logintime`, in seconds. AMI: `AgentLogoff`.
pub static CHANNEL_AGENT_LOGOFF: MessageType<ChannelBlob> = MessageType::with_formats(
    "ast_channel_agent_logoff_type",
    &[ami_by(render::agent_logoff_ami)],
);

/// Somebody begins to talk. JSON: `ChannelTalkingStarted`; AMI: `ChannelTalkingStart`.
pub static CHANNEL_TALKING_START: MessageType<ChannelBlob> = MessageType::with_formats(
    "ast_channel_talking_start",
    &[
        json_by(render::talking_start),
        ami_by(render::talking_start_ami),
    ],
);

/// Somebody has talked for `duration` milliseconds. JSON: `ChannelTalkingFinished`; AMI:
/// `ChannelTalkingStop`.
pub static CHANNEL_TALKING_STOP: MessageType<ChannelBlob> = MessageType::with_formats(
    "ast_channel_talking_stop",
    &[
        json_by(render::talking_stop),
        ami_by(render::talking_stop_ami),
    ],
);

/// A tone was heard. JSON: `ChannelToneDetected`.
pub static CHANNEL_TONE_DETECT: MessageType<ChannelBlob> =
    MessageType::with_formats("ast_channel_tone_detect", &[json_by(render::tone_detect)]);

/// A channel asks to be transferred, and the application is to decide: `refer_to`, `referred_by` and
/// `state`. JSON: `ChannelTransfer`.
pub static CHANNEL_TRANSFER_REQUEST: MessageType<ChannelBlob> = MessageType::with_formats(
    "ast_channel_transfer_request_type",
    &[json_by(render::transfer_request)],
);
