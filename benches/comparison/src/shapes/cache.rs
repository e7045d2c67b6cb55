//! A cache of the last message of each of 1,000 keys: how often it can be updated, heard of by a handler on the pool
//! and by nobody, and how often it can be read.

use super::figures::{Figures, figure, is_wanted};
use super::{Context, Shape};
use crate::line::{self, Line};
use crate::peer::Fault;
use stasis_bus::{Bus, Cache, CachingTopic, Message, MessageType, Subscription, Topic};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

pub(crate) const SHAPES: &[Shape] = &[Shape {
    name: "cache",
    about: "updates of 1,000 keys with their announcement, and reads",
    run: measure,
}];

const KEYS: u64 = 1_000;

/// 64 bytes, with its key, and which update of that key it is.
struct State {
    key: u64,
    turn: u64,
    _rest: [u64; 6],
}

static STATE: MessageType<State> = MessageType::new("state");

fn measure(shape: &Shape, context: &Context) -> Result<Vec<Line>, Fault> {
    let (rounds, turns) = if context.plan.is_quick {
        (2, 30)
    } else {
        (7, 150)
    };
    let mut figures = Figures::new(shape.name);
    if is_wanted(context, "stasis-bus") {
        let mut unheard = World::new(false)?;
        let mut heard = World::new(true)?;
        figures.enter("stasis-bus", move || {
            Ok(vec![
                figure("updates, heard", "M/s", heard.update(turns)?),
                figure("updates, unheard", "M/s", unheard.update(turns)?),
                figure("reads, 1 thread", "M/s", unheard.read(1, turns * 10)?),
                figure("reads, 2 threads", "M/s", unheard.read(2, turns * 10)?),
            ])
        });
    }
    let mut lines = figures.measure(rounds)?;
    let theirs = [("updates, heard", 0.56), ("reads, 1 thread", 9.4)];
    let asterisk =
        |(metric, figure)| line::elsewhere(shape.name, "Asterisk", (metric, "M/s"), figure);
    lines.extend(theirs.into_iter().filter_map(asterisk));
    Ok(lines)
}

struct World {
    topic: Topic,
    cache: Cache,
    listener: Option<Subscription>,
    heard: Arc<AtomicU64>,
    turn: u64,
    _caching: CachingTopic,
    _bus: Bus,
}

impl World {
    fn new(has_listener: bool) -> Result<Self, Fault> {
        let bus = Bus::new()?;
        let topic = bus.topic("states")?;
        let builder = Cache::builder().key(&STATE, |state| Some(state.key.into()));
        let cache = builder.build()?;
        let caching = cache.attach(&topic)?;
        let heard = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&heard);
        let listen = || {
            // Relaxed: whoever reads it has waited for the last one.
            let count = move |_: &Message| _ = counter.fetch_add(1, Ordering::Relaxed);
            caching.subscribe().run(count)
        };
        let listener = has_listener.then(listen).transpose()?;
        let mut world = Self {
            topic,
            cache,
            listener,
            heard,
            turn: 0,
            _caching: caching,
            _bus: bus,
        };
        world.update(1)?;
        Ok(world)
    }

    /// So many of each key; a million a second.
    fn update(&mut self, turns: u64) -> Result<f64, Fault> {
        let before = self.heard.load(Ordering::Relaxed); // Relaxed: nothing is on its way
        let begin = Instant::now();
        for turn in self.turn..self.turn + turns {
            for key in 0..KEYS {
                self.topic.publish(STATE.message(State {
                    key,
                    turn,
                    _rest: [0; 6],
                }))?;
            }
        }
        if let Some(listener) = &self.listener {
            listener.flush()?;
        }
        let took = begin.elapsed();
        let (count, heard) = (turns * KEYS, self.heard.load(Ordering::Relaxed) - before); // Relaxed: flushed
        self.turn += turns;
        if self.listener.is_some() && heard != count {
            return Err(format!("{heard} of {count} updates were heard of").into());
        }
        Ok(count as f64 / took.as_secs_f64() / 1e6)
    }

    /// So many of each key by each thread; a million a second by all together.
    fn read(&self, threads: u64, turns: u64) -> Result<f64, Fault> {
        let begin = Instant::now();
        let read = |reader: u64| {
            let last = |key: u64| {
                let message = self.cache.get(&STATE, (key * 7 + reader) % KEYS).ok()??;
                black_box(message).get::<State>().map(|state| state.turn)
            };
            (0..turns * KEYS).all(|key| last(key) == Some(self.turn - 1))
        };
        let all_right = std::thread::scope(|scope| {
            let others = (1..threads).map(|reader| scope.spawn(move || read(reader)));
            let others: Vec<_> = others.collect();
            let own = read(0);
            let others = others.into_iter().map(|it| it.join().unwrap_or(false));
            others.fold(own, |all, it| all && it)
        });
        if !all_right {
            return Err("a read did not find the last update".into());
        }
        Ok((threads * turns * KEYS) as f64 / begin.elapsed().as_secs_f64() / 1e6)
    }
}
