//! The threads: two that live on from program to program, and the one that calls. They begin each round together.

use super::check;
use super::program::{MAX_OPS, MAX_ROUNDS, Op, Program, SLOTS, THREADS, TOPICS};
use super::world::{
    Clock, Handle, Held, Publisher, When, World, drop_last, let_go, subscribe, unsubscribe,
};
use stasis_bus::{Bus, ManualExecutor, Subscription};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::time::Duration;

/// Runs a program, and panics if something does not hold afterwards.
pub(crate) fn run(program: Program) {
    static CREW: OnceLock<Mutex<Crew>> = OnceLock::new();
    let crew = CREW.get_or_init(|| Mutex::new(Crew::new()));
    let crew = crew.lock().expect("a failed check ends the process");
    let world = Arc::new(world(program.own_bus));
    for (slot, made) in program.subscribed.into_iter().enumerate() {
        if let Some((topic, spec)) = made {
            subscribe(&world, slot, usize::from(topic) % TOPICS, spec);
        }
    }
    let race = Arc::new(Race {
        world: Arc::clone(&world),
        rounds: program
            .rounds
            .into_iter()
            .take(MAX_ROUNDS)
            .map(|r| r.map(|ops| ops.0))
            .collect(),
        barrier: Barrier::new(THREADS),
    });
    crew.play(race);
    check::check(world);
}

struct Race {
    world: Arc<World>,
    rounds: Vec<[Vec<Op>; THREADS]>,
    barrier: Barrier,
}

struct Crew {
    threads: Vec<Sender<Arc<Race>>>,
    done: Receiver<()>,
}

impl Crew {
    fn new() -> Self {
        let (sender, done) = channel();
        let start = |number| {
            let (thread, races) = channel::<Arc<Race>>();
            let done: Sender<()> = sender.clone();
            std::thread::spawn(move || {
                for race in races {
                    race.play(number);
                    drop(race);
                    let _ = done.send(());
                }
            });
            thread
        };
        let threads = (1..THREADS).map(start).collect();
        Self { threads, done }
    }

    fn play(&self, race: Arc<Race>) {
        for thread in &self.threads {
            thread.send(Arc::clone(&race)).expect("it lives");
        }
        race.play(0);
        drop(race);
        for _ in &self.threads {
            self.done.recv().expect("they live");
        }
    }
}

impl Race {
    fn play(&self, thread: usize) {
        let mut publisher = Publisher {
            number: thread,
            made: 0,
        };
        for round in &self.rounds {
            self.barrier.wait();
            for &op in round[thread].iter().take(MAX_OPS) {
                step(&self.world, &mut publisher, op);
            }
        }
    }
}

fn world(has_own_bus: bool) -> World {
    static BUS: OnceLock<Bus> = OnceLock::new();
    static WORLDS: AtomicU64 = AtomicU64::new(0);
    let new = || {
        let bus = Bus::builder().workers(2).build();
        bus.expect("nothing is wrong with it")
    };
    let bus = match has_own_bus {
        true => new(),
        false => BUS.get_or_init(new).clone(),
    };
    let world = WORLDS.fetch_add(1, Ordering::Relaxed);
    let topics = (0..TOPICS).map(|topic| {
        let name = format!("{world}.{topic}");
        let topic = match topic == TOPICS - 1 {
            true => bus.topic_with_total_order(&name),
            false => bus.topic(&name),
        };
        topic.expect("the bus is new, or is never shut down")
    });
    World {
        topics: topics.collect(),
        bus,
        has_own_bus,
        topics_closing: std::array::from_fn(|_| When::never()),
        topics_closed: std::array::from_fn(|_| When::never()),
        slots: Default::default(),
        forwards: Default::default(),
        executor: Arc::new(ManualExecutor::new()),
        clock: Clock::default(),
        records: Mutex::default(),
        publishes: Mutex::default(),
        total: Mutex::default(),
        lost_receipts: false.into(),
        alive: Arc::new(()),
    }
}

fn step(world: &Arc<World>, publisher: &mut Publisher, op: Op) {
    let topic_of = |topic: u8| usize::from(topic) % TOPICS;
    let slot_of = |slot: u8| usize::from(slot) % SLOTS;
    match op {
        Op::Publish { topic } => publisher.publish(world, topic_of(topic), 1),
        Op::PublishBatch { topic, count } => {
            publisher.publish(world, topic_of(topic), 2 + usize::from(count % 6));
        }
        Op::PublishSync { topic, slot } => {
            with_subscription(world, slot_of(slot), |subscription| {
                publisher.publish_sync(world, topic_of(topic), subscription);
            });
        }
        Op::Subscribe { slot, topic, spec } => {
            subscribe(world, slot_of(slot), topic_of(topic), spec);
        }
        Op::Unsubscribe { slot } => unsubscribe(world, slot_of(slot)),
        Op::DropHandle { slot } => {
            let held = world.slots[slot_of(slot)].lock().unwrap().take();
            if let Some(held) = held {
                let_go(world, held);
            }
        }
        Op::Detach { slot } => detach(world, slot_of(slot)),
        Op::Join { slot } => join(world, slot_of(slot)),
        Op::Flush { slot } => with_subscription(world, slot_of(slot), |subscription| {
            let _ = subscription.flush_timeout(Duration::from_micros(200));
        }),
        Op::Run { tasks } => {
            for _ in 0..1 + tasks % 8 {
                world.executor.run_one();
            }
        }
        Op::Receive { slot, count } => receive(world, slot_of(slot), 1 + count % 8),
        Op::Forward { slot, from, to } => {
            let (from, to) = (&world.topics[topic_of(from)], &world.topics[topic_of(to)]);
            let forward = from.forward_to(to).ok();
            let old =
                std::mem::replace(&mut *world.forwards[slot_of(slot)].lock().unwrap(), forward);
            drop(old);
        }
        Op::Cancel { slot } => {
            let forward = world.forwards[slot_of(slot)].lock().unwrap().take();
            drop(forward);
        }
        Op::CloseTopic { topic } => {
            let topic = topic_of(topic);
            world.topics_closing[topic].note(world.clock.tick());
            world.topics[topic].close();
            world.topics_closed[topic].note(world.clock.tick());
        }
        Op::Shutdown => shut_down(world),
        Op::Yield => std::thread::yield_now(),
    }
}

fn shut_down(world: &World) {
    if !world.has_own_bus {
        return;
    }
    let now = world.clock.tick();
    world.topics_closing.iter().for_each(|when| when.note(now));
    let report = world.bus.shutdown().expect("this is no handler");
    let now = world.clock.tick();
    world.topics_closed.iter().for_each(|when| when.note(now));
    assert!(report.is_complete() && report.workers_ended, "{report:?}");
}

fn with_subscription(world: &World, slot: usize, f: impl FnOnce(&Subscription)) {
    let (subscription, record) = match &*world.slots[slot].lock().unwrap() {
        Some(Held {
            handle: Handle::Run(subscription),
            record,
        }) => (Arc::clone(subscription), Arc::clone(record)),
        _ => return,
    };
    f(&subscription);
    drop_last(world, &record, subscription);
}

fn detach(world: &World, slot: usize) {
    let held = world.slots[slot].lock().unwrap().take();
    match held {
        Some(Held {
            handle: Handle::Run(subscription),
            record,
        }) => match Arc::try_unwrap(subscription) {
            Ok(subscription) => subscription.detach(),
            Err(shared) => drop_last(world, &record, shared),
        },
        Some(held) => let_go(world, held),
        None => {}
    }
}

fn join(world: &World, slot: usize) {
    let (subscription, record) = match &*world.slots[slot].lock().unwrap() {
        Some(Held {
            handle: Handle::Run(subscription),
            record,
        }) if !record.spec.is_run_by_hand() => (Arc::clone(subscription), Arc::clone(record)),
        _ => return,
    };
    record.closing.note(world.clock.tick());
    subscription.unsubscribe();
    record.closed.note(world.clock.tick());
    let last = subscription.join();
    assert!(last.is_ok(), "this is no handler: {last:?}");
    check::has_let_go(&record);
    drop_last(world, &record, subscription);
}

fn receive(world: &World, slot: usize, count: u8) {
    let held = world.slots[slot].lock().unwrap().take();
    let Some(held) = held else { return };
    let Held {
        handle: Handle::Receiver(mut receiver),
        record,
    } = held
    else {
        return put_back(world, slot, held);
    };
    for _ in 0..count {
        match receiver.try_recv() {
            Ok(message) => drop(record.see(&message)),
            Err(_) => break,
        }
    }
    let handle = Handle::Receiver(receiver);
    put_back(world, slot, Held { handle, record });
}

/// Somebody may have subscribed there meanwhile.
fn put_back(world: &World, slot: usize, held: Held) {
    let other = {
        let mut place = world.slots[slot].lock().unwrap();
        match &*place {
            None => place.replace(held),
            Some(_) => Some(held),
        }
    };
    if let Some(other) = other {
        let_go(world, other);
    }
}
