//! Bridges: who talks to whom. The live object, and the messages about it. What it was like at one moment is
//! in `bridge_snapshot.rs`.

use super::bridge_snapshot::{BridgeSnapshot, VideoMode};
use super::channel;
use super::commit::{Live, Publication, Ready, Sent, Step, publish};
use super::snapshot::ChannelSnapshot;
use super::telephony::Shared;
use super::text::text;
use super::{
    BRIDGE_MERGE, BRIDGE_SNAPSHOT, CHANNEL_ENTERED_BRIDGE, CHANNEL_LEFT_BRIDGE, TelephonyError,
};
use crate::sync::Mutex;
use crate::sync::unmodelled::{Arc, Weak};
use crate::{Forward, Topic};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt;
use std::time::SystemTime;

/// A change of a bridge: what its snapshots tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BridgeUpdate {
    /// The last snapshot that was published before; none if this is the first.
    pub old: Option<Arc<BridgeSnapshot>>,
    /// The bridge as it is; none if it has ended.
    pub new: Option<Arc<BridgeSnapshot>>,
}

/// What happened in a bridge, and to which channel.
#[derive(Clone, Debug, PartialEq)]
pub struct BridgeBlob {
    /// The bridge.
    pub bridge: Arc<BridgeSnapshot>,
    /// The channel, if it is about one.
    pub channel: Option<Arc<ChannelSnapshot>>,
    /// Whatever else there is to say.
    pub data: Value,
}

/// Two bridges became one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BridgeMerge {
    /// The one that is left.
    pub to: Arc<BridgeSnapshot>,
    /// The one whose channels went there.
    pub from: Arc<BridgeSnapshot>,
}

/// A live bridge. Handles of it are clones; it ends by [`Bridge::end`], or when the last one is dropped.
///
/// ```
/// use stasis_bus::Bus;
/// use stasis_bus::channels::{CHANNEL_ENTERED_BRIDGE, Telephony};
///
/// let bus = Bus::new()?;
/// let telephony = Telephony::new(&bus)?;
/// let mut events =
///     telephony.bridge_topic_all().subscribe().accept(&CHANNEL_ENTERED_BRIDGE).receiver()?;
/// let alice = telephony.channel("1700000000.1", "PJSIP/alice-00000001")?;
/// let bridge = telephony.bridge("b1")?;
/// bridge.enter(&alice)?;
///
/// let message = events.recv()?;
/// let entered = message.payload(&CHANNEL_ENTERED_BRIDGE).unwrap();
/// assert_eq!(entered.bridge.num_channels, 1);
/// assert_eq!(entered.channel.as_ref().map(|channel| &*channel.bridge.id), Some("b1"));
/// assert_eq!(telephony.bridge_by_id("B1").as_ref(), Some(&entered.bridge));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Bridge {
    pub(super) inner: Arc<Inner>,
}

/// What all handles of a bridge share.
pub(super) struct Inner {
    pub(super) shared: Arc<Shared>,
    topic: Topic,
    pub(super) id: Box<str>,
    pub(super) is_visible: bool,
    live: Live<BridgeSnapshot>,
    /// The way to the topic of all bridges, until it ends.
    pub(super) to_all: Mutex<Option<Forward>>,
    /// The channels that are in it. Changed under its lock.
    pub(super) members: Mutex<Vec<Weak<channel::Inner>>>,
}

/// What is published beside the state.
#[derive(Clone, Copy)]
pub(super) enum Beside<'a> {
    Nothing,
    /// Before it.
    Entered(&'a Arc<ChannelSnapshot>),
    /// After it.
    Left(&'a Arc<ChannelSnapshot>),
}

impl Bridge {
    pub(super) fn new(
        shared: &Arc<Shared>,
        uniqueid: String,
        is_visible: bool,
    ) -> Result<Self, TelephonyError> {
        let (topic, to_all) = shared.reserve(&shared.bridges, &shared.topics.bridges, &uniqueid)?;
        let first = BridgeSnapshot {
            uniqueid: uniqueid.clone(),
            technology: String::new(),
            subclass: String::new(),
            creator: String::new(),
            name: String::new(),
            video_source_id: String::new(),
            channels: BTreeSet::new(),
            feature_flags: 0,
            capabilities: 0,
            num_channels: 0,
            num_active: 0,
            video_mode: VideoMode::None,
            creation_time: SystemTime::now(),
            variables: Vec::new(),
        };
        Ok(Self {
            inner: Arc::new(Inner {
                shared: Arc::clone(shared),
                topic,
                id: uniqueid.into(),
                is_visible,
                live: Live::new(first),
                to_all: Mutex::new(Some(to_all)),
                members: Mutex::new(Vec::new()),
            }),
        })
    }

    /// The id by which it is known.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.inner.id
    }

    /// Its topic, `bridge:<id>`, which forwards to that of all bridges.
    #[must_use]
    pub fn topic(&self) -> &Topic {
        &self.inner.topic
    }

    /// True if it may be seen.
    #[must_use]
    pub fn is_visible(&self) -> bool {
        self.inner.is_visible
    }

    /// The bridge as it is.
    #[must_use]
    pub fn snapshot(&self) -> Arc<BridgeSnapshot> {
        self.inner.live.latest()
    }

    /// True once it has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.inner.live.is_ended()
    }

    /// Publishes the bridge for the first time. Later changes are published as they are made.
    ///
    /// # Errors
    /// [`TelephonyError::BridgeEnded`], and what publish has to say.
    pub fn publish(&self) -> Result<Publication, TelephonyError> {
        self.change(|_| Ok(()))
    }

    /// Says how it mixes, and what it can do, as bits.
    ///
    /// # Errors
    /// As [`Bridge::publish`].
    pub fn set_technology(
        &self,
        technology: impl AsRef<[u8]>,
        capabilities: u32,
    ) -> Result<Publication, TelephonyError> {
        let technology = text(technology);
        self.change(|bridge| {
            bridge.technology.clone_from(&technology);
            bridge.capabilities = capabilities;
            Ok(())
        })
    }

    /// Says who made it, what for, and by what name.
    ///
    /// # Errors
    /// As [`Bridge::publish`].
    pub fn set_creator(
        &self,
        creator: impl AsRef<[u8]>,
        name: impl AsRef<[u8]>,
        subclass: impl AsRef<[u8]>,
    ) -> Result<Publication, TelephonyError> {
        let (creator, name, subclass) = (text(creator), text(name), text(subclass));
        self.change(|bridge| {
            bridge.creator.clone_from(&creator);
            bridge.name.clone_from(&name);
            bridge.subclass.clone_from(&subclass);
            Ok(())
        })
    }

    /// Says whose video is shown.
    ///
    /// # Errors
    /// As [`Bridge::publish`].
    pub fn set_video(
        &self,
        mode: VideoMode,
        source_id: impl AsRef<[u8]>,
    ) -> Result<Publication, TelephonyError> {
        let source_id = text(source_id);
        self.change(|bridge| {
            bridge.video_mode = mode;
            bridge.video_source_id.clone_from(&source_id);
            Ok(())
        })
    }

    /// Sets a variable.
    ///
    /// # Errors
    /// As [`Bridge::publish`], and [`TelephonyError::Empty`] or [`TelephonyError::TooLong`] for its name.
    pub fn set_variable(
        &self,
        name: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<Publication, TelephonyError> {
        let name = super::text::id("variable's name", name)?;
        let value = text(value);
        self.change(|bridge| {
            let mut variables = bridge.variables.iter_mut();
            match variables.find(|(own, _)| *own == name) {
                Some((_, old)) => old.clone_from(&value),
                None => bridge.variables.push((name.clone(), value.clone())),
            }
            Ok(())
        })
    }

    /// Tells all, on the topic of all bridges, that the channels of `from` come here. The channels
    /// themselves leave and enter by [`Bridge::leave`] and [`Bridge::enter`].
    ///
    /// # Errors
    /// [`TelephonyError::SameBridge`], [`TelephonyError::BridgeEnded`], and what publish has to say.
    pub fn merge(&self, from: &Bridge) -> Result<(), TelephonyError> {
        if Arc::ptr_eq(&self.inner, &from.inner) {
            return Err(TelephonyError::SameBridge);
        }
        if self.has_ended() || from.has_ended() {
            return Err(TelephonyError::BridgeEnded);
        }
        if !self.is_visible() || !from.is_visible() {
            return Ok(());
        }
        let merge = BridgeMerge {
            to: self.snapshot(),
            from: from.snapshot(),
        };
        let shared = &self.inner.shared;
        publish(&shared.topics.bridges, shared.message(&BRIDGE_MERGE, merge))
    }

    /// Publishes that it is no more; nothing follows that, or goes from its topic to that of all. Its
    /// channels are in no bridge then: each is published as that, and nothing says that it has left. Its
    /// id is taken until this returns.
    ///
    /// # Errors
    /// [`TelephonyError::BridgeEnded`] if it has ended already, and what publish has to say; it has ended
    /// then all the same.
    pub fn end(&self) -> Result<(), TelephonyError> {
        self.inner.end()
    }

    fn change(
        &self,
        change: impl Fn(&mut BridgeSnapshot) -> Result<(), TelephonyError>,
    ) -> Result<Publication, TelephonyError> {
        self.inner.change(Beside::Nothing, change, || ())
    }
}

impl Inner {
    /// `stored` is called under the lock, once the bridge has changed.
    pub(super) fn change(
        &self,
        beside: Beside<'_>,
        change: impl Fn(&mut BridgeSnapshot) -> Result<(), TelephonyError>,
        stored: impl Fn(),
    ) -> Result<Publication, TelephonyError> {
        let Some(sent) = self.commit(false, beside, change, stored)? else {
            return Ok(Publication::Unchanged);
        };
        sent.settle()?;
        Ok(if self.is_visible {
            Publication::Published
        } else {
            Publication::Unchanged
        })
    }

    pub(super) fn commit(
        &self,
        is_last: bool,
        beside: Beside<'_>,
        change: impl Fn(&mut BridgeSnapshot) -> Result<(), TelephonyError>,
        stored: impl Fn(),
    ) -> Result<Option<Sent>, TelephonyError> {
        self.live.commit(
            is_last,
            || TelephonyError::BridgeEnded,
            |latest, announced| {
                let mut new = latest.clone();
                change(&mut new)?;
                let is_news = is_last || !announced || new != *latest;
                Ok(is_news.then_some(new))
            },
            |step| self.ready(step, is_last, beside),
            |new| {
                if is_last {
                    self.shared.bridges.hide(&self.id);
                } else if self.is_visible {
                    self.shared.bridges.store(&self.id, new);
                }
                stored();
            },
        )
    }

    fn ready(&self, step: Step<'_, BridgeSnapshot>, is_last: bool, beside: Beside<'_>) -> Ready {
        if !self.is_visible || (is_last && step.old.is_none()) {
            return Ready::default();
        }
        let update = BridgeUpdate {
            old: step.old.cloned(),
            new: (!is_last).then(|| Arc::clone(step.new)),
        };
        let state = self.shared.message(&BRIDGE_SNAPSHOT, update);
        let blob = |channel: &Arc<ChannelSnapshot>| BridgeBlob {
            bridge: Arc::clone(step.new),
            channel: Some(Arc::clone(channel)),
            data: Value::Null,
        };
        let ready = Ready::default();
        match beside {
            Beside::Nothing => ready.with(&self.topic, state),
            Beside::Entered(channel) => {
                let entered = self.shared.message(&CHANNEL_ENTERED_BRIDGE, blob(channel));
                ready.with(&self.topic, entered).with(&self.topic, state)
            }
            Beside::Left(channel) => {
                let left = self.shared.message(&CHANNEL_LEFT_BRIDGE, blob(channel));
                ready.with(&self.topic, state).with(&self.topic, left)
            }
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // It may have ended; else nobody is left to be told what went wrong.
        let _ = self.end();
    }
}

impl fmt::Debug for Bridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bridge")
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}
