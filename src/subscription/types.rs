//! Changing what message types a subscription accepts while it runs.

use super::filter::{Accepted, sorted};
use super::{Subscription, scope};
use crate::epoch::{self, EpochCell, Guard};
use crate::error::AcceptError;
use crate::message::{Format, MessageType, TypeInfo};

/// What it accepts, for subscriptions that were built [changeable].
///
/// A change is one step for whoever publishes at the same time: each message is offered once or not at all.
/// All of these are legal anywhere, in the subscription's own handler too, and wait for no handler.
///
/// ```
/// use stasis_bus::{Bus, Message, MessageType};
///
/// static RINGING: MessageType<u32> = MessageType::new("ringing");
///
/// let bus = Bus::new()?;
/// let calls = bus.topic("calls")?;
/// let mut receiver = calls.subscribe().changeable().receiver()?;
/// assert_eq!(calls.publish(RINGING.message(1))?.offered(), 0);
/// receiver.subscription().accept(&RINGING)?;
/// assert_eq!(calls.publish(RINGING.message(2))?.offered(), 1);
/// receiver.subscription().decline(&RINGING)?;
/// assert_eq!(calls.publish(RINGING.message(3))?.offered(), 0);
/// assert_eq!(receiver.try_iter().count(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [changeable]: crate::SubscriptionBuilder::changeable
impl Subscription {
    /// Accepts messages of that type as well. A publish that begins after this has returned is offered.
    /// Nothing changes if it accepts them already.
    ///
    /// # Errors
    /// [`AcceptError`] if it is not changeable, has ended, or the bus declines the type.
    pub fn accept<T: Send + Sync + 'static>(
        &self,
        message_type: &MessageType<T>,
    ) -> Result<(), AcceptError> {
        self.change_types(Change::Accept(message_type.info()))
    }

    /// Accepts no messages of that type any more. Once this has returned none comes into the mailbox, not
    /// even from a publish that had begun before; those that are in it are delivered. Nothing changes if it
    /// does not accept them.
    ///
    /// Waits for publishers that are in the middle of their offers. That is a matter of microseconds, if the
    /// system does not keep one of them from running meanwhile. It does not wait for those who wait for
    /// room: they give up.
    ///
    /// # Errors
    /// [`AcceptError`] if it is not changeable, has ended, or accepts every type.
    pub fn decline<T: Send + Sync + 'static>(
        &self,
        message_type: &MessageType<T>,
    ) -> Result<(), AcceptError> {
        self.change_types(Change::Decline(message_type.info()))
    }

    /// Accepts messages of every type but the bus's own. A publish that begins after this has returned is
    /// offered.
    ///
    /// # Errors
    /// [`AcceptError`] if it is not changeable or has ended.
    pub fn accept_all(&self) -> Result<(), AcceptError> {
        self.change_types(Change::All)
    }

    /// Accepts messages of these types and of no others, and of none if there are none, in one step. For
    /// those that it accepted and does not any more it does what [`Subscription::decline`] does.
    ///
    /// # Errors
    /// [`AcceptError`] if it is not changeable, has ended, or the bus declines one of the types.
    pub fn accept_only(
        &self,
        types: impl IntoIterator<Item = &'static TypeInfo>,
    ) -> Result<(), AcceptError> {
        let types = {
            let _scope = scope::enter();
            types.into_iter().collect()
        };
        self.change_types(Change::Only {
            infos: types,
            formats: true,
        })
    }

    fn change_types(&self, change: Change) -> Result<(), AcceptError> {
        let narrows = matches!(change, Change::Decline(_) | Change::Only { .. });
        self.relist(change)?;
        if narrows {
            self.outwait_offers();
        }
        Ok(())
    }

    /// The change itself. Runs no code of the user's, and waits for nothing but a short lock.
    pub(crate) fn relist(&self, change: Change) -> Result<(), AcceptError> {
        self.home().change_types(&self.subscriber, change)
    }

    /// What follows from it if a type was declined: once this has returned, none of it comes any more.
    pub(crate) fn outwait_offers(&self) {
        // Who waits for room with a message that is not wanted any more waits for nothing.
        self.subscriber.mailbox.wake_blocked();
        // And who was about to offer one has done so once the pins of now are gone.
        epoch::outwait_pins();
        // Who was woken may have published.
        scope::run_pending();
    }
}

/// Types that are changed under the topic's control lock, and read under a pin.
#[derive(Debug)]
pub(crate) struct Changeable {
    changes: bool,
    /// Null: every type.
    now: EpochCell<Set>,
    formats: Box<[&'static Format]>,
}

/// What is accepted if that is not everything.
#[derive(Debug, PartialEq)]
struct Set {
    /// Sorted by number.
    infos: Vec<&'static TypeInfo>,
    /// Whatever has one of the formats as well.
    formats: bool,
}

/// How the types that a changeable subscription accepts are to change.
#[derive(Debug)]
pub(crate) enum Change {
    /// That one as well.
    Accept(&'static TypeInfo),
    /// That one no more.
    Decline(&'static TypeInfo),
    /// Every type.
    All,
    /// Exactly these, and whatever has one of its formats, or not.
    Only {
        infos: Vec<&'static TypeInfo>,
        formats: bool,
    },
}

impl Changeable {
    pub(super) fn new(
        accepted: Option<Vec<&'static TypeInfo>>,
        formats: Vec<&'static Format>,
        changes: bool,
    ) -> Self {
        let now = EpochCell::null();
        let accepted = accepted.map(|infos| Set {
            infos: sorted(infos),
            formats: true,
        });
        now.replace(accepted, &epoch::pin());
        Self {
            changes,
            now,
            formats: formats.into(),
        }
    }

    pub(super) fn changes(&self) -> bool {
        self.changes
    }

    #[inline]
    pub(super) fn accepted<'g>(&'g self, guard: &'g Guard) -> Accepted<'g> {
        self.now.load(guard).map(|set| &*set.infos)
    }

    #[inline]
    pub(super) fn formats<'g>(&'g self, guard: &'g Guard) -> &'g [&'static Format] {
        match self.now.load(guard) {
            Some(set) if set.formats => &self.formats,
            _ => &[],
        }
    }

    /// What a change leads to, if it changes anything.
    pub(crate) fn after(
        &self,
        change: Change,
        guard: &Guard,
    ) -> Result<Option<After>, AcceptError> {
        let before = self.now.load(guard);
        let after = match (change, before) {
            (Change::Decline(_), None) => return Err(AcceptError::AcceptsAll),
            (Change::Accept(_), None) => return Ok(None),
            (Change::Accept(info), Some(set)) => Some(set.with(info)),
            (Change::Decline(info), Some(set)) => Some(set.without(info)),
            (Change::All, _) => None,
            (Change::Only { infos, formats }, _) => Some(Set {
                infos: sorted(infos),
                formats,
            }),
        };
        Ok((after.as_ref() != before).then_some(After(after)))
    }

    /// Makes it so, under the topic's control lock.
    pub(crate) fn change(&self, After(after): After, guard: &Guard) {
        self.now.replace(after, guard);
    }
}

/// What is accepted after a change.
#[derive(Debug)]
pub(crate) struct After(Option<Set>);

impl After {
    pub(crate) fn accepted(&self) -> Accepted<'_> {
        self.0.as_ref().map(|set| &*set.infos)
    }
}

impl Set {
    fn with(&self, info: &'static TypeInfo) -> Self {
        let infos = self.infos.iter().copied().chain([info]);
        Self {
            infos: sorted(infos.collect()),
            ..*self
        }
    }

    fn without(&self, info: &'static TypeInfo) -> Self {
        let infos = self.infos.iter().copied().filter(|known| *known != info);
        Self {
            infos: infos.collect(),
            ..*self
        }
    }
}
