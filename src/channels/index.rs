//! Look-up tables: from an id to a snapshot, sharded, under short locks. No user code runs under the
//! locks: what is in here is plain data.

use crate::sync::unmodelled::{Arc, RwLock};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

/// How many parts a table has, each with a lock of its own.
const SHARDS: usize = 16;

type Shard<S> = RwLock<HashMap<Box<str>, Option<Arc<S>>>>;

/// An entry is a snapshot, or a place that is taken and has none yet.
#[derive(Debug)]
pub(super) struct Index<S> {
    shards: [Shard<S>; SHARDS],
    hasher: RandomState,
    /// The same for ids that are alike.
    fold: fn(&str) -> Box<str>,
}

impl<S> Index<S> {
    pub(super) fn new(fold: fn(&str) -> Box<str>) -> Self {
        Self {
            shards: std::array::from_fn(|_| RwLock::default()),
            hasher: RandomState::new(),
            fold,
        }
    }

    fn shard(&self, key: &str) -> &Shard<S> {
        let hash = self.hasher.hash_one(key);
        &self.shards[hash as usize % SHARDS]
    }

    /// Takes the place; false if somebody has it.
    pub(super) fn reserve(&self, id: &str) -> bool {
        let key = (self.fold)(id);
        let mut shard = self
            .shard(&key)
            .write()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let is_free = !shard.contains_key(&key);
        if is_free {
            shard.insert(key, None);
        }
        is_free
    }

    pub(super) fn store(&self, id: &str, snapshot: &Arc<S>) {
        let key = (self.fold)(id);
        let mut shard = self
            .shard(&key)
            .write()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        shard.insert(key, Some(Arc::clone(snapshot)));
    }

    /// Nobody finds it any more, and the place stays taken: by the caller, who has it.
    pub(super) fn hide(&self, id: &str) {
        let key = (self.fold)(id);
        let mut shard = self
            .shard(&key)
            .write()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        shard.insert(key, None);
    }

    /// Gives up the place that the caller has.
    pub(super) fn free(&self, id: &str) {
        let key = (self.fold)(id);
        let mut shard = self
            .shard(&key)
            .write()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        shard.remove(&key);
    }

    /// Removes this very snapshot: others may have put theirs in its place.
    pub(super) fn remove(&self, id: &str, snapshot: &Arc<S>) {
        let key = (self.fold)(id);
        let mut shard = self
            .shard(&key)
            .write()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let entry = shard.get(&key).and_then(Option::as_ref);
        if entry.is_some_and(|entry| Arc::ptr_eq(entry, snapshot)) {
            shard.remove(&key);
        }
    }

    pub(super) fn get(&self, id: &str) -> Option<Arc<S>> {
        let key = (self.fold)(id);
        let shard = self
            .shard(&key)
            .read()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        shard.get(&key).cloned().flatten()
    }

    /// All of them, in no order; each shard as of one moment.
    pub(super) fn all(&self) -> Vec<Arc<S>> {
        let mut all = Vec::new();
        for shard in &self.shards {
            let shard = shard
                .read()
                .unwrap_or_else(|poisoned| poisoned.into_inner());
            all.extend(shard.values().flatten().cloned());
        }
        all
    }
}
