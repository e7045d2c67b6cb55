//! The real bus that a program is replayed on: handles by slot, handlers that write down what they see, and
//! executors that the replay runs by hand.

use super::program;
use super::program::{
    Accepts, Colour, FORWARDS, Filter, MAX_REACTIONS, OnPanic, Policy, Reaction, Runner,
    SUBSCRIPTIONS, Spec, TOPICS, What,
};
use super::subscription::{Event, GapNotice, Reason, Totals};
use stasis_bus::{
    Bus, ChangeKind, Delivery, Executor, FinalMessage, FinalReason, Forward, Gap, ManualExecutor,
    Message, MessageId, MessageType, Overflow, PanicPolicy, Receiver, SubscribeError, Subscription,
    SubscriptionBuilder, Task, Topic,
};
use std::collections::HashMap;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A payload. That none is left in the end is seen by `alive`.
pub(crate) struct Item {
    n: u32,
    what: What,
    _alive: Arc<()>,
}

static BLUE: MessageType<Item> = MessageType::new("blue");
static GREEN: MessageType<Item> = MessageType::new("green");
static GREY: MessageType<Item> = MessageType::new("grey");

pub(crate) enum Handle {
    Run(Arc<Subscription>),
    Receiver(Receiver),
}

/// What handlers get at too. No lock of it is held while the bus is called.
#[derive(Default)]
pub(crate) struct Hands {
    pub(crate) topics: Mutex<[Option<Topic>; TOPICS]>,
    pub(crate) slots: Mutex<[Option<Handle>; SUBSCRIPTIONS]>,
    pub(crate) forwards: Mutex<[Option<Forward>; FORWARDS]>,
    log: Mutex<Log>,
    /// As many as there are payloads, handlers and callbacks, and one.
    pub(crate) alive: Arc<()>,
}

#[derive(Default)]
struct Log {
    /// By the number of the subscription.
    seen: Vec<Vec<Event>>,
    made: u32,
    reactions_left: u32,
    numbers: HashMap<MessageId, u32>,
    /// Where the payload of a number is: all see the same one (D1).
    places: HashMap<u32, usize>,
    copies: u32,
    panics: u64,
    discards: Vec<(usize, u64)>,
}

/// A lock that a panic of a handler, which is part of the program, does not spoil.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hands {
    pub(crate) fn begin_op(&self) {
        lock(&self.log).reactions_left = MAX_REACTIONS;
    }

    pub(crate) fn message(&self, what: What) -> Message {
        let mut log = lock(&self.log);
        let n = log.made;
        log.made += 1;
        let item = Item {
            n,
            what,
            _alive: Arc::clone(&self.alive),
        };
        let message = match what.colour {
            Colour::Red => Message::new(item),
            colour => custom(colour).message(item),
        };
        log.numbers.insert(message.id(), n);
        message
    }

    pub(crate) fn topic(&self, slot: usize) -> Option<Topic> {
        lock(&self.topics)[slot].clone()
    }

    pub(crate) fn subscription(&self, slot: usize) -> Option<Arc<Subscription>> {
        match &lock(&self.slots)[slot] {
            Some(Handle::Run(subscription)) => Some(Arc::clone(subscription)),
            _ => None,
        }
    }

    pub(crate) fn see(&self, sub: usize, event: Event) {
        let mut log = lock(&self.log);
        if log.seen.len() <= sub {
            log.seen.resize(sub + 1, Vec::new());
        }
        log.seen[sub].push(event);
    }

    /// What a subscription has seen since this was last called.
    pub(crate) fn take_seen(&self, sub: usize) -> Vec<Event> {
        let mut log = lock(&self.log);
        log.seen
            .get_mut(sub)
            .map(std::mem::take)
            .unwrap_or_default()
    }

    pub(crate) fn panics(&self) -> u64 {
        lock(&self.log).panics
    }

    pub(crate) fn copies(&self) -> u32 {
        lock(&self.log).copies
    }

    pub(crate) fn take_discards(&self) -> Vec<(usize, u64)> {
        std::mem::take(&mut lock(&self.log).discards)
    }

    fn gap(&self, gap: &Gap) -> GapNotice {
        let log = lock(&self.log);
        let number = |id: MessageId| log.numbers.get(&id).copied().unwrap_or(u32::MAX);
        GapNotice {
            count: gap.count,
            first: number(gap.first),
            last: number(gap.last),
        }
    }

    fn item(&self, item: &Item) -> Event {
        let place = std::ptr::from_ref(item).addr();
        let mut log = lock(&self.log);
        let known = *log.places.entry(item.n).or_insert(place);
        log.copies += u32::from(known != place);
        Event::Item(item.n)
    }

    /// What a message is, to who compares.
    pub(crate) fn event(&self, message: &Message) -> (Event, Option<What>) {
        if let Some(last) = message.as_final() {
            return (Event::Final(totals(last)), None);
        }
        if let Some(gap) = message.as_gap() {
            return (Event::Gap(self.gap(gap)), None);
        }
        if let Some(change) = message.as_change() {
            let came = change.kind == ChangeKind::Subscribed;
            return (Event::Change(number(&change.name), came), None);
        }
        match message.get::<Item>() {
            Some(item) => (self.item(item), Some(item.what)),
            None => (Event::Item(u32::MAX), None),
        }
    }

    /// Does what the handler is there for.
    fn handle(&self, part: &Part, events: &[(Event, Option<What>)]) {
        let mut panics = false;
        for &(event, what) in events {
            self.see(part.sub, event);
            panics |= part.spec.fault.strikes(event, what);
            if let (Some(reaction), Some(what)) = (part.spec.reaction, what) {
                self.react(reaction, what);
            }
        }
        if panics {
            // Not `panic!`: the fuzzer's hook would take it for a finding.
            resume_unwind(Box::new("as the program has it"));
        }
    }

    fn react(&self, reaction: Reaction, what: What) {
        {
            let mut log = lock(&self.log);
            if !what.has_hops() || log.reactions_left == 0 {
                return;
            }
            log.reactions_left -= 1;
        }
        match reaction {
            Reaction::Publish { topic, colour } => {
                if let Some(topic) = self.topic(usize::from(topic) % TOPICS) {
                    let _ = topic.publish(self.message(what.next(colour)));
                }
            }
            Reaction::Unsubscribe { slot } => self.unsubscribe(usize::from(slot) % SUBSCRIPTIONS),
            Reaction::DropHandle { slot } => {
                let slot = usize::from(slot) % SUBSCRIPTIONS;
                let handle = {
                    let mut slots = lock(&self.slots);
                    slots[slot].take_if(|handle| matches!(handle, Handle::Run(_)))
                };
                drop(handle);
            }
            Reaction::CloseTopic { topic } => {
                let topic = self.topic(usize::from(topic) % TOPICS);
                if let Some(topic) = topic.filter(|topic| !is_ambiguous(topic)) {
                    topic.close();
                }
            }
            Reaction::Cancel { slot } => {
                let forward = lock(&self.forwards)[usize::from(slot) % FORWARDS].take();
                drop(forward);
            }
        }
    }

    pub(crate) fn unsubscribe(&self, slot: usize) {
        if let Some(subscription) = self.subscription(slot) {
            return subscription.unsubscribe();
        }
        // Not in handlers that run meanwhile, so the lock may be held over the call: see `Spec::tamed`.
        if let Some(Handle::Receiver(receiver)) = &lock(&self.slots)[slot] {
            receiver.subscription().unsubscribe();
        }
    }
}

fn custom(colour: Colour) -> &'static MessageType<Item> {
    match colour {
        Colour::Red => unreachable!("the default type"),
        Colour::Blue => &BLUE,
        Colour::Green => &GREEN,
        Colour::Grey => &GREY,
    }
}

pub(crate) fn has_subscribers_for(topic: &Topic, colour: Colour) -> bool {
    match colour {
        Colour::Red => topic.has_subscribers_for_payload::<Item>(),
        colour => topic.has_subscribers_for(custom(colour)),
    }
}

/// The name of a subscription is its number, with a star if it hears of changes.
fn name(sub: usize, spec: Spec) -> String {
    format!("{sub}{}", if spec.changes { "*" } else { "" })
}

pub(crate) fn number(name: &str) -> usize {
    name.trim_end_matches('*').parse().unwrap_or(usize::MAX)
}

/// See the model's.
fn is_ambiguous(topic: &Topic) -> bool {
    let subscriptions = topic.stats().subscriptions;
    subscriptions.len() > 1 && subscriptions.iter().any(|sub| sub.name.ends_with('*'))
}

pub(crate) fn totals(last: &FinalMessage) -> Totals {
    let reason = match last.reason {
        FinalReason::Unsubscribed => Reason::Unsubscribed,
        FinalReason::TopicClosed => Reason::TopicClosed,
        FinalReason::Evicted => Reason::Evicted,
        FinalReason::HandlerPanicked => Reason::HandlerPanicked,
        FinalReason::Shutdown => Reason::Shutdown,
        other => panic!("{other}"),
    };
    Totals {
        reason,
        delivered: last.delivered,
        shed: last.shed,
        discarded: last.discarded,
        conflated: last.conflated,
    }
}

/// What a handler or a callback captures.
struct Part {
    sub: usize,
    spec: Spec,
    hands: Arc<Hands>,
    _alive: Arc<()>,
}

impl Part {
    fn handle(&self, events: &[(Event, Option<What>)]) {
        self.hands.handle(self, events);
    }
}

/// An executor that may be lost.
#[derive(Debug)]
pub(crate) struct Hand(Mutex<Option<Arc<ManualExecutor>>>);

impl Hand {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Some(Arc::new(ManualExecutor::new())))))
    }

    fn executor(&self) -> Option<Arc<ManualExecutor>> {
        lock(&self.0).clone()
    }

    pub(crate) fn pending(&self) -> usize {
        self.executor().map_or(0, |executor| executor.pending())
    }

    pub(crate) fn run(&self) {
        if let Some(executor) = self.executor() {
            executor.run_until_idle();
        }
    }

    pub(crate) fn lose(&self) {
        let executor = lock(&self.0).take();
        drop(executor);
    }
}

impl Executor for Hand {
    fn execute(&self, task: Task) {
        match self.executor() {
            Some(executor) => executor.execute(task),
            None => drop(task),
        }
    }
}

/// Every bus is made like that.
pub(crate) fn bus(hands: &Arc<Hands>) -> Bus {
    let (panics, discards) = (Arc::downgrade(hands), Arc::downgrade(hands));
    let built = Bus::builder()
        .workers(1)
        .decline("grey")
        .on_panic(move |_| {
            if let Some(hands) = panics.upgrade() {
                lock(&hands.log).panics += 1;
            }
        })
        .on_discard(move |discarded| {
            if let Some(hands) = discards.upgrade() {
                let sub = number(discarded.subscription);
                lock(&hands.log).discards.push((sub, discarded.count));
            }
        })
        .build();
    built.expect("nothing is wrong with it")
}

/// Subscribes as the program has it. `hand` is for those who are run by one.
pub(crate) fn subscribe(
    hands: &Arc<Hands>,
    topic: &Topic,
    sub: usize,
    spec: Spec,
    hand: &Arc<Hand>,
) -> Result<Handle, SubscribeError> {
    let part = || Part {
        sub,
        spec,
        hands: Arc::clone(hands),
        _alive: Arc::clone(&hands.alive),
    };
    let builder = options(topic.subscribe().name(name(sub, spec)), spec);
    let builder = callbacks(builder, spec, &part);
    let handler = part();
    let subscription = match spec.runner {
        Runner::Receiver => return builder.receiver().map(Handle::Receiver),
        Runner::InlineBatch(_) => run_batch(builder.delivery(Delivery::Inline), handler),
        Runner::ManualBatch(_) => {
            run_batch(builder.delivery(Delivery::Executor(hand.clone())), handler)
        }
        Runner::Inline => run(builder.delivery(Delivery::Inline), handler),
        Runner::Manual => run(builder.delivery(Delivery::Executor(hand.clone())), handler),
    };
    Ok(Handle::Run(Arc::new(subscription?)))
}

fn run(builder: SubscriptionBuilder, part: Part) -> Result<Subscription, SubscribeError> {
    match part.spec.face.is_general() {
        true => builder.run(move |message: &Message| {
            let event = part.hands.event(message);
            part.handle(&[event]);
        }),
        false => builder.run(move |item: &Item| {
            let event = (part.hands.item(item), Some(item.what));
            part.handle(&[event]);
        }),
    }
}

fn run_batch(builder: SubscriptionBuilder, part: Part) -> Result<Subscription, SubscribeError> {
    let max = part.spec.runner.batch().unwrap_or(1);
    builder.max_batch(max).run_batch(move |messages| {
        let events: Vec<_> = messages
            .iter()
            .map(|message| part.hands.event(message))
            .collect();
        if events.is_empty() || events.len() > max {
            part.hands.see(part.sub, Event::Item(u32::MAX)); // nobody expects that
        }
        part.handle(&events);
    })
}

fn callbacks(
    builder: SubscriptionBuilder,
    spec: Spec,
    part: &impl Fn() -> Part,
) -> SubscriptionBuilder {
    if !spec.face.has_callbacks() {
        return builder;
    }
    let (gaps, finals) = (part(), part());
    builder
        .on_gap(move |gap| {
            let told = gaps.hands.gap(gap);
            gaps.handle(&[(Event::GapTold(told), None)]);
        })
        .on_final(move |last| finals.handle(&[(Event::FinalTold(totals(last)), None)]))
}

fn options(mut builder: SubscriptionBuilder, spec: Spec) -> SubscriptionBuilder {
    let colours = match spec.accepts {
        Accepts::Default => vec![],
        Accepts::One(one) => vec![one],
        Accepts::Two(one, two) => vec![one, two],
    };
    for colour in colours {
        builder = match colour {
            Colour::Red => builder.accept_payload::<Item>(),
            colour => builder.accept(custom(colour)),
        };
    }
    if spec.changes {
        builder = builder.change_notices();
    }
    if spec.filter != Filter::None {
        builder = builder.filter(move |message| {
            let passes = message.get::<Item>().map(|item| spec.passes(item.what));
            match passes.unwrap_or(Some(false)) {
                Some(passes) => passes,
                None => resume_unwind(Box::new("as the program has it")),
            }
        });
    }
    let overflow = match spec.policy {
        Policy::Spill => Overflow::Spill { limit: None },
        Policy::SpillLimit(_) => Overflow::Spill {
            limit: spec.limit().map(|limit| limit as u64),
        },
        Policy::Block => Overflow::Block {
            timeout: Some(Duration::ZERO),
        },
        Policy::DropOldest => Overflow::DropOldest,
        Policy::DropNewest => Overflow::DropNewest,
        Policy::Fail => Overflow::Fail,
        Policy::Conflate => Overflow::conflate(|message| {
            let what = message.get::<Item>().map(|item| item.what);
            u32::from(what.map_or(u8::MAX, |what| program::key(what.key)))
        }),
        Policy::Evict => Overflow::Evict,
    };
    let on_panic = match spec.on_panic {
        OnPanic::Continue => PanicPolicy::Continue,
        OnPanic::Close => PanicPolicy::Close,
        OnPanic::CloseWithFinal => PanicPolicy::CloseWithFinal,
    };
    builder
        .overflow(overflow)
        .capacity(spec.capacity())
        .panic_policy(on_panic)
}
