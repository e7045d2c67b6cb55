//! Executors of the user's: where a subscription's runs go if not to the bus's own pool. And one that makes
//! tests deterministic.

use super::consumer::{ConsumerCell, Course};
use super::deliver::{self, DELIVERY_BUDGET, Ran};
use super::scope;
use super::state::{Duty, Home};
use crate::message::FinalReason;
use crate::sync::{Mutex, thread};
use std::collections::VecDeque;
use std::fmt;

/// Runs [`Task`]s. Any closure that takes one is an executor:
///
/// ```
/// use stasis_bus::{Bus, Delivery, Task};
/// use std::sync::Arc;
///
/// let spawn = Arc::new(|task: Task| {
///     std::thread::spawn(move || task.run());
/// });
/// let bus = Bus::new()?;
/// let topic = bus.topic("readings")?;
/// let subscription = topic
///     .subscribe()
///     .delivery(Delivery::Executor(spawn))
///     .run(|reading: &f64| println!("{reading}"))?;
/// topic.publish(20.5)?;
/// subscription.unsubscribe();
/// subscription.join()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Executor: Send + Sync {
    /// Takes a task to be run soon, anywhere. A task that is dropped instead ends its subscription, whose
    /// waiting messages are then counted as discarded.
    ///
    /// It is called by publishers, without any lock or pin, and must not run the task itself: a publish
    /// inside its handler would recurse. If it panics, the panic goes no further.
    fn execute(&self, task: Task);
}

impl<F: Fn(Task) + Send + Sync> Executor for F {
    fn execute(&self, task: Task) {
        self(task);
    }
}

impl fmt::Debug for dyn Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Executor")
    }
}

/// One run of one subscription. There is never more than one for the same subscription at a time (D3).
#[derive(Debug)]
#[must_use = "dropping a task ends its subscription"]
pub struct Task {
    duty: Option<Duty>,
    stalled: u32,
}

impl Task {
    pub(crate) fn new(duty: Duty) -> Self {
        Self {
            duty: Some(duty),
            stalled: 0,
        }
    }

    /// Runs up to a budget of messages, and hands itself to the executor again if there are more. Panics of
    /// the handler end inside.
    pub fn run(mut self) {
        let Some(mut duty) = self.duty.take() else {
            return;
        };
        let ran = deliver::run(&mut duty, DELIVERY_BUDGET);
        let again = match ran {
            Ran::Done => None,
            Ran::Idle(_) => duty.park().err(),
            Ran::Budget | Ran::Unwritten => Some(duty),
        };
        scope::run_pending();
        let Some(duty) = again else { return };
        let stalled = if ran == Ran::Unwritten {
            thread::sleep(deliver::stalled_sleep(self.stalled));
            self.stalled + 1
        } else {
            0
        };
        let again = Self {
            duty: Some(duty),
            stalled,
        };
        again.hand_over();
        scope::run_pending();
    }

    /// Gives the task to its executor.
    pub(crate) fn hand_over(mut self) {
        let Some(duty) = &mut self.duty else { return };
        let executor = ConsumerCell::open(duty, |consumer, _| consumer.executor());
        let _scope = scope::enter();
        // The executor may end with this very task, and be dropped in here.
        crate::sync::contain(move || {
            if let Some(executor) = executor {
                executor.execute(self);
            }
        });
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        let Some(mut duty) = self.duty.take() else {
            return;
        };
        let home = ConsumerCell::open(&mut duty, |consumer, _| consumer.home.clone());
        abandon(duty, home.as_deref());
        scope::drop_in_scope(home);
    }
}

/// Nothing runs this subscription any more (L2): what waits is discarded, and it is done.
pub(crate) fn abandon(mut duty: Duty, home: Option<&dyn Home>) {
    ConsumerCell::open(&mut duty, |consumer, _| {
        consumer.course = Course::Abandoned;
    });
    if let Some(home) = home {
        home.close(&duty, FinalReason::Unsubscribed);
    }
    loop {
        match deliver::run(&mut duty, DELIVERY_BUDGET) {
            Ran::Done => break,
            Ran::Budget | Ran::Idle(1..) => {}
            // A publisher has claimed a position and not written it: somebody else waits for that.
            Ran::Idle(_) | Ran::Unwritten => {
                duty.submit_to_pool();
                break;
            }
        }
    }
    // What was dropped may have published to somebody inline.
    scope::run_pending();
}

/// An executor that runs tasks when it is told to, on the thread that tells it, in the order in which they
/// came: tests become deterministic.
///
/// ```
/// use stasis_bus::{Bus, Delivery, ManualExecutor};
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU32, Ordering};
///
/// let executor = Arc::new(ManualExecutor::new());
/// let bus = Bus::new()?;
/// let topic = bus.topic("numbers")?;
/// let sum = Arc::new(AtomicU32::new(0));
/// let seen = sum.clone();
/// let subscription = topic
///     .subscribe()
///     .delivery(Delivery::Executor(executor.clone()))
///     .run(move |n: &u32| {
///         seen.fetch_add(*n, Ordering::Relaxed);
///     })?;
/// topic.publish(1_u32)?;
/// topic.publish(2_u32)?;
/// assert_eq!(sum.load(Ordering::Relaxed), 0, "nothing runs by itself");
/// executor.run_until_idle();
/// assert_eq!(sum.load(Ordering::Relaxed), 3);
/// # drop(subscription);
/// # executor.run_until_idle();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct ManualExecutor {
    tasks: Mutex<VecDeque<Task>>,
}

impl ManualExecutor {
    /// An executor without tasks.
    #[must_use]
    pub fn new() -> Self {
        Self {
            tasks: Mutex::new(VecDeque::new()),
        }
    }

    /// Runs the task that has waited longest. False if there is none.
    pub fn run_one(&self) -> bool {
        let task = self.tasks.lock().pop_front();
        task.map(Task::run).is_some()
    }

    /// Runs tasks until there are none. Returns how many it ran. Handlers that publish to each other for ever
    /// keep it for ever.
    pub fn run_until_idle(&self) -> usize {
        let mut ran = 0;
        while self.run_one() {
            ran += 1;
        }
        ran
    }

    /// How many tasks wait.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.tasks.lock().len()
    }
}

impl Executor for ManualExecutor {
    fn execute(&self, task: Task) {
        self.tasks.lock().push_back(task);
    }
}

impl Drop for ManualExecutor {
    fn drop(&mut self) {
        // Outside the lock: a dropped task runs code of the user's.
        let tasks = std::mem::take(&mut *self.tasks.lock());
        drop(tasks);
    }
}
