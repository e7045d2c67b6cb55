//! Channels as they live: what is set here is published by [`Channel::publish`], or when a staging ends.
//! What happens to a channel besides is told by the helpers in `events.rs`.

use super::bridge;
use super::commit::{Publication, Ready, Sent};
use super::endpoint::Endpoint;
use super::segments::{Base, Caller, ChannelState, Connected, Dialplan, Direct, Hangup, Peer};
use super::snapshot::{ChannelSnapshot, ChannelUpdate};
use super::telephony::Shared;
use super::text::{id, text};
use super::{CHANNEL_SNAPSHOT, TelephonyError};
use crate::sync::Mutex;
use crate::sync::unmodelled::{Arc, Weak};
use crate::{Forward, Message, Topic};
use std::collections::BTreeMap;
use std::fmt;
use std::time::SystemTime;

/// A live channel. What is set on it is published by [`Channel::publish`] as one snapshot, and not at all
/// if nothing has changed.
///
/// A `Channel` is a handle; clones are the same channel. It ends by [`Channel::end`], or when its last
/// handle is dropped.
///
/// ```
/// use stasis_bus::Bus;
/// use stasis_bus::channels::{CHANNEL_SNAPSHOT, ChannelState, Publication, Telephony};
///
/// let bus = Bus::new()?;
/// let telephony = Telephony::new(&bus)?;
/// let mut updates = telephony.channel_topic_all().subscribe().accept(&CHANNEL_SNAPSHOT).receiver()?;
///
/// let channel = telephony.channel("1700000000.1", "PJSIP/alice-00000001")?;
/// channel.set_state(ChannelState::Ring).set_accountcode("sales");
/// assert_eq!(channel.publish()?, Publication::Published);
/// assert_eq!(channel.publish()?, Publication::Unchanged);
///
/// let message = updates.recv()?;
/// let update = message.payload(&CHANNEL_SNAPSHOT).unwrap();
/// assert!(update.old.is_none());
/// assert_eq!(update.new.state(), ChannelState::Ring);
/// assert_eq!(telephony.channel_by_name("pjsip/ALICE-00000001").as_ref(), Some(&update.new));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Channel {
    pub(super) inner: Arc<Inner>,
}

/// What all handles of a channel share.
pub(super) struct Inner {
    pub(super) shared: Arc<Shared>,
    pub(super) topic: Topic,
    pub(super) id: Box<str>,
    pub(super) state: Mutex<State>,
}

pub(super) struct State {
    /// As it is; shares with `latest` what has not been set since.
    pub(super) current: ChannelSnapshot,
    /// As it was published last.
    pub(super) latest: Option<Arc<ChannelSnapshot>>,
    pub(super) has_ended: bool,
    /// How often it was published.
    version: u64,
    /// How many stagings there are.
    staging: u32,
    variables: BTreeMap<String, String>,
    /// The way to the topic of all channels, until it ends.
    pub(super) to_all: Option<Forward>,
    pub(super) endpoint: Option<(Endpoint, Forward)>,
    /// Those that it is in.
    pub(super) bridges: Vec<Weak<bridge::Inner>>,
}

impl State {
    /// The next snapshot to be published; `None` if it would be the same as the last.
    fn next(&mut self, ended: bool) -> Option<ChannelSnapshot> {
        if let Some(latest) = &self.latest {
            let current = &mut self.current;
            share(&mut current.base, &latest.base);
            share(&mut current.peer, &latest.peer);
            share(&mut current.caller, &latest.caller);
            share(&mut current.connected, &latest.connected);
            share(&mut current.bridge, &latest.bridge);
            share(&mut current.dialplan, &latest.dialplan);
            share(&mut current.hangup, &latest.hangup);
            share(&mut current.direct, &latest.direct);
        }
        let next = ChannelSnapshot {
            ended,
            ..self.current.clone()
        };
        (self.latest.as_deref() != Some(&next)).then_some(next)
    }
}

/// What was set to what it had been is what it was.
fn share<S: PartialEq>(segment: &mut Arc<S>, published: &Arc<S>) {
    if segment == published {
        *segment = Arc::clone(published);
    }
}

impl Channel {
    pub(super) fn new(
        shared: &Arc<Shared>,
        uniqueid: String,
        name: String,
    ) -> Result<Self, TelephonyError> {
        let (topic, to_all) =
            shared.reserve(&shared.channels, &shared.topics.channels, &uniqueid)?;
        let technology = name.split('/').next().unwrap_or_default().to_owned();
        let base = Base {
            name,
            uniqueid: uniqueid.clone(),
            accountcode: String::new(),
            userfield: String::new(),
            language: String::new(),
            technology,
            tenantid: String::new(),
            protocol_id: String::new(),
            tech_properties: 0,
            creation_time: SystemTime::now(),
        };
        let peer = Peer {
            linkedid: uniqueid.clone(),
            account: String::new(),
        };
        let current = ChannelSnapshot {
            base: Arc::new(base),
            peer: Arc::new(peer),
            caller: Arc::default(),
            connected: Arc::default(),
            bridge: Arc::default(),
            dialplan: Arc::default(),
            hangup: Arc::default(),
            direct: Arc::default(),
            ended: false,
        };
        let state = State {
            current,
            latest: None,
            has_ended: false,
            version: 0,
            staging: 0,
            variables: BTreeMap::new(),
            to_all: Some(to_all),
            endpoint: None,
            bridges: Vec::new(),
        };
        Ok(Self {
            inner: Arc::new(Inner {
                shared: Arc::clone(shared),
                topic,
                id: uniqueid.into(),
                state: Mutex::new(state),
            }),
        })
    }

    /// The id by which it is known.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.inner.id
    }

    /// Its topic, `channel:<id>`, which forwards to that of all channels.
    #[must_use]
    pub fn topic(&self) -> &Topic {
        &self.inner.topic
    }

    /// The snapshot that was published last; `None` before the first one.
    #[must_use]
    pub fn snapshot(&self) -> Option<Arc<ChannelSnapshot>> {
        self.inner.state.lock().latest.clone()
    }

    /// The channel as it is, published or not.
    #[must_use]
    pub fn current(&self) -> ChannelSnapshot {
        self.inner.state.lock().current.clone()
    }

    /// The snapshot that was published last, or one of the channel as it is if there is none.
    pub(super) fn snapshot_or_current(&self) -> Arc<ChannelSnapshot> {
        self.snapshot().unwrap_or_else(|| Arc::new(self.current()))
    }

    /// True once its last snapshot was published.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.inner.state.lock().has_ended
    }

    /// `change` is our own code, and short.
    fn set(&self, change: impl FnOnce(&mut ChannelSnapshot)) -> &Self {
        change(&mut self.inner.state.lock().current);
        self
    }

    fn set_base(&self, change: impl FnOnce(&mut Base)) -> &Self {
        self.set(|current| change(Arc::make_mut(&mut current.base)))
    }

    fn set_direct(&self, change: impl FnOnce(&mut Direct)) -> &Self {
        self.set(|current| change(Arc::make_mut(&mut current.direct)))
    }

    /// Gives it another name. Look-ups find it under that when it is published; of several channels of
    /// one name they find the one that was published last, and none once that has ended.
    ///
    /// # Errors
    /// [`TelephonyError::Empty`] and [`TelephonyError::TooLong`].
    pub fn set_name(&self, name: impl AsRef<[u8]>) -> Result<&Self, TelephonyError> {
        let name = id("channel's name", name)?;
        Ok(self.set_base(|base| base.name = name))
    }

    /// Says who pays.
    pub fn set_accountcode(&self, accountcode: impl AsRef<[u8]>) -> &Self {
        let accountcode = text(accountcode);
        self.set_base(|base| base.accountcode = accountcode)
    }

    /// Sets the field that is the dialplan's own.
    pub fn set_userfield(&self, userfield: impl AsRef<[u8]>) -> &Self {
        let userfield = text(userfield);
        self.set_base(|base| base.userfield = userfield)
    }

    /// Sets the language in which it is spoken to.
    pub fn set_language(&self, language: impl AsRef<[u8]>) -> &Self {
        let language = text(language);
        self.set_base(|base| base.language = language)
    }

    /// Says whose it is.
    pub fn set_tenantid(&self, tenantid: impl AsRef<[u8]>) -> &Self {
        let tenantid = text(tenantid);
        self.set_base(|base| base.tenantid = tenantid)
    }

    /// Sets the technology, and properties of it, as bits. At first it is what stands before the slash of
    /// the channel's name.
    pub fn set_technology(&self, technology: impl AsRef<[u8]>, properties: u32) -> &Self {
        let technology = text(technology);
        self.set_base(|base| {
            base.technology = technology;
            base.tech_properties = properties;
        })
    }

    /// Says what its protocol calls it.
    pub fn set_protocol_id(&self, protocol_id: impl AsRef<[u8]>) -> &Self {
        let protocol_id = text(protocol_id);
        self.set_base(|base| base.protocol_id = protocol_id)
    }

    /// Says whom it has to do with.
    pub fn set_peer(&self, peer: Peer) -> &Self {
        self.set(|current| current.peer = Arc::new(peer))
    }

    /// Says who calls.
    pub fn set_caller(&self, caller: Caller) -> &Self {
        self.set(|current| current.caller = Arc::new(caller))
    }

    /// Says who the other side is.
    pub fn set_connected(&self, connected: Connected) -> &Self {
        self.set(|current| current.connected = Arc::new(connected))
    }

    /// Says where it is in the dialplan.
    pub fn set_dialplan(&self, dialplan: Dialplan) -> &Self {
        self.set(|current| current.dialplan = Arc::new(dialplan))
    }

    /// Says why it hangs up.
    pub fn set_hangup(&self, hangup: Hangup) -> &Self {
        self.set(|current| current.hangup = Arc::new(hangup))
    }

    /// Says what it is doing.
    pub fn set_state(&self, state: ChannelState) -> &Self {
        self.set_direct(|direct| direct.state = state)
    }

    /// Says how it is billed.
    pub fn set_amaflags(&self, amaflags: i32) -> &Self {
        self.set_direct(|direct| direct.amaflags = amaflags)
    }

    /// Sets its flags, and those of its parts that are to hang up, as bits.
    pub fn set_flags(&self, flags: u64, softhangup_flags: u32) -> &Self {
        self.set_direct(|direct| {
            direct.flags = flags;
            direct.softhangup_flags = softhangup_flags;
        })
    }

    /// True if clients want to see that variable, so that it is a part of the snapshot.
    pub(super) fn remember_variable(&self, name: &str, value: &str) -> bool {
        let shared = &self.inner.shared;
        let mut state = self.inner.state.lock();
        state.variables.insert(name.into(), value.into());
        let of_ami = shared.ami_variables.iter().any(|wanted| wanted == name);
        let of_ari = shared.ari_variables.iter().any(|wanted| wanted == name);
        if of_ami || of_ari {
            let variables = &state.variables;
            let pick = |wanted: &[String]| -> Vec<(String, String)> {
                let known = wanted
                    .iter()
                    .filter_map(|name| variables.get_key_value(name));
                known
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .collect()
            };
            let manager_vars = pick(&shared.ami_variables);
            let ari_vars = pick(&shared.ari_variables);
            let direct = Arc::make_mut(&mut state.current.direct);
            direct.manager_vars = manager_vars;
            direct.ari_vars = ari_vars;
        }
        of_ami || of_ari
    }

    /// The value of a variable.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<String> {
        self.inner.state.lock().variables.get(name).cloned()
    }

    /// Publishes the channel as it is, on its own topic, unless it is as it was published last. Look-ups
    /// see it before any subscriber does; all see its snapshots in one order.
    ///
    /// Waits for nobody: a mailbox that blocks its publishers takes the snapshot past its capacity. A
    /// closure filter may be asked about a snapshot that is not published, since another one overtook it.
    ///
    /// # Errors
    /// [`TelephonyError::ChannelEnded`], and what publish has to say.
    pub fn publish(&self) -> Result<Publication, TelephonyError> {
        self.inner.publish()
    }

    /// Nothing of the channel's snapshots is published before the staging ends; then one, if anything has
    /// changed.
    pub fn stage(&self) -> Staging<'_> {
        self.inner.state.lock().staging += 1;
        Staging {
            channel: self,
            is_over: false,
        }
    }

    /// Publishes the last snapshot: look-ups do not find the channel any more, and nothing is published
    /// about it after that, or on its topic to that of all. Nobody hears of the end if no snapshot was
    /// published. It leaves its bridges and its endpoint. Its id is taken until this returns. Does not
    /// wait for stagings.
    ///
    /// # Errors
    /// [`TelephonyError::ChannelEnded`] if it has ended already, and what publish has to say; it has
    /// ended then all the same.
    pub fn end(&self) -> Result<(), TelephonyError> {
        self.inner.end()
    }
}

impl Inner {
    pub(super) fn publish(&self) -> Result<Publication, TelephonyError> {
        let (publication, sent) = self.commit(false)?;
        sent.settle().map(|()| publication)
    }

    /// The next snapshot, stored and offered; the last one if it is `ending`, and then none if nobody
    /// knows of the channel.
    pub(super) fn commit(&self, ending: bool) -> Result<(Publication, Sent), TelephonyError> {
        loop {
            let (update, version) = {
                let mut state = self.state.lock();
                if state.has_ended {
                    return Err(TelephonyError::ChannelEnded);
                }
                if ending && state.latest.is_none() {
                    state.has_ended = true;
                    state.version += 1;
                    return Ok((Publication::Unchanged, Sent::default()));
                }
                if state.staging > 0 && !ending {
                    return Ok((Publication::Deferred, Sent::default()));
                }
                let Some(new) = state.next(ending) else {
                    return Ok((Publication::Unchanged, Sent::default()));
                };
                let (old, new) = (state.latest.clone(), Arc::new(new));
                (ChannelUpdate { old, new }, state.version)
            };
            let message = self.shared.message(&CHANNEL_SNAPSHOT, update.clone());
            let ready = Ready::default().with(&self.topic, message);
            let mut state = self.state.lock();
            if state.version != version || !ready.is_current() {
                // Somebody was faster, or has come and looked up what was. What is ready is dropped after
                // the lock.
                drop(state);
                continue;
            }
            state.version += 1;
            state.has_ended = ending;
            state.latest = Some(Arc::clone(&update.new));
            self.shared.index_channel(&update);
            return Ok((Publication::Published, ready.offer()));
        }
    }

    /// Publishes what `build` makes of the latest snapshot, unless the channel has ended. With the
    /// snapshot that subscribers saw last, or with one that nobody has seen if there is none.
    pub(super) fn tell(
        &self,
        build: impl Fn(Arc<ChannelSnapshot>) -> Message,
    ) -> Result<(), TelephonyError> {
        loop {
            let (snapshot, version) = {
                let state = self.state.lock();
                if state.has_ended {
                    return Err(TelephonyError::ChannelEnded);
                }
                let latest = state.latest.clone();
                let unseen = || Arc::new(state.current.clone());
                (latest.unwrap_or_else(unseen), state.version)
            };
            let ready = Ready::default().with(&self.topic, build(snapshot));
            let sent = {
                let state = self.state.lock();
                if state.version != version || !ready.is_current() {
                    drop(state);
                    continue;
                }
                ready.offer()
            };
            return sent.settle();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // It may have ended; else nobody is left to be told what went wrong.
        let _ = self.end();
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}

/// While it lives, snapshots of a channel are not published: see [`Channel::stage`]. Several may overlap;
/// the last one to end publishes.
///
/// ```
/// # use stasis_bus::Bus;
/// # use stasis_bus::channels::{ChannelState, Publication, Telephony};
/// # let bus = Bus::new()?;
/// # let telephony = Telephony::new(&bus)?;
/// # let channel = telephony.channel("1700000000.1", "PJSIP/alice-00000001")?;
/// let staging = channel.stage();
/// channel.set_state(ChannelState::Ring);
/// assert_eq!(channel.publish()?, Publication::Deferred);
/// channel.set_accountcode("sales");
/// assert_eq!(staging.publish()?, Publication::Published);
/// assert_eq!(channel.snapshot().unwrap().base.accountcode, "sales");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "the staging ends when this is dropped"]
pub struct Staging<'a> {
    channel: &'a Channel,
    is_over: bool,
}

impl Staging<'_> {
    /// Ends the staging, and publishes if it was the last one. Dropping does the same, and tells nobody
    /// what went wrong.
    ///
    /// # Errors
    /// As [`Channel::publish`].
    pub fn publish(mut self) -> Result<Publication, TelephonyError> {
        self.finish()
    }

    fn finish(&mut self) -> Result<Publication, TelephonyError> {
        self.is_over = true;
        self.channel.inner.state.lock().staging -= 1;
        self.channel.publish()
    }
}

impl Drop for Staging<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            let _ = self.finish();
        }
    }
}
