//! User events about channels, bridges and endpoints.

use super::bridge_snapshot::{self, BridgeSnapshot};
use super::channel::Channel;
use super::endpoint::EndpointSnapshot;
use super::snapshot::{self, ChannelSnapshot};
use super::telephony::Telephony;
use super::{AmiEvent, TelephonyError, USER_EVENT};
use crate::Rendering;
use crate::json::{Object, UserEvent};
use crate::sync::unmodelled::Arc;
use serde_json::Value;
use std::any::Any;

/// What a [`UserEvent`] of telephony can be about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventObject {
    /// A channel.
    Channel(Arc<ChannelSnapshot>),
    /// A bridge.
    Bridge(Arc<BridgeSnapshot>),
    /// An endpoint.
    Endpoint(Arc<EndpointSnapshot>),
}

impl From<Arc<ChannelSnapshot>> for EventObject {
    fn from(channel: Arc<ChannelSnapshot>) -> Self {
        Self::Channel(channel)
    }
}

impl From<Arc<BridgeSnapshot>> for EventObject {
    fn from(bridge: Arc<BridgeSnapshot>) -> Self {
        Self::Bridge(bridge)
    }
}

impl From<Arc<EndpointSnapshot>> for EventObject {
    fn from(endpoint: Arc<EndpointSnapshot>) -> Self {
        Self::Endpoint(endpoint)
    }
}

impl Object for EventObject {
    fn kind(&self) -> &str {
        match self {
            Self::Channel(_) => "channel",
            Self::Bridge(_) => "bridge",
            Self::Endpoint(_) => "endpoint",
        }
    }

    fn id(&self) -> &str {
        match self {
            Self::Channel(channel) => channel.id(),
            Self::Bridge(bridge) => &bridge.uniqueid,
            Self::Endpoint(endpoint) => &endpoint.id,
        }
    }

    fn snapshot(&self) -> &dyn Any {
        match self {
            Self::Channel(channel) => &**channel,
            Self::Bridge(bridge) => &**bridge,
            Self::Endpoint(endpoint) => &**endpoint,
        }
    }

    fn to_json(&self, rendering: &Rendering<'_>) -> Value {
        match self {
            Self::Channel(channel) => channel.to_json(),
            Self::Bridge(bridge) => bridge.json_rendered(rendering),
            Self::Endpoint(endpoint) => endpoint.rendered(rendering),
        }
    }
}

/// Its objects, channels and bridges with their lines, the second one of a kind and those after it with their
/// number before each key; endpoints are not in it. Then its name, and its data, whose keys get an underscore
/// before them if they are those of lines above.
pub(super) fn ami(event: &UserEvent<EventObject>, rendering: &Rendering<'_>) -> Option<String> {
    let mut text = AmiEvent::new("UserEvent");
    let (mut channels, mut bridges) = (0_usize, 0_usize);
    for object in event.objects() {
        let subject = crate::Subject::new(object.kind(), object.id());
        if rendering.leaves_out(&subject.with_snapshot(object.snapshot())) {
            continue;
        }
        match object {
            EventObject::Channel(channel) => {
                channels += 1;
                text = channel.ami_rendered(text, &prefix("Chan", channels), rendering);
            }
            EventObject::Bridge(bridge) => {
                bridges += 1;
                text = bridge.ami_rendered(text, &prefix("Bridge", bridges), rendering);
            }
            EventObject::Endpoint(_) => {}
        }
    }
    text = text.field("UserEvent", event.name());
    let fields = event.data().as_object();
    for (key, value) in fields.into_iter().flatten() {
        let marked = if is_own(event, key) { "_" } else { "" };
        text = match value {
            Value::String(value) => text.prefixed(marked, key, value),
            value => text.prefixed(marked, key, value),
        };
    }
    Some(text.finish())
}

/// True if a line with that key would be read as one of the event's own: its name, or what a channel or a
/// bridge is like, whether a sanitizer leaves that out or not.
fn is_own(event: &UserEvent<EventObject>, key: &str) -> bool {
    let is_about = |kind: &str| event.objects().iter().any(|object| object.kind() == kind);
    key.eq_ignore_ascii_case("UserEvent")
        || is_about("channel") && is_line_of("Chan", &snapshot::AMI_KEYS, key)
        || is_about("bridge") && is_line_of("Bridge", &bridge_snapshot::AMI_KEYS, key)
}

/// True if it is one of those keys, or the kind, a number, and one of them.
fn is_line_of(kind: &str, keys: &[&str], key: &str) -> bool {
    let is_one = |key: &str| keys.iter().any(|own| own.eq_ignore_ascii_case(key));
    let numbered = key.split_at_checked(kind.len()).and_then(|(head, tail)| {
        let rest = tail.trim_start_matches(|c: char| c.is_ascii_digit());
        (head.eq_ignore_ascii_case(kind) && rest.len() < tail.len()).then_some(rest)
    });
    is_one(key) || numbered.is_some_and(is_one)
}

fn prefix(kind: &str, number: usize) -> String {
    if number < 2 {
        String::new()
    } else {
        format!("{kind}{number}")
    }
}

impl Telephony {
    /// Publishes a user event, on the topic of the channel that it came from, or on that of all channels.
    ///
    /// ```
    /// # use stasis_bus::Bus;
    /// # use stasis_bus::channels::{Telephony, USER_EVENT};
    /// # use stasis_bus::json::UserEvent;
    /// # let bus = Bus::new()?;
    /// # let telephony = Telephony::new(&bus)?;
    /// let mut events = telephony.channel_topic_all().subscribe().receiver()?;
    /// let sales = telephony.endpoint("PJSIP", "sales")?;
    /// let event = UserEvent::new("QueueFull", serde_json::json!({ "waiting": 12 }))?;
    /// telephony.publish_user_event(None, event.with(sales.snapshot())?)?;
    /// let message = events.recv()?;
    /// assert_eq!(message.payload(&USER_EVENT).unwrap().data()["waiting"], 12);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`TelephonyError::ChannelEnded`], and what publish has to say.
    pub fn publish_user_event(
        &self,
        from: Option<&Channel>,
        event: UserEvent<EventObject>,
    ) -> Result<(), TelephonyError> {
        match from {
            Some(channel) => channel
                .inner
                .tell(|_| self.shared().message(&USER_EVENT, event.clone())),
            None => self.publish_global(&USER_EVENT, event),
        }
    }
}
