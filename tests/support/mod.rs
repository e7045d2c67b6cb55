//! What these tests share: subscriptions of every delivery kind behind one face, a log of what each of them
//! saw, gates that hold a handler, and waits that fail with a message instead of hanging.

#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "each test binary has its own copy and uses a part of it"
)]

pub mod block_on;
pub mod cpu;
pub mod log;

pub use block_on::{Flag, block_on, poll_once};
pub use log::{Item, Log, Plug, Seen};

use stasis_bus::{
    Bus, Delivery, Executor, FinalMessage, Message, OwnThread, Receiver, RecvError, Subscription,
    SubscriptionBuilder, SubscriptionStats, Task, Topic, WaitStrategy,
};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Nothing that is waited for takes so long: who waits longer has found a hang.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Sizes shrink where every instruction is interpreted.
pub const fn scaled(size: usize, under_miri: usize) -> usize {
    if cfg!(miri) { under_miri } else { size }
}

/// Waits until `condition` holds.
#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    let mut looks = 0_u32;
    while !condition() {
        assert!(begin.elapsed() < DEADLINE, "never came true: {what}");
        looks += 1;
        if looks < 64 {
            thread::yield_now();
        } else {
            thread::sleep(Duration::from_micros(200));
        }
    }
}

/// Joins a thread that is about to end.
#[track_caller]
pub fn join<T>(what: &str, thread: JoinHandle<T>) -> T {
    eventually(what, || thread.is_finished());
    thread.join().unwrap_or_else(|_| panic!("panicked: {what}"))
}

/// For tests that measure the whole process: one at a time.
pub fn alone() -> std::sync::MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Holds whoever passes until it is opened.
#[derive(Debug, Default)]
pub struct Gate {
    state: Mutex<(usize, bool)>,
    changed: Condvar,
}

impl Gate {
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Waits here until it is open.
    pub fn pass(&self) {
        let mut state = self.lock();
        state.0 += 1;
        self.changed.notify_all();
        let (state, timeout) = self
            .changed
            .wait_timeout_while(state, DEADLINE, |state| !state.1)
            .unwrap_or_else(PoisonError::into_inner);
        drop(state);
        assert!(!timeout.timed_out(), "nobody opened the gate");
    }

    pub fn open(&self) {
        self.lock().1 = true;
        self.changed.notify_all();
    }

    /// Waits until so many have come to it.
    #[track_caller]
    pub fn wait_for(&self, visitors: usize) {
        let state = self.lock();
        let (state, timeout) = self
            .changed
            .wait_timeout_while(state, DEADLINE, |state| state.0 < visitors)
            .unwrap_or_else(PoisonError::into_inner);
        drop(state);
        assert!(!timeout.timed_out(), "nobody came to the gate");
    }

    pub fn visitors(&self) -> usize {
        self.lock().0
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (usize, bool)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a subscription is run: each delivery kind, and each way of taking from a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Pool,
    Park,
    SpinThenPark,
    Yield,
    Inline,
    Executor,
    Receiver,
    AsyncReceiver,
}

pub const KINDS: [Kind; 8] = [
    Kind::Pool,
    Kind::Park,
    Kind::SpinThenPark,
    Kind::Yield,
    Kind::Inline,
    Kind::Executor,
    Kind::Receiver,
    Kind::AsyncReceiver,
];

impl Kind {
    pub fn is_receiver(self) -> bool {
        matches!(self, Self::Receiver | Self::AsyncReceiver)
    }

    /// Not for receivers.
    pub fn delivery(self) -> Delivery {
        match self {
            Self::Pool => Delivery::Pool,
            Self::Park => OwnThread::new(WaitStrategy::Park).into(),
            Self::SpinThenPark => OwnThread::new(WaitStrategy::SpinThenPark).into(),
            Self::Yield => OwnThread::new(WaitStrategy::Yield).into(),
            Self::Inline => Delivery::Inline,
            Self::Executor => Delivery::Executor(one_thread()),
            Self::Receiver | Self::AsyncReceiver => unreachable!("a receiver has no delivery"),
        }
    }
}

/// An executor with one thread, which ends when nobody has it any more.
pub fn one_thread() -> Arc<dyn Executor> {
    let (sender, tasks) = mpsc::channel::<Task>();
    thread::spawn(move || tasks.into_iter().for_each(Task::run));
    let sender: Mutex<Sender<Task>> = Mutex::new(sender);
    Arc::new(move |task: Task| {
        let sent = sender
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .send(task);
        assert!(sent.is_ok(), "the executor's thread has ended");
    })
}

/// A subscription of any kind, whose messages go to a log.
#[derive(Debug)]
pub struct Sub {
    pub kind: Kind,
    pub log: Arc<Log>,
    topic: Topic,
    id: u64,
    handle: Handle,
    plugs: AtomicU64,
}

#[derive(Debug)]
enum Handle {
    Subscription(Subscription),
    /// A receiver, on a thread of its own.
    Pumped {
        thread: Mutex<Option<JoinHandle<SubscriptionStats>>>,
        unsubscribe: Arc<AtomicBool>,
    },
}

/// Subscribes, and logs everything.
#[track_caller]
pub fn subscribe(
    kind: Kind,
    topic: &Topic,
    options: impl FnOnce(SubscriptionBuilder) -> SubscriptionBuilder,
) -> Sub {
    let log = Log::new();
    let builder = options(topic.subscribe());
    let writes = Arc::clone(&log);
    let (id, handle) = if kind.is_receiver() {
        let receiver = builder.receiver().expect("a receiver");
        let id = receiver.subscription().id();
        (id, pump(kind, receiver, writes))
    } else {
        let subscription = builder
            .delivery(kind.delivery())
            .run(move |message: &Message| writes.note(message))
            .expect("a subscription");
        (subscription.id(), Handle::Subscription(subscription))
    };
    Sub {
        kind,
        log,
        topic: topic.clone(),
        id,
        handle,
        plugs: AtomicU64::new(0),
    }
}

fn pump(kind: Kind, receiver: Receiver, log: Arc<Log>) -> Handle {
    let unsubscribe = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&unsubscribe);
    let thread = thread::spawn(move || {
        let mut receiver = receiver;
        while let Some(message) = next_of(kind, &mut receiver, &asked) {
            log.note(&message);
        }
        receiver.subscription().stats()
    });
    Handle::Pumped {
        thread: Mutex::new(Some(thread)),
        unsubscribe,
    }
}

/// The next message of a receiver, in the way of its kind; it is unsubscribed once `asked` is set.
pub fn next_of(kind: Kind, receiver: &mut Receiver, asked: &AtomicBool) -> Option<Message> {
    let flag = Flag::new();
    loop {
        if asked.swap(false, Ordering::SeqCst) {
            receiver.subscription().unsubscribe();
        }
        if kind == Kind::Receiver {
            match receiver.recv_timeout(Duration::from_millis(5)) {
                Ok(message) => return Some(message),
                Err(RecvError::TimedOut) => {}
                Err(RecvError::Ended) => return None,
                Err(error) => panic!("{error}"),
            }
        } else {
            match poll_once(&flag.waker(), receiver.recv_async()) {
                Some(message) => return message.ok(),
                None => thread::park_timeout(DEADLINE),
            }
        }
    }
}

impl Sub {
    pub fn topic(&self) -> &Topic {
        &self.topic
    }

    /// Holds the handler at a message that is for it alone. What is published then waits in the mailbox.
    #[track_caller]
    pub fn plug(&self) -> Arc<Gate> {
        let gate = Gate::new();
        let plug = Plug {
            log: self.log.number(),
            gate: Arc::clone(&gate),
        };
        // On a thread of its own: if it is inline, the publisher is held too.
        let topic = self.topic.clone();
        thread::spawn(move || {
            let _ = topic.publish(plug);
        });
        gate.wait_for(1);
        self.plugs.fetch_add(1, Ordering::SeqCst);
        gate
    }

    /// Its figures, while it is subscribed.
    #[track_caller]
    pub fn stats(&self) -> SubscriptionStats {
        match &self.handle {
            Handle::Subscription(subscription) => subscription.stats(),
            Handle::Pumped { .. } => self
                .topic
                .stats()
                .subscriptions
                .into_iter()
                .find(|stats| stats.id == self.id)
                .expect("it is listed"),
        }
    }

    pub fn unsubscribe(&self) {
        match &self.handle {
            Handle::Subscription(subscription) => subscription.unsubscribe(),
            Handle::Pumped {
                thread,
                unsubscribe,
            } => {
                unsubscribe.store(true, Ordering::SeqCst);
                let thread = thread.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(thread) = &*thread {
                    thread.thread().unpark();
                }
            }
        }
    }

    /// Waits until it is done. Gives the final message and the last figures.
    #[track_caller]
    pub fn done(&self) -> (FinalMessage, SubscriptionStats) {
        let last = self.log.wait_for_final(&format!("{:?}", self.kind));
        let stats = match &self.handle {
            Handle::Subscription(subscription) => {
                let joined = subscription.join_timeout(DEADLINE).expect("it is done");
                assert_eq!(joined, last, "join tells what the handler was told");
                subscription.stats()
            }
            Handle::Pumped { thread, .. } => {
                let thread = thread
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .take()
                    .expect("done is asked for once");
                join("a receiver's thread", thread)
            }
        };
        (last, stats)
    }

    /// Unsubscribes, waits, and checks the books.
    #[track_caller]
    pub fn finish(&self) -> (FinalMessage, SubscriptionStats) {
        self.unsubscribe();
        let (last, stats) = self.done();
        self.log.check_books(&last, &stats);
        (last, stats)
    }
}

/// A bus with two workers, and a topic of it.
#[track_caller]
pub fn bus_and_topic() -> (Bus, Topic) {
    let bus = Bus::builder().workers(2).build().expect("a bus");
    let topic = bus.topic("topic").expect("a topic");
    (bus, topic)
}
