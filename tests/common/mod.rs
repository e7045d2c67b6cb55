//! What the behaviour tests share: every delivery kind behind one face, deadlines instead of hangs, and small
//! observers. It knows nothing of what is tested.

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "each test file uses its part"
)]

pub mod cached;
pub mod observe;
pub mod subject;

pub use observe::{DropFlag, Gate, Log, block_on, wait_until};
pub use subject::{Kind, Setup, Sub};

use stasis_bus::{Bus, Message, Overflow};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How long anything may take before it counts as a hang.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Runs `f` on a thread of its own; a hang fails with a message instead of lasting.
pub fn with_deadline<R: Send + 'static>(what: &str, f: impl FnOnce() -> R + Send + 'static) -> R {
    let (send, receive) = mpsc::channel();
    thread::Builder::new()
        .name(format!("test {what}"))
        .spawn(move || {
            let result = catch_unwind(AssertUnwindSafe(f));
            let _ = send.send(result);
        })
        .expect("a thread for the test");
    match receive.recv_timeout(DEADLINE + DEADLINE / 2) {
        Ok(Ok(value)) => value,
        Ok(Err(panic)) => {
            eprintln!("failed: {what}");
            resume_unwind(panic)
        }
        Err(_) => panic!("hang: {what}"),
    }
}

/// Runs a test once for each delivery kind, the pool with one worker and with several.
pub fn for_each_kind(test: impl Fn(&Setup) + Send + Copy + 'static) {
    for_kinds(Kind::ALL, test);
}

/// Runs a test once for each delivery kind whose handler the bus itself calls: all but receivers.
pub fn for_each_handler_kind(test: impl Fn(&Setup) + Send + Copy + 'static) {
    let kinds: Vec<_> = Kind::ALL
        .iter()
        .copied()
        .filter(|kind| *kind != Kind::Receiver)
        .collect();
    for_kinds(&kinds, test);
}

fn for_kinds(kinds: &[Kind], test: impl Fn(&Setup) + Send + Copy + 'static) {
    for &kind in kinds {
        with_deadline(&format!("{kind:?}"), move || test(&Setup::new(kind)));
    }
}

/// Every overflow policy, with room for all that a test of something else publishes.
pub fn all_overflows() -> Vec<Overflow> {
    vec![
        Overflow::Spill { limit: None },
        Overflow::Block { timeout: None },
        Overflow::DropOldest,
        Overflow::DropNewest,
        Overflow::Fail,
        Overflow::conflate(|message: &Message| message.id().get()),
        Overflow::Evict,
    ]
}

/// A bus with that many workers.
pub fn bus_with(workers: usize) -> Bus {
    Bus::builder().workers(workers).build().expect("a bus")
}

/// What a message says, for messages whose payload is a number.
pub fn number(message: &Message) -> Option<u64> {
    message.get::<u64>().copied()
}
