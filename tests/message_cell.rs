//! A place for a message: what is read is what was put there, and every share is given back.

#![allow(clippy::disallowed_types, reason = "tests use std's own")]

use stasis_bus::{Message, MessageCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

struct Counted(u64, Arc<AtomicUsize>);

impl Counted {
    fn message(n: u64, alive: &Arc<AtomicUsize>) -> Message {
        alive.fetch_add(1, Ordering::Relaxed);
        Message::new(Self(n, alive.clone()))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.1.fetch_sub(1, Ordering::Relaxed);
    }
}

fn number(message: &Message) -> u64 {
    message.get::<Counted>().unwrap().0
}

#[test]
fn more_are_taken_out_than_any_stock_holds() {
    let alive = Arc::new(AtomicUsize::new(0));
    let cell = MessageCell::new(Some(Counted::message(7, &alive)));
    let kept: Vec<_> = (0..100_000).map(|_| cell.get().unwrap()).collect();
    assert!(kept.iter().all(|message| number(message) == 7));
    drop(cell);
    assert_eq!(alive.load(Ordering::Relaxed), 1);
    drop(kept);
    assert_eq!(alive.load(Ordering::Relaxed), 0);
}

#[test]
fn the_same_message_goes_in_and_out() {
    let alive = Arc::new(AtomicUsize::new(0));
    let cell = MessageCell::default();
    let message = Counted::message(1, &alive);
    for _ in 0..3 {
        assert!(cell.replace(Some(message.clone())).is_none());
        let taken = cell.get().unwrap();
        assert_eq!(taken.id(), message.id());
        let back = cell.replace(Some(taken)).unwrap();
        assert_eq!(back.id(), message.id());
        assert_eq!(cell.replace(None).unwrap().id(), message.id());
        assert!(cell.get().is_none());
    }
    drop(message);
    assert_eq!(alive.load(Ordering::Relaxed), 0);
    assert!(format!("{cell:?}").contains("None"));
}

#[test]
fn an_old_message_goes_at_once() {
    let alive = Arc::new(AtomicUsize::new(0));
    let cell = MessageCell::new(Some(Counted::message(1, &alive)));
    drop(cell.replace(Some(Counted::message(2, &alive))));
    assert_eq!(alive.load(Ordering::Relaxed), 1);
    drop(cell.replace(None));
    assert_eq!(alive.load(Ordering::Relaxed), 0);
}

#[test]
fn readers_and_writers_at_once() {
    let alive = Arc::new(AtomicUsize::new(0));
    let cell = MessageCell::new(Some(Counted::message(0, &alive)));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let readers = [(); 3].map(|()| {
            scope.spawn(|| {
                let (mut last, mut kept) = (0, Vec::new());
                while !done.load(Ordering::Relaxed) {
                    let Some(message) = cell.get() else { continue };
                    assert!(number(&message) >= last, "never back");
                    last = number(&message);
                    if kept.len() == 1_000 {
                        kept.clear();
                    }
                    kept.push(message);
                }
            })
        });
        for n in 1..50_000 {
            if n % 5 == 0 {
                drop(cell.replace(None));
            }
            drop(cell.replace(Some(Counted::message(n, &alive))));
        }
        done.store(true, Ordering::Relaxed);
        let _ = readers.map(|reader| reader.join().unwrap());
    });
    drop(cell);
    assert_eq!(alive.load(Ordering::Relaxed), 0);
}
