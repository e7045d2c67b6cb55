//! What a bridge was like at one moment, as text too. The live object is in `bridge.rs`.

use super::ami::{AmiEvent, known};
use super::snapshot::hides_channel;
use crate::{Rendering, Subject, json};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::SystemTime;

/// What a bridge was like at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BridgeSnapshot {
    /// The id by which it is known.
    pub uniqueid: String,
    /// How it mixes.
    pub technology: String,
    /// What it is for.
    pub subclass: String,
    /// Who made it.
    pub creator: String,
    /// What its creator calls it.
    pub name: String,
    /// The channel whose video is shown, or nothing.
    pub video_source_id: String,
    /// The ids of the channels that are in it.
    pub channels: BTreeSet<String>,
    /// Features, as bits.
    pub feature_flags: u32,
    /// What it can do, as bits; the lowest one: it only holds its channels.
    pub capabilities: u32,
    /// How many channels are in it.
    pub num_channels: usize,
    /// How many of them are active.
    pub num_active: usize,
    /// Whose video is shown.
    pub video_mode: VideoMode,
    /// When it was made.
    pub creation_time: SystemTime,
    /// Its variables: names and values.
    pub variables: Vec<(String, String)>,
}

/// Whose video a bridge shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum VideoMode {
    /// Nobody's.
    #[default]
    None,
    /// That of one channel.
    Single,
    /// That of who talks.
    Talker,
    /// Everybody gets the streams that they want.
    Sfu,
}

impl VideoMode {
    /// Its name in JSON and AMI.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Single => "single",
            Self::Talker => "talker",
            Self::Sfu => "sfu",
        }
    }
}

/// The bit of `capabilities` that says that a bridge holds its channels, and mixes nothing.
const HOLDING: u32 = 1;

impl BridgeSnapshot {
    /// As JSON, with all of it. A message that is rendered has the same without the channels that its
    /// sanitizer leaves out.
    #[must_use]
    pub fn to_json(&self) -> Value {
        self.json_without(|_| false)
    }

    /// As JSON, unless it is to be left out, and without the channels that are.
    pub(super) fn rendered(&self, rendering: &Rendering<'_>) -> Option<Value> {
        let is_seen = !rendering.leaves_out(&self.subject());
        is_seen.then(|| self.json_rendered(rendering))
    }

    /// The same of a bridge that is not.
    pub(super) fn json_rendered(&self, rendering: &Rendering<'_>) -> Value {
        self.json_without(|id| hides_channel(rendering, id))
    }

    fn json_without(&self, is_hidden: impl Fn(&str) -> bool) -> Value {
        let channels = self.channels.iter().filter(|id| !is_hidden(id));
        let holds = self.capabilities & HOLDING != 0;
        let mut value = json!({
            "id": self.uniqueid,
            "technology": self.technology,
            "bridge_type": if holds { "holding" } else { "mixing" },
            "bridge_class": self.subclass,
            "creator": self.creator,
            "name": self.name,
            "channels": channels.collect::<Vec<_>>(),
            "creationtime": json::system_time(self.creation_time),
            "video_mode": self.video_mode.name(),
        });
        if !self.video_source_id.is_empty() && !is_hidden(&self.video_source_id) {
            value["video_source_id"] = (*self.video_source_id).into();
        }
        if !self.variables.is_empty() {
            let variables = self.variables.iter().cloned();
            value["bridgevars"] = variables.collect();
        }
        value
    }

    /// As the lines that AMI has for a bridge, each key begun with `prefix`. A message that is rendered
    /// has the same without the channels that its sanitizer leaves out.
    pub fn ami_fields(&self, event: AmiEvent, prefix: &str) -> AmiEvent {
        self.ami_without(event, prefix, |_| false)
    }

    /// The same, or none of it if the bridge is to be left out.
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
        let hidden = self.channels.iter().filter(|id| is_hidden(id)).count();
        let num_channels = self.num_channels.saturating_sub(hidden);
        let mut event = event
            .prefixed(prefix, "BridgeUniqueid", &self.uniqueid)
            .prefixed(prefix, "BridgeType", &self.subclass)
            .prefixed(prefix, "BridgeTechnology", &self.technology)
            .prefixed(prefix, "BridgeCreator", known(&self.creator))
            .prefixed(prefix, "BridgeName", known(&self.name))
            .prefixed(prefix, "BridgeNumChannels", num_channels)
            .prefixed(prefix, "BridgeVideoSourceMode", self.video_mode.name());
        if !self.video_source_id.is_empty() && !is_hidden(&self.video_source_id) {
            event = event.prefixed(prefix, "BridgeVideoSource", &self.video_source_id);
        }
        event
    }

    /// As a sanitizer sees it: a `bridge`, known by its id, with this snapshot.
    #[must_use]
    pub fn subject(&self) -> Subject<'_> {
        Subject::new("bridge", &self.uniqueid).with_snapshot(self)
    }
}

impl BridgeSnapshot {
    pub(super) fn count(&mut self) {
        self.num_channels = self.channels.len();
        self.num_active = self.channels.len();
    }
}

/// The lines that AMI may have for a bridge.
pub(super) const AMI_KEYS: [&str; 8] = [
    "BridgeUniqueid",
    "BridgeType",
    "BridgeTechnology",
    "BridgeCreator",
    "BridgeName",
    "BridgeNumChannels",
    "BridgeVideoSourceMode",
    "BridgeVideoSource",
];
