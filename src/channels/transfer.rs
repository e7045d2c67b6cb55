//! Transfers: a channel hands its call on. They are published on the topic of all bridges.

use super::bridge_snapshot::BridgeSnapshot;
use super::commit::publish;
use super::snapshot::ChannelSnapshot;
use super::telephony::Telephony;
use super::{ATTENDED_TRANSFER, BLIND_TRANSFER, TelephonyError};
use crate::sync::unmodelled::Arc;

/// What came of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TransferResult {
    /// It succeeded.
    Success,
    /// It failed.
    Fail,
    /// There was nowhere to go.
    Invalid,
    /// It was not allowed.
    NotPermitted,
}

impl TransferResult {
    /// Its name in JSON and AMI.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Success => "Success",
            Self::Fail => "Fail",
            Self::Invalid => "Invalid",
            Self::NotPermitted => "Not Permitted",
        }
    }
}

/// A transfer to an extension, without asking there first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlindTransfer {
    /// What came of it.
    pub result: TransferResult,
    /// It was asked for by the other side's protocol, not by a feature code.
    pub is_external: bool,
    /// Who transfers.
    pub transferer: Arc<ChannelSnapshot>,
    /// Where they talked.
    pub bridge: Option<Arc<BridgeSnapshot>>,
    /// The context.
    pub context: String,
    /// The extension.
    pub extension: String,
    /// Who is transferred, if it is one channel.
    pub transferee: Option<Arc<ChannelSnapshot>>,
    /// The channel that takes the transferer's place, if there is one.
    pub replace_channel: Option<Arc<ChannelSnapshot>>,
}

/// One of the two calls of who makes an attended transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferLeg {
    /// The transferer's channel.
    pub channel: Arc<ChannelSnapshot>,
    /// The bridge that it is in, if it is in one.
    pub bridge: Option<Arc<BridgeSnapshot>>,
}

/// A transfer to somebody who was asked first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttendedTransfer {
    /// What came of it.
    pub result: TransferResult,
    /// It was asked for by the other side's protocol, not by a feature code.
    pub is_external: bool,
    /// The call with who is transferred.
    pub to_transferee: TransferLeg,
    /// The call with who they are transferred to.
    pub to_target: TransferLeg,
    /// The channel that takes the transferer's place, if there is one.
    pub replace_channel: Option<Arc<ChannelSnapshot>>,
    /// Who is transferred, if it is one channel.
    pub transferee: Option<Arc<ChannelSnapshot>>,
    /// Whom to, if it is one channel.
    pub target: Option<Arc<ChannelSnapshot>>,
    /// Where it ended.
    pub destination: Destination,
}

/// Where an attended transfer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Nowhere.
    Fail,
    /// In the bridge with that id.
    Bridge(String),
    /// In that application.
    App(String),
    /// In that application, through a pair of local channels.
    LocalApp {
        /// The application.
        app: String,
        /// One end, and the other.
        locals: [Arc<ChannelSnapshot>; 2],
    },
    /// In two bridges that a pair of local channels links.
    Link {
        /// One end, and the other.
        locals: [Arc<ChannelSnapshot>; 2],
    },
    /// All three talk.
    ThreeWay {
        /// The channel that stays.
        channel: Arc<ChannelSnapshot>,
        /// The bridge that they talk in.
        bridge: Arc<BridgeSnapshot>,
    },
}

impl Telephony {
    /// Publishes a blind transfer, on the topic of all bridges.
    ///
    /// ```
    /// # use stasis_bus::Bus;
    /// # use stasis_bus::channels::{AMI, BlindTransfer, Telephony, TransferResult};
    /// # let bus = Bus::new()?;
    /// # let telephony = Telephony::new(&bus)?;
    /// let mut events = telephony.bridge_topic_all().subscribe().receiver()?;
    /// let alice = telephony.channel("1700000000.1", "PJSIP/alice-00000001")?;
    /// alice.publish()?;
    /// telephony.publish_blind_transfer(BlindTransfer {
    ///     result: TransferResult::Success,
    ///     is_external: false,
    ///     transferer: alice.snapshot().unwrap(),
    ///     bridge: None,
    ///     context: "from-inside".into(),
    ///     extension: "100".into(),
    ///     transferee: None,
    ///     replace_channel: None,
    /// })?;
    /// let text = events.recv()?.render(&AMI).unwrap();
    /// assert!(text.contains("\r\nTransfererChannel: PJSIP/alice-00000001\r\n"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// What publish has to say.
    pub fn publish_blind_transfer(&self, transfer: BlindTransfer) -> Result<(), TelephonyError> {
        let message = self.shared().message(&BLIND_TRANSFER, transfer);
        publish(self.bridge_topic_all(), message)
    }

    /// Publishes an attended transfer, on the topic of all bridges.
    ///
    /// # Errors
    /// What publish has to say.
    pub fn publish_attended_transfer(
        &self,
        transfer: AttendedTransfer,
    ) -> Result<(), TelephonyError> {
        let message = self.shared().message(&ATTENDED_TRANSFER, transfer);
        publish(self.bridge_topic_all(), message)
    }
}
