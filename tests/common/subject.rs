//! Delivery kinds behind one face: a handler for `&Message`, however it is run. A receiver is pumped by a thread
//! of the test's; so is the manual executor.

use super::{DEADLINE, bus_with, wait_until};
use stasis_bus::{
    Bus, Delivery, FinalMessage, ManualExecutor, Message, OwnThread, Receiver, Subscription,
    SubscriptionBuilder, SubscriptionStats, Task, Topic, TryRecvError, WaitStrategy,
};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    PoolOfOne,
    PoolOfThree,
    OwnPark,
    OwnSpinThenPark,
    OwnYield,
    Inline,
    Receiver,
    SpawningExecutor,
    ManualExecutor,
}

impl Kind {
    pub const ALL: &'static [Kind] = &[
        Kind::PoolOfOne,
        Kind::PoolOfThree,
        Kind::OwnPark,
        Kind::OwnSpinThenPark,
        Kind::OwnYield,
        Kind::Inline,
        Kind::Receiver,
        Kind::SpawningExecutor,
        Kind::ManualExecutor,
    ];
}

/// A bus, and how its subscriptions are run.
pub struct Setup {
    pub kind: Kind,
    pub bus: Bus,
    pump: Option<Pump>,
}

struct Pump {
    executor: Arc<ManualExecutor>,
    stop: Arc<AtomicBool>,
}

impl Pump {
    fn new() -> Self {
        let executor = Arc::new(ManualExecutor::new());
        let stop = Arc::new(AtomicBool::new(false));
        let (runs, stopped) = (Arc::clone(&executor), Arc::clone(&stop));
        thread::spawn(move || {
            loop {
                let last = stopped.load(Ordering::Acquire);
                if runs.run_until_idle() == 0 {
                    if last {
                        return;
                    }
                    thread::sleep(Duration::from_micros(50));
                }
            }
        });
        Self { executor, stop }
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

impl Setup {
    pub fn new(kind: Kind) -> Self {
        let workers = if kind == Kind::PoolOfThree { 3 } else { 1 };
        Self::with_bus(kind, bus_with(workers))
    }

    pub fn with_bus(kind: Kind, bus: Bus) -> Self {
        Self {
            kind,
            bus,
            pump: (kind == Kind::ManualExecutor).then(Pump::new),
        }
    }

    pub fn topic(&self, name: &str) -> Topic {
        self.bus.topic(name).expect("a topic")
    }

    /// How a handler is run; none for receivers.
    pub fn delivery(&self) -> Option<Delivery> {
        Some(match self.kind {
            Kind::PoolOfOne | Kind::PoolOfThree => Delivery::Pool,
            Kind::OwnPark => OwnThread::new(WaitStrategy::Park).into(),
            Kind::OwnSpinThenPark => OwnThread::new(WaitStrategy::SpinThenPark).into(),
            Kind::OwnYield => OwnThread::new(WaitStrategy::Yield).into(),
            Kind::Inline => Delivery::Inline,
            Kind::Receiver => return None,
            Kind::SpawningExecutor => Delivery::Executor(Arc::new(|task: Task| {
                thread::spawn(move || task.run());
            })),
            Kind::ManualExecutor => {
                let pump = self.pump.as_ref().expect("made in `new`");
                let executor: Arc<ManualExecutor> = Arc::clone(&pump.executor);
                Delivery::Executor(executor)
            }
        })
    }

    /// The builder with this kind's delivery, for handlers that the bus calls.
    pub fn builder(&self, topic: &Topic) -> SubscriptionBuilder {
        topic
            .subscribe()
            .delivery(self.delivery().expect("not for receivers"))
    }

    /// Subscribes a handler for everything, the final message included.
    pub fn run(&self, topic: &Topic, handler: impl FnMut(&Message) + Send + 'static) -> Sub {
        self.run_with(topic.subscribe(), handler)
    }

    /// The same, with a builder that chose all but the delivery.
    pub fn run_with(
        &self,
        builder: SubscriptionBuilder,
        handler: impl FnMut(&Message) + Send + 'static,
    ) -> Sub {
        match self.delivery() {
            Some(delivery) => {
                let subscription = builder.delivery(delivery).run(handler);
                Sub::Handle(subscription.expect("a subscription"))
            }
            None => Sub::Pumped(Pumped::new(
                builder.receiver().expect("a receiver"),
                handler,
            )),
        }
    }
}

/// A subscription of any kind. Dropping it unsubscribes.
pub enum Sub {
    Handle(Subscription),
    Pumped(Pumped),
}

/// A receiver that a thread takes from until the final message.
pub struct Pumped {
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    receiver: Receiver,
    handling: bool,
}

impl Pumped {
    fn new(receiver: Receiver, mut handler: impl FnMut(&Message) + Send + 'static) -> Self {
        let shared = Arc::new(Mutex::new(Shared {
            receiver,
            handling: false,
        }));
        let pumped = Arc::clone(&shared);
        thread::spawn(move || {
            loop {
                let next = {
                    let mut shared = lock(&pumped);
                    let next = shared.receiver.try_recv();
                    shared.handling = next.is_ok();
                    next
                };
                match next {
                    Ok(message) => handler(&message),
                    Err(TryRecvError::Ended) => return,
                    Err(_) => thread::sleep(Duration::from_micros(50)),
                }
            }
        });
        Self { shared }
    }
}

fn lock(shared: &Mutex<Shared>) -> std::sync::MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sub {
    pub fn with<R>(&self, f: impl FnOnce(&Subscription) -> R) -> R {
        match self {
            Self::Handle(subscription) => f(subscription),
            Self::Pumped(pumped) => f(lock(&pumped.shared).receiver.subscription()),
        }
    }

    /// The handle. Not for receivers.
    pub fn handle(&self) -> &Subscription {
        match self {
            Self::Handle(subscription) => subscription,
            Self::Pumped(_) => panic!("a receiver"),
        }
    }

    pub fn unsubscribe(&self) {
        self.with(Subscription::unsubscribe);
    }

    pub fn stats(&self) -> SubscriptionStats {
        self.with(Subscription::stats)
    }

    pub fn id(&self) -> u64 {
        self.with(Subscription::id)
    }

    pub fn is_done(&self) -> bool {
        self.with(Subscription::is_done)
    }

    pub fn is_subscribed(&self) -> bool {
        self.with(Subscription::is_subscribed)
    }

    /// Waits until all that was accepted is handled.
    #[track_caller]
    pub fn flush(&self) {
        match self {
            Self::Handle(subscription) => {
                subscription.flush_timeout(DEADLINE).expect("flushed");
            }
            Self::Pumped(pumped) => wait_until("a receiver is flushed", || {
                let shared = lock(&pumped.shared);
                shared.receiver.subscription().stats().depth == 0 && !shared.handling
            }),
        }
    }

    /// Waits until it is done. Does not unsubscribe.
    #[track_caller]
    pub fn join(&self) -> FinalMessage {
        match self {
            Self::Handle(subscription) => subscription.join_timeout(DEADLINE).expect("joined"),
            Self::Pumped(_) => {
                let future = self.with(Subscription::join_async);
                let last = super::block_on(future);
                // The handler has it a moment later: its thread takes it from the receiver.
                self.flush();
                last
            }
        }
    }

    /// Unsubscribes, and waits until it is done.
    #[track_caller]
    pub fn end(&self) -> FinalMessage {
        self.unsubscribe();
        self.join()
    }
}

impl Drop for Sub {
    fn drop(&mut self) {
        if let Self::Pumped(pumped) = self {
            lock(&pumped.shared).receiver.subscription().unsubscribe();
        }
    }
}
