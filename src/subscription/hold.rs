//! For tests: a publisher that is preempted between its claim and its write, made to last. See
//! [`queue::hold`](crate::queue::hold).

use super::Subscription;
use super::parcel::Parcel;
use super::state::Subscriber;
use crate::epoch;
use crate::message::Message;
use crate::queue::Push;
use crate::queue::hold::Held;
use crate::sync::unmodelled::Arc;

/// A position of a subscription's mailbox that is claimed and not written yet.
#[derive(Debug)]
#[must_use = "a claim that is never written stops its subscription for good"]
pub struct HeldPublish {
    subscriber: Arc<Subscriber>,
    held: Held,
}

impl HeldPublish {
    /// Claims the next position, if the mailbox is a ring and open.
    pub fn claim(subscription: &Subscription) -> Option<Self> {
        let subscriber = Arc::clone(subscription.subscriber());
        let held = Held::claim(subscriber.mailbox.ring()?, &epoch::pin())?;
        Some(Self { subscriber, held })
    }

    /// Writes it, as the publisher would have done.
    pub fn write(self, message: Message) {
        let Some(ring) = self.subscriber.mailbox.ring() else {
            return;
        };
        let parcel = Parcel::Message(message.into_one_delivery());
        let push = self.held.write(ring, parcel);
        if let Push::Submit { .. } = push {
            self.subscriber.claimed_parked().submit();
        }
    }
}
