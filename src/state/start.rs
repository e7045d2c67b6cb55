//! Where a subscription of a state begins: with the retained message, without a hole or a duplicate.
//!
//! 1. The subscription is on the topic's list before anything else happens, so it is offered all that is
//!    published from then on. It lets nothing through yet.
//! 2. Under the lock that each publisher of the state stores and offers under, a mark is put into its
//!    mailbox, and then the message that is retained at that moment.
//! 3. So what is in the mailbox before the mark was stored before the retained message, or is that message:
//!    none of it passes. What is published later was offered behind both: all of it passes.

use super::table::State;
use crate::message::{Message, MessageType};
use crate::subscription::Subscription;
use crate::sync::atomic::{AtomicBool, Ordering};

/// From here on. Nobody gets it.
#[derive(Debug)]
struct Mark;

static MARK: MessageType<Mark> = MessageType::new("state_start");

/// Whether the mark was seen. For the filter of one subscription, which runs on delivery: serially, and
/// each run happens before the next.
#[derive(Debug)]
pub(super) struct Start(AtomicBool);

impl Start {
    pub(super) fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    pub(super) fn passes(&self, message: &Message) -> bool {
        // Relaxed: the runs of one subscription are ordered (D3), and nothing else is read through it.
        if self.0.load(Ordering::Relaxed) {
            return true;
        }
        if message.is(&MARK) {
            // Relaxed: as above.
            self.0.store(true, Ordering::Relaxed);
        }
        false
    }
}

/// Puts the mark and the retained message into the mailbox.
pub(super) fn begin(subscription: &Subscription, state: &State) {
    let mark = MARK.message(Mark);
    let publishing = state.publishing.lock();
    let marked = subscription.offer_to_filter(mark);
    let retained = state
        .retained
        .get()
        .map(|it| subscription.offer_to_filter(it));
    drop(publishing);
    // Only here may code of the user's run. If the subscription is closed, nothing is left to be done.
    drop(marked);
    drop(retained);
}
