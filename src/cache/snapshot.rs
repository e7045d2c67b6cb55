//! Beginning with what is cached (C4). Who subscribes is listed first, and looks into the cache
//! afterwards: every update that is not in what was seen then comes to the mailbox, and those in it that
//! were seen are known by their versions. Keys that were not there are known from where they begin.

use super::announcer::Announcer;
use super::entry::Entry;
use super::error::CacheError;
use super::index::Place;
use super::shared::Shared;
use super::update::{CACHE_UPDATE, CacheUpdate};
use crate::message::{Message, MessageType, Origin};
use crate::subscription::{Receiver, Sender, Subscription};
use crate::sync::unmodelled::{Arc, OnceLock};
use crate::sync::{Mutex, catch};
use crate::topic::SubscriptionBuilder;
use std::collections::{HashMap, HashSet, VecDeque};
use std::panic::resume_unwind;

/// Sent behind the look into the cache: what is in the mailbox before it may have been seen already, what
/// comes after it has not.
static LOOKED: MessageType<Looked> = MessageType::new("cache_looked");

/// What a handler begins with. Taken out by the one that it is for.
struct Looked(Mutex<Option<Begin>>);

struct Begin {
    updates: Vec<CacheUpdate>,
    known: Known,
}

/// What a subscriber knows, until it has come to [`LOOKED`].
#[derive(Default)]
struct Known {
    /// The versions that were seen of a key: of its snapshots, and of its aggregate.
    seen: HashMap<Place, (u64, u64)>,
    /// Of the keys that were not seen, what has begun since: the subscriber has had all of its updates.
    begun: HashSet<(Place, Origin)>,
}

impl Known {
    /// True for an update that goes on from what the subscriber knows.
    fn is_news(&mut self, update: &CacheUpdate) -> bool {
        let place = Place {
            type_id: update.info.id(),
            key: update.key.clone(),
        };
        if let Some((snapshots, aggregate)) = self.seen.get(&place) {
            let seen = if update.is_aggregate() {
                aggregate
            } else {
                snapshots
            };
            return update.version > *seen;
        }
        // It was not there when we looked: what goes on from something is the rest of what there was
        // before.
        let line = (place, update.origin);
        if update.old.is_some() && !self.begun.contains(&line) {
            return false;
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
    let versions = (book.version, book.aggregate_version);
    begin.known.seen.insert(entry.place.clone(), versions);
    let update = |origin, new, version| CacheUpdate {
        info: entry.info,
        key: entry.place.key.clone(),
        origin,
        old: None,
        new: Some(new),
        version,
    };
    let updates = &mut begin.updates;
    entry.for_each(|origin, message| {
        if only.is_none_or(|only| book.is_stored_by(origin, only)) {
            updates.push(update(origin, message, book.version));
        }
    });
    if only.is_none_or(|only| book.has_any_of(only)) {
        let aggregate = entry.aggregate.get();
        let version = book.aggregate_version;
        updates.extend(aggregate.map(|new| update(Origin::AGGREGATE, new, version)));
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
    /// Set before anything can be pending.
    own: Arc<OnceLock<Sender>>,
}

impl<F: FnMut(&CacheUpdate)> Beginning<F> {
    fn run(&mut self, message: &Message) {
        if let Some(looked) = message.payload(&LOOKED) {
            let begin = looked.0.lock().take();
            begin.into_iter().for_each(|begin| self.begin(begin));
        }
        if !self.pending.is_empty() {
            self.hand_over();
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

    /// Hands over what is pending. If the handler panics at one, and the subscription goes on after that,
    /// it is run again for the others.
    fn hand_over(&mut self) {
        let Self {
            handler, pending, ..
        } = self;
        let handed_over = catch(|| {
            while let Some(update) = pending.pop_front() {
                handler(&update);
            }
        });
        if let Err(panic) = handed_over {
            if let (false, Some(own)) = (pending.is_empty(), self.own.get()) {
                own.send(LOOKED.message(Looked(Mutex::new(None))));
            }
            resume_unwind(panic);
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
        own: Arc::default(),
    };
    let own = Arc::clone(&beginning.own);
    let subscription = builder
        .accept(&CACHE_UPDATE)
        .run(move |message: &Message| beginning.run(message))?;
    let _ = own.set(subscription.sender());
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
    // There before the receiver is handed out, and so before the filter runs, which runs as it takes.
    // `None` once all is news.
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
    let looked = LOOKED.message(Looked(Mutex::new(None)));
    let _ = receiver.subscription().offer_to_filter(looked);
    Ok((begin.updates, receiver))
}
