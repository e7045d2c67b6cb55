//! The map of a cache: from type and key to an entry, and in an entry from origin to a place. Reading
//! takes no lock and is not retried because others write. It is papaya's; in models, which it knows
//! nothing of, a locked map stands in for it, and gives them no more happens-before edges than it does.
//!
//! What it frees late is memory of the bus's own: entries are emptied before they leave, keys are
//! [`Key`]s. So neither hashing nor comparing nor dropping in here runs code of the user's (R1).

use crate::message::{Key, KeyRef};
use crate::sync::unmodelled::Arc;
use std::hash::{Hash, Hasher};

/// The type's number, and the key.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) type_id: u32,
    pub(super) key: Key,
}

impl Hash for Place {
    fn hash<H: Hasher>(&self, state: &mut H) {
        PlaceRef {
            type_id: self.type_id,
            key: self.key.as_ref(),
        }
        .hash(state);
    }
}

#[derive(Clone, Copy)]
pub(super) struct PlaceRef<'a> {
    pub(super) type_id: u32,
    pub(super) key: KeyRef<'a>,
}

/// By few and long writes: to hash is most of what a read costs.
impl Hash for PlaceRef<'_> {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash_with(u64::from(self.type_id), state);
    }
}

impl PlaceRef<'_> {
    fn to_place(self) -> Place {
        Place {
            type_id: self.type_id,
            key: self.key.to_key(),
        }
    }
}

/// From `K` to shared `V`s.
pub(super) struct Index<K, V>(map::Map<K, V>);

impl<K, V> std::fmt::Debug for Index<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Index")
    }
}

impl<K: Hash + Eq + Clone + Send + Sync, V: Send + Sync> Default for Index<K, V> {
    fn default() -> Self {
        Self(map::Map::new())
    }
}

impl<V: Send + Sync> Index<Place, V> {
    pub(super) fn get(&self, place: PlaceRef<'_>) -> Option<Arc<V>> {
        self.with(place, Arc::clone)
    }

    /// That of the place, or a new one.
    pub(super) fn get_or_insert(&self, place: PlaceRef<'_>, new: impl FnOnce() -> V) -> Arc<V> {
        if let Some(found) = self.get(place) {
            return found;
        }
        self.0.get_or_insert(place.to_place(), Arc::new(new()))
    }
}

impl<K: Hash + Eq + Clone + Send + Sync, V: Send + Sync> Index<K, V> {
    pub(super) fn insert(&self, key: K, value: Arc<V>) -> Arc<V> {
        self.0.get_or_insert(key, value)
    }

    /// Takes out what is there of that key, if it is that value.
    pub(super) fn remove(&self, key: &K, value: &Arc<V>) {
        self.0.remove(key, value);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Calls `look` with each that is there from beginning to end, and perhaps with such as come and go
    /// meanwhile. `look` runs under the map's guard: nothing of the user's in there.
    pub(super) fn for_each(&self, look: impl FnMut(&K, &Arc<V>)) {
        self.0.for_each(look);
    }
}

#[cfg(not(loom))]
mod map {
    use super::{Index, Place, PlaceRef};
    use crate::sync::unmodelled::Arc;
    use crate::sync::{thread, thread_local};
    use foldhash::fast::RandomState;
    use papaya::{Equivalent, HashMap};
    use std::hash::Hash;
    use std::panic::resume_unwind;

    pub(super) struct Map<K, V>(HashMap<K, Arc<V>, RandomState>);

    impl Equivalent<Place> for PlaceRef<'_> {
        #[inline]
        fn equivalent(&self, place: &Place) -> bool {
            self.type_id == place.type_id && place.key.is(self.key)
        }
    }

    /// There until the thread is torn down, and gone before what papaya keeps for the thread: what comes
    /// later is destroyed earlier.
    struct Teardown;

    impl Teardown {
        fn after_papaya() -> Self {
            drop(HashMap::<(), ()>::new().guard());
            Self
        }
    }

    impl Drop for Teardown {
        fn drop(&mut self) {}
    }

    thread_local! {
        static TEARDOWN: Teardown = Teardown::after_papaya();
    }

    #[inline]
    fn is_torn_down() -> bool {
        TEARDOWN.try_with(|_| ()).is_err()
    }

    /// With a guard of the thread's, or, while that is torn down and may still look at caches, one of its
    /// own.
    macro_rules! guarded {
        ($map:expr, $guard:ident => $do:expr) => {
            if is_torn_down() {
                let $guard = &$map.owned_guard();
                $do
            } else {
                let $guard = &$map.guard();
                $do
            }
        };
    }

    /// Changes want more of papaya's than a guard: while the thread is torn down, another one makes them.
    fn on_a_thread<R: Send>(change: impl FnOnce() -> R + Send) -> R {
        if !is_torn_down() {
            return change();
        }
        let changed = thread::scope(|scope| scope.spawn(change).join());
        changed.unwrap_or_else(|panic| resume_unwind(panic))
    }

    impl<V> Index<Place, V> {
        /// Calls `look` with what is there. It runs under the map's guard.
        #[inline]
        pub(in crate::cache) fn with<R>(
            &self,
            place: PlaceRef<'_>,
            look: impl FnOnce(&Arc<V>) -> R,
        ) -> Option<R> {
            guarded!(self.0.0, guard => self.0.0.get(&place, guard).map(look))
        }
    }

    impl<K: Hash + Eq + Clone, V> Index<K, V> {
        #[inline]
        pub(in crate::cache) fn with_key<R>(
            &self,
            key: &K,
            look: impl FnOnce(&Arc<V>) -> R,
        ) -> Option<R> {
            guarded!(self.0.0, guard => self.0.0.get(key, guard).map(look))
        }
    }

    impl<K: Hash + Eq + Clone + Send + Sync, V: Send + Sync> Map<K, V> {
        pub(super) fn new() -> Self {
            Self(HashMap::with_hasher(RandomState::default()))
        }

        pub(super) fn get_or_insert(&self, key: K, value: Arc<V>) -> Arc<V> {
            on_a_thread(|| Arc::clone(self.0.pin().get_or_insert(key, value)))
        }

        pub(super) fn remove(&self, key: &K, value: &Arc<V>) {
            let is_same = |_: &K, found: &Arc<V>| Arc::ptr_eq(found, value);
            on_a_thread(|| {
                let _ = self.0.pin().remove_if(key, is_same);
            });
        }

        pub(super) fn len(&self) -> usize {
            self.0.len()
        }

        pub(super) fn for_each(&self, mut look: impl FnMut(&K, &Arc<V>)) {
            guarded!(self.0, guard => self.0.iter(guard).for_each(|(key, value)| look(key, value)));
        }
    }
}

#[cfg(loom)]
mod map {
    use super::{Index, Place, PlaceRef};
    use crate::sync::atomic::{AtomicU64, Ordering};
    use crate::sync::unmodelled::{Arc, RwLock};
    use std::collections::HashMap;
    use std::hash::Hash;

    pub(super) struct Map<K, V> {
        /// Of the system, so that no model changes threads under it.
        map: RwLock<HashMap<K, Arc<V>>>,
        /// The one edge that papaya gives: who finds a value sees what was before it was put there.
        edge: AtomicU64,
    }

    impl<V> Index<Place, V> {
        pub(in crate::cache) fn with<R>(
            &self,
            place: PlaceRef<'_>,
            look: impl FnOnce(&Arc<V>) -> R,
        ) -> Option<R> {
            self.with_key(&place.to_place(), look)
        }
    }

    impl<K: Hash + Eq + Clone, V> Index<K, V> {
        pub(in crate::cache) fn with_key<R>(
            &self,
            key: &K,
            look: impl FnOnce(&Arc<V>) -> R,
        ) -> Option<R> {
            self.0.turn();
            let found = self.0.map.read().unwrap().get(key).cloned();
            found.as_ref().map(look)
        }
    }

    impl<K: Hash + Eq + Clone, V> Map<K, V> {
        pub(super) fn new() -> Self {
            Self {
                map: RwLock::new(HashMap::new()),
                edge: AtomicU64::new(0),
            }
        }

        /// A point where the model may change threads, right before what is done to the map: so it tries
        /// both orders of any two of these.
        fn turn(&self) {
            // Acquire: pairs with the Release in `get_or_insert`. An addition, so that it is the latest
            // one.
            self.edge.fetch_add(0, Ordering::Acquire);
        }

        pub(super) fn get_or_insert(&self, key: K, value: Arc<V>) -> Arc<V> {
            // AcqRel: Release pairs with `turn`; Acquire, for what is found instead.
            self.edge.fetch_add(1, Ordering::AcqRel);
            let mut map = self.map.write().unwrap();
            Arc::clone(map.entry(key).or_insert(value))
        }

        pub(super) fn remove(&self, key: &K, value: &Arc<V>) {
            self.turn();
            let mut map = self.map.write().unwrap();
            let is_same = map.get(key).is_some_and(|found| Arc::ptr_eq(found, value));
            let removed = if is_same { map.remove(key) } else { None };
            drop(map);
            drop(removed);
        }

        pub(super) fn len(&self) -> usize {
            self.map.read().unwrap().len()
        }

        pub(super) fn for_each(&self, mut look: impl FnMut(&K, &Arc<V>)) {
            self.turn();
            let all: Vec<_> = {
                let map = self.map.read().unwrap();
                map.iter()
                    .map(|(k, v)| (k.clone(), Arc::clone(v)))
                    .collect()
            };
            for (key, value) in &all {
                look(key, value);
            }
        }
    }
}
