//! Dials: one channel, or nobody, calls another one. A dial is published when it begins and when it ends.

use super::channel::Channel;
use super::commit::Unheard;
use super::snapshot::ChannelSnapshot;
use super::snapshot::MultiChannelBlob;
use super::telephony::Telephony;
use super::text::text;
use super::{CHANNEL_DIAL, TelephonyError};
use crate::json::{BlobError, MultiBlob};
use crate::sync::unmodelled::Arc;
use serde_json::json;

/// A dial that has begun. It ends by [`Dial::end`]; who drops it leaves the begin without an end, as a
/// process that dies does.
///
/// The end names the channels that the begin named, whatever became of them. If one of them is replaced
/// by a masquerade, [`Dial::masquerade`] ends the old pair and begins the new one, so that each begin has
/// one end.
///
/// ```
/// use stasis_bus::Bus;
/// use stasis_bus::channels::{CHANNEL_DIAL, Dial, Telephony};
///
/// let bus = Bus::new()?;
/// let telephony = Telephony::new(&bus)?;
/// let mut dials = telephony.channel_topic_all().subscribe().accept(&CHANNEL_DIAL).receiver()?;
/// let alice = telephony.channel("1700000000.1", "PJSIP/alice-00000001")?;
/// let bob = telephony.channel("1700000000.2", "PJSIP/bob-00000002")?;
///
/// let dial = Dial::begin(&telephony, Some(&alice), &bob, "PJSIP/bob")?;
/// dial.end("ANSWER", None)?;
///
/// for status in ["", "ANSWER"] {
///     let message = dials.recv()?;
///     let blob = message.payload(&CHANNEL_DIAL).unwrap();
///     assert_eq!(blob.get("peer").unwrap().id(), bob.id());
///     assert_eq!(blob.data()["dialstatus"], status);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Dial {
    telephony: Telephony,
    caller: Option<Channel>,
    peer: Channel,
    dialstring: String,
}

impl Dial {
    /// Begins a dial, and publishes that with an empty status.
    ///
    /// # Errors
    /// [`TelephonyError::ChannelEnded`], and what publish has to say, except that somebody's mailbox is
    /// full: the dial has begun then, for all others.
    pub fn begin(
        telephony: &Telephony,
        caller: Option<&Channel>,
        peer: &Channel,
        dialstring: impl AsRef<[u8]>,
    ) -> Result<Self, TelephonyError> {
        if peer.has_ended() || caller.is_some_and(Channel::has_ended) {
            return Err(TelephonyError::ChannelEnded);
        }
        let dial = Self {
            telephony: telephony.clone(),
            caller: caller.cloned(),
            peer: peer.clone(),
            dialstring: text(dialstring),
        };
        match dial.publish("", None) {
            // It has begun, and is to have an end: who is full misses the begin, and nobody else.
            Err(error) if !error.is_full() => Err(error),
            _ => Ok(dial),
        }
    }

    /// The status is news, such as that it rings: it goes on.
    ///
    /// # Errors
    /// [`TelephonyError::Empty`] for an empty status, which is that of a begin, and what publish has to
    /// say.
    pub fn progress(&self, status: &str) -> Result<(), TelephonyError> {
        self.publish(checked(status)?, None)
    }

    /// Ends the dial, and publishes that; with where it was forwarded to, if it was. Legal after the
    /// channels have ended.
    ///
    /// # Errors
    /// As [`Dial::progress`].
    pub fn end(self, status: &str, forward: Option<&str>) -> Result<(), TelephonyError> {
        self.publish(checked(status)?, forward)
    }

    /// `new` has taken the place of one of the two: ends the old pair with the status `CONTINUE`, and
    /// begins the new one. Nothing happens if `old` is neither of them.
    ///
    /// # Errors
    /// [`TelephonyError::ChannelEnded`] if `new` has ended; and what publish has to say: `new` has taken the
    /// place all the same.
    pub fn masquerade(&mut self, old: &Channel, new: &Channel) -> Result<(), TelephonyError> {
        if new.has_ended() {
            return Err(TelephonyError::ChannelEnded);
        }
        let is_peer = self.peer.id() == old.id();
        let is_caller = self.caller.as_ref().is_some_and(|own| own.id() == old.id());
        if !is_peer && !is_caller {
            return Ok(());
        }
        let mut unheard = Unheard::default();
        unheard.pass(self.publish("CONTINUE", None))?;
        if is_peer {
            self.peer = new.clone();
        } else {
            self.caller = Some(new.clone());
        }
        unheard.pass(self.publish("", None))?;
        unheard.finish()
    }

    /// On the topic of who calls, or of who is called if nobody does; on that of all if the channel has
    /// ended.
    fn publish(&self, status: &str, forward: Option<&str>) -> Result<(), TelephonyError> {
        let data = json!({
            "dialstatus": status,
            "forward": forward.unwrap_or_default(),
            "dialstring": self.dialstring,
        });
        let message_type = &CHANNEL_DIAL;
        let told = match &self.caller {
            Some(caller) => {
                let pair = ("peer", &self.peer);
                caller.publish_pair(message_type, "caller", pair, data.clone())
            }
            None => {
                let blob = MultiBlob::new(data.clone());
                self.peer.inner.tell(|peer| {
                    let blob = with_peer(blob.clone(), peer).unwrap_or_else(|_| blob.clone());
                    self.peer.inner.shared.message(message_type, blob)
                })
            }
        };
        match told {
            Err(TelephonyError::ChannelEnded) => {
                let mut blob = with_peer(MultiBlob::new(data), self.peer.snapshot_or_current())?;
                if let Some(caller) = &self.caller {
                    blob = blob.with("caller", caller.snapshot_or_current())?;
                }
                self.telephony.publish_roles(message_type, blob)
            }
            told => told,
        }
    }
}

fn with_peer(
    blob: MultiChannelBlob,
    peer: Arc<ChannelSnapshot>,
) -> Result<MultiChannelBlob, BlobError> {
    blob.with("peer", peer)
}

fn checked(status: &str) -> Result<&str, TelephonyError> {
    if status.is_empty() {
        return Err(TelephonyError::Empty {
            what: "dial's status",
        });
    }
    Ok(status)
}
