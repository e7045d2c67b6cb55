//! The list of a topic's subscribers: immutable, read under a pin without a lock, replaced as a whole by
//! whoever holds the topic's control lock. It is indexed by message type, so that publish touches only
//! those that want the type, and chunked, so that a change copies one chunk and the table of chunks.

#![expect(
    unsafe_code,
    reason = "entries are pointers whose reference is retired through the epoch"
)]

use super::tap::TapInner;
use crate::epoch::{self, Guard};
use crate::message::{CHANGE, TypeInfo};
use crate::subscription::state::Subscriber;
use crate::sync::unmodelled::{Arc, Weak};
use smallvec::SmallVec;
use std::ptr::NonNull;

/// How many entries a chunk has at most: a change copies one chunk, and one pointer a chunk, whose
/// reference it counts. With 100,000 entries the one takes about as long as the other.
const CHUNK: usize = 1_024;

/// One subscriber on a list. The reference that keeps it alive is leaked when it is listed, and retired
/// when it is taken off, so it outlives every pin under which the list could be loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry(NonNull<Subscriber>);

// SAFETY: it stands for a reference to a `Subscriber`, which is Send and Sync
unsafe impl Send for Entry {}
// SAFETY: as above
unsafe impl Sync for Entry {}

impl Entry {
    /// An entry for as long as that reference lives.
    pub(super) fn of(subscriber: &Arc<Subscriber>) -> Self {
        let ptr = Arc::as_ptr(subscriber).cast_mut();
        Self(NonNull::new(ptr).expect("an Arc is not null"))
    }

    /// The subscriber, for as long as the list that the entry came from is pinned.
    #[inline]
    pub(super) fn get(&self) -> &Subscriber {
        // SAFETY: listed, so its reference is not retired before the pin ends under which this was loaded
        let subscriber = unsafe { self.0.as_ref() };
        subscriber.canary.read();
        subscriber
    }

    #[inline]
    pub(super) fn as_ptr(&self) -> *const Subscriber {
        self.0.as_ptr()
    }

    /// A reference that may be kept beyond the pin.
    pub(super) fn to_arc(self) -> Arc<Subscriber> {
        // SAFETY: the entry was made of an `Arc` whose reference is not retired yet
        unsafe { Arc::increment_strong_count(self.0.as_ptr()) };
        // SAFETY: the reference that was just added is ours
        unsafe { Arc::from_raw(self.0.as_ptr()) }
    }

    fn same(self, subscriber: &Subscriber) -> bool {
        std::ptr::eq(self.0.as_ptr(), subscriber)
    }
}

/// A chunked list. Copies share their chunks.
#[derive(Debug, Clone, Default)]
pub(super) struct List {
    chunks: Box<[Arc<[Entry]>]>,
}

impl List {
    #[inline]
    pub(super) fn chunks(&self) -> impl Iterator<Item = &[Entry]> {
        self.chunks.iter().map(|chunk| &**chunk)
    }

    #[inline]
    pub(super) fn iter(&self) -> impl Iterator<Item = Entry> + '_ {
        self.chunks.iter().flat_map(|chunk| chunk.iter().copied())
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        match self.chunks.split_last() {
            Some((last, full)) => full.len() * CHUNK + last.len(),
            None => 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    fn entry(&self, index: usize) -> Option<Entry> {
        self.chunks.get(index / CHUNK)?.get(index % CHUNK).copied()
    }

    /// Where a subscriber is: where it says that it is, or by looking through all, unless it was taken off.
    fn find(&self, subscriber: &Subscriber) -> Option<usize> {
        let hint = subscriber.place.get()? as usize;
        if self.entry(hint).is_some_and(|entry| entry.same(subscriber)) {
            return Some(hint);
        }
        self.iter().position(|entry| entry.same(subscriber))
    }

    fn with(&self, entry: Entry) -> Self {
        entry.get().place.set(self.len() as u64);
        let mut chunks = self.chunks.to_vec();
        match chunks.last_mut() {
            Some(last) if last.len() < CHUNK => {
                *last = last.iter().copied().chain([entry]).collect();
            }
            _ => chunks.push([entry].into()),
        }
        Self {
            chunks: chunks.into(),
        }
    }

    /// Without the entry at `index`: the last one takes its place.
    fn without(&self, index: usize) -> Self {
        let mut chunks = self.chunks.to_vec();
        let Some(last) = chunks.pop() else {
            return Self::default();
        };
        let moved = last[last.len() - 1];
        if last.len() > 1 {
            chunks.push(last[..last.len() - 1].into());
        }
        if index < self.len() - 1 {
            moved.get().place.set(index as u64);
            let mut chunk = chunks[index / CHUNK].to_vec();
            chunk[index % CHUNK] = moved;
            chunks[index / CHUNK] = chunk.into();
        }
        Self {
            chunks: chunks.into(),
        }
    }
}

/// All subscribers of a topic, by what they want.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Those that want every type but the bus's own.
    general: List,
    /// Those that want certain types, by the number of the type, sorted.
    by_type: Box<[(u32, List)]>,
    /// Those for which a publisher has to run code of the user's first, or to look at more than the type's
    /// number, whatever they want.
    slow: List,
    /// What publishers run.
    taps: Box<[Weak<TapInner>]>,
    /// How many there are, each counted once.
    len: usize,
}

impl Listing {
    /// Those that want that type and can be offered it right away, in two parts.
    #[inline]
    pub(super) fn fast(&self, info: &TypeInfo) -> impl Iterator<Item = &List> {
        let general = if info.is_control() {
            None
        } else {
            Some(&self.general)
        };
        general.into_iter().chain(self.typed(info.id()))
    }

    #[inline]
    fn typed(&self, id: u32) -> Option<&List> {
        if self.by_type.is_empty() {
            return None;
        }
        let index = self.by_type.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        Some(&self.by_type[index].1)
    }

    /// Those for which code of the user's is run first; whether they want the type is not decided yet.
    #[inline]
    pub(super) fn slow(&self) -> &List {
        &self.slow
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(super) fn taps(&self) -> &[Weak<TapInner>] {
        &self.taps
    }

    /// True if a publish would do nothing here.
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0 && self.taps.is_empty()
    }

    /// With one tap more.
    pub(super) fn with_tap(&self, tap: Weak<TapInner>) -> Self {
        self.with_taps(self.taps.iter().cloned().chain([tap]).collect())
    }

    /// Without that tap.
    pub(super) fn without_tap(&self, tap: &Arc<TapInner>) -> Self {
        let is_other = |weak: &&Weak<TapInner>| !std::ptr::eq(weak.as_ptr(), Arc::as_ptr(tap));
        self.with_taps(self.taps.iter().filter(is_other).cloned().collect())
    }

    fn with_taps(&self, taps: Box<[Weak<TapInner>]>) -> Self {
        Self {
            general: self.general.clone(),
            by_type: self.by_type.clone(),
            slow: self.slow.clone(),
            taps,
            len: self.len,
        }
    }

    /// True if somebody wants that type, as far as filters by type tell. A tap wants everything.
    pub(super) fn wants(&self, info: &TypeInfo) -> bool {
        (!self.taps.is_empty() && !info.is_control())
            || self.fast(info).any(|list| !list.is_empty())
            || self.slow.iter().any(|entry| accepts(entry.get(), info))
    }

    /// True if that one is on the list.
    pub(super) fn contains(&self, subscriber: &Subscriber) -> bool {
        let list = if subscriber.is_slow {
            Some(&self.slow)
        } else if subscriber.types.accepted().is_empty() {
            Some(&self.general)
        } else {
            subscriber.types.ids().find_map(|id| self.typed(id))
        };
        list.is_some_and(|list| list.find(subscriber).is_some())
    }

    /// Every subscriber once.
    pub(super) fn all(&self) -> Vec<Arc<Subscriber>> {
        let typed = self.by_type.iter().flat_map(|(_, list)| list.iter());
        let mut entries: Vec<Entry> = self
            .general
            .iter()
            .chain(self.slow.iter())
            .chain(typed)
            .collect();
        entries.sort_by_key(|entry| entry.as_ptr());
        entries.dedup();
        entries.into_iter().map(Entry::to_arc).collect()
    }

    /// With one more. The reference is leaked into the list.
    pub(super) fn with(&self, subscriber: &Arc<Subscriber>) -> Self {
        let entry = Entry::of(subscriber);
        // The list's own reference: see `retire`.
        std::mem::forget(Arc::clone(subscriber));
        self.changed(subscriber, self.len + 1, |list| list.with(entry))
    }

    /// Without that one, if it is here. Whoever publishes the new list gives the reference to [`retire`].
    pub(super) fn without(&self, subscriber: &Arc<Subscriber>) -> Option<Self> {
        let mut found = false;
        let new = self.changed(subscriber, self.len.saturating_sub(1), |list| {
            let index = list.find(subscriber);
            found |= index.is_some();
            index.map_or_else(|| list.clone(), |index| list.without(index))
        });
        found.then_some(new)
    }

    /// The lists that a subscriber belongs on are changed, the others copied: no list is copied to be
    /// changed, for a copy counts one more reference of each chunk.
    fn changed(
        &self,
        subscriber: &Subscriber,
        len: usize,
        mut change: impl FnMut(&List) -> List,
    ) -> Self {
        let is_slow = subscriber.is_slow;
        let is_general = !is_slow && subscriber.types.accepted().is_empty();
        let mut change_if = |applies, list: &List| {
            if applies { change(list) } else { list.clone() }
        };
        let ids: SmallVec<[u32; 4]> = match is_slow {
            true => SmallVec::new(),
            false => subscriber.types.ids().collect(),
        };
        let mut by_type: Vec<(u32, List)> = self
            .by_type
            .iter()
            .map(|(id, list)| (*id, change_if(ids.contains(id), list)))
            .collect();
        for id in &ids {
            if let Err(index) = by_type.binary_search_by_key(id, |(id, _)| *id) {
                by_type.insert(index, (*id, change_if(true, &List::default())));
            }
        }
        by_type.retain(|(_, list)| !list.is_empty());
        Self {
            general: change_if(is_general, &self.general),
            slow: change_if(is_slow, &self.slow),
            by_type: by_type.into(),
            taps: self.taps.clone(),
            len,
        }
    }
}

/// Whether a subscriber wants that type, as far as its filter by type tells.
#[inline]
pub(super) fn accepts(subscriber: &Subscriber, info: &TypeInfo) -> bool {
    let types = &subscriber.types;
    if info.is_control() {
        return types.changes() && *info == *CHANGE.info();
    }
    types.wants(info)
}

/// Gives back the references that listing these subscribers leaked, once no pin can see the list.
pub(super) fn retire(delisted: Vec<Arc<Subscriber>>, guard: &Guard) {
    let references = delisted
        .into_iter()
        .map(|subscriber| {
            let ptr = Arc::as_ptr(&subscriber);
            drop(subscriber);
            // SAFETY: `with` leaked this reference, and the caller has just taken it off the only list; the
            // subscriber lives by it at least
            unsafe { Arc::from_raw(ptr) }
        })
        .collect::<Vec<_>>();
    epoch::retire(Box::new(references), guard);
}
