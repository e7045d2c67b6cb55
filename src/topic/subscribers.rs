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
use crate::subscription::filter::Accepted;
use crate::subscription::state::Subscriber;
use crate::sync::unmodelled::{Arc, Weak};
use smallvec::SmallVec;
use std::ops::Deref;
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

/// A chunked list. Copies share their chunks, and the table of them, if there are several. Most topics have
/// one subscriber, which stands in the listing itself, and two find room there as well.
#[derive(Debug, Clone, Default)]
pub(super) enum List {
    #[default]
    Empty,
    Single(Entry),
    Pair([Entry; 2]),
    One(Chunk),
    Many(Arc<[Chunk]>),
}

type Chunk = Arc<[Entry]>;

impl List {
    /// The first entries, and the chunks of the others. All chunks but the last one are full, and none is
    /// empty.
    #[inline]
    pub(super) fn parts(&self) -> (&[Entry], &[Chunk]) {
        match self {
            Self::Empty => (&[], &[]),
            Self::Single(entry) => (std::slice::from_ref(entry), &[]),
            Self::Pair(entries) => (entries, &[]),
            Self::One(chunk) => (chunk, &[]),
            Self::Many(chunks) => (&chunks[0], &chunks[1..]),
        }
    }

    #[inline]
    pub(super) fn iter(&self) -> impl Iterator<Item = Entry> + '_ {
        let (first, more) = self.parts();
        let more = more.iter().flat_map(|chunk| chunk.iter());
        first.iter().chain(more).copied()
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::Single(_) => 1,
            Self::Pair(_) => 2,
            Self::One(chunk) => chunk.len(),
            Self::Many(chunks) => (chunks.len() - 1) * CHUNK + chunks[chunks.len() - 1].len(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    fn entry(&self, index: usize) -> Option<Entry> {
        let (first, more) = self.parts();
        match (index / CHUNK).checked_sub(1) {
            None => first.get(index).copied(),
            Some(chunk) => more.get(chunk)?.get(index % CHUNK).copied(),
        }
    }

    /// Where a subscriber is: where it says that it is, or by looking through all, unless it was taken off.
    fn find(&self, subscriber: &Subscriber) -> Option<usize> {
        let hint = subscriber.place.get()?;
        if self.entry(hint).is_some_and(|entry| entry.same(subscriber)) {
            return Some(hint);
        }
        self.iter().position(|entry| entry.same(subscriber))
    }

    fn with(&self, entry: Entry) -> Self {
        entry.get().place.set(self.len());
        match self {
            Self::Empty => Self::Single(entry),
            Self::Single(first) => Self::Pair([*first, entry]),
            Self::Pair([first, second]) => Self::One([*first, *second, entry].into()),
            Self::One(chunk) if chunk.len() < CHUNK => Self::One(with_one(chunk, entry)),
            Self::One(chunk) => Self::Many([Arc::clone(chunk), [entry].into()].into()),
            Self::Many(chunks) => {
                let (last, full) = chunks.split_last().expect("there are several");
                let full = full.iter().map(Arc::clone);
                Self::Many(if last.len() < CHUNK {
                    full.chain([with_one(last, entry)]).collect()
                } else {
                    full.chain([Arc::clone(last), [entry].into()]).collect()
                })
            }
        }
    }

    /// Without the entry at `index`: the last one takes its place.
    fn without(&self, index: usize) -> Self {
        let last = self.len() - 1;
        let Some(moved) = self.entry(last) else {
            return Self::Empty;
        };
        if index < last {
            moved.get().place.set(index);
        }
        match self {
            Self::Empty | Self::Single(_) => Self::Empty,
            Self::Pair(entries) => Self::Single(entries[1 - index]),
            Self::One(chunk) if last == 2 => Self::Pair(match index {
                0 => [moved, chunk[1]],
                1 => [chunk[0], moved],
                _ => [chunk[0], chunk[1]],
            }),
            Self::One(chunk) => Self::One(replaced(&chunk[..last], index, moved)),
            Self::Many(chunks) => {
                let (end, full) = chunks.split_last().expect("there are several");
                let rest = &end[..end.len() - 1];
                let mut chunks: SmallVec<[Chunk; 128]> = full.iter().map(Arc::clone).collect();
                if index / CHUNK < full.len() {
                    let chunk = &mut chunks[index / CHUNK];
                    *chunk = replaced(chunk, index % CHUNK, moved);
                    if !rest.is_empty() {
                        chunks.push(rest.into());
                    }
                } else if !rest.is_empty() {
                    chunks.push(replaced(rest, index % CHUNK, moved));
                }
                match chunks.len() {
                    1 => chunks.pop().map_or(Self::Empty, Self::One),
                    _ => Self::Many(chunks.into_iter().collect()),
                }
            }
        }
    }
}

/// Those entries, and one more.
fn with_one(entries: &[Entry], entry: Entry) -> Chunk {
    let mut chunk: Chunk = std::iter::repeat_n(entry, entries.len() + 1).collect();
    let copies = Arc::get_mut(&mut chunk).expect("it is new");
    copies[..entries.len()].copy_from_slice(entries);
    chunk
}

/// Those entries, but for the one at `index`, if it is among them.
fn replaced(entries: &[Entry], index: usize, by: Entry) -> Chunk {
    let mut chunk: Chunk = entries.into();
    if index < entries.len() {
        Arc::get_mut(&mut chunk).expect("it is new")[index] = by;
    }
    chunk
}

/// Lists and the numbers of their types, sorted. Most topics have one, which stands in the listing itself.
#[derive(Debug, Clone)]
enum ByType {
    One((u32, List)),
    Several(Box<[(u32, List)]>),
}

impl ByType {
    fn of(mut lists: SmallVec<[(u32, List); 1]>) -> Self {
        match lists.len() {
            1 => lists.pop().map_or_else(Self::default, Self::One),
            _ => Self::Several(lists.into_boxed_slice()),
        }
    }

    #[inline]
    fn of_type(&self, id: u32) -> Option<&List> {
        match self {
            Self::One((one, list)) => (*one == id).then_some(list),
            Self::Several(lists) if lists.is_empty() => None,
            Self::Several(lists) => {
                let index = lists.binary_search_by_key(&id, |(id, _)| *id).ok()?;
                Some(&lists[index].1)
            }
        }
    }
}

impl Default for ByType {
    fn default() -> Self {
        Self::Several(Box::default())
    }
}

impl Deref for ByType {
    type Target = [(u32, List)];

    fn deref(&self) -> &[(u32, List)] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Several(lists) => lists,
        }
    }
}

/// The number of no type.
const NO_TYPE: u32 = u32::MAX;

/// All subscribers of a topic, by what they want.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Those that want every type but the bus's own.
    general: List,
    /// Those that want certain types, by the number of the type, sorted; those that want nothing for now
    /// under [`NO_TYPE`], so that who closes the topic finds them.
    by_type: ByType,
    /// What most topics have nothing of.
    rare: Option<Box<Rare>>,
    /// How many there are, each counted once.
    len: usize,
}

#[derive(Debug, Clone, Default)]
struct Rare {
    /// Those for which a publisher has to run code of the user's first, or to look at more than the type's
    /// number, whatever they want.
    slow: List,
    /// What publishers run.
    taps: Box<[Weak<TapInner>]>,
}

impl Rare {
    fn wants(&self, info: &TypeInfo, guard: &Guard) -> bool {
        let wants = |entry: Entry| entry.get().types.wants(info, guard);
        (!self.taps.is_empty() && !info.is_control()) || self.slow.iter().any(wants)
    }

    fn boxed_if_any(self) -> Option<Box<Self>> {
        (!self.slow.is_empty() || !self.taps.is_empty()).then(|| Box::new(self))
    }
}

impl Listing {
    /// Those that want that type and can be offered it right away, in two parts.
    #[inline(always)]
    pub(super) fn fast(&self, info: &TypeInfo) -> [&List; 2] {
        static NONE: List = List::Empty;
        let general = if info.is_control() {
            &NONE
        } else {
            &self.general
        };
        [general, self.typed(info.id()).unwrap_or(&NONE)]
    }

    /// How many those are.
    #[inline(always)]
    pub(super) fn count_fast(&self, info: &TypeInfo) -> usize {
        let [general, typed] = self.fast(info);
        general.len() + typed.len()
    }

    #[inline]
    fn typed(&self, id: u32) -> Option<&List> {
        self.by_type.of_type(id)
    }

    /// Those for which code of the user's is run first; whether they want the type is not decided yet.
    #[inline]
    pub(super) fn slow(&self) -> &List {
        self.rare.as_ref().map_or(&List::Empty, |rare| &rare.slow)
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// True if somebody wants every type but the bus's own, and can be offered it right away.
    pub(super) fn has_general(&self) -> bool {
        !self.general.is_empty()
    }

    /// True if there is more to look at than who wants what type.
    #[inline]
    pub(super) fn is_rare(&self) -> bool {
        self.rare.is_some()
    }

    /// The numbers of the types that somebody wants, and can be offered right away.
    pub(super) fn types(&self) -> impl Iterator<Item = u32> + '_ {
        let ids = self.by_type.iter().map(|(id, _)| *id);
        ids.filter(|id| *id != NO_TYPE)
    }

    #[inline]
    pub(super) fn taps(&self) -> &[Weak<TapInner>] {
        self.rare.as_ref().map_or(&[], |rare| &rare.taps)
    }

    /// True if a publish would do nothing here.
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0 && self.taps().is_empty()
    }

    /// With one tap more.
    pub(super) fn with_tap(&self, tap: Weak<TapInner>) -> Self {
        self.with_taps(self.taps().iter().cloned().chain([tap]).collect())
    }

    /// Without that tap.
    pub(super) fn without_tap(&self, tap: &Arc<TapInner>) -> Self {
        let is_other = |weak: &&Weak<TapInner>| !std::ptr::eq(weak.as_ptr(), Arc::as_ptr(tap));
        self.with_taps(self.taps().iter().filter(is_other).cloned().collect())
    }

    /// Without any tap.
    pub(super) fn without_taps(&self) -> Self {
        self.with_taps(Box::default())
    }

    fn with_taps(&self, taps: Box<[Weak<TapInner>]>) -> Self {
        Self {
            general: self.general.clone(),
            by_type: self.by_type.clone(),
            rare: Rare {
                slow: self.slow().clone(),
                taps,
            }
            .boxed_if_any(),
            len: self.len,
        }
    }

    /// True if somebody wants that type, as far as filters by type tell. A tap wants everything.
    pub(super) fn wants(&self, info: &TypeInfo, guard: &Guard) -> bool {
        let is_wanted = self.fast(info).iter().any(|list| !list.is_empty());
        is_wanted
            || self
                .rare
                .as_ref()
                .is_some_and(|rare| rare.wants(info, guard))
    }

    /// True if that one is on the list.
    pub(super) fn contains(&self, subscriber: &Subscriber, guard: &Guard) -> bool {
        let found = |list: &List| list.find(subscriber).is_some();
        if subscriber.types.as_changeable().is_some() && !subscriber.is_slow {
            // What it accepts by now may not be what it is listed by here.
            return found(&self.general) || self.by_type.iter().any(|(_, list)| found(list));
        }
        let spots = Spots::of(subscriber, subscriber.types.accepted(guard));
        spots.slow && found(self.slow())
            || spots.general && found(&self.general)
            || spots
                .ids
                .iter()
                .any(|id| self.typed(*id).is_some_and(found))
    }

    /// Every subscriber once.
    pub(super) fn all(&self) -> Vec<Arc<Subscriber>> {
        let typed = self.by_type.iter().flat_map(|(_, list)| list.iter());
        let mut entries: Vec<Entry> = self
            .general
            .iter()
            .chain(self.slow().iter())
            .chain(typed)
            .collect();
        entries.sort_by_key(|entry| entry.as_ptr());
        entries.dedup();
        entries.into_iter().map(Entry::to_arc).collect()
    }

    /// With one more. The reference is leaked into the list.
    pub(super) fn with(&self, subscriber: &Arc<Subscriber>, guard: &Guard) -> Self {
        // The list's own reference: see `retire`.
        std::mem::forget(Arc::clone(subscriber));
        let spots = Spots::of(subscriber, subscriber.types.accepted(guard));
        self.moved(subscriber, self.len + 1, &Spots::default(), &spots)
            .0
    }

    /// Without that one, if it is here. Whoever publishes the new list gives the reference to [`retire`].
    pub(super) fn without(&self, subscriber: &Arc<Subscriber>, guard: &Guard) -> Option<Self> {
        let spots = Spots::of(subscriber, subscriber.types.accepted(guard));
        let len = self.len.saturating_sub(1);
        let (new, found) = self.moved(subscriber, len, &spots, &Spots::default());
        found.then_some(new)
    }

    /// With one that is here listed by what it accepts from now on, no more by what it accepted before.
    pub(super) fn relisted(
        &self,
        subscriber: &Arc<Subscriber>,
        before: Accepted<'_>,
        after: Accepted<'_>,
    ) -> Self {
        let [before, after] = [before, after].map(|accepted| Spots::of(subscriber, accepted));
        self.moved(subscriber, self.len, &before, &after).0
    }

    /// The lists that a subscriber leaves or comes to are changed, the others copied: no list is copied to be
    /// changed, for a copy counts one more reference of each chunk. Gives the new listing, and whether it
    /// was on a list that it leaves.
    fn moved(
        &self,
        subscriber: &Arc<Subscriber>,
        len: usize,
        from: &Spots,
        to: &Spots,
    ) -> (Self, bool) {
        let mut found = false;
        let mut change = |list: &List, was: bool, is: bool| match (was, is) {
            (false, true) => list.with(Entry::of(subscriber)),
            (true, false) => match list.find(subscriber) {
                Some(index) => {
                    found = true;
                    list.without(index)
                }
                None => list.clone(),
            },
            _ => list.clone(),
        };
        let general = change(&self.general, from.general, to.general);
        let slow = change(self.slow(), from.slow, to.slow);
        let is_plain = from.ids.is_empty() && to.ids.is_empty();
        let by_type = if is_plain && self.by_type.is_empty() {
            ByType::default()
        } else if is_plain {
            self.by_type.clone()
        } else {
            self.moved_by_type(from, to, change)
        };
        let new = Self {
            general,
            by_type,
            rare: Rare {
                slow,
                taps: self.taps().into(),
            }
            .boxed_if_any(),
            len,
        };
        (new, found)
    }

    fn moved_by_type(
        &self,
        from: &Spots,
        to: &Spots,
        mut change: impl FnMut(&List, bool, bool) -> List,
    ) -> ByType {
        let mut change_typed = |id: u32, list: &List| change(list, from.has(id), to.has(id));
        let mut by_type: SmallVec<[(u32, List); 1]> = self
            .by_type
            .iter()
            .map(|(id, list)| (*id, change_typed(*id, list)))
            .collect();
        for id in &to.ids {
            if let Err(index) = by_type.binary_search_by_key(id, |(id, _)| *id) {
                by_type.insert(index, (*id, change_typed(*id, &List::default())));
            }
        }
        by_type.retain(|(_, list)| !list.is_empty());
        ByType::of(by_type)
    }
}

/// Which of the lists a subscriber is on, by what it accepts.
#[derive(Debug, Default)]
struct Spots {
    general: bool,
    slow: bool,
    /// The numbers of the types, sorted.
    ids: SmallVec<[u32; 4]>,
}

impl Spots {
    /// A router may have a thousand of them, and so has the topic then.
    fn has(&self, id: u32) -> bool {
        self.ids.binary_search(&id).is_ok()
    }

    fn of(subscriber: &Subscriber, accepted: Accepted<'_>) -> Self {
        if subscriber.is_slow {
            return Self {
                slow: true,
                ..Self::default()
            };
        }
        let mut ids = SmallVec::new();
        if subscriber.types.changes() {
            ids.push(CHANGE.id());
        }
        if let Some(infos) = accepted {
            ids.extend(infos.iter().map(|info| info.id()));
            if ids.is_empty() {
                ids.push(NO_TYPE);
            }
            ids.sort_unstable();
        }
        Self {
            general: accepted.is_none(),
            slow: false,
            ids,
        }
    }
}

/// Gives back the reference that listing this subscriber leaked, once no pin can see the list.
pub(super) fn retire(delisted: &Arc<Subscriber>, guard: &Guard) {
    let ptr = Arc::as_ptr(delisted);
    // SAFETY: `with` leaked this reference, and the caller has just taken it off the only list; the
    // subscriber lives by it at least
    let listed = unsafe { Arc::from_raw(ptr) };
    epoch::retire(listed, guard);
}
