//! Blobs: JSON, and a snapshot of the one object that it is about. Those about several objects are in
//! `multi_blob.rs`.

use serde_json::Value;
use std::error::Error;
use std::fmt;
use std::ops::Index;

/// JSON that comes with a snapshot of the object it is about, or with none. `S` should be cheap to share, as
/// an `Arc` is.
///
/// ```
/// use serde_json::json;
/// use stasis_bus::json::{Blob, BlobError};
/// use std::sync::Arc;
///
/// let blob = Blob::new(Some(Arc::new("door")), json!({ "by": "key" }));
/// assert_eq!(blob.snapshot().map(|door| **door), Some("door"));
/// assert_eq!(blob["by"], "key");
/// assert!(blob["at"].is_null());
///
/// let typed = Blob::typed(None::<Arc<str>>, json!({ "type": "opened" }))?;
/// assert_eq!(typed.kind(), Some("opened"));
/// assert_eq!(Blob::typed(None::<Arc<str>>, json!({})), Err(BlobError::NoType));
/// # Ok::<(), BlobError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Blob<S> {
    snapshot: Option<S>,
    data: Value,
}

impl<S> Blob<S> {
    /// A snapshot or none, and any JSON; `None` is JSON's null.
    #[must_use]
    pub fn new(snapshot: Option<S>, data: impl Into<Option<Value>>) -> Self {
        let data = data.into().unwrap_or_default();
        Self { snapshot, data }
    }

    /// With JSON that says what it is: an object with a text under `type`.
    ///
    /// # Errors
    /// [`BlobError`] says what of that it is not.
    pub fn typed(snapshot: Option<S>, data: Value) -> Result<Self, BlobError> {
        match &data {
            Value::Object(fields) => match fields.get("type") {
                Some(Value::String(_)) => Ok(Self { snapshot, data }),
                Some(_) => Err(BlobError::TypeNotAString),
                None => Err(BlobError::NoType),
            },
            _ => Err(BlobError::NotAnObject),
        }
    }

    /// The object as it was.
    #[must_use]
    pub fn snapshot(&self) -> Option<&S> {
        self.snapshot.as_ref()
    }

    /// The JSON.
    #[must_use]
    pub fn data(&self) -> &Value {
        &self.data
    }

    /// What it says that it is: the text under `type`, if the JSON is an object with one.
    #[must_use]
    pub fn kind(&self) -> Option<&str> {
        self.data.get("type")?.as_str()
    }

    /// The text under a key, if there is one.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.data.get(key)?.as_str()
    }
}

/// What is under a key; null if nothing is.
impl<S> Index<&str> for Blob<S> {
    type Output = Value;

    fn index(&self, key: &str) -> &Value {
        &self.data[key]
    }
}

/// Why a blob or a user event could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BlobError {
    /// The JSON is no object.
    NotAnObject,
    /// The JSON has no field `type`.
    NoType,
    /// The field `type` is no text.
    TypeNotAString,
    /// A role needs a name.
    EmptyRole,
    /// A user event needs a name.
    EmptyName,
    /// The kind of an object is the name of a field that every user event has.
    ReservedKind,
}

impl fmt::Display for BlobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAnObject => "the JSON of a blob must be an object",
            Self::NoType => "the JSON has no field `type`",
            Self::TypeNotAString => "the field `type` must be a text",
            Self::EmptyRole => "a role needs a name",
            Self::EmptyName => "a user event needs a name",
            Self::ReservedKind => "the kind of an object is the name of a field of the event",
        })
    }
}

impl Error for BlobError {}
