//! Endpoints: where calls come from and go to. The live object, and what it was like at one moment.

use super::commit::{Live, Publication, Ready, Sent, Step};
use super::snapshot::hides_channel;
use super::telephony::Shared;
use super::{CONTACT_STATE, ENDPOINT_SNAPSHOT, ENDPOINT_STATE, ENDPOINT_UPDATE, TelephonyError};
use crate::json::Blob;
use crate::sync::Mutex;
use crate::sync::unmodelled::Arc;
use crate::{Forward, MessageType, Rendering, Subject, Topic};
use serde_json::{Value, json};
use std::fmt;

/// What an endpoint was like at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointSnapshot {
    /// Technology, slash, resource: how it is dialled.
    pub id: String,
    /// The technology, such as `PJSIP`.
    pub technology: String,
    /// Which one of that technology.
    pub resource: String,
    /// Whether it can be reached.
    pub state: EndpointState,
    /// How many channels it may have; none if that is not known.
    pub max_channels: Option<u32>,
    /// The ids of its channels.
    pub channel_ids: Vec<String>,
}

/// Whether an endpoint can be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EndpointState {
    /// Nobody knows.
    #[default]
    Unknown,
    /// It cannot.
    Offline,
    /// It can.
    Online,
}

impl EndpointState {
    /// Its name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Offline => "offline",
            Self::Online => "online",
        }
    }
}

impl EndpointSnapshot {
    /// How many channels it had.
    #[must_use]
    pub fn num_channels(&self) -> usize {
        self.channel_ids.len()
    }

    /// As JSON, with all of it. A message that is rendered has the same without the channels that its
    /// sanitizer leaves out.
    #[must_use]
    pub fn to_json(&self) -> Value {
        self.json_without(|_| false)
    }

    /// As JSON, without the channels that are to be left out. The endpoint itself never is.
    pub(super) fn rendered(&self, rendering: &Rendering<'_>) -> Value {
        self.json_without(|id| hides_channel(rendering, id))
    }

    fn json_without(&self, is_hidden: impl Fn(&str) -> bool) -> Value {
        let channel_ids = self.channel_ids.iter().filter(|id| !is_hidden(id));
        let mut value = json!({
            "technology": self.technology,
            "resource": self.resource,
            "state": self.state.name(),
            "channel_ids": channel_ids.collect::<Vec<_>>(),
        });
        if let Some(max_channels) = self.max_channels {
            value["max_channels"] = max_channels.into();
        }
        value
    }

    /// As a sanitizer sees it: an `endpoint`, known by its id, with this snapshot.
    #[must_use]
    pub fn subject(&self) -> Subject<'_> {
        Subject::new("endpoint", &self.id).with_snapshot(self)
    }
}

/// A change of an endpoint, on the topic `endpoint:all-cached`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointUpdate {
    /// The last snapshot before; none if this is the first.
    pub old: Option<Arc<EndpointSnapshot>>,
    /// The endpoint as it is; none if it was taken down.
    pub new: Option<Arc<EndpointSnapshot>>,
}

/// JSON, and the snapshot of an endpoint.
pub type EndpointBlob = Blob<Arc<EndpointSnapshot>>;

/// A live endpoint. Every change is published at once. Handles of it are clones; it is taken down by
/// [`Endpoint::end`], or when the last one is dropped: each channel that is set to it has one. Every change
/// copies the list of its channels, so many channels at one endpoint cost the square of their number.
///
/// ```
/// use stasis_bus::Bus;
/// use stasis_bus::channels::{ENDPOINT_UPDATE, EndpointState, Telephony};
///
/// let bus = Bus::new()?;
/// let telephony = Telephony::new(&bus)?;
/// let mut updates =
///     telephony.endpoint_topic_all_cached().subscribe().accept(&ENDPOINT_UPDATE).receiver()?;
/// let alice = telephony.endpoint("PJSIP", "alice")?;
/// alice.set_state(EndpointState::Online)?;
///
/// updates.recv()?; // it came
/// let message = updates.recv()?;
/// let update = message.payload(&ENDPOINT_UPDATE).unwrap();
/// assert_eq!(update.old.as_ref().map(|old| old.state), Some(EndpointState::Unknown));
/// assert_eq!(update.new, telephony.endpoint_by_id("pjsip", "alice"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Endpoint {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    topic: Topic,
    id: Box<str>,
    live: Live<EndpointSnapshot>,
    /// The ways to the technology's topic and to that of all, for as long as the endpoint is there.
    forwards: Mutex<Vec<Forward>>,
}

impl Endpoint {
    pub(super) fn new(
        shared: &Arc<Shared>,
        technology: String,
        resource: String,
    ) -> Result<Self, TelephonyError> {
        let id = format!("{technology}/{resource}");
        let (topic, to_all) = shared.reserve(&shared.endpoints, &shared.topics.endpoints, &id)?;
        let forwarded = || -> Result<Forward, TelephonyError> {
            Ok(topic.forward_to(&shared.technology_topic(&technology)?)?)
        };
        let to_technology = forwarded().inspect_err(|_| shared.endpoints.free(&id))?;
        let first = EndpointSnapshot {
            id: id.clone(),
            technology,
            resource,
            state: EndpointState::Unknown,
            max_channels: None,
            channel_ids: Vec::new(),
        };
        let endpoint = Self {
            inner: Arc::new(Inner {
                shared: Arc::clone(shared),
                topic,
                id: id.into(),
                live: Live::new(first),
                forwards: Mutex::new(vec![to_technology, to_all]),
            }),
        };
        match endpoint.change(|_| ()) {
            // It is there: who is full misses that, and nobody else.
            Err(error) if !error.is_full() => Err(error),
            _ => Ok(endpoint),
        }
    }

    /// Technology, slash, resource.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.inner.id
    }

    /// Its topic, `endpoint:<technology>/<resource>`, which forwards to that of all endpoints and to that
    /// of its technology.
    #[must_use]
    pub fn topic(&self) -> &Topic {
        &self.inner.topic
    }

    /// The endpoint as it is.
    #[must_use]
    pub fn snapshot(&self) -> Arc<EndpointSnapshot> {
        self.inner.live.latest()
    }

    /// True once it was taken down.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.inner.live.is_ended()
    }

    /// Says whether it can be reached.
    ///
    /// # Errors
    /// [`TelephonyError::EndpointEnded`], and what publish has to say.
    pub fn set_state(&self, state: EndpointState) -> Result<Publication, TelephonyError> {
        self.change(|endpoint| endpoint.state = state)
    }

    /// Says how many channels it may have.
    ///
    /// # Errors
    /// As [`Endpoint::set_state`].
    pub fn set_max_channels(&self, max: Option<u32>) -> Result<Publication, TelephonyError> {
        self.change(|endpoint| endpoint.max_channels = max)
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    pub(super) fn add_channel(&self, id: &str) -> Result<(), TelephonyError> {
        let added = self.change(|endpoint| {
            if !endpoint.channel_ids.iter().any(|own| own == id) {
                endpoint.channel_ids.push(id.into());
            }
        });
        added.map(|_| ())
    }

    /// Does nothing if the endpoint was taken down.
    pub(super) fn remove_channel(&self, id: &str) -> Result<(), TelephonyError> {
        match self.change(|endpoint| endpoint.channel_ids.retain(|own| own != id)) {
            Ok(_) | Err(TelephonyError::EndpointEnded) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Publishes a change of its registration, on its topic: `data` has texts under `peer_status` and, if
    /// known, `cause`, `address`, `port` and `time`.
    ///
    /// # Errors
    /// [`TelephonyError::EndpointEnded`], [`TelephonyError::Blob`] if `data` is no object, and what
    /// publish has to say.
    pub fn publish_state(&self, data: Value) -> Result<(), TelephonyError> {
        self.tell(&ENDPOINT_STATE, data)
    }

    /// Publishes a change of a contact of it: `data` has texts under `uri`, `contact_status`, `aor` and,
    /// if known, `roundtrip_usec`.
    ///
    /// # Errors
    /// As [`Endpoint::publish_state`].
    pub fn publish_contact(&self, data: Value) -> Result<(), TelephonyError> {
        self.tell(&CONTACT_STATE, data)
    }

    fn tell(
        &self,
        message_type: &MessageType<EndpointBlob>,
        data: Value,
    ) -> Result<(), TelephonyError> {
        if !data.is_object() {
            return Err(crate::json::BlobError::NotAnObject.into());
        }
        self.inner.live.tell(
            || TelephonyError::EndpointEnded,
            |snapshot| {
                let blob = Blob::new(Some(Arc::clone(snapshot)), data.clone());
                let message = self.inner.shared.message(message_type, blob);
                Ready::default().with(&self.inner.topic, message)
            },
        )
    }

    /// Takes it down: look-ups do not find it any more, and what others publish on its topic goes neither
    /// to that of its technology nor to that of all. Its id is taken until this returns.
    ///
    /// # Errors
    /// [`TelephonyError::EndpointEnded`] if it was taken down already, and what publish has to say; it is
    /// down then all the same.
    pub fn end(&self) -> Result<(), TelephonyError> {
        self.inner.end()
    }

    fn change(
        &self,
        change: impl Fn(&mut EndpointSnapshot),
    ) -> Result<Publication, TelephonyError> {
        let changed = self.inner.live.commit(
            false,
            || TelephonyError::EndpointEnded,
            |latest, announced| {
                let mut new = latest.clone();
                change(&mut new);
                Ok((!announced || new != *latest).then_some(new))
            },
            |step| self.inner.ready(step),
            |new| self.inner.shared.endpoints.store(&self.inner.id, new),
        )?;
        match changed {
            Some(sent) => sent.settle().map(|()| Publication::Published),
            None => Ok(Publication::Unchanged),
        }
    }
}

impl Inner {
    /// The raw snapshot goes on the endpoint's own topic, the update on that of all who want both.
    fn ready(&self, step: Step<'_, EndpointSnapshot>) -> Ready {
        let raw = self
            .shared
            .message(&ENDPOINT_SNAPSHOT, Arc::clone(step.new));
        let update = EndpointUpdate {
            old: step.old.cloned(),
            new: Some(Arc::clone(step.new)),
        };
        let update = self.shared.message(&ENDPOINT_UPDATE, update);
        Ready::default()
            .with(&self.topic, raw)
            .with(&self.shared.topics.endpoints_cached, update)
    }

    fn end(&self) -> Result<(), TelephonyError> {
        let ended = self.live.commit(
            true,
            || TelephonyError::EndpointEnded,
            |latest, _| Ok(Some(latest.clone())),
            |step| {
                let update = EndpointUpdate {
                    old: step.old.cloned(),
                    new: None,
                };
                let update = self.shared.message(&ENDPOINT_UPDATE, update);
                Ready::default().with(&self.shared.topics.endpoints_cached, update)
            },
            |_| self.shared.endpoints.hide(&self.id),
        )?;
        let forwards = std::mem::take(&mut *self.forwards.lock());
        drop(forwards);
        let published = ended.map_or(Ok(()), Sent::settle);
        // Not before: a new endpoint of that id is announced after the end of this one.
        self.shared.endpoints.free(&self.id);
        published
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // It may have ended; else nobody is left to be told what went wrong.
        let _ = self.end();
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}
