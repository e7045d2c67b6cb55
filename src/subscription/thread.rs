//! A thread of a subscription's own: how it waits, and where it runs.

#![expect(
    unsafe_code,
    reason = "the duty that is left in the mailbox comes back by a token"
)]

use super::deliver::{self, DELIVERY_BUDGET, Ran};
use super::options::{OwnThread, WaitStrategy};
use super::scope;
use super::state::{Duty, Wake};
use super::waiting::Completion;
use crate::error::SubscribeError;
use crate::sync::unmodelled::Arc;
use crate::sync::{Mutex, Parker, hint, thread};
use crate::worker::{Pace, Run, pause};
use std::io;

/// How often a thread that spins before it parks looks for messages, giving up its time slice in between.
const LOOKS_BEFORE_PARK: u32 = 32;

/// How often a thread that spins looks for the next message before it looks at all else that may be to do.
const LOOKS_AT_SLOT: u32 = 16;

/// How often a thread that spins does both before it gives up its time slice once: some microseconds. Where
/// it has a core for itself that costs nothing; where several share one, each would else spin through its
/// slice while the next one's message waits.
const LOOKS_BETWEEN_YIELDS: u32 = 16;

/// How often a thread looks again at a message that is claimed but not written yet, before it sleeps.
const LOOKS_BEFORE_SLEEP: u32 = 16;

/// A thread that waits for its subscription to be ready.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) parker: Arc<Parker>,
    slot: Arc<Slot>,
}

/// What the two sides hand each other: whether the thread could be pinned, then the duty.
#[derive(Debug)]
struct Slot {
    ready: Completion<Option<io::ErrorKind>>,
    duty: Mutex<Option<Duty>>,
}

impl Prepared {
    /// Starts the thread. It runs nothing before [`Prepared::start`], and ends if that never comes.
    pub(crate) fn new(options: &OwnThread, bus: &str) -> Result<Self, SubscribeError> {
        let OwnThread { wait, core } = *options;
        if bus.contains('\0') {
            // The standard library panics at that.
            let why = "the name of the bus's threads contains a zero byte";
            return Err(SubscribeError::Thread(io::Error::new(
                io::ErrorKind::InvalidInput,
                why,
            )));
        }
        let parker = Arc::new(Parker::new());
        let slot = Arc::new(Slot {
            ready: Completion::new(),
            duty: Mutex::new(None),
        });
        let (parks, takes) = (Arc::clone(&parker), Arc::clone(&slot));
        thread::Builder::new()
            .name(format!("{bus}-own"))
            .spawn(move || {
                let pinned = core.map_or(Ok(()), pin_to);
                takes.ready.complete(pinned.err().map(|error| error.kind()));
                parks.park();
                let duty = takes.duty.lock().take();
                if let Some(duty) = duty {
                    run(duty, wait);
                }
            })
            .map_err(SubscribeError::Thread)?;
        let prepared = Self { parker, slot };
        match (core, prepared.slot.ready.wait(None)) {
            (Some(core), Ok(Some(kind))) => Err(SubscribeError::CannotPin {
                core,
                source: kind.into(),
            }),
            _ => Ok(prepared),
        }
    }

    /// Hands over the duty.
    pub(crate) fn start(self, duty: Duty) {
        *self.slot.duty.lock() = Some(duty);
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        self.parker.unpark();
    }
}

fn pin_to(core: usize) -> io::Result<()> {
    let known = core_affinity::get_core_ids().unwrap_or_default();
    let id = known
        .into_iter()
        .find(|id| id.id == core)
        .ok_or(io::ErrorKind::NotFound)?;
    if core_affinity::set_for_current(id) {
        Ok(())
    } else {
        Err(io::ErrorKind::Unsupported.into())
    }
}

fn run(mut duty: Duty, wait: WaitStrategy) {
    let mut unwritten = 0;
    let mut looks = 0;
    let mut pace = Pace::default();
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
                    thread::sleep(deliver::stalled_sleep(unwritten - LOOKS_BEFORE_SLEEP));
                }
            }
            Ran::Idle(handled) => {
                unwritten = 0;
                looks = u32::wrapping_add(looks, 1);
                match wait {
                    WaitStrategy::Spin if looks % LOOKS_BETWEEN_YIELDS == 0 => thread::yield_now(),
                    WaitStrategy::Spin => {
                        pace.did(handled);
                        spin(&duty, &pace);
                    }
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

/// Looks for a while whether the next message is there.
fn spin(duty: &Duty, pace: &Pace) {
    for _ in 0..pace.left_out() {
        pause();
    }
    for _ in 0..LOOKS_AT_SLOT {
        hint::spin_loop();
        if duty.is_ready() {
            return;
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
            // SAFETY: it was left in the mailbox above, and the token says that somebody has cleared PARKED
            unsafe { Duty::renewed(subscriber) }
        }
    }
}
