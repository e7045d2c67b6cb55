//! Keys: what a message is about, as numbers, texts or bytes. They are of the bus's own making, so that to
//! hash and to compare them under a lock or a pin runs no code of the user's (R1).

use crate::sync::unmodelled::Arc;
use std::fmt;
use std::hash::{Hash, Hasher};

/// A key that owns what it is: a number, a text or bytes. Clones share the text.
///
/// ```
/// use stasis_bus::Key;
/// assert_eq!(Key::from("a"), Key::from(String::from("a")));
/// assert_ne!(Key::from(1_u64), Key::from("1"));
/// ```
#[derive(Clone)]
pub struct Key(Owned);

#[derive(Clone)]
enum Owned {
    Number(u128),
    Text(Arc<str>),
    Bytes(Arc<[u8]>),
}

/// A key that is only looked at. What it is made from is borrowed, so to look something up allocates
/// nothing.
///
/// ```
/// use stasis_bus::{Key, KeyRef};
/// let looked_up: KeyRef<'_> = "line/7".into();
/// assert_eq!(looked_up.to_key(), Key::from("line/7"));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyRef<'a>(Borrowed<'a>);

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Borrowed<'a> {
    Number(u128),
    Text(&'a str),
    Bytes(&'a [u8]),
}

/// What a key is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyKind {
    /// An integer, of whatever size.
    Number,
    /// A text.
    Text,
    /// Bytes.
    Bytes,
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Number => "a number",
            Self::Text => "a text",
            Self::Bytes => "bytes",
        })
    }
}

impl Key {
    /// The same, borrowed.
    #[must_use]
    pub fn as_ref(&self) -> KeyRef<'_> {
        KeyRef(match &self.0 {
            Owned::Number(number) => Borrowed::Number(*number),
            Owned::Text(text) => Borrowed::Text(text),
            Owned::Bytes(bytes) => Borrowed::Bytes(bytes),
        })
    }

    /// What it is made of.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        self.as_ref().kind()
    }

    /// The number, if it is one. Negative ones are as `as u128` makes them.
    #[must_use]
    pub fn number(&self) -> Option<u128> {
        match self.0 {
            Owned::Number(number) => Some(number),
            _ => None,
        }
    }

    /// The text, if it is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.0 {
            Owned::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl KeyRef<'_> {
    /// Hashes it together with a number, in few writes.
    #[inline]
    pub(crate) fn hash_with<H: Hasher>(self, number: u64, state: &mut H) {
        match self.0 {
            Borrowed::Number(key) => {
                state.write_u64(number << 2);
                state.write_u128(key);
            }
            Borrowed::Text(text) => {
                state.write_u64(number << 2 | 1);
                state.write(text.as_bytes());
            }
            Borrowed::Bytes(bytes) => {
                state.write_u64(number << 2 | 2);
                state.write(bytes);
            }
        }
    }

    /// A key that owns what it is.
    #[must_use]
    pub fn to_key(self) -> Key {
        Key(match self.0 {
            Borrowed::Number(number) => Owned::Number(number),
            Borrowed::Text(text) => Owned::Text(text.into()),
            Borrowed::Bytes(bytes) => Owned::Bytes(bytes.into()),
        })
    }

    /// What it is made of.
    #[must_use]
    pub fn kind(self) -> KeyKind {
        match self.0 {
            Borrowed::Number(_) => KeyKind::Number,
            Borrowed::Text(_) => KeyKind::Text,
            Borrowed::Bytes(_) => KeyKind::Bytes,
        }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.as_ref() == other.as_ref()
    }
}

impl Eq for Key {}

/// As its borrowed form: tables are searched by that.
impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_ref().hash(state);
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().fmt(f)
    }
}

impl fmt::Debug for KeyRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Borrowed::Number(number) => number.fmt(f),
            Borrowed::Text(text) => text.fmt(f),
            Borrowed::Bytes(bytes) => bytes.fmt(f),
        }
    }
}

/// As it is shown, a text without quotes.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Owned::Number(number) => number.fmt(f),
            Owned::Text(text) => f.write_str(text),
            Owned::Bytes(bytes) => write!(f, "{bytes:02x?}"),
        }
    }
}

impl<'a> From<&'a Key> for KeyRef<'a> {
    fn from(key: &'a Key) -> Self {
        key.as_ref()
    }
}

impl From<KeyRef<'_>> for Key {
    fn from(key: KeyRef<'_>) -> Self {
        key.to_key()
    }
}

impl<'a> From<&'a str> for KeyRef<'a> {
    fn from(text: &'a str) -> Self {
        Self(Borrowed::Text(text))
    }
}

impl<'a> From<&'a String> for KeyRef<'a> {
    fn from(text: &'a String) -> Self {
        Self(Borrowed::Text(text))
    }
}

impl<'a> From<&'a [u8]> for KeyRef<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self(Borrowed::Bytes(bytes))
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Self {
        Self(Owned::Text(text.into()))
    }
}

impl From<String> for Key {
    fn from(text: String) -> Self {
        Self(Owned::Text(text.into()))
    }
}

impl From<Arc<str>> for Key {
    fn from(text: Arc<str>) -> Self {
        Self(Owned::Text(text))
    }
}

impl From<&[u8]> for Key {
    fn from(bytes: &[u8]) -> Self {
        Self(Owned::Bytes(bytes.into()))
    }
}

impl From<Vec<u8>> for Key {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Owned::Bytes(bytes.into()))
    }
}

impl From<u32> for Key {
    fn from(number: u32) -> Self {
        Self(Owned::Number(number.into()))
    }
}

impl From<u32> for KeyRef<'_> {
    fn from(number: u32) -> Self {
        Self(Borrowed::Number(number.into()))
    }
}

impl From<u64> for Key {
    fn from(number: u64) -> Self {
        Self(Owned::Number(number.into()))
    }
}

impl From<u64> for KeyRef<'_> {
    fn from(number: u64) -> Self {
        Self(Borrowed::Number(number.into()))
    }
}

impl From<u128> for Key {
    fn from(number: u128) -> Self {
        Self(Owned::Number(number))
    }
}

impl From<u128> for KeyRef<'_> {
    fn from(number: u128) -> Self {
        Self(Borrowed::Number(number))
    }
}

impl From<usize> for Key {
    fn from(number: usize) -> Self {
        Self(Owned::Number(number as u128))
    }
}

impl From<usize> for KeyRef<'_> {
    fn from(number: usize) -> Self {
        Self(Borrowed::Number(number as u128))
    }
}

impl From<i32> for Key {
    fn from(number: i32) -> Self {
        Self(Owned::Number(number as u128))
    }
}

impl From<i32> for KeyRef<'_> {
    fn from(number: i32) -> Self {
        Self(Borrowed::Number(number as u128))
    }
}

impl From<i64> for Key {
    fn from(number: i64) -> Self {
        Self(Owned::Number(number as u128))
    }
}

impl From<i64> for KeyRef<'_> {
    fn from(number: i64) -> Self {
        Self(Borrowed::Number(number as u128))
    }
}
