//! Text from the wire: what is no UTF-8 is replaced, what serves as an id is checked.

use super::TelephonyError;

/// The longest id or name of a channel, a bridge, an endpoint or a variable, in bytes.
pub const MAX_ID_LEN: usize = 256;

/// Text of bytes that may be anything: what is no UTF-8 becomes U+FFFD.
///
/// ```
/// use stasis_bus::channels::text;
/// assert_eq!(text(b"caf\xc3\xa9 \xff!"), "caf\u{e9} \u{fffd}!");
/// ```
#[must_use]
pub fn text(bytes: impl AsRef<[u8]>) -> String {
    String::from_utf8_lossy(bytes.as_ref()).into_owned()
}

/// Text that something is known by.
pub(super) fn id(what: &'static str, bytes: impl AsRef<[u8]>) -> Result<String, TelephonyError> {
    let id = text(bytes);
    match id.len() {
        0 => Err(TelephonyError::Empty { what }),
        len if len > MAX_ID_LEN => Err(TelephonyError::TooLong { what, len }),
        _ => Ok(id),
    }
}

/// The same for all texts that differ in the case of ASCII letters only.
pub(super) fn folded(id: &str) -> Box<str> {
    id.to_ascii_lowercase().into()
}

/// Of endpoints only the technology is folded.
pub(super) fn endpoint_key(id: &str) -> Box<str> {
    match id.split_once('/') {
        Some((technology, resource)) => {
            format!("{}/{resource}", technology.to_ascii_uppercase()).into()
        }
        None => id.into(),
    }
}
