//! What is sent: 64 bytes that say who sent them, as which, and when.

use std::ops::Range;

/// The payload, for everybody. Where a peer shares messages by `Arc`, it is an `Arc` of this.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct Item {
    /// Who sent it; less than [`MOST_PUBLISHERS`](crate::ledger::MOST_PUBLISHERS).
    pub(crate) publisher: u64,
    /// How many its publisher sent before it.
    pub(crate) number: u64,
    /// For shapes that take times: when, in what they count.
    pub(crate) stamp: u64,
    rest: [u64; 5],
}

impl Item {
    pub(crate) fn new(publisher: u64, number: u64) -> Self {
        Self {
            publisher,
            number,
            stamp: 0,
            rest: [number; 5],
        }
    }

    pub(crate) fn stamped(publisher: u64, number: u64, stamp: u64) -> Self {
        Self {
            stamp,
            ..Self::new(publisher, number)
        }
    }
}

/// An item as numbers, for memory that holds no types of ours.
#[cfg(feature = "iceoryx")]
pub(crate) type Words = [u64; 8];

#[cfg(feature = "iceoryx")]
impl From<Item> for Words {
    #[inline]
    fn from(item: Item) -> Self {
        let [a, b, c, d, e] = item.rest;
        [item.publisher, item.number, item.stamp, a, b, c, d, e]
    }
}

#[cfg(feature = "iceoryx")]
impl From<Words> for Item {
    #[inline]
    fn from([publisher, number, stamp, a, b, c, d, e]: Words) -> Self {
        Self {
            publisher,
            number,
            stamp,
            rest: [a, b, c, d, e],
        }
    }
}

/// The items that a publisher is to send next.
#[derive(Clone, Debug)]
pub(crate) struct Items {
    publisher: u64,
    numbers: Range<u64>,
}

impl Items {
    pub(crate) fn new(publisher: u64, numbers: Range<u64>) -> Self {
        Self { publisher, numbers }
    }
}

impl Iterator for Items {
    type Item = Item;

    #[inline]
    fn next(&mut self) -> Option<Item> {
        let number = self.numbers.next()?;
        Some(Item::new(self.publisher, number))
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        self.numbers.size_hint()
    }
}

impl ExactSizeIterator for Items {}
