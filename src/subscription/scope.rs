//! Where user code runs on this thread: whether a handler is on the stack (then nothing waits, R1b), and the
//! inline subscriptions that are to be run once it has returned, so that chains of them do not eat the stack.

use super::state::Duty;
use crate::error::WouldDeadlock;
use crate::sync;
use crate::worker;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

sync::thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    static DRAINING: Cell<bool> = const { Cell::new(false) };
    static PENDING: Pending = const { Pending(RefCell::new(VecDeque::new())) };
    /// Whether there is something in `PENDING`: asked after each message, and cheaper to ask than that.
    static IS_PENDING: Cell<bool> = const { Cell::new(false) };
}

/// How many runs of inline subscriptions a thread makes in a row. The pool goes on with what is left then:
/// two that answer each other would keep a publisher for ever.
const RUNS_IN_A_ROW: u32 = 128;

/// The inline subscriptions that wait to be run on this thread.
struct Pending(RefCell<VecDeque<Duty>>);

impl Drop for Pending {
    fn drop(&mut self) {
        // The thread ends in the middle of something: a duty must not get lost.
        for duty in self.0.take() {
            duty.submit_to_pool();
        }
    }
}

/// User code is running on this thread while this lives.
#[derive(Debug)]
pub(crate) struct Scope(());

/// Marks that user code is about to run.
#[inline]
pub(crate) fn enter() -> Scope {
    // A thread that is being torn down counts nothing: it runs destructors, which may publish.
    let _ = DEPTH.try_with(|depth| depth.set(depth.get() + 1));
    Scope(())
}

impl Drop for Scope {
    #[inline]
    fn drop(&mut self) {
        let _ = DEPTH.try_with(|depth| depth.set(depth.get().saturating_sub(1)));
    }
}

/// True inside a handler, a filter, a hook.
#[inline]
pub(crate) fn in_user_code() -> bool {
    DEPTH.try_with(|depth| depth.get() > 0).unwrap_or(true)
}

/// Drops what is, or owns, a value of the user's: its drop is user code, and its panic goes no further (R2).
pub(crate) fn drop_in_scope<T>(value: T) {
    let _scope = enter();
    sync::contain(|| drop(value));
}

/// An error where to wait could be to wait for oneself.
pub(crate) fn may_wait() -> Result<(), WouldDeadlock> {
    if in_user_code() || worker::on_worker() {
        Err(WouldDeadlock)
    } else {
        Ok(())
    }
}

/// Has an inline subscription run on this thread: see [`run_pending`].
pub(crate) fn push_inline(duty: Duty) {
    let mut duty = Some(duty);
    let _ = PENDING.try_with(|pending| {
        if let (Ok(mut pending), Some(duty)) = (pending.0.try_borrow_mut(), duty.take()) {
            pending.push_back(duty);
            let _ = IS_PENDING.try_with(|is_pending| is_pending.set(true));
        }
    });
    if let Some(duty) = duty {
        // The thread is being torn down: somebody else does it.
        duty.submit_to_pool();
    }
}

/// Runs the inline subscriptions that are pending on this thread, unless user code is on the stack, or
/// somebody further up does just that: then it is left to them.
#[inline]
pub(crate) fn run_pending() {
    let is_pending = IS_PENDING.try_with(Cell::get).unwrap_or(false);
    if is_pending && !in_user_code() {
        drain();
    }
}

#[cold]
fn drain() {
    if DRAINING
        .try_with(|draining| draining.replace(true))
        .unwrap_or(true)
    {
        return;
    }
    let mut runs = 0;
    while let Some(duty) = next_pending() {
        if runs < RUNS_IN_A_ROW {
            runs += 1;
            duty.run_inline();
        } else {
            duty.submit_to_pool();
        }
    }
    let _ = IS_PENDING.try_with(|is_pending| is_pending.set(false));
    let _ = DRAINING.try_with(|draining| draining.set(false));
}

#[inline]
fn next_pending() -> Option<Duty> {
    PENDING
        .try_with(|pending| pending.0.borrow_mut().pop_front())
        .ok()
        .flatten()
}
