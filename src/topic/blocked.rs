//! Those who have no room for a message and asked its publisher to wait for some. All of them are waited
//! for at once, so that one that is stuck keeps nothing from the others (R3). Nothing is pinned or locked
//! here.

use crate::epoch::{self, Guard};
use crate::message::{FinalReason, Message, Receipt};
use crate::subscription::mailbox::Refusal;
use crate::subscription::parcel::{Handled, Parcel};
use crate::subscription::scope;
use crate::subscription::state::{Duty, Offered, Subscriber};
use crate::subscription::waiting::Waiter;
use crate::sync::Parker;
use crate::sync::unmodelled::Arc;
use smallvec::SmallVec;
use std::time::{Duration, Instant};

/// See the module.
#[derive(Default)]
pub(super) struct Blocked {
    waiting: SmallVec<[(Arc<Subscriber>, Parcel); 1]>,
    /// What they tell when there is room, once they have been asked to.
    waiter: Option<Waiter>,
    /// From when on a thread does not wait, whatever the mailboxes want: they take it beyond their
    /// capacities.
    patience: Option<Instant>,
    /// A message that the bus was shut down under.
    shut_down: Option<Message>,
}

/// What becomes of a message for which there is still no room.
#[derive(Clone, Copy)]
enum Patience {
    /// It waits.
    Wait,
    /// It waits until the mailbox's own timeout has passed since then.
    Since(Instant),
    /// It is kept beyond the capacity: nothing waits inside a handler (R1b).
    Spill,
}

impl Blocked {
    pub(super) fn push(&mut self, subscriber: Arc<Subscriber>, parcel: Parcel) {
        self.waiting.push((subscriber, parcel));
    }

    pub(super) fn be_patient_until(&mut self, at: Instant) {
        self.patience = Some(at);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// The message that the bus was shut down under, to be handed back (L6).
    pub(super) fn take_shut_down(&mut self) -> Option<Message> {
        self.shut_down.take()
    }

    /// Blocks this thread until each has taken its message, is closed, or has let its time run out.
    pub(super) fn wait(&mut self, receipt: &mut Receipt) {
        if self.is_empty() {
            return;
        }
        if scope::may_wait().is_err() {
            return self.offer_again(Patience::Spill, receipt);
        }
        let begin = Instant::now();
        if self.patience.is_some_and(|at| at <= begin) {
            return self.offer_again(Patience::Spill, receipt);
        }
        let parker = Arc::new(Parker::new());
        self.waiter = Some(Waiter::Thread(Arc::clone(&parker)));
        loop {
            self.register();
            self.offer_again(Patience::Since(begin), receipt);
            if self.is_empty() {
                return;
            }
            let timeouts = self
                .waiting
                .iter()
                .filter_map(|(blocked, _)| timeout(blocked));
            let deadlines = timeouts.filter_map(|timeout| begin.checked_add(timeout));
            match deadlines.chain(self.patience).min() {
                None => parker.park(),
                Some(deadline) => {
                    parker.park_timeout(deadline.saturating_duration_since(Instant::now()));
                }
            }
            if self.patience.is_some_and(|at| at <= Instant::now()) {
                return self.offer_again(Patience::Spill, receipt);
            }
        }
    }

    /// Tries again, for a task that is told by `waiter`, always the same one, when the next try has a
    /// point. True once nobody is left.
    pub(super) fn poll(&mut self, waiter: &Waiter, receipt: &mut Receipt) -> bool {
        self.waiter.get_or_insert_with(|| waiter.clone());
        self.register();
        self.offer_again(Patience::Wait, receipt);
        self.is_empty()
    }

    /// Asks all of them to tell when there is room. The try that must follow is the caller's.
    fn register(&self) {
        for (subscriber, _) in &self.waiting {
            if let (Some((_, room)), Some(waiter)) = (subscriber.mailbox.blocking(), &self.waiter) {
                room.register_once(waiter);
            }
        }
    }

    fn offer_again(&mut self, patience: Patience, receipt: &mut Receipt) {
        for (subscriber, parcel) in std::mem::take(&mut self.waiting) {
            let guard = epoch::pin();
            if !is_wanted(&subscriber, &parcel, &guard) {
                drop(guard);
                self.unwanted(&subscriber, parcel, receipt);
                continue;
            }
            // Looked at before the try: the last try comes after the time has run out.
            let is_late = match patience {
                Patience::Since(begin) => {
                    timeout(&subscriber).is_some_and(|timeout| begin.elapsed() >= timeout)
                }
                Patience::Wait | Patience::Spill => false,
            };
            let offered = match patience {
                Patience::Spill => subscriber.offer_unlimited(parcel, &guard),
                _ => subscriber.offer(parcel, None, &mut None, &guard),
            };
            drop(guard);
            match offered {
                Offered::Queued(duty) => {
                    receipt.offered += 1;
                    if matches!(patience, Patience::Spill) {
                        subscriber.mailbox.seldom().past_limit.add(1);
                    }
                    self.leave(&subscriber);
                    duty.into_iter().for_each(Duty::submit);
                }
                Offered::Refused(Refusal::Wait, parcel) if !is_late => {
                    self.push(subscriber, parcel)
                }
                Offered::Refused(why, parcel) => {
                    self.leave(&subscriber);
                    let (why, parcel) = match why {
                        Refusal::Wait => shed(&subscriber, parcel),
                        _ => (why, parcel),
                    };
                    self.refused(why, &subscriber, parcel, receipt);
                }
            }
        }
        // Inline subscriptions run here, and whoever waits next may wait for them.
        scope::run_pending();
    }

    /// Its type was declined meanwhile.
    fn unwanted(&mut self, subscriber: &Subscriber, parcel: Parcel, receipt: &mut Receipt) {
        self.leave(subscriber);
        receipt.filtered += 1;
        if let Parcel::Marked(mut envelope) = parcel {
            envelope.will_be(Handled::Filtered);
            return scope::drop_in_scope(envelope);
        }
        scope::drop_in_scope(parcel);
    }

    fn refused(
        &mut self,
        why: Refusal,
        subscriber: &Subscriber,
        parcel: Parcel,
        receipt: &mut Receipt,
    ) {
        if why == Refusal::Shed {
            receipt.shed += 1;
            return scope::drop_in_scope(parcel);
        }
        receipt.closed += 1;
        match parcel {
            Parcel::Message(message) if subscriber.reason() == Some(FinalReason::Shutdown) => {
                let another = self.shut_down.replace(message);
                scope::drop_in_scope(another);
            }
            parcel => scope::drop_in_scope(parcel),
        }
    }

    /// Nobody waits there any more.
    fn leave(&self, subscriber: &Subscriber) {
        if let (Some((_, room)), Some(waiter)) = (subscriber.mailbox.blocking(), &self.waiter) {
            // Neither a parker nor a slot is, or ends, a value of the user's.
            drop(room.forget(waiter));
        }
    }
}

/// Who gives up: the message is shed for those who have no room yet.
impl Drop for Blocked {
    fn drop(&mut self) {
        for (subscriber, parcel) in std::mem::take(&mut self.waiting) {
            self.leave(&subscriber);
            scope::drop_in_scope(shed(&subscriber, parcel));
        }
        scope::run_pending();
    }
}

/// False if it has declined the type since it was first offered that message.
fn is_wanted(subscriber: &Subscriber, parcel: &Parcel, guard: &Guard) -> bool {
    let info = parcel.message().map(Message::info);
    subscriber.types.as_changeable().is_none()
        || info.is_none_or(|info| subscriber.types.wants(info, guard))
}

fn timeout(subscriber: &Subscriber) -> Option<Duration> {
    let (timeout, _) = subscriber.mailbox.blocking()?;
    timeout
}

/// It has no room for the message to the end.
fn shed(subscriber: &Subscriber, parcel: Parcel) -> (Refusal, Parcel) {
    let shed = subscriber.mailbox.shed_newest(parcel);
    subscriber.notify().into_iter().for_each(Duty::submit);
    shed
}
