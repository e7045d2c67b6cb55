//! The name of a subscription: the one that it was given, or one that is made of its topic's and its number
//! when somebody asks for it. Most are never asked.

use crate::sync::unmodelled::{Arc, OnceBox};

/// See the module.
#[derive(Debug)]
pub(crate) struct Name {
    topic: Arc<str>,
    text: OnceBox<Arc<str>>,
}

impl Name {
    pub(crate) fn new(topic: &Arc<str>, given: Option<String>) -> Self {
        Self {
            topic: Arc::clone(topic),
            text: given.map_or_else(OnceBox::new, |given| {
                OnceBox::with_value(Box::new(given.into()))
            }),
        }
    }

    /// The name of the topic.
    pub(crate) fn topic(&self) -> &Arc<str> {
        &self.topic
    }

    /// The name of the subscription with that number. It is kept.
    pub(super) fn text(&self, id: u64) -> &Arc<str> {
        self.text.get_or_init(|| Box::new(self.make(id)))
    }

    /// The same, and nothing is kept: who looks at the figures of all subscriptions adds nothing to them.
    pub(super) fn copy(&self, id: u64) -> Arc<str> {
        self.text.get().map_or_else(|| self.make(id), Arc::clone)
    }

    fn make(&self, id: u64) -> Arc<str> {
        format!("{}#{id}", self.topic).into()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_copy_leaves_nothing_behind() {
        let topic = Arc::from("topic");
        let name = Name::new(&topic, None);
        assert_eq!(&*name.copy(7), "topic#7");
        assert!(name.text.get().is_none());
        let kept = Arc::clone(name.text(7));
        assert!(Arc::ptr_eq(&name.copy(7), &kept), "what is there is shared");
        let given = Name::new(&topic, Some("given".to_owned()));
        assert_eq!((&*given.copy(7), &**given.text(7)), ("given", "given"));
    }
}
