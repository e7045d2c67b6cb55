//! The segments of a channel's snapshot: immutable once published, each shared by all snapshots in which
//! it is the same.

use std::time::SystemTime;

/// What a channel is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// Its name: technology, slash, and the rest.
    pub name: String,
    /// The id by which it is known.
    pub uniqueid: String,
    /// Who pays.
    pub accountcode: String,
    /// Whatever the dialplan puts there.
    pub userfield: String,
    /// The language in which it is spoken to.
    pub language: String,
    /// The technology, such as `PJSIP`.
    pub technology: String,
    /// Whose it is, where several share a switch.
    pub tenantid: String,
    /// What its protocol calls it: the `Call-ID` of SIP.
    pub protocol_id: String,
    /// Properties of its technology, as bits.
    pub tech_properties: u32,
    /// When it was made.
    pub creation_time: SystemTime,
}

/// Whom a channel has to do with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// The id of the channel that the call began with.
    pub linkedid: String,
    /// The account of the other side.
    pub account: String,
}

/// Who calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// The name.
    pub name: String,
    /// The number.
    pub number: String,
    /// The number that was dialled.
    pub dnid: String,
    /// The subaddress that was dialled.
    pub dialed_subaddress: String,
    /// Who pays for the call.
    pub ani: String,
    /// Who redirected the call.
    pub rdnis: String,
    /// The subaddress of the caller.
    pub subaddress: String,
    /// How the number may be presented, as a number.
    pub presentation: i32,
}

/// Who the other side is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connected {
    /// The name.
    pub name: String,
    /// The number.
    pub number: String,
}

/// Which bridge a channel is in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bridged {
    /// The bridge's id; empty if it is in none, or in one that is invisible.
    pub id: String,
}

/// Where a channel is in the dialplan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dialplan {
    /// The application that runs.
    pub application: String,
    /// What it was told.
    pub data: String,
    /// The context.
    pub context: String,
    /// The extension.
    pub extension: String,
    /// The priority.
    pub priority: i32,
}

/// Why a channel hangs up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hangup {
    /// The cause, by the numbers of Q.850.
    pub cause: i32,
    /// Who hung up.
    pub source: String,
    /// The cause, by the technology's numbers.
    pub tech_cause: i32,
}

/// What changes often, and the variables that clients want to see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Direct {
    /// What it is doing.
    pub state: ChannelState,
    /// How it is billed, as a number.
    pub amaflags: i32,
    /// Flags, as bits.
    pub flags: u64,
    /// Which parts of it are to hang up, as bits.
    pub softhangup_flags: u32,
    /// Variables for AMI: names and values.
    pub manager_vars: Vec<(String, String)>,
    /// Variables for JSON: names and values.
    pub ari_vars: Vec<(String, String)>,
}

/// What a channel is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChannelState {
    /// Nothing.
    #[default]
    Down,
    /// Nothing, but it is taken.
    Reserved,
    /// Off hook.
    OffHook,
    /// Digits are being dialled.
    Dialing,
    /// The line rings.
    Ring,
    /// The other end rings.
    Ringing,
    /// It is talking.
    Up,
    /// The line is busy.
    Busy,
    /// Digits are being dialled while it is off hook.
    DialingOffHook,
    /// A call has come in, and is not ringing yet.
    PreRing,
}

impl ChannelState {
    /// Its number in AMI.
    #[must_use]
    pub fn number(self) -> u32 {
        self as u32
    }

    /// Its name in JSON and AMI.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Down => "Down",
            Self::Reserved => "Rsrvd",
            Self::OffHook => "OffHook",
            Self::Dialing => "Dialing",
            Self::Ring => "Ring",
            Self::Ringing => "Ringing",
            Self::Up => "Up",
            Self::Busy => "Busy",
            Self::DialingOffHook => "Dialing Offhook",
            Self::PreRing => "Pre-ring",
        }
    }
}
