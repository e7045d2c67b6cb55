//! What a subscription weighs, to the byte: there may be a hundred thousand of them.

use super::Subscription;
use super::consumer::Consumer;
use super::mailbox::{Books, Mailbox};
use super::state::Subscriber;
use super::times::Times;
use super::waiting::Completion;

#[test]
fn a_subscription_is_small() {
    assert_eq!(size_of::<Subscription>(), 24, "the handle");
    assert_eq!(size_of::<Mailbox>(), 152);
    assert_eq!(size_of::<Books>(), 72);
    assert_eq!(size_of::<Consumer>(), 56);
    assert_eq!(size_of::<Completion<()>>(), 24);
    assert_eq!(size_of::<Times>(), 72);
    assert_eq!(size_of::<Subscriber>(), 328);
}
