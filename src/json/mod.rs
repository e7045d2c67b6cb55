//! JSON (feature `json`): the format, and payloads that are JSON plus snapshots of what it is about. It does
//! *not* know what the objects are; those of telephony are in `channels`.
//!
//! ```
//! use serde_json::{Value, json};
//! use stasis_bus::json::{self, Blob, JSON};
//! use stasis_bus::{Formatter, MessageType, Rendering};
//! use std::sync::Arc;
//!
//! struct Door { name: String }
//!
//! fn opened(blob: &Blob<Arc<Door>>, _: &Rendering<'_>) -> Option<Value> {
//!     Some(json!({ "type": "Opened", "door": blob.snapshot()?.name, "by": blob["by"] }))
//! }
//!
//! static OPENED: MessageType<Blob<Arc<Door>>> = MessageType::with_formats(
//!     "opened",
//!     &[Formatter::new(&JSON, |blob, rendering| json::text(opened(blob, rendering)))],
//! );
//!
//! let door = Arc::new(Door { name: "front".into() });
//! let message = OPENED.message(Blob::new(Some(door), json!({ "by": "a \"key\"" })));
//! assert_eq!(
//!     message.render(&JSON).as_deref(),
//!     Some(r#"{"by":"a \"key\"","door":"front","type":"Opened"}"#),
//! );
//! ```

mod blob;
mod multi_blob;
mod time;
mod user_event;

pub use blob::{Blob, BlobError};
pub use multi_blob::MultiBlob;
pub use time::{system_time, timestamp};
pub use user_event::{Object, UserEvent};

use crate::{Format, Formatter, Rendering};
use serde_json::Value;

/// The format. What is rendered in it is one JSON value, on one line.
pub static JSON: Format = Format::new("json");

/// The text of what a function made, for a [`Formatter`] of [`JSON`]: see the module's example. Whatever is
/// in the strings of `value`, the text is one JSON value.
#[must_use]
pub fn text(value: impl Into<Option<Value>>) -> Option<String> {
    value.into().map(|value| value.to_string())
}

/// A payload that knows its JSON, whatever the type of the message.
pub trait ToJson {
    /// Its JSON; `None` if there is none, or none for whom it is rendered.
    fn to_json(&self, rendering: &Rendering<'_>) -> Option<Value>;
}

/// A formatter for payloads that know their JSON.
///
/// ```
/// use serde_json::{Value, json};
/// use stasis_bus::json::{JSON, ToJson, formatter};
/// use stasis_bus::{MessageType, Rendering};
///
/// struct Count(u32);
///
/// impl ToJson for Count {
///     fn to_json(&self, _: &Rendering<'_>) -> Option<Value> {
///         Some(json!({ "count": self.0 }))
///     }
/// }
///
/// static COUNT: MessageType<Count> = MessageType::with_formats("count", &[formatter()]);
/// assert_eq!(COUNT.message(Count(7)).render(&JSON).as_deref(), Some(r#"{"count":7}"#));
/// ```
#[must_use]
pub const fn formatter<T: ToJson>() -> Formatter<T> {
    Formatter::new(&JSON, |payload, rendering| text(payload.to_json(rendering)))
}
