//! The memory of messages: that of a dropped one is kept for the next one of its size. Messages are made by
//! publishers and end at consumers, mostly on another core, which is the case that allocators are worst
//! at. So what a consumer frees goes back to publishers, by the batch: see [`stock`](crate::queue::stock).
//!
//! What is kept is bounded: [`MOST_IN_DEPOT`] bytes of each size in the process, and some 64 pieces of each
//! size by a thread that makes or drops messages, until it ends. Messages larger than [`LARGEST`] are left
//! to the allocator. So are all of them in models and when fuzzing, where a use after free is to be seen,
//! and under miri.

#![expect(
    unsafe_code,
    reason = "memory is kept by its size, without the type that was in it"
)]

use crate::queue::stock::{Depot, Stock};
use crate::sync::unmodelled::OnceLock;
use crate::sync::{Vacant, hint, thread_local};
use std::cell::RefCell;
use std::ptr::NonNull;

/// Bytes of one size that are kept for all threads.
const MOST_IN_DEPOT: usize = 1 << 18;

/// Bytes, without the count of handles.
const LARGEST: usize = 504;

/// Sizes are multiples of the alignment, and there is a stock for each of them.
const GRAIN: usize = 8;
const SIZES: usize = LARGEST / GRAIN + 1;

const IS_ON: bool = !cfg!(any(loom, fuzzing, miri));

/// What is fetched at once by a CPU: in bytes, and a good guess is good enough.
const LINE: usize = 64;

/// Memory of some size that nobody uses.
#[derive(Clone, Copy, Debug)]
struct Piece(NonNull<()>);

// SAFETY: nothing is in it, and whoever has it is the only one
unsafe impl Send for Piece {}

/// What a thread has of one size. Aligned, so that threads' are not on one line.
#[repr(align(64))]
struct Kept {
    stock: Stock<'static, Piece>,
    free: fn(Piece),
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.stock.drain().for_each(self.free);
    }
}

type Stocks = RefCell<[Option<Box<Kept>>; SIZES]>;

thread_local! {
    static STOCKS: Stocks = const { RefCell::new([const { None }; SIZES]) };
}

static DEPOTS: [OnceLock<Depot<Piece>>; SIZES] = [const { OnceLock::new() }; SIZES];

const fn is_kept<T>() -> bool {
    IS_ON && align_of::<T>() == GRAIN && size_of::<T>() <= LARGEST
}

/// Frees a piece that a `T` fits exactly.
fn free<T>(piece: Piece) {
    // SAFETY: it came from `into_raw` of such a size and the one alignment there is, and is used once
    drop(unsafe { Vacant::<T>::from_raw(piece.0) });
}

#[cold]
#[inline(never)]
fn begin<T>() -> Box<Kept> {
    let depot = DEPOTS[size_of::<T>() / GRAIN]
        .get_or_init(|| Depot::new(MOST_IN_DEPOT / size_of::<T>().max(GRAIN)));
    Box::new(Kept {
        stock: Stock::new(depot),
        free: free::<T>,
    })
}

/// The calling thread's stock of the size of a `T`; `None` while the thread is being torn down.
#[inline]
fn with_kept<T, R>(f: impl FnOnce(&mut Kept) -> R) -> Option<R> {
    let with = |stocks: &Stocks| {
        let mut stocks = stocks.borrow_mut();
        f(stocks[size_of::<T>() / GRAIN].get_or_insert_with(begin::<T>))
    };
    STOCKS.try_with(with).ok()
}

/// Memory for a `T`, if some is left over.
#[inline]
pub(super) fn take<T>() -> Option<Vacant<T>> {
    if !is_kept::<T>() {
        return None;
    }
    let (piece, later) = with_kept::<T, _>(|kept| kept.stock.take())??;
    if let Some(Piece(later)) = later {
        // It is in the cache of whoever freed it.
        let lines = (size_of::<T>() + GRAIN).div_ceil(LINE);
        (0..lines).for_each(|line| {
            hint::prefetch_for_write(later.as_ptr().wrapping_byte_add(line * LINE))
        });
    }
    // SAFETY: it came from `into_raw` of such a size and the one alignment there is, and is used once
    Some(unsafe { Vacant::from_raw(piece.0) })
}

/// Keeps memory that a `T` was in.
#[inline]
pub(super) fn keep<T>(memory: Vacant<T>) {
    if !is_kept::<T>() {
        return drop(memory);
    }
    let mut memory = Some(memory);
    // If there is no stock any more, it is freed here.
    let _kept = with_kept::<T, _>(|kept| {
        if let Some(memory) = memory.take() {
            let piece = Piece(memory.into_raw());
            kept.stock.keep(piece, kept.free);
        }
    });
}
