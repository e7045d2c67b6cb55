//! What has to be run before the offers: closure filters and key functions of those who publishers run
//! them for. Without pin or lock; nothing is offered here.

use super::aftermath::Aftermath;
use super::node::Alive;
use super::publish::{Listings, Special};
use crate::epoch::Guard;
use crate::message::{Key, Message, Receipt, TypeInfo};
use crate::subscription::filter::Hooks;
use crate::subscription::scope;
use crate::subscription::state::Subscriber;
use crate::sync::catch;
use crate::sync::unmodelled::Arc;
use smallvec::SmallVec;

/// A subscriber for which code of the user's has to run before it can be offered a message.
pub(super) struct Slow {
    entry: Arc<Subscriber>,
    alive: Option<Arc<Alive>>,
    wants: bool,
}

impl Slow {
    pub(super) fn id(&self) -> u64 {
        self.entry.id
    }
}

/// The numbers of those whose code was run.
pub(super) type Asked = SmallVec<[u64; 4]>;

pub(super) struct Ready {
    pub(super) subscriber: Arc<Subscriber>,
    pub(super) alive: Option<Arc<Alive>>,
    pub(super) key: Option<Key>,
}

pub(super) type Prepared = SmallVec<[Ready; 4]>;

pub(super) fn collect_slow(
    listings: &Listings<'_>,
    info: &TypeInfo,
    guard: &Guard,
) -> SmallVec<[Slow; 4]> {
    listings
        .iter()
        .flat_map(|(node, listing)| listing.slow().iter().map(move |entry| (*node, entry)))
        .map(|(node, entry)| Slow {
            entry: entry.to_arc(),
            alive: node.alive(),
            wants: entry.get().types.wants(info, guard),
        })
        .collect()
}

/// Runs filters and key functions, without pin or lock.
pub(super) fn prepare(
    slow: SmallVec<[Slow; 4]>,
    message: &Message,
    special: &Special<'_>,
    receipt: &mut Receipt,
) -> Prepared {
    let mut ready = Prepared::new();
    for Slow {
        entry: subscriber,
        alive,
        wants,
    } in slow
    {
        let skipped = matches!(special, Special::Skip(skip) if Arc::ptr_eq(skip, &subscriber));
        if skipped {
            continue;
        }
        if !wants {
            receipt.filtered += u64::from(!message.info().is_control());
            continue;
        }
        let Some(hooks) = &subscriber.hooks else {
            // It is here for the formats that it wants.
            ready.push(Ready {
                subscriber,
                alive,
                key: None,
            });
            continue;
        };
        let Some(hooks) = hooks.upgrade() else {
            receipt.closed += 1;
            continue;
        };
        match run_hooks(&hooks, &subscriber, message) {
            Some(key) => ready.push(Ready {
                subscriber,
                alive,
                key,
            }),
            None => {
                subscriber.mailbox.seldom().filtered.add(1);
                receipt.filtered += 1;
            }
        }
        scope::drop_in_scope(hooks);
    }
    ready
}

/// `None` if the filter declines the message, or panics at it; else the key, if there is a key function.
fn run_hooks(hooks: &Hooks, subscriber: &Subscriber, message: &Message) -> Option<Option<Key>> {
    if message.info().is_control() {
        return Some(None);
    }
    let _scope = scope::enter();
    let run = || {
        let filter = hooks.filter.as_ref().filter(|_| !subscriber.filters_itself);
        let passes = filter.is_none_or(|filter| filter(message));
        passes.then(|| hooks.key.as_ref().map(|key| key(message)))
    };
    catch(run).unwrap_or_else(|panic| {
        subscriber.mailbox.seldom().hook_panics.add(1);
        crate::sync::contain(|| drop(panic));
        None
    })
}

/// Who has declined the type since its filter was asked is offered nothing: see
/// [`Subscription::decline`](crate::Subscription::decline).
pub(super) fn leave_unwanted(
    prepared: &mut Prepared,
    info: &TypeInfo,
    guard: &Guard,
    after: &mut Aftermath,
) -> u64 {
    leave_out(prepared, after, |ready| {
        let types = &ready.subscriber.types;
        types.as_changeable().is_some() && !types.wants(info, guard)
    })
}

/// Takes out those who are to be offered nothing, and says how many there were. They are let go of when
/// nothing is pinned any more.
pub(super) fn leave_out(
    prepared: &mut Prepared,
    after: &mut Aftermath,
    is_out: impl Fn(&Ready) -> bool,
) -> u64 {
    let before = prepared.len();
    while let Some(index) = prepared.iter().position(&is_out) {
        let Ready {
            subscriber, alive, ..
        } = prepared.remove(index);
        after.rare().unpinned.push((subscriber, alive));
    }
    (before - prepared.len()) as u64
}
