//! The name of a subscription: the one that it was given, or one that is made of its topic's and its number
//! when somebody asks for it. Most are never asked.

use crate::sync::unmodelled::{Arc, OnceLock};

/// See the module.
#[derive(Debug)]
pub(crate) struct Name {
    topic: Arc<str>,
    text: OnceLock<Arc<str>>,
}

impl Name {
    pub(crate) fn new(topic: &Arc<str>, given: Option<String>) -> Self {
        Self {
            topic: Arc::clone(topic),
            text: given.map_or_else(OnceLock::new, |given| OnceLock::from(Arc::from(given))),
        }
    }

    /// The name of the topic.
    pub(crate) fn topic(&self) -> &Arc<str> {
        &self.topic
    }

    /// The name of the subscription with that number.
    pub(super) fn text(&self, id: u64) -> &Arc<str> {
        self.text
            .get_or_init(|| format!("{}#{id}", self.topic).into())
    }
}
