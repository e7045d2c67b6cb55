//! User events: whatever an application wants to tell the others, with the objects that it is about.

use super::{BlobError, ToJson, timestamp};
use crate::{Rendering, Subject};
use serde_json::{Map, Value};
use std::any::Any;

/// An object that a [`UserEvent`] can be about.
pub trait Object: Any {
    /// Its kind, which is its key in the event's JSON.
    fn kind(&self) -> &str;

    /// Which one of its kind.
    fn id(&self) -> &str;

    /// What it is like, for sanitizers: see [`Subject::snapshot`].
    fn snapshot(&self) -> &dyn Any;

    /// Its JSON, without what is to be left out of it. That the object itself is not, was asked before.
    fn to_json(&self, rendering: &Rendering<'_>) -> Value;
}

/// An event with a name of its own, JSON, and snapshots of the objects that it is about.
///
/// As JSON it has the fields `type` (always `ChannelUserevent`), `timestamp`, `eventname`, `userevent` (the
/// JSON that it was made with), and one for each kind of its objects: a list of all of that kind, in the
/// order in which they were added. (Asterisk has the last one there, alone, and loses the others.) Objects
/// that the sanitizer leaves out are not in it.
///
/// ```
/// use serde_json::{Value, json};
/// use stasis_bus::{MessageType, Rendering};
/// use stasis_bus::json::{JSON, Object, UserEvent, formatter};
/// use std::any::Any;
///
/// struct Door(&'static str);
///
/// impl Object for Door {
///     fn kind(&self) -> &str { "door" }
///     fn id(&self) -> &str { self.0 }
///     fn snapshot(&self) -> &dyn Any { self }
///     fn to_json(&self, _: &Rendering<'_>) -> Value { json!({ "id": self.0 }) }
/// }
///
/// static USER_EVENT: MessageType<UserEvent<Door>> =
///     MessageType::with_formats("user_event", &[formatter()]);
///
/// let event = UserEvent::new("locked", json!({ "by": "Anna" }))?
///     .with(Door("front"))?
///     .with(Door("back"))?;
/// let text = USER_EVENT.message(event).render(&JSON).unwrap();
/// let value: Value = serde_json::from_str(&text)?;
/// assert_eq!(value["door"], json!([{ "id": "front" }, { "id": "back" }]));
/// assert_eq!(value["userevent"], json!({ "by": "Anna" }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct UserEvent<O> {
    name: Box<str>,
    data: Value,
    objects: Vec<O>,
}

impl<O> UserEvent<O> {
    /// An event about no object yet. `data` is an object, or null for none.
    ///
    /// # Errors
    /// [`BlobError::EmptyName`] and [`BlobError::NotAnObject`].
    pub fn new(name: impl Into<String>, data: impl Into<Option<Value>>) -> Result<Self, BlobError> {
        let name: String = name.into();
        let data = data.into().unwrap_or_default();
        if name.is_empty() {
            return Err(BlobError::EmptyName);
        }
        if !data.is_object() && !data.is_null() {
            return Err(BlobError::NotAnObject);
        }
        Ok(Self {
            name: name.into(),
            data,
            objects: Vec::new(),
        })
    }

    /// About one more object.
    ///
    /// # Errors
    /// [`BlobError::ReservedKind`] if the object's kind is the name of a field that every event has.
    pub fn with(mut self, object: impl Into<O>) -> Result<Self, BlobError>
    where
        O: Object,
    {
        let object = object.into();
        if OWN_FIELDS.contains(&object.kind()) {
            return Err(BlobError::ReservedKind);
        }
        self.objects.push(object);
        Ok(self)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its JSON: an object, or null.
    #[must_use]
    pub fn data(&self) -> &Value {
        &self.data
    }

    /// All that it is about, in the order in which they were added.
    #[must_use]
    pub fn objects(&self) -> &[O] {
        &self.objects
    }
}

/// The fields that an object's kind cannot be the key of.
const OWN_FIELDS: [&str; 4] = ["type", "timestamp", "eventname", "userevent"];

impl<O: Object> ToJson for UserEvent<O> {
    fn to_json(&self, rendering: &Rendering<'_>) -> Option<Value> {
        let mut fields = Map::new();
        fields.insert("type".into(), "ChannelUserevent".into());
        fields.insert(
            "timestamp".into(),
            timestamp(rendering.message().timestamp()),
        );
        fields.insert("eventname".into(), (*self.name).into());
        fields.insert("userevent".into(), self.data.clone());
        let objects = self.objects.iter().filter(|object| {
            let subject = Subject::new(object.kind(), object.id());
            !rendering.leaves_out(&subject.with_snapshot(object.snapshot()))
        });
        for object in objects {
            let list = fields
                .entry(object.kind())
                .or_insert_with(|| Vec::<Value>::new().into());
            if let Value::Array(list) = list {
                list.push(object.to_json(rendering));
            }
        }
        Some(Value::Object(fields))
    }
}
