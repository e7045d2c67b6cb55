//! What a cache keeps for one type and key: a place for each origin's snapshot and one for the aggregate,
//! which readers look into without a lock, and a book of their versions, whose lock makes a store and its
//! announcement one step (C2, C3). No code of the user's runs under that lock (R1).

use super::announcer::Announcer;
use super::index::{Index, Place};
use crate::message::{Message, MessageCell, Origin, TypeInfo};
use crate::sync::Mutex;
use crate::sync::unmodelled::{Arc, OnceLock, Weak};
use smallvec::SmallVec;

/// See the module.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) info: &'static TypeInfo,
    pub(super) place: Place,
    pub(super) local: MessageCell,
    pub(super) aggregate: MessageCell,
    /// By origin; made for the first one.
    remotes: OnceLock<Box<Index<Origin, MessageCell>>>,
    pub(super) book: Mutex<Book>,
}

#[derive(Debug, Default)]
pub(super) struct Book {
    /// Counts the changes of snapshots.
    pub(super) version: u64,
    /// Counts those of the aggregate.
    pub(super) aggregate_version: u64,
    /// The `version` that the aggregate was made from.
    pub(super) aggregated: u64,
    /// How many origins have a snapshot here.
    pub(super) snapshots: usize,
    /// It is no longer in the index: look there again.
    pub(super) is_gone: bool,
    /// Who stored the snapshot of which origin.
    announcers: SmallVec<[(Origin, Weak<Announcer>); 1]>,
}

impl Book {
    /// Who stored the snapshot of that origin, if it lives.
    pub(super) fn announcer(&self, origin: Origin) -> Weak<Announcer> {
        let known = self.announcers.iter().find(|(of, _)| *of == origin);
        known
            .map(|(_, announcer)| announcer.clone())
            .unwrap_or_default()
    }

    /// Whether that one stored the snapshot of that origin.
    pub(super) fn is_stored_by(&self, origin: Origin, announcer: &Arc<Announcer>) -> bool {
        let is_it = |known: &Weak<Announcer>| std::ptr::eq(known.as_ptr(), Arc::as_ptr(announcer));
        let mut known = self.announcers.iter();
        known.any(|(of, known)| *of == origin && is_it(known))
    }

    /// Notes who has changed the snapshot of that origin, which there still is or not.
    pub(super) fn stored_by(&mut self, origin: Origin, announcer: &Arc<Announcer>, is_there: bool) {
        if is_there && self.is_stored_by(origin, announcer) {
            return;
        }
        self.announcers.retain(|(of, _)| *of != origin);
        if is_there {
            self.announcers.push((origin, Arc::downgrade(announcer)));
        }
    }

    /// Whether that one stored any of the snapshots.
    pub(super) fn has_any_of(&self, announcer: &Arc<Announcer>) -> bool {
        let mut known = self.announcers.iter();
        known.any(|(_, known)| std::ptr::eq(known.as_ptr(), Arc::as_ptr(announcer)))
    }
}

/// An entry as it was at a version, as far as it concerns one origin.
#[derive(Clone)]
pub(super) struct Seen {
    pub(super) message: Option<Message>,
    pub(super) aggregate: Option<Message>,
    pub(super) snapshots: usize,
    pub(super) version: u64,
    pub(super) aggregate_version: u64,
}

impl Seen {
    /// As far as the book tells, which has no messages.
    pub(super) fn counts(book: &Book) -> Self {
        Self {
            message: None,
            aggregate: None,
            snapshots: book.snapshots,
            version: book.version,
            aggregate_version: book.aggregate_version,
        }
    }
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.key.fmt(f)
    }
}

impl Entry {
    pub(super) fn new(info: &'static TypeInfo, place: Place) -> Self {
        Self {
            info,
            place,
            local: MessageCell::default(),
            aggregate: MessageCell::default(),
            remotes: OnceLock::new(),
            book: Mutex::new(Book::default()),
        }
    }

    /// The snapshot of that origin, or the aggregate.
    #[inline]
    pub(super) fn get(&self, origin: Origin) -> Option<Message> {
        match origin {
            Origin::LOCAL => self.local.get(),
            Origin::AGGREGATE => self.aggregate.get(),
            _ => self.remotes.get()?.with_key(&origin, |cell| cell.get())?,
        }
    }

    /// Puts another snapshot there. Under the book's lock.
    pub(super) fn replace(&self, origin: Origin, message: Option<Message>) -> Option<Message> {
        match origin {
            Origin::LOCAL => self.local.replace(message),
            Origin::AGGREGATE => self.aggregate.replace(message),
            _ => {
                let remotes = self.remotes.get_or_init(Box::default);
                let known = remotes.with_key(&origin, Arc::clone);
                let cell = known
                    .unwrap_or_else(|| remotes.insert(origin, Arc::new(MessageCell::default())));
                let ends = message.is_none();
                let old = cell.replace(message);
                if ends {
                    remotes.remove(&origin, &cell);
                }
                old
            }
        }
    }

    /// The snapshot of that origin, and the version of the entry. `None`: the entry is gone.
    pub(super) fn look(&self, origin: Origin) -> Option<Seen> {
        let book = self.book.lock();
        (!book.is_gone).then(|| self.seen(origin, &book))
    }

    pub(super) fn seen(&self, origin: Origin, book: &Book) -> Seen {
        Seen {
            message: self.get(origin),
            aggregate: self.aggregate.get(),
            ..Seen::counts(book)
        }
    }

    /// Calls `look` with each snapshot: the local one first. Nothing of the user's in there.
    pub(super) fn for_each(&self, mut look: impl FnMut(Origin, Message)) {
        if let Some(message) = self.local.get() {
            look(Origin::LOCAL, message);
        }
        if let Some(remotes) = self.remotes.get() {
            remotes.for_each(|origin, cell| {
                if let Some(message) = cell.get() {
                    look(*origin, message);
                }
            });
        }
    }
}
