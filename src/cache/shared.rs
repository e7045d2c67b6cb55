//! What all handles of a cache and all its caching topics share: the rules, and the index of what is
//! kept.

use super::aggregate;
use super::builder::{KeyFn, Rule};
use super::entry::{Book, Entry};
use super::error::CacheError;
use super::index::{Index, Place, PlaceRef};
use super::update::{CACHE_CLEAR, CACHE_UPDATE};
use crate::message::{KeyRef, Message, Origin, TypeInfo};
use crate::sync::Mutex;
use crate::sync::unmodelled::{Arc, OnceLock};
use std::fmt;

/// See the module.
pub(super) struct Shared {
    rules: Vec<Rule>,
    key_for_others: Option<KeyFn>,
    pub(super) passes_uncacheable: bool,
    pub(super) publishes_aggregates: bool,
    pub(super) index: Index<Place, Entry>,
    /// The greatest version of what has left the index: who comes back counts on from there.
    floor: Mutex<u64>,
    /// That of the bus, once there is one: to us it is the local one.
    pub(super) own_origin: OnceLock<Origin>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// What has left an entry.
#[derive(Default)]
pub(super) struct Left {
    pub(super) snapshot: Option<Message>,
    pub(super) aggregate: Option<Message>,
    /// Nothing is left: the entry itself is to leave the index.
    pub(super) is_gone: bool,
}

/// What the rules say of a message.
pub(super) enum Verdict<'a> {
    Keep(Option<&'a Rule>, KeyRef<'a>),
    NotCacheable,
}

impl Shared {
    pub(super) fn new(
        rules: Vec<Rule>,
        key_for_others: Option<KeyFn>,
        passes_uncacheable: bool,
        publishes_aggregates: bool,
    ) -> Self {
        Self {
            rules,
            key_for_others,
            passes_uncacheable,
            publishes_aggregates,
            index: Index::default(),
            floor: Mutex::new(0),
            own_origin: OnceLock::new(),
        }
    }

    pub(super) fn rule(&self, info: &TypeInfo) -> Option<&Rule> {
        let found = self
            .rules
            .binary_search_by_key(&info.id(), |rule| rule.info.id());
        found.ok().map(|index| &self.rules[index])
    }

    /// The origin as it is kept: the bus's own is the local one.
    #[inline]
    pub(super) fn normal(&self, origin: Origin) -> Origin {
        match self.own_origin.get() {
            Some(own) if *own == origin => Origin::LOCAL,
            _ => origin,
        }
    }

    /// Runs the key function.
    pub(super) fn judge<'a>(&'a self, message: &'a Message) -> Verdict<'a> {
        // What caches say is not cached: it would be said again, and so on.
        let is_own = message.is(&CACHE_UPDATE) || message.is(&CACHE_CLEAR);
        if message.origin() == Origin::AGGREGATE || is_own {
            return Verdict::NotCacheable;
        }
        let rule = self.rule(message.info());
        let key = rule.map(|rule| &rule.key).or(self.key_for_others.as_ref());
        let Some(key) = key.and_then(|key| key(message)) else {
            return Verdict::NotCacheable;
        };
        if let Some(rule) = rule {
            rule.kind.get_or_init(|| key.kind());
        }
        Verdict::Keep(rule, key)
    }

    /// Whether a key can be one of that type.
    pub(super) fn check(&self, info: &'static TypeInfo, key: KeyRef<'_>) -> Result<(), CacheError> {
        let name = info.name();
        let Some(rule) = self.rule(info) else {
            return match self.key_for_others {
                Some(_) => Ok(()),
                None => Err(CacheError::NotCacheable { name }),
            };
        };
        match rule.kind.get() {
            Some(expected) if *expected != key.kind() => Err(CacheError::WrongKey {
                name,
                expected: *expected,
                given: key.kind(),
            }),
            _ => Ok(()),
        }
    }

    /// What is cached for that, without a lock.
    #[inline]
    pub(super) fn get(&self, info: &TypeInfo, key: KeyRef<'_>, origin: Origin) -> Option<Message> {
        let place = PlaceRef {
            type_id: info.id(),
            key,
        };
        self.index.with(place, |entry| entry.get(origin)).flatten()
    }

    pub(super) fn find(&self, info: &TypeInfo, key: KeyRef<'_>) -> Option<Arc<Entry>> {
        self.index.get(PlaceRef {
            type_id: info.id(),
            key,
        })
    }

    pub(super) fn entry(&self, info: &'static TypeInfo, key: KeyRef<'_>) -> Arc<Entry> {
        let place = PlaceRef {
            type_id: info.id(),
            key,
        };
        let new = || {
            let key = key.to_key();
            Entry::new(
                info,
                Place {
                    type_id: info.id(),
                    key,
                },
            )
        };
        self.index.get_or_insert(place, new)
    }

    /// Has the book of a new entry count on from where any that has left the index has come to. Before
    /// its first change, and so after it has come into the index, after the one of its key that was there
    /// before has left.
    pub(super) fn begin(&self, book: &mut Book) {
        if book.version == 0 {
            let floor = *self.floor.lock();
            book.version = floor;
            book.aggregate_version = floor;
            book.aggregated = floor;
        }
    }

    /// Stores a snapshot, or clears one. Under the book's lock. What has left the cache is to be dropped
    /// without it; if nothing is left, [`Shared::leave`] follows.
    pub(super) fn apply(
        &self,
        entry: &Arc<Entry>,
        origin: Origin,
        new: Option<Message>,
        book: &mut Book,
    ) -> Left {
        debug_assert_ne!(origin, Origin::AGGREGATE, "an aggregate is no snapshot");
        let mut left = Left::default();
        let comes = usize::from(new.is_some());
        left.snapshot = entry.replace(origin, new);
        book.version += 1;
        book.snapshots += comes;
        book.snapshots -= usize::from(left.snapshot.is_some());
        if book.snapshots == 0 {
            left.aggregate = entry.aggregate.replace(None);
            book.aggregate_version += 1;
            left.is_gone = true;
        }
        left
    }

    /// Takes an entry out of the index that nothing is left in. Under the book's lock, and after the
    /// offers: the one that comes in its place has a book of its own, and must not announce anything
    /// before (C3).
    pub(super) fn leave(&self, entry: &Arc<Entry>, book: &mut Book) {
        book.is_gone = true;
        let mut floor = self.floor.lock();
        *floor = (*floor).max(book.version).max(book.aggregate_version);
        drop(floor);
        self.index.remove(&entry.place, entry);
    }

    /// Forgets a snapshot whose caching topic has gone: there is nobody to tell.
    fn clear_silently(&self, entry: &Arc<Entry>, origin: Origin) -> bool {
        let mut book = entry.book.lock();
        if book.is_gone || entry.get(origin).is_none() {
            return false;
        }
        let left = self.apply(entry, origin, None, &mut book);
        if left.is_gone {
            self.leave(entry, &mut book);
        }
        drop(book);
        if let Some(rule) = self.rule(entry.info).filter(|_| !left.is_gone) {
            aggregate::renew(rule, entry, None);
        }
        left.snapshot.is_some()
    }

    /// Forgets all snapshots of an origin, each with its update. How many there were.
    pub(super) fn expire(&self, origin: Origin) -> usize {
        if origin == Origin::AGGREGATE {
            return 0;
        }
        let mut found = Vec::new();
        self.index.for_each(|_, entry| {
            if entry.get(origin).is_some() {
                found.push(Arc::clone(entry));
            }
        });
        let expired = found.iter().filter(|entry| {
            let announcer = entry.book.lock().announcer(origin).upgrade();
            match announcer {
                Some(announcer) => announcer.clear(entry, origin),
                None => self.clear_silently(entry, origin),
            }
        });
        expired.count()
    }
}
