//! What one subscription saw, in order, and the checks that hold for all of them.

use super::{DEADLINE, Gate};
use stasis_bus::{ChangeKind, FinalMessage, Gap, Message, MessageId, SubscriptionStats};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// The payload that the tests publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item(pub u64);

/// A payload that holds the handler of one log.
#[derive(Debug)]
pub struct Plug {
    pub log: u64,
    pub gate: Arc<Gate>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    Item(u64, MessageId),
    Plug,
    Gap(Gap),
    Change(ChangeKind),
    Final(FinalMessage),
    Other(&'static str),
}

/// See the module.
#[derive(Debug)]
pub struct Log {
    number: u64,
    seen: Mutex<Vec<Seen>>,
    changed: Condvar,
}

static NEXT: AtomicU64 = AtomicU64::new(0);

impl Log {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            seen: Mutex::new(Vec::new()),
            changed: Condvar::new(),
        })
    }

    pub fn number(&self) -> u64 {
        self.number
    }

    /// What the handler does with each message.
    pub fn note(&self, message: &Message) {
        let seen = if let Some(Item(value)) = message.get::<Item>() {
            Seen::Item(*value, message.id())
        } else if let Some(plug) = message.get::<Plug>() {
            if plug.log == self.number {
                plug.gate.pass();
            }
            Seen::Plug
        } else if let Some(gap) = message.as_gap() {
            Seen::Gap(*gap)
        } else if let Some(last) = message.as_final() {
            Seen::Final(*last)
        } else if let Some(change) = message.as_change() {
            Seen::Change(change.kind)
        } else {
            Seen::Other(message.type_name())
        };
        self.push(seen);
    }

    pub fn push(&self, seen: Seen) {
        self.lock().push(seen);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of it, plugs left out.
    pub fn seen(&self) -> Vec<Seen> {
        let seen = self.lock();
        seen.iter()
            .filter(|seen| **seen != Seen::Plug)
            .cloned()
            .collect()
    }

    pub fn values(&self) -> Vec<u64> {
        let seen = self.lock();
        let values = seen.iter().filter_map(|seen| match seen {
            Seen::Item(value, _) => Some(*value),
            _ => None,
        });
        values.collect()
    }

    pub fn gaps(&self) -> Vec<Gap> {
        let seen = self.lock();
        let gaps = seen.iter().filter_map(|seen| match seen {
            Seen::Gap(gap) => Some(*gap),
            _ => None,
        });
        gaps.collect()
    }

    pub fn gap_total(&self) -> u64 {
        self.gaps().iter().map(|gap| gap.count).sum()
    }

    pub fn final_message(&self) -> Option<FinalMessage> {
        self.lock().iter().find_map(|seen| match seen {
            Seen::Final(last) => Some(*last),
            _ => None,
        })
    }

    /// Waits until what was seen satisfies `condition`.
    #[track_caller]
    pub fn wait_until(&self, what: &str, condition: impl Fn(&[Seen]) -> bool) {
        let seen = self.lock();
        let (seen, timeout) = self
            .changed
            .wait_timeout_while(seen, DEADLINE, |seen| !condition(seen))
            .unwrap_or_else(PoisonError::into_inner);
        let len = seen.len();
        let tail = seen[len.saturating_sub(8)..].to_vec();
        drop(seen);
        assert!(
            !timeout.timed_out(),
            "never came: {what}; {len} seen, the last ones {tail:?}"
        );
    }

    /// Waits until so many items were seen.
    #[track_caller]
    pub fn wait_for_items(&self, count: usize) {
        self.wait_until(&format!("{count} items"), |seen| {
            let items = seen.iter().filter(|seen| matches!(seen, Seen::Item(..)));
            items.count() >= count
        });
    }

    #[track_caller]
    pub fn wait_for_gaps(&self, count: u64) {
        self.wait_until(&format!("gaps of {count}"), |seen| {
            let told = seen.iter().map(|seen| match seen {
                Seen::Gap(gap) => gap.count,
                _ => 0,
            });
            told.sum::<u64>() >= count
        });
    }

    #[track_caller]
    pub fn wait_for_final(&self, what: &str) -> FinalMessage {
        self.wait_until(&format!("the final message of {what}"), |seen| {
            seen.iter().any(|seen| matches!(seen, Seen::Final(_)))
        });
        self.final_message().expect("it is there")
    }

    /// One final message, last; delivered is what was seen; every message shed was told of; nothing
    /// accepted is missing.
    #[track_caller]
    pub fn check_books(&self, last: &FinalMessage, stats: &SubscriptionStats) {
        let seen = self.lock().clone();
        let finals = seen.iter().filter(|seen| matches!(seen, Seen::Final(_)));
        assert_eq!(finals.count(), 1, "one final message");
        assert!(
            matches!(seen.last(), Some(Seen::Final(_))),
            "it is the last"
        );
        let delivered = seen.iter().filter(|seen| {
            matches!(
                seen,
                Seen::Item(..) | Seen::Plug | Seen::Change(_) | Seen::Other(_)
            )
        });
        assert_eq!(
            delivered.count() as u64,
            last.delivered,
            "delivered is what was seen"
        );
        assert_eq!(self.gap_total(), last.shed, "what was shed was told");
        assert_eq!(stats.delivered, last.delivered);
        assert_eq!(stats.shed, last.shed);
        assert_eq!(stats.discarded, last.discarded);
        assert!(stats.done && stats.closed);
        assert_eq!(stats.depth, 0, "nothing waits in what is done");
        assert!(
            self.gaps().iter().all(|gap| gap.count > 0),
            "no gap of nothing"
        );
    }
}
