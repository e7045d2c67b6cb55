//! What ties the objects of telephony to a bus: the topics of all channels, bridges and endpoints, and
//! the look-up tables.

use super::bridge::Bridge;
use super::bridge_snapshot::BridgeSnapshot;
use super::channel::Channel;
use super::commit::publish;
use super::endpoint::{Endpoint, EndpointSnapshot};
use super::index::Index;
use super::snapshot::{ChannelSnapshot, ChannelUpdate, MultiChannelBlob};
use super::text::{endpoint_key, folded, id};
use super::{CHANNEL_CHANSPY_START, CHANNEL_DIAL, TelephonyError};
use crate::sync::unmodelled::Arc;
use crate::{Forward, Message, MessageType, Topic, Topics};
use std::any::Any;
use std::fmt;

/// The topics, the look-up tables and the objects of telephony on one bus.
///
/// A `Telephony` is a handle; clones are the same. A bus should have one: a second one has the same
/// topics, and does not find what the first one made. It does not keep the bus: once that has shut down,
/// nothing is published any more, and whoever tries is told.
///
/// | topic | hears |
/// |---|---|
/// | `channel:<id>` | all about one channel |
/// | `channel:all` | all about all channels; variables and dials without a channel |
/// | `channel:all-cached` | the same |
/// | `bridge:<id>` | all about one bridge |
/// | `bridge:all` | all about all bridges; merges and transfers |
/// | `bridge:all-cached` | the same |
/// | `endpoint:<technology>/<resource>` | all about one endpoint, and about its channels |
/// | `endpoint:<technology>` | all about the endpoints of one technology |
/// | `endpoint:all` | all about all endpoints, and about their channels |
/// | `endpoint:all-cached` | the same, and [`ENDPOINT_UPDATE`](super::ENDPOINT_UPDATE)s |
/// | `system:all` | what concerns the system as a whole |
///
/// Snapshots of channels and bridges are published as updates, with what was before, so `all` and
/// `all-cached` hear the same of them. Snapshots of endpoints are not, and `endpoint:all-cached` hears
/// both.
///
/// ```
/// use stasis_bus::Bus;
/// use stasis_bus::channels::{CHANNEL_SNAPSHOT, Telephony};
///
/// let bus = Bus::new()?;
/// let telephony = Telephony::new(&bus)?;
/// let alice = telephony.endpoint("PJSIP", "alice")?;
/// let mut calls = alice.topic().subscribe().accept(&CHANNEL_SNAPSHOT).receiver()?;
///
/// let channel = telephony.channel("1700000000.1", "PJSIP/alice-00000001")?;
/// channel.set_endpoint(&alice)?;
/// channel.publish()?;
/// let message = calls.recv()?;
/// assert_eq!(message.payload(&CHANNEL_SNAPSHOT).unwrap().new.id(), "1700000000.1");
/// assert_eq!(alice.snapshot().channel_ids, ["1700000000.1"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Telephony {
    shared: Arc<Shared>,
}

/// What all objects have in common.
pub(super) struct Shared {
    pub(super) topics: Lasting,
    /// By id; places are taken by channels that were not published yet.
    pub(super) channels: Index<ChannelSnapshot>,
    channels_by_name: Index<ChannelSnapshot>,
    pub(super) bridges: Index<BridgeSnapshot>,
    pub(super) endpoints: Index<EndpointSnapshot>,
    pub(super) ami_variables: Vec<String>,
    pub(super) ari_variables: Vec<String>,
}

/// The topics that stay.
pub(super) struct Lasting {
    pub(super) channels: Topic,
    channels_cached: Topic,
    pub(super) bridges: Topic,
    bridges_cached: Topic,
    pub(super) endpoints: Topic,
    pub(super) endpoints_cached: Topic,
    system: Topic,
    /// The ways from the topics of all to those that are called cached.
    _forwards: [Forward; 3],
}

impl Lasting {
    fn new(bus: &impl Topics) -> Result<Self, TelephonyError> {
        let channels = bus.topic("channel:all")?;
        let channels_cached = bus.topic("channel:all-cached")?;
        let bridges = bus.topic("bridge:all")?;
        let bridges_cached = bus.topic("bridge:all-cached")?;
        let endpoints = bus.topic("endpoint:all")?;
        let endpoints_cached = bus.topic("endpoint:all-cached")?;
        let forwards = [
            channels.forward_to(&channels_cached)?,
            bridges.forward_to(&bridges_cached)?,
            endpoints.forward_to(&endpoints_cached)?,
        ];
        Ok(Self {
            channels,
            channels_cached,
            bridges,
            bridges_cached,
            endpoints,
            endpoints_cached,
            system: bus.topic("system:all")?,
            _forwards: forwards,
        })
    }
}

impl Shared {
    /// On behalf of the bus's own entity.
    pub(super) fn message<T: Send + Sync + 'static>(
        &self,
        message_type: &MessageType<T>,
        payload: T,
    ) -> Message {
        message_type.message_with_origin(payload, self.topics.system.origin())
    }

    /// Takes the place of a new object, and makes its topic, which forwards to `all` until the object drops
    /// the forward: at its end, since others may keep the topic.
    pub(super) fn reserve<S>(
        &self,
        index: &Index<S>,
        all: &Topic,
        id: &str,
    ) -> Result<(Topic, Forward), TelephonyError> {
        // They would have the topics of all.
        if ["all", "all-cached"].contains(&id) {
            return Err(TelephonyError::ReservedId);
        }
        if !index.reserve(id) {
            return Err(TelephonyError::DuplicateId { id: id.into() });
        }
        let kind = all.name().split(':').next().unwrap_or_default();
        let forwarded = || -> Result<(Topic, Forward), TelephonyError> {
            let topic = Topics::topic(all, &format!("{kind}:{id}"))?;
            let forward = topic.forward_to(all)?;
            Ok((topic, forward))
        };
        forwarded().inspect_err(|_| index.free(id))
    }

    /// Puts a channel where it is looked up, or takes it away: its id stays taken until it is freed. Under
    /// the channel's lock.
    pub(super) fn index_channel(&self, update: &ChannelUpdate) {
        let new = &update.new;
        if new.ended {
            self.channels.hide(new.id());
        } else {
            self.channels.store(new.id(), new);
            self.channels_by_name.store(new.name(), new);
        }
        let is_stale =
            |old: &&Arc<ChannelSnapshot>| new.ended || !old.name().eq_ignore_ascii_case(new.name());
        if let Some(old) = update.old.as_ref().filter(is_stale) {
            self.channels_by_name.remove(old.name(), old);
        }
    }
}

/// Makes a [`Telephony`]: which variables of channels clients want to see.
///
/// ```
/// use stasis_bus::Bus;
/// use stasis_bus::channels::Telephony;
///
/// let bus = Bus::new()?;
/// let telephony = Telephony::builder().ari_variable("LANGUAGE").build(&bus)?;
/// let channel = telephony.channel("1700000000.1", "PJSIP/alice-00000001")?;
/// channel.set_variable("LANGUAGE", "de")?;
/// assert_eq!(channel.snapshot().unwrap().to_json()["channelvars"]["LANGUAGE"], "de");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until `build`"]
pub struct TelephonyBuilder {
    ami_variables: Vec<String>,
    ari_variables: Vec<String>,
}

impl TelephonyBuilder {
    /// That variable is a part of each channel in AMI events.
    pub fn ami_variable(mut self, name: impl Into<String>) -> Self {
        self.ami_variables.push(name.into());
        self
    }

    /// That variable is a part of each channel in JSON.
    pub fn ari_variable(mut self, name: impl Into<String>) -> Self {
        self.ari_variables.push(name.into());
        self
    }

    /// Makes the topics, on a [`Bus`](crate::Bus), or on that of any topic.
    ///
    /// # Errors
    /// [`TelephonyError`] if the bus has been shut down.
    pub fn build(self, bus: &impl Topics) -> Result<Telephony, TelephonyError> {
        let topics = Lasting::new(bus)?;
        Ok(Telephony {
            shared: Arc::new(Shared {
                topics,
                channels: Index::new(folded),
                channels_by_name: Index::new(folded),
                bridges: Index::new(folded),
                endpoints: Index::new(endpoint_key),
                ami_variables: self.ami_variables,
                ari_variables: self.ari_variables,
            }),
        })
    }
}

impl Telephony {
    /// With no variables that clients want to see.
    ///
    /// # Errors
    /// As [`TelephonyBuilder::build`].
    pub fn new(bus: &impl Topics) -> Result<Self, TelephonyError> {
        Self::builder().build(bus)
    }

    /// With variables of channels that clients want to see.
    pub fn builder() -> TelephonyBuilder {
        TelephonyBuilder::default()
    }

    /// A new channel. Nobody hears of it before it is published.
    ///
    /// # Errors
    /// [`TelephonyError::DuplicateId`] while another channel has that id, [`TelephonyError::Empty`] and
    /// [`TelephonyError::TooLong`] for an id or a name that is none.
    pub fn channel(
        &self,
        uniqueid: impl AsRef<[u8]>,
        name: impl AsRef<[u8]>,
    ) -> Result<Channel, TelephonyError> {
        let uniqueid = id("channel's id", uniqueid)?;
        let name = id("channel's name", name)?;
        Channel::new(&self.shared, uniqueid, name)
    }

    /// A new bridge. Nobody hears of it before it is published or changed.
    ///
    /// # Errors
    /// As [`Telephony::channel`].
    pub fn bridge(&self, uniqueid: impl AsRef<[u8]>) -> Result<Bridge, TelephonyError> {
        Bridge::new(&self.shared, id("bridge's id", uniqueid)?, true)
    }

    /// A bridge that is not to be seen: nothing is published about it, and channels in it are in none.
    ///
    /// # Errors
    /// As [`Telephony::channel`].
    pub fn invisible_bridge(&self, uniqueid: impl AsRef<[u8]>) -> Result<Bridge, TelephonyError> {
        Bridge::new(&self.shared, id("bridge's id", uniqueid)?, false)
    }

    /// A new endpoint. Its first snapshot is published at once. It is taken down when its last handle goes;
    /// channels that were set to it have one each.
    ///
    /// # Errors
    /// As [`Telephony::channel`], and [`TelephonyError::SlashInTechnology`]. A full mailbox of somebody is
    /// none: the endpoint is there, for all others.
    pub fn endpoint(
        &self,
        technology: impl AsRef<[u8]>,
        resource: impl AsRef<[u8]>,
    ) -> Result<Endpoint, TelephonyError> {
        let technology = id("endpoint's technology", technology)?;
        let resource = id("endpoint's resource", resource)?;
        if technology.contains('/') {
            return Err(TelephonyError::SlashInTechnology);
        }
        Endpoint::new(&self.shared, technology, resource)
    }

    /// The latest snapshot of the channel with that id, if it was published and has not ended. ASCII
    /// letters are alike in both cases. What a publish made visible to any subscriber, this sees.
    #[must_use]
    pub fn channel_by_id(&self, uniqueid: &str) -> Option<Arc<ChannelSnapshot>> {
        self.shared.channels.get(uniqueid)
    }

    /// The same by the channel's name: the one that was published last under it, of several. Once that one
    /// has ended or has another name, none is found before one of the others is published anew.
    #[must_use]
    pub fn channel_by_name(&self, name: &str) -> Option<Arc<ChannelSnapshot>> {
        self.shared.channels_by_name.get(name)
    }

    /// The latest snapshots of all channels, in no order.
    #[must_use]
    pub fn channels(&self) -> Vec<Arc<ChannelSnapshot>> {
        self.shared.channels.all()
    }

    /// The latest snapshot of the bridge with that id, if it was published and has not ended.
    #[must_use]
    pub fn bridge_by_id(&self, uniqueid: &str) -> Option<Arc<BridgeSnapshot>> {
        self.shared.bridges.get(uniqueid)
    }

    /// The latest snapshots of all bridges, in no order.
    #[must_use]
    pub fn bridges(&self) -> Vec<Arc<BridgeSnapshot>> {
        self.shared.bridges.all()
    }

    /// The latest snapshot of an endpoint. ASCII letters of the technology are alike in both cases.
    #[must_use]
    pub fn endpoint_by_id(
        &self,
        technology: &str,
        resource: &str,
    ) -> Option<Arc<EndpointSnapshot>> {
        self.shared
            .endpoints
            .get(&format!("{technology}/{resource}"))
    }

    /// The latest snapshots of all endpoints, in no order.
    #[must_use]
    pub fn endpoints(&self) -> Vec<Arc<EndpointSnapshot>> {
        self.shared.endpoints.all()
    }

    /// The topic of a channel, `channel:<id>`.
    #[must_use]
    pub fn channel_topic(&self, channel: &Channel) -> Topic {
        channel.topic().clone()
    }

    /// The topic of all channels.
    #[must_use]
    pub fn channel_topic_all(&self) -> &Topic {
        &self.shared.topics.channels
    }

    /// The topic of all channels, for who wants snapshots with what was before.
    #[must_use]
    pub fn channel_topic_all_cached(&self) -> &Topic {
        &self.shared.topics.channels_cached
    }

    /// The topic of a bridge, `bridge:<id>`.
    #[must_use]
    pub fn bridge_topic(&self, bridge: &Bridge) -> Topic {
        bridge.topic().clone()
    }

    /// The topic of all bridges.
    #[must_use]
    pub fn bridge_topic_all(&self) -> &Topic {
        &self.shared.topics.bridges
    }

    /// The topic of all bridges, for who wants snapshots with what was before.
    #[must_use]
    pub fn bridge_topic_all_cached(&self) -> &Topic {
        &self.shared.topics.bridges_cached
    }

    /// The topic of an endpoint, `endpoint:<technology>/<resource>`.
    #[must_use]
    pub fn endpoint_topic(&self, endpoint: &Endpoint) -> Topic {
        endpoint.topic().clone()
    }

    /// The topic of all endpoints.
    #[must_use]
    pub fn endpoint_topic_all(&self) -> &Topic {
        &self.shared.topics.endpoints
    }

    /// The topic of all endpoints that hears their updates as well.
    #[must_use]
    pub fn endpoint_topic_all_cached(&self) -> &Topic {
        &self.shared.topics.endpoints_cached
    }

    /// The topic of all endpoints of a technology: `endpoint:`, and the technology in capitals.
    ///
    /// # Errors
    /// As [`Telephony::endpoint`].
    pub fn technology_topic(&self, technology: impl AsRef<[u8]>) -> Result<Topic, TelephonyError> {
        let technology = id("endpoint's technology", technology)?;
        if technology.contains('/') {
            return Err(TelephonyError::SlashInTechnology);
        }
        self.shared.technology_topic(&technology)
    }

    /// The topic of the system as a whole.
    #[must_use]
    pub fn system_topic(&self) -> &Topic {
        &self.shared.topics.system
    }

    /// Publishes a message about the system as a whole, of one of its types: see [`super::types`].
    ///
    /// ```
    /// # use stasis_bus::Bus;
    /// # use stasis_bus::channels::{AMI, CC_FAILURE, CallCompletion, Telephony};
    /// # let bus = Bus::new()?;
    /// # let telephony = Telephony::new(&bus)?;
    /// let mut events = telephony.system_topic().subscribe().accept_format(&AMI).receiver()?;
    /// let step = CallCompletion { core_id: 7, ..CallCompletion::default() };
    /// telephony.publish_system(&CC_FAILURE, step)?;
    /// let text = events.recv()?.render(&AMI);
    /// assert_eq!(text.as_deref(), Some("Event: CCFailure\r\nCoreID: 7\r\n\r\n"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// What publish has to say.
    pub fn publish_system<T: Send + Sync + 'static>(
        &self,
        message_type: &MessageType<T>,
        payload: T,
    ) -> Result<(), TelephonyError> {
        let message = self.shared.message(message_type, payload);
        publish(&self.shared.topics.system, message)
    }

    /// Publishes a message about no channel, or about several, on the topic of all channels.
    ///
    /// # Errors
    /// As [`Telephony::publish_roles`].
    pub fn publish_global<T: Send + Sync + 'static>(
        &self,
        message_type: &MessageType<T>,
        payload: T,
    ) -> Result<(), TelephonyError> {
        if let Some(blob) = (&payload as &dyn Any).downcast_ref() {
            check_roles(message_type, blob)?;
        }
        let message = self.shared.message(message_type, payload);
        publish(&self.shared.topics.channels, message)
    }

    /// The same for several channels in their roles.
    ///
    /// # Errors
    /// [`TelephonyError::MissingRole`] for a dial without `peer` and a spying without `spyer_channel`, and
    /// what publish has to say.
    pub fn publish_roles(
        &self,
        message_type: &MessageType<MultiChannelBlob>,
        blob: MultiChannelBlob,
    ) -> Result<(), TelephonyError> {
        self.publish_global(message_type, blob)
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl Shared {
    pub(super) fn technology_topic(&self, technology: &str) -> Result<Topic, TelephonyError> {
        let technology = technology.to_ascii_uppercase();
        let name = format!("endpoint:{technology}");
        Ok(Topics::topic(&self.topics.endpoints, &name)?)
    }
}

/// Refuses a blob without somebody without whom its type makes no sense.
pub(super) fn check_roles<T: Send + Sync + 'static>(
    message_type: &MessageType<T>,
    blob: &MultiChannelBlob,
) -> Result<(), TelephonyError> {
    let needed = if message_type.info() == CHANNEL_DIAL.info() {
        Some("peer")
    } else if message_type.info() == CHANNEL_CHANSPY_START.info() {
        Some("spyer_channel")
    } else {
        None
    };
    match needed.filter(|role| blob.get(role).is_none()) {
        Some(role) => Err(TelephonyError::MissingRole { role }),
        None => Ok(()),
    }
}

impl fmt::Debug for Telephony {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telephony").finish_non_exhaustive()
    }
}
