//! Aggregates: one message made of the snapshots that several origins have of one key, such as the state
//! of a line that is known on several machines (C5).

use super::announcer::Announcer;
use super::builder::Rule;
use super::entry::Entry;
use super::update::{CACHE_UPDATE, CacheUpdate};
use crate::message::{Message, Origin};
use crate::topic::{Offered, Staged};
use std::fmt;
use std::marker::PhantomData;

/// What a calculating function says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregate<T> {
    /// The aggregate is as it was: nothing is announced.
    Unchanged,
    /// There is none.
    None,
    /// This is it now.
    New(T),
}

/// What a calculating function may say, without the payload's type: `None` for unchanged.
pub(super) type Calculated = Option<Option<Message>>;

pub(super) type AggregateFn = Box<dyn Fn(&View) -> Calculated + Send + Sync>;

/// All snapshots of a key as of one moment, and the aggregate that there was.
pub(super) struct View {
    snapshots: Vec<(Origin, Message)>,
    old: Option<Message>,
    version: u64,
    aggregated: u64,
    aggregate_version: u64,
}

/// What a calculating function is given: all snapshots of one key, as of one moment.
pub struct Snapshots<'a, T> {
    view: &'a View,
    payload: PhantomData<fn() -> T>,
}

impl<T: 'static> Snapshots<'_, T> {
    /// The snapshot of the bus's own origin.
    #[must_use]
    pub fn local(&self) -> Option<&T> {
        self.by_origin(Origin::LOCAL)
    }

    /// The snapshot of that origin.
    #[must_use]
    pub fn by_origin(&self, origin: Origin) -> Option<&T> {
        self.iter()
            .find(|(of, _)| *of == origin)
            .map(|(_, payload)| payload)
    }

    /// All of them, the local one first.
    pub fn iter(&self) -> impl Iterator<Item = (Origin, &T)> {
        let snapshots = self.view.snapshots.iter();
        snapshots.filter_map(|(origin, message)| Some((*origin, message.get()?)))
    }

    /// The aggregate that there was.
    #[must_use]
    pub fn aggregate(&self) -> Option<&T> {
        self.view.old.as_ref()?.get()
    }
}

impl<T> fmt::Debug for Snapshots<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshots")
            .field("snapshots", &self.view.snapshots)
            .field("aggregate", &self.view.old)
            .finish()
    }
}

pub(super) fn calculate<T>(
    view: &View,
    calculate: impl Fn(&Snapshots<'_, T>) -> Aggregate<T>,
    make: impl Fn(T) -> Message,
) -> Calculated {
    let snapshots = Snapshots {
        view,
        payload: PhantomData,
    };
    match calculate(&snapshots) {
        Aggregate::Unchanged => None,
        Aggregate::None => Some(None),
        Aggregate::New(payload) => Some(Some(make(payload))),
    }
}

/// `None` if the entry is gone, or its aggregate is made from the newest snapshots already.
fn view(entry: &Entry) -> Option<View> {
    let book = entry.book.lock();
    if book.is_gone || book.aggregated == book.version {
        return None;
    }
    let mut snapshots = Vec::new();
    entry.for_each(|origin, message| snapshots.push((origin, message)));
    Some(View {
        snapshots,
        old: entry.aggregate.get(),
        version: book.version,
        aggregated: book.aggregated,
        aggregate_version: book.aggregate_version,
    })
}

/// Makes the aggregate of a key anew, unless somebody else has. It is installed if no other was since the
/// view was taken: a newer snapshot may have come, but then its publisher comes here after us, and what
/// is announced goes from older views to newer ones. So whoever has to begin again was overtaken by
/// somebody who has installed one.
///
/// Without an announcer nobody is told: the caching topic has gone.
pub(super) fn renew(rule: &Rule, entry: &Entry, announcer: Option<&Announcer>) {
    let Some(calculate) = &rule.aggregate else {
        return;
    };
    while let Some(view) = view(entry) {
        let calculated = calculate(&view);
        let is_new = match &calculated {
            None => false,
            Some(new) => new.is_some() || view.old.is_some(),
        };
        let installed = if is_new {
            install(entry, &view, calculated.flatten(), announcer)
        } else {
            keep(entry, &view)
        };
        if installed {
            return;
        }
    }
}

/// The aggregate stays as it is. False if it is too late for that.
fn keep(entry: &Entry, view: &View) -> bool {
    let mut book = entry.book.lock();
    let is_next = !book.is_gone && book.aggregated == view.aggregated;
    if is_next {
        book.aggregated = view.version;
    }
    is_next || book.is_gone
}

/// Stores and announces an aggregate. False if it is too late for that.
fn install(
    entry: &Entry,
    view: &View,
    new: Option<Message>,
    announcer: Option<&Announcer>,
) -> bool {
    loop {
        // Filters and key functions of those who hear of it run now; what they were told may turn out to
        // be void.
        let staged = announcer.map(|announcer| stage(entry, view, new.as_ref(), announcer));
        let mut staged = staged.unwrap_or_default();
        let mut book = entry.book.lock();
        if book.is_gone || book.aggregated != view.aggregated {
            // What was made and staged is the user's, and is dropped without the lock.
            drop(book);
            return false;
        }
        if !staged.iter().flatten().all(Staged::is_current) {
            drop(book);
            continue;
        }
        debug_assert_eq!(book.aggregate_version, view.aggregate_version);
        book.aggregate_version += 1;
        book.aggregated = view.version;
        let old = entry.aggregate.replace(new);
        let mut offered = Offered::default();
        for staged in staged.iter_mut().filter_map(Option::take) {
            staged.offer_into(&mut offered);
        }
        drop(book);
        drop(old);
        let _ = offered.settle();
        return true;
    }
}

fn stage(
    entry: &Entry,
    view: &View,
    new: Option<&Message>,
    announcer: &Announcer,
) -> [Option<Staged>; 2] {
    let original = new
        .filter(|_| announcer.publishes_aggregates())
        .and_then(|new| announcer.original.stage(new.clone()).ok());
    let update = CacheUpdate {
        info: entry.info,
        key: entry.place.key.clone(),
        origin: Origin::AGGREGATE,
        old: view.old.clone(),
        new: new.cloned(),
        version: view.aggregate_version + 1,
    };
    [
        original,
        announcer.topic.stage(CACHE_UPDATE.message(update)).ok(),
    ]
}
