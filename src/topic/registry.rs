//! The live topics of a bus, by name: the same name gives the same topic for as long as that lives, and no
//! two threads that ask for it at once get an error or a twin.

use super::core::Core;
use super::node::{Alive, Kind};
use crate::sync::Mutex;
use crate::sync::unmodelled::{Arc, Weak};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

/// How many parts the registry has, each with its own lock. A model has one: it must take the same locks each
/// time, and a name's part is left to chance.
const SHARDS: usize = if cfg!(loom) { 1 } else { 16 };

type Shard = Mutex<HashMap<Arc<str>, Weak<Alive>>>;

/// See the module.
#[derive(Debug)]
pub(crate) struct Registry {
    shards: [Shard; SHARDS],
    hasher: RandomState,
}

impl Registry {
    pub(super) fn new() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::new(HashMap::new())),
            hasher: RandomState::new(),
        }
    }

    fn shard(&self, name: &str) -> &Shard {
        &self.shards[self.hasher.hash_one(name) as usize % SHARDS]
    }

    /// The live topic of that name: not one that is closed, whose name is free.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Alive>> {
        let known = self.shard(name).lock().get(name).and_then(Weak::upgrade);
        // Outside the lock: if it was the last reference, it looks for itself in here.
        known.filter(|alive| !alive.node.is_closed())
    }

    /// The live topic of that name, or a new one; a closed one makes way for a new one.
    pub(crate) fn get_or_create(
        &self,
        core: &Arc<Core>,
        name: &str,
        total_order: bool,
    ) -> Arc<Alive> {
        let mut shard = self.shard(name).lock();
        let live = shard.get(name).and_then(Weak::upgrade);
        match live {
            Some(alive) if !alive.node.is_closed() => alive,
            closed => {
                let name: Arc<str> = name.into();
                let alive = core.new_node(Arc::clone(&name), total_order, Kind::Named);
                core.aggregates.join(core, &alive.node);
                shard.insert(name, Arc::downgrade(&alive));
                drop(shard);
                // Outside the lock: if it was the last reference, it looks for itself in here.
                drop(closed);
                alive
            }
        }
    }

    /// Forgets a topic that has ended, unless another one of its name has taken its place.
    pub(super) fn forget(&self, ended: &Alive) {
        let mut shard = self.shard(&ended.node.name).lock();
        let is_same = shard
            .get(&ended.node.name)
            .is_some_and(|weak| std::ptr::eq(weak.as_ptr(), ended));
        if is_same {
            shard.remove(&ended.node.name);
        }
    }

    /// Every live topic, in no order.
    pub(crate) fn all(&self) -> Vec<Arc<Alive>> {
        self.matching(|_| true)
    }

    /// Every live topic whose name is one of those, in no order.
    pub(super) fn matching(&self, is_one: impl Fn(&str) -> bool) -> Vec<Arc<Alive>> {
        let mut all = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock();
            let some = shard.iter().filter(|(name, _)| is_one(name));
            all.extend(some.filter_map(|(_, alive)| alive.upgrade()));
        }
        all
    }
}
