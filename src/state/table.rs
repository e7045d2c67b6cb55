//! The states by id, and who refers to each. Whether a state lives is decided under the lock of its part of
//! the table, where nothing of the user's is run or dropped (R1); what it holds is not in there.

use crate::message::{Message, MessageCell, Origin, Receipt};
use crate::sync::Mutex;
use crate::sync::unmodelled::Arc;
use crate::topic::{PublishError, Topic};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

/// How many parts the table has, each with its own lock. A model has one: it must take the same locks each
/// time, and an id's part is left to chance.
const SHARDS: usize = if cfg!(loom) { 1 } else { 16 };

/// A part with room for more than this many states gives room back when most of it is unused.
const KEPT_ROOM: usize = 64;

/// See the module.
#[derive(Debug)]
pub(super) struct Table {
    shards: [Shard; SHARDS],
    hasher: RandomState,
}

type Shard = Mutex<HashMap<Arc<str>, Entry>>;

#[derive(Debug)]
struct Entry {
    state: Arc<State>,
    subscribers: usize,
    publishers: usize,
    /// Implicit publishers: few, so they are looked through.
    origins: Vec<Origin>,
}

/// As what somebody refers to a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Subscriber,
    Publisher,
}

/// What a state is.
#[derive(Debug)]
pub(super) struct State {
    pub(super) id: Arc<str>,
    pub(super) topic: Topic,
    pub(super) retained: MessageCell,
    /// Held to store a message and offer it as one step. The lock of the table's part may be taken inside.
    pub(super) publishing: Mutex<()>,
}

impl State {
    /// Stores a message and publishes it, if `decide` says so, which belongs to the same step: it may look
    /// into the table, and no more. None: it did not.
    pub(super) fn publish(
        &self,
        message: Message,
        decide: impl FnOnce() -> bool,
    ) -> Result<Option<Receipt>, PublishError> {
        let mut staged = self.topic.stage(message.clone())?;
        loop {
            let publishing = self.publishing.lock();
            if staged.is_current() {
                if !decide() {
                    drop(publishing);
                    return Ok(None);
                }
                let old = self.retained.replace(Some(message));
                let offered = staged.offer();
                drop(publishing);
                // Not before: this may run code of the user's.
                drop(old);
                return offered.settle().map(Some);
            }
            // Somebody has come whose filter is to be asked, and has begun with what is retained now.
            drop(publishing);
            staged = self.topic.stage(message.clone())?;
        }
    }
}

impl Entry {
    fn count(&mut self, role: Role) -> &mut usize {
        match role {
            Role::Subscriber => &mut self.subscribers,
            Role::Publisher => &mut self.publishers,
        }
    }

    /// A state whose topic was closed makes way. Who refers to it keeps it, and finds it here no more.
    fn is_open(&self) -> bool {
        !self.state.topic.is_closed()
    }

    fn is_unused(&self) -> bool {
        self.subscribers == 0 && self.publishers == 0 && self.origins.is_empty()
    }
}

impl Table {
    pub(super) fn new() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::new(HashMap::new())),
            hasher: RandomState::new(),
        }
    }

    fn shard(&self, id: &str) -> &Shard {
        &self.shards[self.hasher.hash_one(id) as usize % SHARDS]
    }

    /// The state of that id, or a new one if there is none or its topic is closed, with one reference more.
    /// [`Self::leave`] gives it back.
    pub(super) fn enter<E>(
        &self,
        id: &str,
        role: Role,
        topic: impl FnOnce() -> Result<Topic, E>,
    ) -> Result<Arc<State>, E> {
        if let Some(entry) = self.shard(id).lock().get_mut(id) {
            if entry.is_open() {
                *entry.count(role) += 1;
                return Ok(Arc::clone(&entry.state));
            }
        }
        let fresh = Arc::new(State {
            id: id.into(),
            topic: topic()?,
            retained: MessageCell::new(None),
            publishing: Mutex::new(()),
        });
        let mut shard = self.shard(id).lock();
        let closed = match shard.get(id) {
            Some(entry) if !entry.is_open() => shard.remove(id),
            _ => None,
        };
        let entry = shard.entry(Arc::clone(&fresh.id)).or_insert_with(|| Entry {
            state: Arc::clone(&fresh),
            subscribers: 0,
            publishers: 0,
            origins: Vec::new(),
        });
        *entry.count(role) += 1;
        let state = Arc::clone(&entry.state);
        drop(shard);
        // Somebody else may have been first: then this is the last reference.
        drop(fresh);
        drop(closed);
        Ok(state)
    }

    /// The state of that id, with one more reference of a publisher, if `origin` is one of its publishers.
    pub(super) fn enter_if_origin(&self, id: &str, origin: Origin) -> Option<Arc<State>> {
        let mut shard = self.shard(id).lock();
        let entry = shard.get_mut(id)?;
        if !entry.origins.contains(&origin) {
            return None;
        }
        entry.publishers += 1;
        Some(Arc::clone(&entry.state))
    }

    /// Gives a reference back.
    pub(super) fn leave(&self, state: &State, role: Role) {
        self.change(state, |entry| *entry.count(role) -= 1);
    }

    /// `origin` is a publisher from now on. The caller has a reference.
    pub(super) fn add_origin(&self, state: &State, origin: Origin) {
        self.change(state, |entry| {
            if !entry.origins.contains(&origin) {
                entry.origins.push(origin);
            }
        });
    }

    /// `origin` is no publisher any more: true for who has done that. The caller has a reference.
    pub(super) fn remove_origin(&self, state: &State, origin: Origin) -> bool {
        let mut was_one = false;
        self.change(state, |entry| {
            was_one = entry.origins.contains(&origin);
            entry.origins.retain(|it| *it != origin);
            entry.origins.shrink_to_fit();
        });
        was_one
    }

    /// Changes who refers to a state that somebody refers to, and removes it if nobody does then. Nothing is
    /// to be done for one that has made way.
    fn change(&self, state: &State, change: impl FnOnce(&mut Entry)) {
        let mut shard = self.shard(&state.id).lock();
        let entry = shard.get_mut(&state.id);
        let Some(entry) = entry.filter(|it| std::ptr::eq(&*it.state, state)) else {
            return debug_assert!(state.topic.is_closed(), "who refers to a state finds it");
        };
        change(entry);
        let mut unused = None;
        if entry.is_unused() {
            unused = shard.remove(&state.id);
            if shard.capacity() > KEPT_ROOM && shard.len() < shard.capacity() / 4 {
                let room = shard.len() * 2;
                shard.shrink_to(room);
            }
        }
        drop(shard);
        // Its message goes here, which may run code of the user's.
        drop(unused);
    }

    pub(super) fn get(&self, id: &str) -> Option<Arc<State>> {
        let shard = self.shard(id).lock();
        shard.get(id).map(|entry| Arc::clone(&entry.state))
    }

    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    pub(super) fn all(&self) -> Vec<Arc<State>> {
        self.collect(|_| true)
    }

    /// Those that have an explicit subscriber.
    pub(super) fn subscribed(&self) -> Vec<Arc<State>> {
        self.collect(|entry| entry.subscribers > 0)
    }

    fn collect(&self, is_one: impl Fn(&Entry) -> bool) -> Vec<Arc<State>> {
        let mut all = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock();
            let some = shard.values().filter(|entry| is_one(entry));
            all.extend(some.map(|entry| Arc::clone(&entry.state)));
        }
        all
    }
}
