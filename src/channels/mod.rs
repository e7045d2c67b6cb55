//! The objects of telephony (feature `channels`): channels, bridges and endpoints as they live, what they
//! were like at one moment, and the messages about them, with their text as JSON and for AMI. All of it
//! uses the bus as anybody could.
//!
//! ```
//! use stasis_bus::Bus;
//! use stasis_bus::channels::{AMI, ChannelState, Telephony};
//! use stasis_bus::json::JSON;
//!
//! let bus = Bus::new()?;
//! let telephony = Telephony::new(&bus)?;
//! // What can be JSON, and nothing else.
//! let mut clients =
//!     telephony.channel_topic_all().subscribe().accept_format(&JSON).receiver()?;
//!
//! let alice = telephony.channel("1700000000.1", "PJSIP/alice-00000001")?;
//! alice.set_state(ChannelState::Up);
//! alice.publish()?;
//! alice.set_variable("LANGUAGE", b"caf\xc3\xa9 \xff\r\nEvent: Forged")?;
//!
//! let message = clients.recv()?;
//! let json: serde_json::Value = serde_json::from_str(&message.render(&JSON).unwrap())?;
//! assert_eq!(json["type"], "ChannelVarset");
//! assert_eq!(json["channel"]["state"], "Up");
//! assert_eq!(json["value"], "caf\u{e9} \u{fffd}\r\nEvent: Forged");
//! let ami = message.render(&AMI).unwrap();
//! assert!(ami.ends_with("Variable: LANGUAGE\r\nValue: caf\u{e9} \u{fffd}  Event: Forged\r\n\r\n"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod ami;
mod bridge;
mod bridge_snapshot;
mod channel;
mod commit;
mod dial;
mod endpoint;
mod error;
mod events;
mod index;
mod membership;
mod segments;
mod snapshot;
mod system;
mod telephony;
mod text;
mod transfer;
pub mod types;
mod user_event;

pub use ami::{AMI, AmiEvent};
pub use bridge::{Bridge, BridgeBlob, BridgeMerge, BridgeUpdate};
pub use bridge_snapshot::{BridgeSnapshot, VideoMode};
pub use channel::{Channel, Staging};
pub use commit::Publication;
pub use dial::Dial;
pub use endpoint::{Endpoint, EndpointBlob, EndpointSnapshot, EndpointState, EndpointUpdate};
pub use error::TelephonyError;
pub use events::Direction;
pub use segments::{
    Base, Bridged, Caller, ChannelState, Connected, Dialplan, Direct, Hangup, Peer,
};
pub use snapshot::{ChannelBlob, ChannelSnapshot, ChannelUpdate, MultiChannelBlob};
pub use system::{CallCompletion, ClusterDiscovery, NetworkChange, Registry};
pub use telephony::{Telephony, TelephonyBuilder};
pub use text::{MAX_ID_LEN, text};
pub use transfer::{AttendedTransfer, BlindTransfer, Destination, TransferLeg, TransferResult};
pub use types::*;
pub use user_event::EventObject;
