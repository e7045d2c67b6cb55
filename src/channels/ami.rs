//! AMI: lines of `Key: value`, ended by an empty one. What is written goes through one writer, which lets
//! nobody end a line, or begin another one, by what they put into a value or a key.

use crate::Format;
use std::fmt::{Display, Write};

/// The format of the manager interface: one event, its lines ended by CR LF, and an empty line after
/// them.
pub static AMI: Format = Format::new("ami");

/// Keys that are not an event's own to use.
const HEADS: [&str; 7] = [
    "Event",
    "Response",
    "ActionID",
    "Privilege",
    "EventList",
    "Message",
    "Timestamp",
];

/// How AMI writes a text that there is none of.
pub(super) fn known(text: &str) -> &str {
    if text.is_empty() { "<unknown>" } else { text }
}

/// Writes one event.
///
/// Control characters, line breaks of Unicode and NUL become spaces in values; in keys they become
/// underscores, and so do spaces, colons and whatever is not ASCII. So there are as many lines as there
/// are fields, whatever is in them. Keys that say what the whole is (`Event`, `Response`, `ActionID`,
/// `Privilege`, `EventList`, `Message`, `Timestamp`) get an underscore before them: an event has one name.
///
/// ```
/// use stasis_bus::channels::AmiEvent;
///
/// let event = AmiEvent::new("UserEvent")
///     .field("UserEvent", "harmless\r\nEvent: Shutdown\r\n\r\n")
///     .field("Bad Key: x\n", 7);
/// assert_eq!(
///     event.finish(),
///     "Event: UserEvent\r\nUserEvent: harmless  Event: Shutdown    \r\nBad_Key__x_: 7\r\n\r\n",
/// );
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct AmiEvent {
    text: String,
}

impl AmiEvent {
    /// An event of that name.
    pub fn new(name: &str) -> Self {
        let mut event = Self {
            text: String::from("Event"),
        };
        event.value(name);
        event
    }

    /// With one more line.
    pub fn field(self, key: &str, value: impl Display) -> Self {
        self.prefixed("", key, value)
    }

    /// With one more line, whose key has two parts.
    pub fn prefixed(mut self, prefix: &str, key: &str, value: impl Display) -> Self {
        let key: String = prefix.chars().chain(key.chars()).map(key_char).collect();
        if key.is_empty() || HEADS.iter().any(|head| head.eq_ignore_ascii_case(&key)) {
            self.text.push('_');
        }
        self.text.push_str(&key);
        self.value(value);
        self
    }

    fn value(&mut self, value: impl Display) {
        self.text.push_str(": ");
        // A `Display` that fails has written a part of its value, and the line ends there.
        let _ = write!(Value(&mut self.text), "{value}");
        self.text.push_str("\r\n");
    }

    /// With that line, if there is something to put into it.
    pub fn optional(self, key: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.field(key, value),
            None => self,
        }
    }

    /// The event, and the empty line after it.
    #[must_use]
    pub fn finish(mut self) -> String {
        self.text.push_str("\r\n");
        self.text
    }
}

/// Takes what a value is written as, and lets no line end in it.
struct Value<'a>(&'a mut String);

impl Write for Value<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.extend(text.chars().map(value_char));
        Ok(())
    }
}

fn key_char(c: char) -> char {
    if c.is_ascii_graphic() && c != ':' {
        c
    } else {
        '_'
    }
}

fn value_char(c: char) -> char {
    let breaks = c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    if breaks { ' ' } else { c }
}
