//! What a channel was like at one moment, as text too. The live object is in `channel.rs`.

use super::ami::{AmiEvent, known};
use super::segments::{
    Base, Bridged, Caller, ChannelState, Connected, Dialplan, Direct, Hangup, Peer,
};
use crate::json::{self, Blob, MultiBlob};
use crate::sync::unmodelled::Arc;
use crate::{Rendering, Subject};
use serde_json::{Map, Value, json};

/// What a channel was like at one moment. Two snapshots of one channel share the segments in which they
/// are the same, so a change costs a copy of one segment.
///
/// ```
/// use stasis_bus::Bus;
/// use stasis_bus::channels::{Caller, Telephony};
/// use std::sync::Arc;
///
/// let bus = Bus::new()?;
/// let telephony = Telephony::new(&bus)?;
/// let channel = telephony.channel("1700000000.1", "PJSIP/alice-00000001")?;
/// channel.publish()?;
/// let first = channel.snapshot().unwrap();
/// channel.set_caller(Caller { number: "100".into(), ..Caller::default() });
/// channel.publish()?;
/// let second = channel.snapshot().unwrap();
/// assert!(Arc::ptr_eq(&first.dialplan, &second.dialplan));
/// assert!(!Arc::ptr_eq(&first.caller, &second.caller));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelSnapshot {
    /// What it is.
    pub base: Arc<Base>,
    /// Whom it has to do with.
    pub peer: Arc<Peer>,
    /// Who calls.
    pub caller: Arc<Caller>,
    /// Who the other side is.
    pub connected: Arc<Connected>,
    /// Which bridge it is in.
    pub bridge: Arc<Bridged>,
    /// Where it is in the dialplan.
    pub dialplan: Arc<Dialplan>,
    /// Why it hangs up.
    pub hangup: Arc<Hangup>,
    /// What changes often.
    pub direct: Arc<Direct>,
    /// The channel has ended: this is its last snapshot.
    pub ended: bool,
}

impl ChannelSnapshot {
    /// The id by which it is known.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.base.uniqueid
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.base.name
    }

    /// What it was doing.
    #[must_use]
    pub fn state(&self) -> ChannelState {
        self.direct.state
    }

    /// True if `later` is at the same context, extension and priority. A channel that has begun to run
    /// its first application in between has moved.
    #[must_use]
    pub fn is_at_same_place(&self, later: &Self) -> bool {
        let (one, two) = (&self.dialplan, &later.dialplan);
        let began = one.application.is_empty() && !two.application.is_empty();
        !began
            && one.priority == two.priority
            && one.context == two.context
            && one.extension == two.extension
    }

    /// True if the name and number of the caller are the same.
    #[must_use]
    pub fn has_same_caller_id(&self, other: &Self) -> bool {
        let (one, two) = (&self.caller, &other.caller);
        one.number == two.number && one.name == two.name
    }

    /// True if the name and number of the other side are the same.
    #[must_use]
    pub fn has_same_connected_line(&self, other: &Self) -> bool {
        self.connected == other.connected
    }

    /// As JSON, with what was there to say.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut fields = Map::new();
        let mut put = |key: &str, value: Value| fields.insert(key.into(), value);
        put("id", self.id().into());
        put("name", self.name().into());
        put("state", self.state().name().into());
        put("protocol_id", (*self.base.protocol_id).into());
        put("accountcode", (*self.base.accountcode).into());
        put("language", (*self.base.language).into());
        put("creationtime", json::system_time(self.base.creation_time));
        put(
            "caller",
            name_and_number(&self.caller.name, &self.caller.number),
        );
        put(
            "connected",
            name_and_number(&self.connected.name, &self.connected.number),
        );
        let dialplan = &self.dialplan;
        put(
            "dialplan",
            json!({
                "context": dialplan.context,
                "exten": dialplan.extension,
                "priority": dialplan.priority,
                "app_name": dialplan.application,
                "app_data": dialplan.data,
            }),
        );
        if !self.caller.rdnis.is_empty() {
            put("caller_rdnis", (*self.caller.rdnis).into());
        }
        if !self.base.tenantid.is_empty() {
            put("tenantid", (*self.base.tenantid).into());
        }
        if !self.direct.ari_vars.is_empty() {
            let vars = self.direct.ari_vars.iter().cloned();
            put(
                "channelvars",
                vars.map(|(name, value)| (name, value.into()))
                    .collect::<Map<_, _>>()
                    .into(),
            );
        }
        Value::Object(fields)
    }

    /// As the lines that AMI has for a channel, each key begun with `prefix`.
    pub fn ami_fields(&self, event: AmiEvent, prefix: &str) -> AmiEvent {
        self.ami_without(event, prefix, |_| false)
    }

    /// The same, or none of it if the channel is to be left out. It says to which channel this one is linked
    /// if that is not.
    pub(super) fn ami_rendered(
        &self,
        event: AmiEvent,
        prefix: &str,
        rendering: &Rendering<'_>,
    ) -> AmiEvent {
        if rendering.leaves_out(&self.subject()) {
            return event;
        }
        self.ami_without(event, prefix, |id| hides_channel(rendering, id))
    }

    fn ami_without(
        &self,
        event: AmiEvent,
        prefix: &str,
        is_hidden: impl Fn(&str) -> bool,
    ) -> AmiEvent {
        let mut event = event
            .prefixed(prefix, "Channel", self.name())
            .prefixed(prefix, "ChannelState", self.state().number())
            .prefixed(prefix, "ChannelStateDesc", self.state().name())
            .prefixed(prefix, "CallerIDNum", known(&self.caller.number))
            .prefixed(prefix, "CallerIDName", known(&self.caller.name))
            .prefixed(prefix, "ConnectedLineNum", known(&self.connected.number))
            .prefixed(prefix, "ConnectedLineName", known(&self.connected.name))
            .prefixed(prefix, "Language", &self.base.language)
            .prefixed(prefix, "AccountCode", &self.base.accountcode)
            .prefixed(prefix, "Context", &self.dialplan.context)
            .prefixed(prefix, "Exten", &self.dialplan.extension)
            .prefixed(prefix, "Priority", self.dialplan.priority)
            .prefixed(prefix, "Uniqueid", self.id());
        let linkedid = &self.peer.linkedid;
        if linkedid == self.id() || !is_hidden(linkedid) {
            event = event.prefixed(prefix, "Linkedid", linkedid);
        }
        if !self.base.tenantid.is_empty() {
            event = event.prefixed(prefix, "TenantId", &self.base.tenantid);
        }
        for (name, value) in &self.direct.manager_vars {
            event = event.prefixed(prefix, "ChanVariable", format_args!("{name}={value}"));
        }
        event
    }

    /// As a sanitizer sees it: a `channel`, known by its id, with this snapshot.
    #[must_use]
    pub fn subject(&self) -> Subject<'_> {
        Subject::new("channel", self.id()).with_snapshot(self)
    }

    /// As JSON, unless it is to be left out.
    pub(super) fn rendered(&self, rendering: &Rendering<'_>) -> Option<Value> {
        (!rendering.leaves_out(&self.subject())).then(|| self.to_json())
    }
}

/// True if a channel of which nothing but the id is known is to be left out.
pub(super) fn hides_channel(rendering: &Rendering<'_>, id: &str) -> bool {
    rendering.leaves_out(&Subject::new("channel", id))
}

fn name_and_number(name: &str, number: &str) -> Value {
    json!({ "name": name, "number": number })
}

/// The lines that AMI may have for a channel.
pub(super) const AMI_KEYS: [&str; 16] = [
    "Channel",
    "ChannelState",
    "ChannelStateDesc",
    "CallerIDNum",
    "CallerIDName",
    "ConnectedLineNum",
    "ConnectedLineName",
    "Language",
    "AccountCode",
    "Context",
    "Exten",
    "Priority",
    "Uniqueid",
    "Linkedid",
    "TenantId",
    "ChanVariable",
];

/// A change of a channel: what its snapshots tell. The first has no `old`, the last has `new.ended`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelUpdate {
    /// The last snapshot that was published before; none if this is the first.
    pub old: Option<Arc<ChannelSnapshot>>,
    /// The channel as it is.
    pub new: Arc<ChannelSnapshot>,
}

/// JSON, and the snapshot of a channel, if it is about one.
pub type ChannelBlob = Blob<Arc<ChannelSnapshot>>;

/// JSON, and the snapshots of several channels, each in a role.
pub type MultiChannelBlob = MultiBlob<Arc<ChannelSnapshot>>;
