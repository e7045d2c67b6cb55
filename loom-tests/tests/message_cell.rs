//! Claim: who takes a message out of a cell has a whole message, as new as any put there before it looked, whatever
//! others put there or take out at the same time; each message is dropped once, after all have let go of it.
//!
//! The stock of shares is 4 here, and low at 2, so that taking two out adds to it.
//!
//! Kills, each kept in `mutants/message_cell--<name>.patch`:
//! - `relaxed-get`: the addition does not see what came with the pointer;
//! - `relaxed-replace`: what is put there is not shown to who takes it out;
//! - `look-then-take`: the message is decided by a load, and the share taken by an addition after it;
//! - `rest-is-kept`: the rest of the stock is not given back;
//! - `stock-of-another`: the stock is added to whatever message is there by now;
//! - `added-twice`: two who find the stock low both count for it, and neither gives back.
#![cfg(loom)]
#![allow(
    clippy::disallowed_types,
    reason = "std's Arc holds what the model looks at, and is no part of it"
)]

use loom::thread;
use loom_tests::{Note, check};
use stasis_bus::{Message, MessageCell};
use std::sync::Arc;

fn note(n: u8) -> Message {
    Message::new(Note::new(n, 0))
}

fn number(message: &Message) -> u8 {
    message.get::<Note>().expect("a note").tag().0
}

#[test]
fn taken_out_while_it_is_replaced() {
    check("message_cell, get and replace", 26, || {
        let cell = Arc::new(MessageCell::new(Some(note(0))));
        let reader = {
            let cell = Arc::clone(&cell);
            thread::spawn(move || {
                let first = cell.get().expect("there is always one");
                let second = cell.get().expect("there is always one");
                assert!(number(&first) <= number(&second), "never back");
                drop(first);
                assert!(number(&second) <= 1);
            })
        };
        let old = cell.replace(Some(note(1))).expect("the first");
        assert_eq!(number(&old), 0);
        drop(old);
        assert_eq!(cell.get().as_ref().map(number), Some(1), "one's own write");
        reader.join().unwrap();
    });
}

#[test]
fn emptied_and_filled_again() {
    check("message_cell, emptied", 13, || {
        let cell = Arc::new(MessageCell::new(Some(note(0))));
        let reader = {
            let cell = Arc::clone(&cell);
            thread::spawn(move || {
                let found = [cell.get(), cell.get()];
                let found = found.iter().flatten().map(number).collect::<Vec<_>>();
                assert!(found.windows(2).all(|pair| pair[0] <= pair[1]), "{found:?}");
            })
        };
        drop(cell.replace(None));
        drop(cell.replace(Some(note(1))));
        reader.join().unwrap();
    });
}

#[test]
fn two_take_out_what_makes_the_stock_low() {
    check("message_cell, a low stock", 135, || {
        let message = note(0);
        let cell = Arc::new(MessageCell::new(Some(message.clone())));
        // One short of low.
        let kept = cell.get();
        let readers = [(); 2].map(|()| {
            let cell = Arc::clone(&cell);
            thread::spawn(move || cell.get().map(|message| number(&message)))
        });
        // The same message again: a stock of its own.
        let old = cell.replace(Some(message));
        for reader in readers {
            assert_eq!(reader.join().unwrap(), Some(0));
        }
        drop((kept, old));
        assert_eq!(cell.get().as_ref().map(number), Some(0));
    });
}

#[test]
fn the_stock_is_not_given_to_another() {
    check("message_cell, a low stock and another message", 168, || {
        let cell = Arc::new(MessageCell::new(Some(note(0))));
        let kept = cell.get();
        let reader = {
            let cell = Arc::clone(&cell);
            thread::spawn(move || cell.get().map(|message| number(&message)))
        };
        // On a thread of its own: the one that waits for both is not interrupted.
        let writer = {
            let cell = Arc::clone(&cell);
            thread::spawn(move || {
                drop(cell.replace(Some(note(1))));
                // The other one's stock becomes low, too.
                let others = [cell.get(), cell.get()];
                assert!(others.iter().flatten().all(|other| number(other) == 1));
            })
        };
        let found = reader.join().unwrap();
        assert!(found <= Some(1));
        writer.join().unwrap();
        drop(kept);
        assert_eq!(cell.get().as_ref().map(number), Some(1));
    });
}
