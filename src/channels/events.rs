//! What happens to a channel besides: helpers that publish it, with the channel's latest snapshot, on the
//! channel's topic. None of them publishes anything about a channel that has ended.

use super::channel::Channel;
use super::commit::Unheard;
use super::snapshot::ChannelBlob;
use super::telephony::{Telephony, check_roles};
use super::text::{id, text};
use super::{
    CHANNEL_DTMF_BEGIN, CHANNEL_DTMF_END, CHANNEL_HANGUP_REQUEST, CHANNEL_HOLD, CHANNEL_MASQUERADE,
    CHANNEL_UNHOLD, CHANNEL_VARSET, MultiChannelBlob, TelephonyError,
};
use crate::MessageType;
use crate::json::{Blob, MultiBlob};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// Which way a DTMF digit goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the channel: the switch heard it.
    Received,
    /// To the channel: the switch sent it.
    Sent,
}

impl Direction {
    /// Its name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Received => "Received",
            Self::Sent => "Sent",
        }
    }
}

const DIGITS: &str = "0123456789ABCD*#";

impl Channel {
    /// Publishes a message of one of the types of [`super::types`], with the channel's latest snapshot
    /// and whatever JSON its type wants.
    ///
    /// ```
    /// use serde_json::json;
    /// use stasis_bus::Bus;
    /// use stasis_bus::channels::{CHANNEL_TALKING_STOP, Telephony};
    ///
    /// let bus = Bus::new()?;
    /// let telephony = Telephony::new(&bus)?;
    /// let channel = telephony.channel("1700000000.1", "PJSIP/alice-00000001")?;
    /// let mut events = channel.topic().subscribe().receiver()?;
    /// channel.publish_blob(&CHANNEL_TALKING_STOP, json!({ "duration": 1500 }))?;
    /// let message = events.recv()?;
    /// let blob = message.payload(&CHANNEL_TALKING_STOP).unwrap();
    /// assert_eq!(blob.snapshot().unwrap().name(), "PJSIP/alice-00000001");
    /// assert_eq!(blob["duration"], 1500);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`TelephonyError::ChannelEnded`], and what publish has to say.
    pub fn publish_blob(
        &self,
        message_type: &MessageType<ChannelBlob>,
        data: impl Into<Option<Value>>,
    ) -> Result<(), TelephonyError> {
        let data: Option<Value> = data.into();
        self.inner.tell(|snapshot| {
            let blob = Blob::new(Some(snapshot), data.clone());
            self.inner.shared.message(message_type, blob)
        })
    }

    /// The same with a second channel: this one in the first role, the other one in the second.
    ///
    /// # Errors
    /// As [`Channel::publish_blob`], [`TelephonyError::Blob`] for a role without a name, and
    /// [`TelephonyError::MissingRole`] as [`Telephony::publish_roles`].
    pub fn publish_pair(
        &self,
        message_type: &MessageType<MultiChannelBlob>,
        role: &str,
        other: (&str, &Channel),
        data: impl Into<Option<Value>>,
    ) -> Result<(), TelephonyError> {
        let (other_role, other) = other;
        // Roles are the same each time.
        let blob = MultiBlob::new(data).with(other_role, other.snapshot_or_current())?;
        let blob_of = |snapshot| blob.clone().with(role, snapshot);
        check_roles(message_type, &blob_of(self.snapshot_or_current())?)?;
        self.inner.tell(|snapshot| {
            let both = blob_of(snapshot).unwrap_or_else(|_| blob.clone());
            self.inner.shared.message(message_type, both)
        })
    }

    /// A digit begins.
    ///
    /// # Errors
    /// [`TelephonyError::BadDigit`], and as [`Channel::publish_blob`].
    pub fn dtmf_begin(&self, digit: char, direction: Direction) -> Result<(), TelephonyError> {
        let digit = checked(digit)?;
        let data = json!({ "digit": digit, "direction": direction.name() });
        self.publish_blob(&CHANNEL_DTMF_BEGIN, data)
    }

    /// A digit has ended.
    ///
    /// # Errors
    /// As [`Channel::dtmf_begin`].
    pub fn dtmf_end(
        &self,
        digit: char,
        direction: Direction,
        duration: Duration,
    ) -> Result<(), TelephonyError> {
        let digit = checked(digit)?;
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let data = json!({ "digit": digit, "direction": direction.name(), "duration_ms": millis });
        self.publish_blob(&CHANNEL_DTMF_END, data)
    }

    /// It is put on hold, with that class of music or the default one.
    ///
    /// # Errors
    /// As [`Channel::publish_blob`].
    pub fn hold(&self, music_class: Option<&str>) -> Result<(), TelephonyError> {
        let data = music_class.map(|class| json!({ "musicclass": class }));
        self.publish_blob(&CHANNEL_HOLD, data)
    }

    /// It is taken off hold.
    ///
    /// # Errors
    /// As [`Channel::publish_blob`].
    pub fn unhold(&self) -> Result<(), TelephonyError> {
        self.publish_blob(&CHANNEL_UNHOLD, None)
    }

    /// Somebody asks it to hang up: with a cause or none; a soft one lets it run to the end of what it
    /// does.
    ///
    /// # Errors
    /// As [`Channel::publish_blob`].
    pub fn hangup_request(&self, cause: Option<i32>, is_soft: bool) -> Result<(), TelephonyError> {
        let mut data = Map::new();
        if let Some(cause) = cause {
            data.insert("cause".into(), cause.into());
        }
        if is_soft {
            data.insert("soft".into(), true.into());
        }
        self.publish_blob(&CHANNEL_HANGUP_REQUEST, Value::Object(data))
    }

    /// Another channel takes its place: `clone` goes on as this one. A [`Dial`](super::Dial) that is
    /// under way is told by [`Dial::masquerade`](super::Dial::masquerade).
    ///
    /// # Errors
    /// As [`Channel::publish_blob`].
    pub fn masquerade(&self, clone: &Channel) -> Result<(), TelephonyError> {
        self.publish_blob(&CHANNEL_MASQUERADE, json!({ "newchanid": clone.id() }))
    }

    /// Sets a variable, and publishes that. If it is one that clients want to see, a snapshot with it
    /// comes first, unless one is staged: then it comes when the staging ends, and what tells of the variable
    /// has the snapshot before it. What is no UTF-8 is replaced.
    ///
    /// # Errors
    /// [`TelephonyError::Empty`] and [`TelephonyError::TooLong`] for its name, and as
    /// [`Channel::publish_blob`].
    pub fn set_variable(
        &self,
        name: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<(), TelephonyError> {
        let (name, value) = (id("variable's name", name)?, text(value));
        if self.has_ended() {
            return Err(TelephonyError::ChannelEnded);
        }
        let mut unheard = Unheard::default();
        if self.remember_variable(&name, &value) {
            unheard.pass(self.publish())?;
        }
        let data = json!({ "variable": name, "value": value });
        unheard.pass(self.publish_blob(&CHANNEL_VARSET, data))?;
        unheard.finish()
    }
}

fn checked(digit: char) -> Result<char, TelephonyError> {
    let upper = digit.to_ascii_uppercase();
    if DIGITS.contains(upper) {
        Ok(upper)
    } else {
        Err(TelephonyError::BadDigit { digit })
    }
}

impl Telephony {
    /// Publishes that a global variable was set, on the topic of all channels.
    ///
    /// # Errors
    /// [`TelephonyError::Empty`] and [`TelephonyError::TooLong`] for its name, and what publish has to
    /// say.
    pub fn publish_variable(
        &self,
        name: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<(), TelephonyError> {
        let (name, value) = (id("variable's name", name)?, text(value));
        let data = json!({ "variable": name, "value": value });
        self.publish_global(&CHANNEL_VARSET, Blob::new(None, data))
    }

    /// Publishes a message with the latest snapshot of the channel with that id, on the topic of all
    /// channels. False if there is none: nothing is published then.
    ///
    /// # Errors
    /// What publish has to say.
    pub fn publish_blob_by_id(
        &self,
        uniqueid: &str,
        message_type: &MessageType<ChannelBlob>,
        data: impl Into<Option<Value>>,
    ) -> Result<bool, TelephonyError> {
        match self.channel_by_id(uniqueid) {
            Some(snapshot) => self
                .publish_global(message_type, Blob::new(Some(snapshot), data))
                .map(|()| true),
            None => Ok(false),
        }
    }
}
