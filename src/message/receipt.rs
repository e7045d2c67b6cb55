//! What became of a publish, at the moment that it returned.

use std::ops::AddAssign;

/// What became of a publish: how many mailboxes took the message, and why the others did not.
///
/// A receipt is not a promise about handlers: what was offered is delivered later, and an overflow policy may
/// still shed it for the sake of a newer message, which its subscriber is then told. Receipts add up:
///
/// ```
/// use stasis_bus::Receipt;
///
/// let mut total = Receipt::default();
/// total += Receipt::default();
/// assert_eq!((total.offered(), total.filtered(), total.shed(), total.closed()), (0, 0, 0, 0));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Receipt {
    pub(crate) offered: u64,
    pub(crate) filtered: u64,
    pub(crate) shed: u64,
    pub(crate) closed: u64,
}

impl Receipt {
    /// Mailboxes that took the message.
    #[must_use]
    pub fn offered(&self) -> u64 {
        self.offered
    }

    /// Subscriptions whose filter declined it.
    #[must_use]
    pub fn filtered(&self) -> u64 {
        self.filtered
    }

    /// Mailboxes that were full, and whose overflow policy shed a message for that.
    #[must_use]
    pub fn shed(&self) -> u64 {
        self.shed
    }

    /// Subscriptions that had closed, and did not accept any more.
    #[must_use]
    pub fn closed(&self) -> u64 {
        self.closed
    }
}

impl AddAssign for Receipt {
    fn add_assign(&mut self, other: Self) {
        self.offered += other.offered;
        self.filtered += other.filtered;
        self.shed += other.shed;
        self.closed += other.closed;
    }
}
