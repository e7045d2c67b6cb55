//! Storing and announcing, as one step for each key: whatever publishers do at the same time, the updates
//! of a key come in the order of its stores, and after them (C2, C3).

use super::aggregate;
use super::builder::Rule;
use super::entry::{Book, Entry, Seen};
use super::shared::{Left, Shared, Verdict};
use super::update::{CACHE_CLEAR, CACHE_UPDATE, CacheClear, CacheUpdate, Clear};
use crate::message::{KeyRef, Message, Origin, TypeInfo};
use crate::sync::unmodelled::Arc;
use crate::topic::{Offered, PublishError, Staged, Topic};
use std::fmt;
use std::iter;

/// What a caching topic is made of: where messages come from, where they are kept, and where that is
/// announced.
pub(super) struct Announcer {
    pub(super) shared: Arc<Shared>,
    pub(super) original: Topic,
    pub(super) topic: Topic,
}

impl fmt::Debug for Announcer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Announcer")
            .field("topic", &self.topic.name())
            .finish_non_exhaustive()
    }
}

/// A change of one entry.
struct Change<'a> {
    entry: &'a Arc<Entry>,
    origin: Origin,
    new: Option<&'a Message>,
}

/// How a try to make a change ended.
enum Tried {
    /// It is made; what is left is to be done without the lock.
    Made,
    /// There is nothing to clear.
    Nothing,
    /// The entry is not what it was, or not there any more.
    Again,
    /// Somebody's filter has to be run before.
    NotPlain,
}

/// What is left to be done without the lock when a change is made: done as it is dropped. Filled in place
/// and never moved: it is big.
#[derive(Default)]
struct Made {
    /// A mailbox that fails when full has shed its update; its owner is told by a gap notice.
    offered: Option<Offered>,
    /// By a topic that is closed.
    refused: Vec<PublishError>,
    left: Left,
}

impl Announcer {
    pub(super) fn publishes_aggregates(&self) -> bool {
        self.shared.publishes_aggregates
    }

    /// A message was published on the topic that is cached. On the publisher's thread (C1).
    pub(super) fn tapped(self: &Arc<Self>, message: &Message) {
        if let Some(request) = message.payload(&CACHE_CLEAR) {
            self.requested(request);
            return;
        }
        match self.shared.judge(message) {
            Verdict::Keep(rule, key) => {
                let origin = self.shared.normal(message.origin());
                self.store(rule, key, origin, message);
            }
            Verdict::NotCacheable if self.shared.passes_uncacheable => {
                let is_update = message.is(&CACHE_UPDATE);
                if message.origin() != Origin::AGGREGATE && !is_update {
                    let _ = self.topic.publish(message.clone());
                }
            }
            Verdict::NotCacheable => {}
        }
    }

    fn requested(self: &Arc<Self>, request: &CacheClear) {
        match &request.0 {
            Clear::Like(sample) => {
                self.clear_like(sample);
            }
            Clear::Key { info, key, origin } => {
                self.clear_key(info, key.as_ref(), *origin);
            }
        }
    }

    fn store(
        self: &Arc<Self>,
        rule: Option<&Rule>,
        key: KeyRef<'_>,
        origin: Origin,
        new: &Message,
    ) {
        let is_same = rule.and_then(|rule| rule.is_same.as_ref());
        let mut is_plain = true;
        loop {
            let entry = self.shared.entry(new.info(), key);
            let mut seen = None;
            if is_same.is_some() || !is_plain {
                seen = entry.look(origin);
                let Some(seen) = &seen else { continue };
                let old = seen.message.as_ref();
                if old
                    .zip(is_same)
                    .is_some_and(|(old, is_same)| is_same(old, new))
                {
                    return;
                }
            }
            let change = Change {
                entry: &entry,
                origin,
                new: Some(new),
            };
            let tried = {
                let mut made = Made::default();
                self.make(&change, seen.as_ref(), is_plain, &mut made)
            };
            match tried {
                Tried::Made => {
                    if let Some(rule) = rule {
                        aggregate::renew(rule, &entry, Some(self));
                    }
                    return;
                }
                Tried::NotPlain => is_plain = false,
                Tried::Again | Tried::Nothing => {}
            }
        }
    }

    /// Forgets what has the type, key and origin of that message. False if there was nothing, `None` if the
    /// message is not cacheable.
    pub(super) fn clear_like(self: &Arc<Self>, sample: &Message) -> Option<bool> {
        match self.shared.judge(sample) {
            Verdict::Keep(_, key) => Some(self.clear_key(sample.info(), key, sample.origin())),
            Verdict::NotCacheable => None,
        }
    }

    /// Forgets what is cached for that. False if there was nothing.
    pub(super) fn clear_key(
        self: &Arc<Self>,
        info: &'static TypeInfo,
        key: KeyRef<'_>,
        origin: Origin,
    ) -> bool {
        let origin = self.shared.normal(origin);
        if origin == Origin::AGGREGATE {
            // It is made of snapshots, and goes with them.
            return false;
        }
        loop {
            // Not made for this: if it is not there, it is not cached.
            let Some(entry) = self.shared.find(info, key) else {
                return false;
            };
            if self.clear(&entry, origin) {
                return true;
            }
            if !entry.book.lock().is_gone {
                return false;
            }
        }
    }

    /// Forgets the snapshot of an origin. False if there was none.
    pub(super) fn clear(self: &Arc<Self>, entry: &Arc<Entry>, origin: Origin) -> bool {
        let mut is_plain = true;
        loop {
            let seen = if is_plain { None } else { entry.look(origin) };
            let change = Change {
                entry,
                origin,
                new: None,
            };
            let (tried, is_gone) = {
                let mut made = Made::default();
                let tried = self.make(&change, seen.as_ref(), is_plain, &mut made);
                (tried, made.left.is_gone)
            };
            match tried {
                Tried::Made => {
                    if let Some(rule) = self.shared.rule(entry.info).filter(|_| !is_gone) {
                        aggregate::renew(rule, entry, Some(self));
                    }
                    return true;
                }
                Tried::NotPlain => is_plain = false,
                Tried::Nothing => return false,
                Tried::Again if entry.book.lock().is_gone => return false,
                Tried::Again => {}
            }
        }
    }

    /// Makes the change and offers its updates, if the entry is as it was `seen`. If somebody's filter
    /// has to be run first, that is done for what the updates will be then.
    fn make(
        self: &Arc<Self>,
        change: &Change<'_>,
        seen: Option<&Seen>,
        is_plain: bool,
        made: &mut Made,
    ) -> Tried {
        let mut staged = [None, None];
        if let Some(seen) = seen.filter(|_| !is_plain) {
            let (update, end_of_aggregate) = change.updates(seen.clone());
            staged = [Some(update), end_of_aggregate].map(|update| {
                let update = CACHE_UPDATE.message(update?);
                self.topic.stage(update).ok()
            });
        }
        let mut book = change.entry.book.lock();
        self.shared.begin(&mut book);
        let is_stale = |seen: &Seen| {
            seen.version != book.version || seen.aggregate_version != book.aggregate_version
        };
        if book.is_gone
            || seen.is_some_and(is_stale)
            || !staged.iter().flatten().all(Staged::is_current)
        {
            drop(book);
            return Tried::Again;
        }
        if change.new.is_none() && change.entry.get(change.origin).is_none() {
            drop(book);
            return Tried::Nothing;
        }
        let tried = if is_plain {
            self.make_plainly(change, &mut book, made)
        } else {
            made.left = self.apply(change, &mut book);
            for staged in staged.into_iter().flatten() {
                staged.offer_into(made.offered.get_or_insert_default());
            }
            Tried::Made
        };
        if made.left.is_gone {
            self.shared.leave(change.entry, &mut book);
        }
        tried
    }

    /// Makes the change if there is nobody whose filter has to be run. Under the book's lock.
    fn make_plainly(
        self: &Arc<Self>,
        change: &Change<'_>,
        book: &mut Book,
        made: &mut Made,
    ) -> Tried {
        // Looked at before the store: who lists a filter later has seen no update of this key before
        // ours.
        let Some(stage) = self.topic.try_stage() else {
            return Tried::NotPlain;
        };
        let mut seen = Seen::counts(book);
        made.left = self.apply(change, book);
        if !self.topic.has_subscribers_for(&CACHE_UPDATE) {
            return Tried::Made;
        }
        // What has left the entry goes on in the updates, without being counted anew.
        seen.message = made.left.snapshot.take();
        seen.aggregate = made.left.aggregate.take();
        let (update, end_of_aggregate) = change.updates(seen);
        for update in iter::once(update).chain(end_of_aggregate) {
            let offered = made.offered.get_or_insert_default();
            let refused = stage.offer_into(CACHE_UPDATE.message(update), offered);
            made.refused.extend(refused.err());
        }
        Tried::Made
    }

    /// Stores. The store comes first, the offers after it (C2).
    fn apply(self: &Arc<Self>, change: &Change<'_>, book: &mut Book) -> Left {
        book.stored_by(change.origin, self, change.new.is_some());
        let new = change.new.cloned();
        self.shared.apply(change.entry, change.origin, new, book)
    }
}

impl Change<'_> {
    /// What is to be announced if it is made when the entry is as it was `seen`: the change, and the end
    /// of the aggregate if no snapshot is left.
    fn updates(&self, seen: Seen) -> (CacheUpdate, Option<CacheUpdate>) {
        let update = |origin, old, new, version| CacheUpdate {
            info: self.entry.info,
            key: self.entry.place.key.clone(),
            origin,
            old,
            new,
            version,
        };
        let is_last = self.new.is_none() && seen.snapshots == 1;
        let aggregate = seen.aggregate.filter(|_| is_last);
        let end = aggregate.map(|old| {
            let version = seen.aggregate_version + 1;
            update(Origin::AGGREGATE, Some(old), None, version)
        });
        let version = seen.version + 1;
        let first = update(self.origin, seen.message, self.new.cloned(), version);
        (first, end)
    }
}
