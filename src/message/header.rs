//! What every message has in front of its payload: what it is, who made it and when, and the count of its
//! deliveries. It is *not* the count of handles: that is the `PayloadArc`'s, one word in front of this.

use super::message_type::TypeInfo;
use super::timestamp::Timestamp;
use crate::sync;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::unmodelled::AtomicU64;
use std::cell::Cell;
use std::fmt;

/// Aligned so that the low three bits of its address are free for tags, on 32-bit targets too.
#[derive(Debug)]
#[repr(C, align(8))]
pub(crate) struct Header {
    /// What the message says that it is, and so what can be done with its payload.
    pub(super) info: &'static TypeInfo,
    pub(super) deliveries: Deliveries,
    pub(super) id: MessageId,
    pub(super) timestamp: Timestamp,
    pub(super) origin: Origin,
}

impl Header {
    #[inline]
    pub(super) fn new(info: &'static TypeInfo, origin: Origin) -> Self {
        Self {
            info,
            deliveries: Deliveries(AtomicUsize::new(0)),
            id: MessageId::next(),
            timestamp: Timestamp::now(),
            origin,
        }
    }
}

/// How many deliveries of a message are outstanding: offered to a mailbox and not dropped since. While it is
/// not zero, one handle stands for all of them.
///
/// Who wants to add must own something that keeps the message alive, a handle or a delivery, and an added
/// handle is taken *before* the addition: whoever brings the count from zero leaves it to the deliveries,
/// whoever finds it above zero takes it back. So each passage from zero to more brings one handle in, and
/// each passage to zero takes one out; handles are alike, so it does not matter which, nor in which order
/// the second half of one passage and the first of the next come.
#[derive(Debug)]
pub(super) struct Deliveries(AtomicUsize);

/// What [`Deliveries::add`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Added {
    /// There were none: the caller's handle now stands for all deliveries.
    First,
    /// Another handle stands for them: the caller still owns its own.
    Joined,
}

/// What [`Deliveries::remove`] left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Removed {
    /// None: the caller owns the handle that stood for them.
    Last,
    /// Some.
    Others,
}

impl Deliveries {
    /// The first `n`, of a message that the caller alone can reach: no read-modify-write.
    #[inline]
    pub(super) fn start(&self, n: usize) {
        // Relaxed: nobody else can reach the message; the push into a mailbox (Release) makes the number
        // visible to the consumer that pops it, who is the first to look at it in `remove`.
        self.0.store(n, Ordering::Relaxed);
    }

    /// `n` more, before any of them is pushed.
    #[inline]
    pub(super) fn add(&self, n: usize) -> Added {
        // Relaxed: what the caller did to the message is made visible to who frees it by the push of each of
        // these deliveries, or by giving back its handle (Release), not by this word.
        let prior = self.0.fetch_add(n, Ordering::Relaxed);
        if prior > MOST_DELIVERIES {
            // Only by leaking messages on purpose; a wrapped count would free what is in use.
            std::process::abort();
        }
        if prior == 0 {
            Added::First
        } else {
            Added::Joined
        }
    }

    /// `n` fewer, which the caller owned.
    #[inline]
    pub(super) fn remove(&self, n: usize) -> Removed {
        // Release: what this thread read of the payload comes before what the thread that finds `Last`
        // does, which is to free it; the additions in between are read-modify-writes and keep the chain.
        let prior = self.0.fetch_sub(n, Ordering::Release);
        debug_assert!(prior >= n, "more deliveries dropped than made");
        if prior != n {
            return Removed::Others;
        }
        // Acquire: pairs with the Release of every other `remove`, the line above on the other threads. What
        // is loaded may be newer, if somebody with a handle adds, but still continues them all: `start`
        // needs the only handle, and we hold one. A load where a fence would do, for ThreadSanitizer's sake.
        let _newer = self.0.load(Ordering::Acquire);
        Removed::Last
    }
}

const MOST_DELIVERIES: usize = isize::MAX as usize;

/// The number of a message: unique in the process, never 0.
///
/// Of two messages made by one thread, the later one has the greater number. Between threads the numbers say
/// nothing about time: each thread takes a block of them at once, so that numbering costs about a nanosecond.
///
/// ```
/// use stasis_bus::Message;
///
/// let first = Message::new("one");
/// let second = Message::new("two");
/// assert!(first.id() < second.id());
/// assert_eq!(first.clone().id(), first.id());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(u64);

/// How many numbers a thread takes from the process at once.
const ID_BLOCK: u64 = 65_536;

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

sync::thread_local! {
    /// The next number of this thread, and the first one that is not its own.
    static IDS: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

impl MessageId {
    /// The number itself.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }

    #[inline]
    pub(super) fn next() -> Self {
        let id = IDS.try_with(|ids| {
            let (next, end) = ids.get();
            let (next, end) = if next == end {
                let first = take_ids(ID_BLOCK);
                (first, first + ID_BLOCK)
            } else {
                (next, end)
            };
            ids.set((next + 1, end));
            next
        });
        // The thread is being torn down: one number for this one message.
        Self(id.unwrap_or_else(|_| take_ids(1)))
    }
}

#[cold]
fn take_ids(count: u64) -> u64 {
    // Relaxed: the numbers are unique because this is one read-modify-write; nothing is read through them.
    NEXT_ID.fetch_add(count, Ordering::Relaxed)
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The entity that published a message first. A process that is not joined to others needs none: everything
/// it makes comes from [`Origin::LOCAL`].
///
/// ```
/// use stasis_bus::{Message, MessageType, Origin};
///
/// static TEMPERATURE: MessageType<f32> = MessageType::new("temperature");
///
/// assert!(TEMPERATURE.message(21.5).origin().is_local());
/// let far = TEMPERATURE.message_with_origin(21.5, Origin::new(7));
/// assert_eq!(far.origin().get(), 7);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin(u64);

impl Origin {
    /// This process.
    pub const LOCAL: Origin = Origin(0);

    /// Nobody in particular: what was made of the messages of several. Caches do not keep such messages.
    pub const AGGREGATE: Origin = Origin(u64::MAX);

    /// The entity with that number; 0 is [`Origin::LOCAL`], the greatest one [`Origin::AGGREGATE`].
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number that it was made from.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// True for [`Origin::LOCAL`].
    #[must_use]
    pub const fn is_local(self) -> bool {
        self.0 == 0
    }
}
