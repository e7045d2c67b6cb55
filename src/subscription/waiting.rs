//! Those who wait, threads and tasks alike: for a subscription to be done, for a message to be handled, for
//! room in a mailbox, for a message in a receiver.

use super::scope;
use crate::error::WaitError;
use crate::sync::unmodelled::Arc;
use crate::sync::{Mutex, Parker};
use smallvec::SmallVec;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

/// What wakes one who waits.
#[derive(Debug, Clone)]
pub(crate) enum Waiter {
    Thread(Arc<Parker>),
    Task(Waker),
    /// One who waits in several places, or for more than one poll, and is the same in all of them.
    Slot(Arc<WaiterSlot>),
}

impl PartialEq for Waiter {
    /// The same waiter: not only the same thread or task.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Thread(a), Self::Thread(b)) => Arc::ptr_eq(a, b),
            (Self::Task(a), Self::Task(b)) => a.will_wake(b),
            (Self::Slot(a), Self::Slot(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

impl Waiter {
    /// Runs code of the user's if it is a task: never under a lock or a pin (R1).
    pub(crate) fn wake(self) {
        match self {
            Self::Thread(parker) => parker.unpark(),
            Self::Task(waker) => {
                let _scope = scope::enter();
                crate::sync::contain(|| waker.wake());
            }
            Self::Slot(slot) => slot.wake(),
        }
    }
}

/// Who waits in one place now, if anybody does.
#[derive(Debug)]
pub(crate) struct WaiterSlot(Mutex<Option<Waiter>>);

impl WaiterSlot {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Runs code of the user's if a task waits: never under a lock or a pin (R1).
    pub(crate) fn wake(&self) {
        let waiter = self.0.lock().take();
        if let Some(waiter) = waiter {
            waiter.wake();
        }
    }

    pub(crate) fn set(&self, waiter: Waiter) {
        let old = self.0.lock().replace(waiter);
        crate::sync::contain(|| drop(old));
    }

    /// Nobody waits any more. A waker may own values of the user's, which must not end up in garbage (R1).
    pub(crate) fn clear(&self) {
        let old = self.0.lock().take();
        crate::sync::contain(|| drop(old));
    }
}

/// A value that comes once, and any number who wait for it.
#[derive(Debug)]
pub(crate) struct Completion<T>(Mutex<State<T>>);

#[derive(Debug)]
enum State<T> {
    Pending(Option<Box<Waiters>>),
    Done(T),
}

/// In a box, since a subscription has such a place all its life, and most are waited for by nobody.
type Waiters = SmallVec<[Waiter; 1]>;

impl<T: Copy> Completion<T> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(State::Pending(None)))
    }

    pub(crate) fn get(&self) -> Option<T> {
        match &*self.0.lock() {
            State::Pending(_) => None,
            State::Done(value) => Some(*value),
        }
    }

    /// Sets the value and wakes everybody. The first one stays.
    pub(crate) fn complete(&self, value: T) {
        let waiters = {
            let mut state = self.0.lock();
            if matches!(&*state, State::Done(_)) {
                return;
            }
            match std::mem::replace(&mut *state, State::Done(value)) {
                State::Pending(waiters) => waiters,
                State::Done(_) => None,
            }
        };
        for waiter in waiters.into_iter().flat_map(|waiters| *waiters) {
            waiter.wake();
        }
    }

    /// The value if it is there; else `waiter` is woken when it comes. The same waiter is kept once. To
    /// clone a waker is code of the user's, and so is its drop: neither happens under the lock (R1).
    fn get_or_register(&self, waiter: Waiter) -> Option<T> {
        let mut state = self.0.lock();
        match &mut *state {
            State::Done(value) => Some(*value),
            State::Pending(waiters) => {
                let waiters = waiters.get_or_insert_default();
                if !waiters.contains(&waiter) {
                    waiters.push(waiter);
                }
                None
            }
        }
    }

    /// Waits, until `deadline` if there is one. The caller has made sure that it may wait here.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> Result<T, WaitError> {
        if let Some(value) = self.get() {
            return Ok(value);
        }
        let parker = Arc::new(Parker::new());
        let waiter = Waiter::Thread(Arc::clone(&parker));
        loop {
            if let Some(value) = self.get_or_register(waiter.clone()) {
                return Ok(value);
            }
            match deadline {
                None => parker.park(),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() || !parker.park_timeout(left) {
                        self.forget(&parker);
                        return self.get().ok_or(WaitError::TimedOut);
                    }
                }
            }
        }
    }

    fn forget(&self, parker: &Arc<Parker>) {
        if let State::Pending(Some(waiters)) = &mut *self.0.lock() {
            waiters.retain(
                |waiter| !matches!(waiter, Waiter::Thread(known) if Arc::ptr_eq(known, parker)),
            );
        }
    }

    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<T> {
        match self.get_or_register(Waiter::Task(cx.waker().clone())) {
            Some(value) => Poll::Ready(value),
            None => Poll::Pending,
        }
    }
}
