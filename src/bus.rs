//! The bus: where topics come from, and how all of it ends.

use crate::builder::BusBuilder;
use crate::error::{BuildError, PatternError, TopicError, WaitError};
use crate::message::{FinalReason, Origin};
use crate::subscription::scope;
use crate::subscription::state::{Subscriber, Wake};
use crate::sync::unmodelled::Arc;
use crate::topic::core::Core;
use crate::topic::pattern::Pattern;
use crate::topic::{Topic, TopicStats, Topics, topics};
use std::fmt;
use std::time::{Duration, Instant};

/// An in-process publish/subscribe bus.
///
/// A `Bus` is a handle; clones are the same bus. When the last one is dropped the bus shuts down, without
/// waiting: what was accepted is delivered by its workers as long as the process lives. [`Bus::shutdown`]
/// waits.
///
/// ```
/// use stasis_bus::Bus;
///
/// let bus = Bus::new()?;
/// let greetings = bus.topic("greetings")?;
/// greetings.subscribe().run(|text: &String| println!("{text}"))?.detach();
/// greetings.publish(String::from("hello"))?;
/// let report = bus.shutdown()?;
/// assert!(report.is_complete());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Bus {
    owner: Arc<Owner>,
}

/// The handles of a bus, all of them together.
struct Owner {
    core: Arc<Core>,
}

impl Bus {
    /// A bus with default limits.
    ///
    /// # Errors
    /// None of today's defaults can fail; the type is that of [`BusBuilder::build`].
    pub fn new() -> Result<Self, BuildError> {
        Self::builder().build()
    }

    /// A bus with limits and hooks of one's own.
    pub fn builder() -> BusBuilder {
        BusBuilder::new()
    }

    pub(crate) fn from_core(core: Core) -> Self {
        Self {
            owner: Arc::new(Owner {
                core: Arc::new(core),
            }),
        }
    }

    fn core(&self) -> &Arc<Core> {
        &self.owner.core
    }

    /// The topic of that name: the one that lives, or else a new one. Any number of threads that ask at
    /// once get the same.
    ///
    /// # Errors
    /// [`TopicError`] for a name that is empty or too long, and after shutdown.
    pub fn topic(&self, name: &str) -> Result<Topic, TopicError> {
        topics::topic(self.core(), name, false)
    }

    /// As [`Bus::topic`], with total order (D7): all its subscriptions see what is offered to it in the same
    /// order. Publishers to it, directly or by forwards, take turns for the time of the offers.
    ///
    /// # Errors
    /// As [`Bus::topic`], and [`TopicError::OtherOrder`] if the topic lives already, without total order.
    pub fn topic_with_total_order(&self, name: &str) -> Result<Topic, TopicError> {
        let topic = topics::topic(self.core(), name, true)?;
        if topic.has_total_order() {
            Ok(topic)
        } else {
            Err(TopicError::OtherOrder)
        }
    }

    /// The topic of that name, if it lives.
    #[must_use]
    pub fn get_topic(&self, name: &str) -> Option<Topic> {
        self.core().registry.get(name).map(Topic::new)
    }

    /// The aggregate topic of a pattern: every live topic whose name matches, now or later, is forwarded to
    /// it, for as long as the aggregate lives. The same pattern gives the same aggregate while somebody has
    /// a handle, a subscription or a forward of it.
    ///
    /// Names have levels, separated by `/`. In a pattern `*` stands for exactly one level, whatever it is,
    /// and `**`, which must be the last level, for any number of them, none included: `calls/**` matches
    /// `calls`, too. Every other level stands for itself, letter by letter, and has no `*` in it. A pattern
    /// without a star is legal and matches one name.
    ///
    /// Patterns are looked at when a topic or an aggregate is made, and never at publish. A new topic costs
    /// one step for each beginning of a pattern that fits its name; a new aggregate looks at all topics
    /// once. From then on it is a forward like any other (D4). An aggregate's name is its pattern, but
    /// [`Bus::topic`] does not find it by that, and no pattern matches it: who wants one aggregate to go
    /// to another one forwards it.
    ///
    /// # Errors
    /// [`PatternError`] for a pattern that is not as above, and after shutdown.
    ///
    /// ```
    /// # use stasis_bus::Bus;
    /// let bus = Bus::new()?;
    /// let mut legs = bus.topics_matching("calls/*/legs/**")?.subscribe().receiver()?;
    /// let leg = bus.topic("calls/7/legs/a")?;
    /// leg.publish("ringing")?;
    /// assert_eq!(legs.recv()?.get::<&str>(), Some(&"ringing"));
    /// assert_eq!(bus.topic("calls/7")?.publish("up")?.offered(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn topics_matching(&self, pattern: &str) -> Result<Topic, PatternError> {
        let pattern = Pattern::parse(pattern)?;
        if self.core().is_shut_down() {
            return Err(PatternError::ShutDown);
        }
        let alive = self.core().aggregate(&pattern);
        alive.map(Topic::new).ok_or(PatternError::ShutDown)
    }

    /// Who this process is among those that share messages.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.core().config.origin
    }

    /// Shuts the bus down and waits: every topic is closed, every mailbox that the bus itself runs is
    /// drained and finished with its final message, blocked publishers are released (L6). Legal several
    /// times; each waits.
    ///
    /// # Errors
    /// [`WaitError::WouldDeadlock`] inside a handler: the bus is shut down, but not waited for.
    pub fn shutdown(&self) -> Result<ShutdownReport, WaitError> {
        self.shutdown_until(None)
    }

    /// As [`Bus::shutdown`], waiting for at most `timeout`. The report names what was left then; it goes on
    /// to be delivered.
    ///
    /// # Errors
    /// As [`Bus::shutdown`].
    pub fn shutdown_timeout(&self, timeout: Duration) -> Result<ShutdownReport, WaitError> {
        self.shutdown_until(Instant::now().checked_add(timeout))
    }

    fn shutdown_until(&self, deadline: Option<Instant>) -> Result<ShutdownReport, WaitError> {
        self.owner.begin_shutdown();
        scope::may_wait()?;
        // Somebody else may have begun it and be at it still; if that takes too long, the report tells what
        // is left of those that were closed so far.
        let _ = self.core().all_closed.wait(deadline);
        let ending = self.core().unfinished();
        for subscriber in &ending {
            if !is_foreign(subscriber) {
                let _ = subscriber.completion.wait(deadline);
            }
        }
        let pool = self.core().started_pool();
        let mut report = ShutdownReport {
            workers_ended: pool.is_none_or(|pool| pool.join(deadline)),
            ..ShutdownReport::default()
        };
        // Only now: receivers and executors may have finished meanwhile.
        for subscriber in ending.iter().filter(|subscriber| !subscriber.is_done()) {
            let names = match subscriber.wake {
                Wake::Receiver(_) => &mut report.receivers,
                Wake::Executor => &mut report.executors,
                Wake::Pool(_) | Wake::Thread(_) | Wake::Inline => &mut report.unfinished,
            };
            names.push(subscriber.name().to_string());
        }
        Ok(report)
    }

    /// The figures of every topic that lives, of their subscriptions and forwards, sorted by name. Stops
    /// nothing.
    #[must_use]
    pub fn topics(&self) -> Vec<TopicStats> {
        let mut topics: Vec<_> = self
            .core()
            .topics()
            .iter()
            .map(|alive| TopicStats::of(alive))
            .collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        topics
    }

    /// The figures of the bus as a whole. Stops nothing.
    #[must_use]
    pub fn stats(&self) -> BusStats {
        let core = self.core();
        let pool = core.pool_stats();
        BusStats {
            topics: core.topics().len(),
            ending: core.unfinished().len(),
            budget_granted: core.budget.granted(),
            message_budget: core.config.message_budget,
            workers: pool.as_ref().map_or(0, |pool| pool.workers),
            workers_parked: pool.as_ref().map_or(0, |pool| pool.parked),
            workers_blocked: pool.as_ref().map_or(0, |pool| pool.blocked),
            longest_current_run: pool
                .as_ref()
                .map_or(Duration::ZERO, |pool| pool.longest_current_run),
            runs: pool.as_ref().map_or(0, |pool| pool.runs),
            steals: pool.as_ref().map_or(0, |pool| pool.steals),
            wakeups: pool.as_ref().map_or(0, |pool| pool.wakeups),
        }
    }
}

impl topics::sealed::Sealed for Bus {}

impl Topics for Bus {
    fn topic(&self, name: &str) -> Result<Topic, TopicError> {
        Bus::topic(self, name)
    }

    fn get_topic(&self, name: &str) -> Option<Topic> {
        Bus::get_topic(self, name)
    }
}

/// True if it is not the bus that runs it.
fn is_foreign(subscriber: &Subscriber) -> bool {
    matches!(subscriber.wake, Wake::Receiver(_) | Wake::Executor)
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bus")
            .field("name", &self.core().config.name)
            .finish_non_exhaustive()
    }
}

impl Owner {
    fn begin_shutdown(&self) {
        if !self.core.shut_down() {
            return;
        }
        for topic in self.core.topics() {
            topic.close_all(FinalReason::Shutdown);
        }
        self.core.release_kept();
        if let Some(pool) = self.core.started_pool() {
            pool.stop();
        }
        self.core.all_closed.complete(());
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.begin_shutdown();
    }
}

/// What a shutdown left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// The names of subscriptions that the bus runs and that were not done when the time ran out.
    pub unfinished: Vec<String>,
    /// The names of receivers whose owners have not taken the final message yet.
    pub receivers: Vec<String>,
    /// The names of subscriptions on executors of the user's that are not done yet.
    pub executors: Vec<String>,
    /// The threads of the pool have ended, or there were none.
    pub workers_ended: bool,
}

impl ShutdownReport {
    /// True if everything that the bus runs is done.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.unfinished.is_empty()
    }
}

/// The figures of a bus, as of one moment, read one after the other while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BusStats {
    /// Topics that live.
    pub topics: usize,
    /// Subscriptions that are closed and not done yet.
    pub ending: usize,
    /// How much of the message budget is given out to mailboxes that spill.
    pub budget_granted: u64,
    /// The message budget.
    pub message_budget: u64,
    /// Workers of the pool; 0 before the first subscription that needs them.
    pub workers: usize,
    /// Of those: asleep.
    pub workers_parked: usize,
    /// Of those: in one run for more than 10 ms.
    pub workers_blocked: usize,
    /// For how long the longest of the runs that are going on has been.
    pub longest_current_run: Duration,
    /// Runs of subscriptions, so far.
    pub runs: u64,
    /// Runs that a worker took from another one's queue.
    pub steals: u64,
    /// Times that a sleeping worker was woken.
    pub wakeups: u64,
}
