//! One pointer to a message of any payload type, and the two ways of owning it: as a *handle* (one reference
//! of the `PayloadArc`) or as a *delivery* (one of the header's count, see [`Deliveries`](super::header)).
//! This is all the unsafe code of messages; it knows nothing of mailboxes.

#![expect(
    unsafe_code,
    reason = "type erasure: a thin pointer, cast back to what it was made from"
)]
#![allow(
    unreachable_pub,
    reason = "lib.rs re-exports RawDelivery for the models and benches"
)]

use super::Message;
use super::format::Renderings;
use super::header::{Added, Header, Origin, Removed};
use super::memory;
use super::message_type::TypeInfo;
use crate::queue::Pointer;
use crate::sync::{PayloadArc, contain};
use std::any::TypeId;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

/// What is allocated: one block a message.
#[repr(C)]
struct Inner<T, E = ()> {
    /// First, so that a pointer to it is one to the whole.
    header: Header,
    /// At the same place whatever comes behind it.
    payload: T,
    /// Nothing, or the [`Renderings`] of a message whose type has formats.
    tail: E,
}

/// What depends on the payload's type, and on whether there is room for texts. Each function wants a pointer
/// that came from [`Erased::allocate`] of those, to a message that lives.
#[derive(Debug)]
pub(crate) struct VTable {
    /// Gives up one handle.
    release: unsafe fn(NonNull<Header>),
    /// Makes one more handle.
    retain: unsafe fn(NonNull<Header>),
    /// True if the only handle is the caller's.
    is_unique: unsafe fn(NonNull<Header>) -> bool,
    /// Where the texts are, if there is room for them. They live as long as the message.
    renderings: Option<unsafe fn(NonNull<Header>) -> NonNull<Renderings>>,
}

impl VTable {
    /// Of messages that carry a `T`, and have room for texts or not.
    pub(super) fn of<T: Send + Sync + 'static>(is_rendered: bool) -> &'static Self {
        if is_rendered {
            VTableOf::<T>::RENDERED
        } else {
            VTableOf::<T>::PLAIN
        }
    }
}

struct VTableOf<T>(T);

impl<T: Send + Sync + 'static> VTableOf<T> {
    const PLAIN: &'static VTable = &VTable {
        release: release::<T, ()>,
        retain: retain::<T, ()>,
        is_unique: is_unique::<T, ()>,
        renderings: None,
    };

    const RENDERED: &'static VTable = &VTable {
        release: release::<T, Renderings>,
        retain: retain::<T, Renderings>,
        is_unique: is_unique::<T, Renderings>,
        renderings: Some(renderings::<T>),
    };
}

/// A payload whose drop panics is contained (R2); its memory is freed all the same.
///
/// # Safety
/// `header` came from [`Erased::allocate`] of a `T` and an `E`, and the caller owns a handle, which is given
/// up.
unsafe fn release<T, E>(header: NonNull<Header>) {
    // SAFETY: guaranteed by caller; `Inner` begins with its header
    let arc = unsafe { PayloadArc::<Inner<T, E>>::from_raw(header.as_ptr().cast()) };
    let mut memory = None;
    contain(|| memory = arc.vacate());
    if let Some(memory) = memory {
        memory::keep(memory);
    }
}

/// # Safety
/// `header` came from [`Erased::allocate`] of a `T` and an `E`, and the caller owns a handle or a delivery.
unsafe fn retain<T, E>(header: NonNull<Header>) {
    // SAFETY: guaranteed by caller; the reference is lent
    let arc = unsafe { PayloadArc::<Inner<T, E>>::from_raw(header.as_ptr().cast()) };
    // Two references go out again: the lent one and the new one.
    let _raw = PayloadArc::into_raw(arc.clone());
    let _raw = PayloadArc::into_raw(arc);
}

/// # Safety
/// `header` came from [`Erased::allocate`] of a `T` and an `E`, and the caller owns a handle.
unsafe fn is_unique<T, E>(header: NonNull<Header>) -> bool {
    // SAFETY: guaranteed by caller; the reference is lent, see `ManuallyDrop`
    let arc = unsafe { PayloadArc::<Inner<T, E>>::from_raw(header.as_ptr().cast()) };
    ManuallyDrop::new(arc).is_unique()
}

/// # Safety
/// `header` came from [`Erased::allocate`] of a `T` and [`Renderings`], and lives.
unsafe fn renderings<T>(header: NonNull<Header>) -> NonNull<Renderings> {
    // SAFETY: guaranteed by caller; `Inner` begins with its header
    let inner = unsafe { header.cast::<Inner<T, Renderings>>().as_ref() };
    NonNull::from(&inner.tail)
}

/// Set in the address of an [`Erased`] that owns a delivery.
const DELIVERY: usize = 1;

/// Owns a handle or a delivery of a message.
///
/// | lowest bit of the address | owns | clone | drop |
/// |---|---|---|---|
/// | 0 | a handle | takes a handle | gives up the handle |
/// | 1 | a delivery | takes a handle | removes one delivery; the last one gives up the handle of all |
#[repr(transparent)]
pub(super) struct Erased(NonNull<Header>);

// SAFETY: `new` takes payloads that are Send + Sync only; the header is shared by atomics alone
unsafe impl Send for Erased {}
// SAFETY: as above; `&Erased` gives `&T` and clones
unsafe impl Sync for Erased {}

impl Erased {
    #[inline]
    pub(super) fn new<T: Send + Sync + 'static>(
        info: &'static TypeInfo,
        payload: T,
        origin: Origin,
    ) -> Self {
        // Not by the address of the vtable: each crate that makes such messages has one of its own.
        debug_assert!(info.carries() == TypeId::of::<T>() && info.vtable().renderings.is_none());
        let header = Header::new(info, origin);
        Self::allocate(Inner {
            header,
            payload,
            tail: (),
        })
    }

    /// With room for texts.
    pub(super) fn with_renderings<T: Send + Sync + 'static>(
        info: &'static TypeInfo,
        payload: T,
        origin: Origin,
    ) -> Self {
        debug_assert!(info.carries() == TypeId::of::<T>() && info.vtable().renderings.is_some());
        let header = Header::new(info, origin);
        Self::allocate(Inner {
            header,
            payload,
            tail: Renderings::new(),
        })
    }

    #[inline]
    fn allocate<T, E>(inner: Inner<T, E>) -> Self {
        let inner = match memory::take() {
            Some(memory) => PayloadArc::move_in(memory, inner),
            None => PayloadArc::new(inner),
        };
        let inner = PayloadArc::into_raw(inner);
        let header = NonNull::new(inner.cast::<Header>().cast_mut());
        Self(header.expect("into_raw never gives null"))
    }

    #[inline]
    fn owns_delivery(&self) -> bool {
        self.0.addr().get() & DELIVERY != 0
    }

    /// Without the tag.
    #[inline]
    fn pointer(&self) -> NonNull<Header> {
        let untagged = self.0.as_ptr().map_addr(|addr| addr & !DELIVERY);
        debug_assert!(!untagged.is_null());
        // SAFETY: a header is aligned to 8, so what is left is the address of one and not 0
        unsafe { NonNull::new_unchecked(untagged) }
    }

    #[inline]
    pub(super) fn header(&self) -> &Header {
        // SAFETY: what `self` owns keeps the message alive
        unsafe { self.pointer().as_ref() }
    }

    /// The payload, if it is a `T`.
    #[inline]
    pub(super) fn get<T: 'static>(&self) -> Option<&T> {
        if self.header().info.carries() != TypeId::of::<T>() {
            return None;
        }
        // SAFETY: the description is that of the type in `new`, which carries a T; what `self` owns keeps it
        // alive; the tail, which may be another one, is behind what is looked at
        let inner = unsafe { self.pointer().cast::<Inner<T>>().as_ref() };
        Some(&inner.payload)
    }

    /// The texts, if there is room for them.
    pub(super) fn renderings(&self) -> Option<&Renderings> {
        let renderings = self.header().info.vtable().renderings?;
        // SAFETY: the vtable is of what was allocated, and what `self` owns keeps the message alive
        let renderings = unsafe { renderings(self.pointer()) };
        // SAFETY: it lives as long as the message, which what `self` owns keeps alive
        Some(unsafe { renderings.as_ref() })
    }
}

impl Clone for Erased {
    #[inline]
    fn clone(&self) -> Self {
        let pointer = self.pointer();
        // SAFETY: the vtable is of the payload's type, and `self` owns a handle or a delivery
        unsafe { (self.header().info.vtable().retain)(pointer) };
        Self(pointer)
    }
}

impl Drop for Erased {
    #[inline]
    fn drop(&mut self) {
        if self.owns_delivery() {
            // SAFETY: `self` owns that delivery
            unsafe { RawDelivery(self.pointer()).refund(1) };
        } else {
            // SAFETY: the vtable is of the payload's type, and `self` owns a handle
            unsafe { (self.header().info.vtable().release)(self.pointer()) };
        }
    }
}

/// What a slot of a mailbox holds: a pointer to a message, never null, with the low three bits clear. Each of
/// the `n` copies that [`RawDelivery::new`] stands for is owned once, by whoever took it out of its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct RawDelivery(NonNull<Header>);

// SAFETY: as for `Erased`: it is a pointer to a message that threads share
unsafe impl Send for RawDelivery {}
// SAFETY: as above
unsafe impl Sync for RawDelivery {}

impl RawDelivery {
    /// Turns what `message` owns into `n` deliveries. Called before the first of them is pushed anywhere;
    /// those that no mailbox takes go back by [`Self::refund`].
    ///
    /// Free of read-modify-writes when `message` is the only handle (a message that was just made), and when
    /// it owns a delivery and `n` is 1 (a message that is passed on).
    #[inline]
    pub fn new(message: Message, n: u32) -> Self {
        assert!(n > 0, "no deliveries to make");
        let n = n as usize;
        let erased = ManuallyDrop::new(message.0);
        let (pointer, header) = (erased.pointer(), erased.header());
        if erased.owns_delivery() {
            if n > 1 {
                // It is one of them already, and so the count cannot have been zero.
                let added = header.deliveries.add(n - 1);
                debug_assert_eq!(added, Added::Joined);
            }
            return Self(pointer);
        }
        // SAFETY: the vtable is of the payload's type, and `erased` owns a handle
        if unsafe { (header.info.vtable().is_unique)(pointer) } {
            // Ours is the only handle, so none stands for deliveries: there are none.
            header.deliveries.start(n);
        } else if header.deliveries.add(n) == Added::Joined {
            // SAFETY: as above, and it is given up here: `erased` is not dropped
            unsafe { (header.info.vtable().release)(pointer) };
        }
        Self(pointer)
    }

    /// The pointer for a slot: not null, the low three bits clear.
    #[inline]
    pub fn as_ptr(self) -> *mut () {
        self.0.as_ptr().cast()
    }

    /// # Safety
    /// `pointer` came from [`Self::as_ptr`], without tags.
    #[inline]
    pub unsafe fn from_ptr(pointer: *mut ()) -> Self {
        debug_assert!(!pointer.is_null());
        // SAFETY: guaranteed by caller
        Self(unsafe { NonNull::new_unchecked(pointer.cast()) })
    }

    /// Gives back `r` deliveries: those that no mailbox took, or that were evicted. May drop the payload, so
    /// never under a lock or a pin (R1).
    ///
    /// # Safety
    /// The caller owns `r` deliveries of this message.
    #[inline]
    pub unsafe fn refund(self, r: u32) {
        if r == 0 {
            return;
        }
        // SAFETY: the caller's deliveries keep the message alive until they are removed
        let deliveries = unsafe { &(*self.0.as_ptr()).deliveries };
        // From here on nothing of the message is touched, unless ours were the last: then its handle is ours.
        // Nor is anything before: that would bring the line here twice.
        if deliveries.remove(r as usize) == Removed::Last {
            // SAFETY: the handle of all deliveries is ours, and keeps the message alive
            let vtable = unsafe { self.0.as_ref() }.info.vtable();
            // SAFETY: the vtable is of the payload's type; the handle is ours to give up
            unsafe { (vtable.release)(self.0) };
        }
    }

    /// `n` more deliveries.
    ///
    /// # Safety
    /// The caller owns one delivery of this message.
    pub(super) unsafe fn add(self, n: u32) {
        // SAFETY: the caller's delivery keeps the message alive
        let header = unsafe { self.0.as_ref() };
        let added = header.deliveries.add(n as usize);
        debug_assert_eq!(added, Added::Joined);
    }

    /// One delivery becomes a message that owns it. No atomic operation.
    ///
    /// # Safety
    /// The caller owns one delivery of this message, and gives it away.
    #[inline]
    pub unsafe fn into_message(self) -> Message {
        let tagged = self.0.as_ptr().map_addr(|addr| addr | DELIVERY);
        // SAFETY: an address with a bit set is not null
        Message(Erased(unsafe { NonNull::new_unchecked(tagged) }))
    }
}

/// A mailbox's queue holds messages that own deliveries; in and out without an atomic operation.
// SAFETY: the pointer is not null, and a message turned into a delivery and back is the same message
unsafe impl Pointer for Message {
    #[inline]
    fn into_ptr(self) -> *mut () {
        RawDelivery::new(self, 1).as_ptr()
    }

    #[inline]
    unsafe fn from_ptr(ptr: *mut ()) -> Self {
        // SAFETY: guaranteed by caller: it came from `into_ptr`
        let delivery = unsafe { RawDelivery::from_ptr(ptr) };
        // SAFETY: the one delivery that `into_ptr` made or gave up, and the caller takes it once
        unsafe { delivery.into_message() }
    }
}

impl Message {
    /// A message that owns a delivery, as mailboxes hold them.
    #[inline]
    pub(crate) fn into_one_delivery(self) -> Self {
        let raw = RawDelivery::new(self, 1);
        // SAFETY: one delivery was counted, and this is it
        unsafe { raw.into_message() }
    }
}

/// How large a message of a `T` is, without room for texts and with it.
#[cfg(all(test, not(loom)))]
pub(super) fn sizes<T>() -> (usize, usize) {
    (size_of::<Inner<T>>(), size_of::<Inner<T, Renderings>>())
}
