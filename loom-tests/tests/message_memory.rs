//! Claim: memory that one thread keeps and another one takes belongs to one of them at a time: what the first did
//! to it comes before what the second does, and no piece is handed out twice.
//!
//! The code that runs is `src/queue/stock.rs`, with batches of one piece; between the threads is crossbeam's queue,
//! for which a stand-in as weak as that is put. A piece is a cell that whoever has it writes to.
//!
//! Kills, each kept in `mutants/message_memory--<name>.patch`:
//! - `handed-on-and-kept`: what goes to the depot stays with the thread as well;
//! - `surplus-is-handed-on-too`: what the depot has no room for is given up, and kept all the same.
#![cfg(loom)]
#![expect(unsafe_code, reason = "a piece is written to by whoever has it")]

use loom::cell::UnsafeCell;
use loom::thread;
use loom_tests::check;
use stasis_bus::internals::{Depot, Stock};
use std::sync::Arc as Unmodelled;

/// Stands for memory. It outlives the threads.
struct Memory(UnsafeCell<u32>);

// SAFETY: loom checks the accesses to the cell; that is what it is for
unsafe impl Send for Memory {}
// SAFETY: as above
unsafe impl Sync for Memory {}

/// Which one of so many.
type Piece = usize;

struct Place {
    memory: [Memory; 4],
    depot: Depot<Piece>,
}

impl Place {
    fn new(depot: usize) -> Unmodelled<Self> {
        let memory = || Memory(UnsafeCell::new(0));
        Unmodelled::new(Self {
            memory: std::array::from_fn(|_| memory()),
            depot: Depot::new(depot),
        })
    }

    /// A message is made there, or dropped.
    fn write(&self, piece: Piece) {
        // SAFETY: a concurrent access is what loom reports
        self.memory[piece].0.with_mut(|uses| unsafe { *uses += 1 });
    }

    /// How often it was written to.
    fn uses(&self, piece: Piece) -> u32 {
        // SAFETY: as above
        self.memory[piece].0.with(|uses| unsafe { *uses })
    }
}

/// Two threads: one drops messages, in `pieces`, and one makes `wanted` of what comes, and drops them at its end.
fn goes_around(name: &str, floor: usize, depot: usize, pieces: usize, wanted: usize) {
    check(name, floor, move || {
        let place = Place::new(depot);
        let consumer = {
            let place = place.clone();
            thread::spawn(move || {
                let mut stock = Stock::new(&place.depot);
                let mut left = Vec::new();
                for piece in 0..pieces {
                    place.write(piece);
                    stock.keep(piece, |piece| left.push(piece));
                }
                for piece in &left {
                    place.write(*piece);
                }
                left.extend(stock.drain());
                left
            })
        };
        let mut stock = Stock::new(&place.depot);
        let mut taken = Vec::new();
        for _ in 0..wanted {
            if let Some((piece, _)) = stock.take() {
                place.write(piece);
                taken.push(piece);
            }
        }
        let mut all = consumer.join().unwrap();
        all.extend(&taken);
        all.extend(stock.drain());
        all.extend(std::iter::from_fn(|| stock.take()).map(|(piece, _)| piece));
        all.sort_unstable();
        let every: Vec<_> = (0..pieces).collect();
        assert_eq!(all, every, "each piece is in one place");
        let uses = taken.iter().map(|piece| place.uses(*piece));
        assert!(uses.into_iter().all(|uses| uses == 2));
    });
}

#[test]
fn what_is_handed_on() {
    goes_around("message_memory, handed on", 30, 2, 4, 2);
}

#[test]
fn what_the_depot_has_no_room_for() {
    goes_around("message_memory, surplus", 8, 1, 4, 1);
}
