//! A thread of a subscription's own: how it waits, and where it runs.

use super::deliver::{self, DELIVERY_BUDGET, Ran};
use super::options::{OwnThread, WaitStrategy};
use super::scope;
use super::state::{Duty, Wake};
use crate::error::SubscribeError;
use crate::sync::unmodelled::Arc;
use crate::sync::{hint, thread};
use std::io;
use std::time::Duration;

/// How often a thread that spins before it parks looks for messages, giving up its time slice in between.
const LOOKS_BEFORE_PARK: u32 = 32;

/// How long a thread sleeps when the next message is claimed but not written yet, after so many looks.
const UNWRITTEN_SLEEP: Duration = Duration::from_micros(50);
const LOOKS_BEFORE_SLEEP: u32 = 16;

/// Starts the thread. If that fails, the duty is handed back: nothing has run.
pub(crate) fn start(
    duty: Duty,
    options: &OwnThread,
    bus: &str,
) -> Result<(), (SubscribeError, Duty)> {
    let wait = options.wait;
    let core = options.core;
    // The duty is handed over by a slot, so that it comes back if there is no thread.
    let slot = Arc::new(crate::sync::Mutex::new(Some(duty)));
    let (taken, answer) = (Arc::clone(&slot), Arc::new(Answer::new()));
    let told = Arc::clone(&answer);
    let spawned = thread::Builder::new().name(format!("{bus}-own")).spawn(move || {
        if let Some(core) = core {
            if let Err(error) = pin_to(core) {
                return told.complete(Some(error.kind()));
            }
        }
        let duty = taken.lock().take();
        told.complete(None);
        if let Some(duty) = duty {
            run(duty, wait);
        }
    });
    let failed = match spawned {
        Err(error) => Some(SubscribeError::Thread(error)),
        Ok(_) => match (core, answer.wait(None)) {
            (Some(core), Ok(Some(kind))) => {
                Some(SubscribeError::CannotPin { core, source: kind.into() })
            }
            _ => None,
        },
    };
    let duty = slot.lock().take();
    match (failed, duty) {
        (Some(error), Some(duty)) => Err((error, duty)),
        _ => Ok(()),
    }
}

type Answer = super::waiting::Completion<Option<io::ErrorKind>>;

fn pin_to(core: usize) -> io::Result<()> {
    let known = core_affinity::get_core_ids().unwrap_or_default();
    let id = known.into_iter().find(|id| id.id == core).ok_or(io::ErrorKind::NotFound)?;
    if core_affinity::set_for_current(id) { Ok(()) } else { Err(io::ErrorKind::Unsupported.into()) }
}

fn run(mut duty: Duty, wait: WaitStrategy) {
    let mut unwritten = 0;
    let mut looks = 0;
    loop {
        let ran = deliver::run(&mut duty, DELIVERY_BUDGET);
        scope::run_pending();
        match ran {
            Ran::Done => return,
            Ran::Budget => (unwritten, looks) = (0, 0),
            Ran::Unwritten => {
                unwritten += 1;
                if unwritten < LOOKS_BEFORE_SLEEP {
                    thread::yield_now();
                } else {
                    thread::sleep(UNWRITTEN_SLEEP);
                }
            }
            Ran::Idle => {
                unwritten = 0;
                looks += 1;
                match wait {
                    WaitStrategy::Spin => hint::spin_loop(),
                    WaitStrategy::Yield => thread::yield_now(),
                    WaitStrategy::SpinThenPark if looks < LOOKS_BEFORE_PARK => thread::yield_now(),
                    WaitStrategy::SpinThenPark | WaitStrategy::Park => {
                        looks = 0;
                        duty = park(duty);
                    }
                }
            }
        }
    }
}

/// Sleeps until somebody has taken the duty out of the mailbox for this thread.
fn park(duty: Duty) -> Duty {
    let subscriber = Arc::clone(&duty);
    match duty.park() {
        Err(duty) => duty,
        Ok(()) => {
            if let Wake::Thread(parker) = &subscriber.wake {
                parker.park();
            }
            Duty::renewed(subscriber)
        }
    }
}
