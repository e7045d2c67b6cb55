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
    /// Its high half and its low one: a `u128` would have all that has a key in it aligned to 16 bytes, and
    /// memory of messages with such payloads, cache updates among them, is not kept.
    Number([u64; 2]),
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

#[inline]
const fn halves(number: u128) -> [u64; 2] {
    [(number >> 64) as u64, number as u64]
}

#[inline]
const fn whole([high, low]: [u64; 2]) -> u128 {
    (high as u128) << 64 | low as u128
}

impl Key {
    /// The same, borrowed.
    #[inline]
    #[must_use]
    pub fn as_ref(&self) -> KeyRef<'_> {
        KeyRef(match &self.0 {
            Owned::Number(number) => Borrowed::Number(whole(*number)),
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
            Owned::Number(number) => Some(whole(number)),
            _ => None,
        }
    }

    /// Whether it is that one.
    #[inline]
    pub(crate) fn is(&self, other: KeyRef<'_>) -> bool {
        match (&self.0, other.0) {
            (Owned::Number(own), Borrowed::Number(other)) => *own == halves(other),
            (Owned::Text(own), Borrowed::Text(other)) => **own == *other,
            (Owned::Bytes(own), Borrowed::Bytes(other)) => **own == *other,
            _ => false,
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
    /// Hashes it together with a number, in few writes: a number in one.
    #[inline]
    pub(crate) fn hash_with<H: Hasher>(self, number: u64, state: &mut H) {
        match self.0 {
            Borrowed::Number(key) => {
                state.write_u128(key ^ u128::from(number) << 64);
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
            Borrowed::Number(number) => Owned::Number(halves(number)),
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
        self.is(other.as_ref())
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
            Owned::Number(number) => whole(*number).fmt(f),
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
        Self(Owned::Number(halves(number.into())))
    }
}

impl From<u32> for KeyRef<'_> {
    fn from(number: u32) -> Self {
        Self(Borrowed::Number(number.into()))
    }
}

impl From<u64> for Key {
    fn from(number: u64) -> Self {
        Self(Owned::Number(halves(number.into())))
    }
}

impl From<u64> for KeyRef<'_> {
    fn from(number: u64) -> Self {
        Self(Borrowed::Number(number.into()))
    }
}

impl From<u128> for Key {
    fn from(number: u128) -> Self {
        Self(Owned::Number(halves(number)))
    }
}

impl From<u128> for KeyRef<'_> {
    fn from(number: u128) -> Self {
        Self(Borrowed::Number(number))
    }
}

impl From<usize> for Key {
    fn from(number: usize) -> Self {
        Self(Owned::Number(halves(number as u128)))
    }
}

impl From<usize> for KeyRef<'_> {
    fn from(number: usize) -> Self {
        Self(Borrowed::Number(number as u128))
    }
}

impl From<i32> for Key {
    fn from(number: i32) -> Self {
        Self(Owned::Number(halves(number as u128)))
    }
}

impl From<i32> for KeyRef<'_> {
    fn from(number: i32) -> Self {
        Self(Borrowed::Number(number as u128))
    }
}

impl From<i64> for Key {
    fn from(number: i64) -> Self {
        Self(Owned::Number(halves(number as u128)))
    }
}

impl From<i64> for KeyRef<'_> {
    fn from(number: i64) -> Self {
        Self(Borrowed::Number(number as u128))
    }
}
