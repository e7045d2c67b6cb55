//! Beginning with what is cached (C4). Who subscribes is listed first, and looks into the cache afterwards:
//! every update that is not in what was seen then comes to the mailbox, and those in it that were seen are
//! known by their versions. Keys that were not there are known from where they begin.

use super::announcer::Announcer;
use super::entry::Entry;
use super::error::CacheError;
use super::index::Place;
use super::shared::Shared;
use super::update::{CACHE_UPDATE, CacheUpdate};
use crate::message::{Message, MessageType, Origin};
use crate::subscription::{Receiver, Subscription};
use crate::sync::Mutex;
use crate::sync::unmodelled::Arc;
use crate::topic::SubscriptionBuilder;
use std::collections::{HashMap, HashSet, VecDeque};

/// Sent behind the look into the cache: what is in the mailbox before it may have been seen already, what
/// comes after it has not.
static LOOKED: MessageType<Looked> = MessageType::new("cache_looked");

/// What a handler begins with. Taken out by the one that it is for.
struct Looked(Mutex<Option<Begin>>);

struct Begin {
    updates: Vec<CacheUpdate>,
    known: Known,
}

/// A key, and whether it is its aggregate.
type Line = (Place, bool);

/// What a subscriber knows of the keys, until it has come to [`LOOKED`].
#[derive(Default)]
struct Known {
    /// The versions that were seen, of those of which no newer one has come yet.
    seen: HashMap<Line, u64>,
    /// Those that were not seen and have begun since: the subscriber has had all of their updates.
    begun: HashSet<Line>,
}

impl Known {
    /// True for an update that goes on from what the subscriber knows.
    fn is_news(&mut self, update: &CacheUpdate) -> bool {
        let place = Place {
            type_id: update.info.id(),
            key: update.key.clone(),
        };
        let line = (place, update.is_aggregate());
        match self.seen.get(&line) {
            Some(seen) if update.version <= *seen => return false,
            Some(_) => drop(self.seen.remove(&line)),
            // It was not there when we looked, and this is the rest of what there was before.
            None if update.old.is_some() && !self.begun.contains(&line) => return false,
            None => {}
        }
        if update.new.is_some() {
            self.begun.insert(line);
        } else {
            self.begun.remove(&line);
        }
        true
    }
}

/// All that is cached, as updates, and the versions of that.
fn look(shared: &Shared, only: Option<&Arc<Announcer>>) -> Begin {
    let mut entries = Vec::new();
    shared
        .index
        .for_each(|_, entry| entries.push(Arc::clone(entry)));
    let mut begin = Begin {
        updates: Vec::new(),
        known: Known::default(),
    };
    for entry in entries {
        look_at(&entry, only, &mut begin);
    }
    begin
}

fn look_at(entry: &Arc<Entry>, only: Option<&Arc<Announcer>>, begin: &mut Begin) {
    let book = entry.book.lock();
    if book.is_gone {
        return;
    }
    let seen = &mut begin.known.seen;
    seen.insert((entry.place.clone(), false), book.version);
    seen.insert((entry.place.clone(), true), book.aggregate_version);
    let is_other = |only| !std::ptr::eq(book.announcer.as_ptr(), Arc::as_ptr(only));
    if only.is_some_and(is_other) {
        return;
    }
    let update = |origin, new, version| CacheUpdate {
        info: entry.info,
        key: entry.place.key.clone(),
        origin,
        old: None,
        new: Some(new),
        version,
    };
    let updates = &mut begin.updates;
    entry.for_each(|origin, message| updates.push(update(origin, message, book.version)));
    if let Some(aggregate) = entry.aggregate.get() {
        updates.push(update(Origin::AGGREGATE, aggregate, book.aggregate_version));
    }
}

/// A handler that holds back what comes before the snapshots.
struct Beginning<F> {
    handler: F,
    begun: bool,
    /// Updates that came before the snapshots.
    early: Vec<Message>,
    /// What is still to be handed over: a handler that panics at one gets the others.
    pending: VecDeque<CacheUpdate>,
}

impl<F: FnMut(&CacheUpdate)> Beginning<F> {
    fn run(&mut self, message: &Message) {
        if let Some(looked) = message.payload(&LOOKED) {
            if let Some(begin) = looked.0.lock().take() {
                self.begin(begin);
            }
        }
        while let Some(update) = self.pending.pop_front() {
            (self.handler)(&update);
        }
        let Some(update) = message.payload(&CACHE_UPDATE) else {
            return;
        };
        if self.begun {
            (self.handler)(update);
        } else {
            self.early.push(message.clone());
        }
    }

    fn begin(&mut self, begin: Begin) {
        let Begin { updates, mut known } = begin;
        self.begun = true;
        self.pending.extend(updates);
        let early = std::mem::take(&mut self.early);
        let early = early
            .iter()
            .filter_map(|message| message.payload(&CACHE_UPDATE));
        let news = early.filter(|update| known.is_news(update));
        self.pending.extend(news.cloned());
    }
}

pub(super) fn subscribe(
    shared: &Shared,
    only: Option<&Arc<Announcer>>,
    builder: SubscriptionBuilder,
    handler: impl FnMut(&CacheUpdate) + Send + 'static,
) -> Result<Subscription, CacheError> {
    let mut beginning = Beginning {
        handler,
        begun: false,
        early: Vec::new(),
        pending: VecDeque::new(),
    };
    let subscription = builder
        .accept(&CACHE_UPDATE)
        .run(move |message: &Message| beginning.run(message))?;
    let looked = Looked(Mutex::new(Some(look(shared, only))));
    // If it is closed by now, nobody wants to know.
    let _ = subscription.send(LOOKED.message(looked));
    Ok(subscription)
}

pub(super) fn receive(
    shared: &Shared,
    only: Option<&Arc<Announcer>>,
    builder: SubscriptionBuilder,
) -> Result<(Vec<CacheUpdate>, Receiver), CacheError> {
    // There before the receiver is handed out, and so before the filter runs, which runs as it takes. `None`
    // once all is news.
    let known: Arc<Mutex<Option<Known>>> = Arc::default();
    let filter_knows = Arc::clone(&known);
    let is_news = move |message: &Message| {
        let mut known = filter_knows.lock();
        if message.is(&LOOKED) {
            *known = None;
            return false;
        }
        match (message.payload(&CACHE_UPDATE), &mut *known) {
            (Some(update), Some(known)) => known.is_news(update),
            _ => true,
        }
    };
    let receiver = builder
        .accept(&CACHE_UPDATE)
        .filter(is_news)
        .filter_on_delivery()
        .receiver()?;
    let begin = look(shared, only);
    *known.lock() = Some(begin.known);
    let _ = receiver
        .subscription()
        .send(LOOKED.message(Looked(Mutex::new(None))));
    Ok((begin.updates, receiver))
}
