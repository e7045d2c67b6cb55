//! Building a cache: what is kept, by which key, and what is made of it. Checked once, at the end.

use super::Cache;
use super::aggregate::{Aggregate, AggregateFn, Snapshots, calculate};
use super::error::CacheError;
use super::shared::Shared;
use crate::message::{KeyKind, KeyRef, Message, MessageType, Origin, TypeInfo};
use crate::sync::unmodelled::{Arc, OnceLock};
use std::fmt;

pub(super) type KeyFn = Box<dyn for<'a> Fn(&'a Message) -> Option<KeyRef<'a>> + Send + Sync>;
pub(super) type SameFn = Box<dyn Fn(&Message, &Message) -> bool + Send + Sync>;

/// What a cache does with messages of one type.
pub(super) struct Rule {
    pub(super) info: &'static TypeInfo,
    pub(super) key: KeyFn,
    /// What its keys are made of, once there has been one.
    pub(super) kind: OnceLock<KeyKind>,
    pub(super) is_same: Option<SameFn>,
    pub(super) aggregate: Option<AggregateFn>,
}

/// Builds a [`Cache`].
///
/// ```
/// use stasis_bus::{Cache, MessageType};
///
/// #[derive(PartialEq)]
/// struct Presence { user: String, state: &'static str }
/// static PRESENCE: MessageType<Presence> = MessageType::new("presence");
///
/// let cache = Cache::builder()
///     .key(&PRESENCE, |presence| Some(presence.user.as_str().into()))
///     .suppress_unchanged(&PRESENCE)
///     .build()?;
/// assert!(cache.get(&PRESENCE, "alice")?.is_none());
/// # Ok::<(), stasis_bus::CacheError>(())
/// ```
#[must_use = "a builder does nothing until `build`"]
#[derive(Default)]
pub struct CacheBuilder {
    rules: Vec<Rule>,
    key_for_others: Option<KeyFn>,
    passes_uncacheable: bool,
    keeps_aggregates: bool,
    wrong: Option<CacheError>,
}

impl fmt::Debug for CacheBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.rules.iter().map(|rule| rule.info.name());
        f.debug_struct("CacheBuilder")
            .field("types", &names.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl CacheBuilder {
    /// Keeps messages of that type, by the key that the function gives. `None`: not cacheable. It runs on
    /// publishers' threads, without any lock.
    pub fn key<T: Send + Sync + 'static>(
        mut self,
        message_type: &MessageType<T>,
        key: impl for<'a> Fn(&'a T) -> Option<KeyRef<'a>> + Send + Sync + 'static,
    ) -> Self {
        let info = message_type.info();
        if self.rules.iter().any(|rule| rule.info == info) {
            return self.again(info);
        }
        self.rules.push(Rule {
            info,
            key: Box::new(move |message| key(message.get::<T>()?)),
            kind: OnceLock::new(),
            is_same: None,
            aggregate: None,
        });
        self
    }

    /// Keeps messages of all other types, too, by the key that the function gives. `None`: not cacheable.
    pub fn key_for_others(
        mut self,
        key: impl for<'a> Fn(&'a Message) -> Option<KeyRef<'a>> + Send + Sync + 'static,
    ) -> Self {
        if self.key_for_others.is_some() {
            self.wrong
                .get_or_insert(CacheError::DuplicateType { name: "*" });
            return self;
        }
        self.key_for_others = Some(Box::new(key));
        self
    }

    /// A message of that type that is equal to what is cached is neither stored nor announced.
    pub fn suppress_unchanged<T: PartialEq + Send + Sync + 'static>(
        self,
        message_type: &MessageType<T>,
    ) -> Self {
        self.suppress_if(message_type, |old, new| old == new)
    }

    /// A message of that type is neither stored nor announced if `is_same(old, new)`. Runs on publishers'
    /// threads, without any lock, and again if another message of the key came in between.
    pub fn suppress_if<T: Send + Sync + 'static>(
        mut self,
        message_type: &MessageType<T>,
        is_same: impl Fn(&T, &T) -> bool + Send + Sync + 'static,
    ) -> Self {
        let info = message_type.info();
        if self.rule(info).is_some_and(|rule| rule.is_same.is_some()) {
            return self.again(info);
        }
        if let Some(rule) = self.rule(info) {
            rule.is_same = Some(Box::new(move |old, new| {
                let both = old.get::<T>().zip(new.get::<T>());
                both.is_some_and(|(old, new)| is_same(old, new))
            }));
        }
        self
    }

    /// Makes an aggregate over the snapshots that all origins have of one key (C5). `calculate` runs on
    /// publishers' threads, without any lock, after each change of the key; if several come at once,
    /// perhaps once for them all. What it makes is published on the topic that is cached, with
    /// [`Origin::AGGREGATE`], and announced on the caching topic.
    pub fn aggregate<T: Send + Sync + 'static>(
        mut self,
        message_type: &'static MessageType<T>,
        calculate_new: impl Fn(&Snapshots<'_, T>) -> Aggregate<T> + Send + Sync + 'static,
    ) -> Self {
        let info = message_type.info();
        if self.rule(info).is_some_and(|rule| rule.aggregate.is_some()) {
            return self.again(info);
        }
        if let Some(rule) = self.rule(info) {
            let make = |payload| message_type.message_with_origin(payload, Origin::AGGREGATE);
            rule.aggregate = Some(Box::new(move |view| calculate(view, &calculate_new, make)));
        }
        self
    }

    /// Aggregates are announced on caching topics only, and not published on the topics that are cached.
    pub fn keep_aggregates(mut self) -> Self {
        self.keeps_aggregates = true;
        self
    }

    /// Caching topics publish what is not cacheable as it is, if `true`. Default: they leave it out, as
    /// the original does.
    pub fn pass_uncacheable(mut self, passes: bool) -> Self {
        self.passes_uncacheable = passes;
        self
    }

    /// There is such a rule already.
    fn again(mut self, info: &'static TypeInfo) -> Self {
        self.wrong
            .get_or_insert(CacheError::DuplicateType { name: info.name() });
        self
    }

    fn rule(&mut self, info: &'static TypeInfo) -> Option<&mut Rule> {
        let found = self.rules.iter_mut().find(|rule| rule.info == info);
        if found.is_none() {
            self.wrong
                .get_or_insert(CacheError::NoKey { name: info.name() });
        }
        found
    }

    /// Builds the cache. It keeps nothing before [`Cache::attach`].
    ///
    /// # Errors
    /// [`CacheError::DuplicateType`] for two key functions, or two rules of a kind, of one type,
    /// [`CacheError::NoKey`] for a rule about a type without one: say the key first.
    pub fn build(self) -> Result<Cache, CacheError> {
        if let Some(wrong) = self.wrong {
            return Err(wrong);
        }
        let mut rules = self.rules;
        rules.sort_by_key(|rule| rule.info.id());
        Ok(Cache::new(Arc::new(Shared::new(
            rules,
            self.key_for_others,
            self.passes_uncacheable,
            !self.keeps_aggregates,
        ))))
    }
}
