//! What the models of the whole bus share: [`phased`] leaves what is not of interest out of the exploration,
//! [`race`] is what is; [`Note`] is a message, and [`Journal`] what a handler writes, and loom sees whether all who
//! touch them do so in order.

#![expect(unsafe_code, reason = "cells that loom tracks are shared")]

use crate::Tag;
use loom::cell::UnsafeCell;
use stasis_bus::{Message, Topic};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

/// As [`check`](crate::check), but nothing is explored except what [`race`] runs.
pub fn phased(name: &str, floor: usize, f: impl Fn() + Send + Sync + 'static) {
    crate::check(name, floor, move || {
        loom::stop_exploring();
        f();
    });
}

/// One thread's part in a [`race`].
pub type Role<R> = Box<dyn FnOnce() -> R>;

/// Gates of a race. All threads of a model are coroutines of one OS thread, so `Cell`s do.
struct Gates {
    /// How many wait for the start.
    ready: Cell<usize>,
    /// How many have not come to the end of their roles.
    racing: Cell<usize>,
    threads: RefCell<Vec<loom::thread::Thread>>,
}

impl Gates {
    /// The last one to come to its end stops the exploration; the others wait for that, so that the end of a
    /// thread, which leaves the epoch's list, is no part of it.
    fn leave(&self) {
        self.racing.set(self.racing.get() - 1);
        if self.racing.get() > 0 {
            return loom::thread::park();
        }
        loom::stop_exploring();
        let me = loom::thread::current().id();
        for thread in self.threads.borrow().iter() {
            if thread.id() != me {
                thread.unpark();
            }
        }
    }
}

/// Runs all roles at once, the first one on this thread, and explores that. Every thread has been pinned once
/// before, at `topic`: the first pin of a thread registers it and collects garbage, which would be most of what
/// there is to explore. Gives what the roles gave.
pub fn race<R: 'static, const N: usize>(topic: &Topic, roles: [Role<R>; N]) -> [R; N] {
    // Looks at the list, which takes a pin.
    let pin = |topic: &Topic| drop(topic.stats());
    let gates = Rc::new(Gates {
        ready: Cell::new(0),
        racing: Cell::new(N),
        threads: RefCell::new(vec![loom::thread::current()]),
    });
    let results: Rc<RefCell<[Option<R>; N]>> = Rc::new(RefCell::new([const { None }; N]));
    let main = loom::thread::current();
    pin(topic);
    let mut roles = roles.into_iter().enumerate();
    let first = roles.next();
    let mut handles = Vec::new();
    for (index, role) in roles {
        let (gates, results, main) = (Rc::clone(&gates), Rc::clone(&results), main.clone());
        let topic = topic.clone();
        let inner = Rc::clone(&gates);
        let handle = loom::thread::spawn(move || {
            pin(&topic);
            inner.ready.set(inner.ready.get() + 1);
            main.unpark();
            loom::thread::park();
            let result = role();
            results.borrow_mut()[index] = Some(result);
            inner.leave();
        });
        gates.threads.borrow_mut().push(handle.thread().clone());
        handles.push(handle);
    }
    while gates.ready.get() < N - 1 {
        loom::thread::park();
    }
    loom::explore();
    for handle in &handles {
        handle.thread().unpark();
    }
    if let Some((index, role)) = first {
        let result = role();
        results.borrow_mut()[index] = Some(result);
    }
    gates.leave();
    for handle in handles {
        handle.join().unwrap();
    }
    results
        .replace([const { None }; N])
        .map(|result| result.expect("every role has come to its end"))
}

/// A payload whose contents loom tracks: to read it without a happens-before edge from its maker fails, and so
/// does losing it.
#[derive(Debug)]
pub struct Note {
    tag: UnsafeCell<Tag>,
    _track: loom::alloc::Track<()>,
}

// SAFETY: written by `new` only, which loom checks
unsafe impl Send for Note {}
// SAFETY: as above
unsafe impl Sync for Note {}

impl Note {
    /// The `sequence`th of `producer`.
    #[must_use]
    #[track_caller]
    pub fn new(producer: u8, sequence: u8) -> Self {
        Self {
            tag: UnsafeCell::new((producer, sequence)),
            _track: loom::alloc::Track::new(()),
        }
    }

    /// Reads its tag.
    #[track_caller]
    pub fn tag(&self) -> Tag {
        self.tag.with(|tag| {
            // SAFETY: nobody writes after `new`, which loom checks
            unsafe { *tag }
        })
    }
}

/// What a subscription got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Got {
    /// A note.
    Note(Tag),
    /// So many are told to be lost.
    Gap(u64),
    /// The end: delivered, shed, discarded.
    Final(u64, u64, u64),
}

impl Got {
    /// What a message is.
    ///
    /// # Panics
    /// If it is none of these.
    #[must_use]
    #[track_caller]
    pub fn of(message: &Message) -> Self {
        if let Some(note) = message.get::<Note>() {
            return Self::Note(note.tag());
        }
        if let Some(gap) = message.as_gap() {
            return Self::Gap(gap.count);
        }
        let last = message.as_final().expect("a note, a gap or the end");
        Self::Final(last.delivered, last.shed, last.discarded)
    }
}

/// What a handler writes: a cell, so that two who touch it without a happens-before edge between them are
/// reported.
#[derive(Debug, Default)]
pub struct Journal<T>(Arc<Shared<T>>);

#[derive(Debug, Default)]
struct Shared<T>(UnsafeCell<T>);

// SAFETY: loom checks every access
unsafe impl<T: Send> Send for Shared<T> {}
// SAFETY: as above
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Clone for Journal<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Default> Journal<T> {
    /// An empty one.
    #[must_use]
    #[track_caller]
    pub fn new() -> Self {
        Self(Arc::new(Shared(UnsafeCell::new(T::default()))))
    }

    /// Changes it.
    #[track_caller]
    pub fn write<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        self.0.0.with_mut(|value| {
            // SAFETY: nobody else touches it now, which loom checks
            f(unsafe { &mut *value })
        })
    }

    /// Looks at it.
    #[track_caller]
    pub fn read<R>(&self, f: impl FnOnce(&T) -> R) -> R {
        self.0.0.with(|value| {
            // SAFETY: nobody writes now, which loom checks
            f(unsafe { &*value })
        })
    }
}

impl Journal<Vec<Got>> {
    /// A handler that writes down what it gets.
    pub fn handler(&self) -> impl FnMut(&Message) + Send + 'static {
        let journal = self.clone();
        move |message| {
            let got = Got::of(message);
            journal.write(|all| all.push(got));
        }
    }

    /// What is in it.
    #[must_use]
    #[track_caller]
    pub fn all(&self) -> Vec<Got> {
        self.read(Vec::clone)
    }
}

/// The notes among what was got, in order.
#[must_use]
pub fn notes(got: &[Got]) -> Vec<Tag> {
    got.iter()
        .filter_map(|got| match got {
            Got::Note(tag) => Some(*tag),
            _ => None,
        })
        .collect()
}

/// How many are told to be lost.
#[must_use]
pub fn lost(got: &[Got]) -> u64 {
    got.iter()
        .map(|got| match got {
            Got::Gap(count) => *count,
            _ => 0,
        })
        .sum()
}

/// Checks that what was got ends with the final message, and that this is the only one.
///
/// # Panics
/// If not.
#[track_caller]
pub fn assert_final_last(got: &[Got]) {
    let is_final = |got: &&Got| matches!(got, Got::Final(..));
    assert_eq!(got.iter().filter(is_final).count(), 1, "one end: {got:?}");
    assert!(
        got.last().as_ref().is_some_and(is_final),
        "nothing after the end: {got:?}"
    );
}
