//! Blobs about several objects, each in a role: who calls and who is called. An object alone is a `Blob`.

use super::BlobError;
use serde_json::Value;

/// JSON that comes with snapshots of several objects, each in a role. Several may have the same one.
///
/// ```
/// use serde_json::json;
/// use stasis_bus::json::MultiBlob;
///
/// let dial = MultiBlob::new(json!({ "dialstatus": "ANSWER" }))
///     .with("caller", "alice")?
///     .with("peer", "bob")?
///     .with("peer", "carol")?;
/// assert_eq!(dial.get("Caller"), Some(&"alice"));
/// assert_eq!(dial.all("PEER").collect::<Vec<_>>(), [&"bob", &"carol"]);
/// assert_eq!(dial.get("forwarded"), None);
/// # Ok::<(), stasis_bus::json::BlobError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct MultiBlob<S> {
    data: Value,
    roles: Vec<(Box<str>, S)>,
}

impl<S> MultiBlob<S> {
    /// Any JSON, and nobody yet; `None` is JSON's null.
    #[must_use]
    pub fn new(data: impl Into<Option<Value>>) -> Self {
        Self {
            data: data.into().unwrap_or_default(),
            roles: Vec::new(),
        }
    }

    /// With one more.
    ///
    /// # Errors
    /// [`BlobError::EmptyRole`].
    pub fn with(mut self, role: impl Into<String>, snapshot: S) -> Result<Self, BlobError> {
        let role: String = role.into();
        if role.is_empty() {
            return Err(BlobError::EmptyRole);
        }
        self.roles.push((role.into(), snapshot));
        Ok(self)
    }

    /// The JSON.
    #[must_use]
    pub fn data(&self) -> &Value {
        &self.data
    }

    /// Who has that role; the first that was given it, if there are several. ASCII letters of roles are alike
    /// in both cases.
    #[must_use]
    pub fn get(&self, role: &str) -> Option<&S> {
        let mut roles = self.roles.iter();
        roles
            .find(|(own, _)| own.eq_ignore_ascii_case(role))
            .map(|(_, snapshot)| snapshot)
    }

    /// All who have that role, in the order in which they were given it.
    pub fn all<'a>(&'a self, role: &'a str) -> impl Iterator<Item = &'a S> {
        let roles = self.roles.iter();
        roles
            .filter(move |(own, _)| own.eq_ignore_ascii_case(role))
            .map(|(_, snapshot)| snapshot)
    }

    /// All, with their roles as they were given, in that order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &S)> {
        self.roles
            .iter()
            .map(|(role, snapshot)| (&**role, snapshot))
    }
}
