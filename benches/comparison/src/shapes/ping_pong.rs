//! There and back: two parties, each of which answers what it gets, and one message on its way. What is taken is the
//! time from one answer to the next, which is a round trip. Each party has a topic, and a publisher that stays on the
//! other one's; who cannot do that does not take part.

use super::latency::{Contender, contenders};
use super::{Context, Shape};
use crate::contest::in_rounds;
use crate::item::Item;
use crate::ledger::Look;
use crate::line::Line;
use crate::peer::{Fault, Kind, Peer, Publisher, Wiring};
use crate::percentiles::{self, Recorder, Times};
use crate::single::with_single;
use std::sync::{Arc, Mutex};
use std::time::Instant;

pub(crate) const SHAPES: &[Shape] = &[Shape {
    name: "ping-pong",
    about: "a round trip between two subscribers that answer each other",
    run: measure,
}];

/// What comes and goes: two topics, a publisher for each, and one for the first message.
const WIRING: Wiring = Wiring {
    topics: 2,
    ..Wiring::one_topic(3, 1)
};

/// Round trips before what is recorded.
const WARM_UP: u64 = 500;

/// Where a party finds its publisher when it first needs it.
type Slot = Arc<Mutex<Option<Box<dyn Publisher>>>>;

/// One of the two.
struct Party {
    slot: Slot,
    publisher: Option<Box<dyn Publisher>>,
    /// It answers nothing from this number on, and has no publisher then.
    end: u64,
}

impl Party {
    fn answer(&mut self, item: &Item) {
        let number = item.number + 1;
        if self.publisher.is_none() {
            self.publisher = self.slot.lock().expect("no panic").take();
        }
        if number < self.end {
            let publisher = self.publisher.as_mut();
            // Who sent it does not matter: numbers are told apart by topic.
            publisher
                .expect("it is in the slot")
                .publish(Item::new(0, number));
        }
        if number + 2 >= self.end {
            // Without publishers, channels end.
            self.publisher = None;
        }
    }
}

fn measure(shape: &Shape, context: &Context) -> Result<Vec<Line>, Fault> {
    let (rounds, count) = if context.plan.is_quick {
        (2, 2_000)
    } else {
        (5, 10_000)
    };
    let mut contenders = contenders(context, &WIRING, rounds);
    // It would call itself, again and again.
    contenders.retain(|contender| contender.peer.how().kind != Kind::Callbacks);
    in_rounds(
        &mut contenders,
        |contender| contender.rounds,
        |contender: &mut Contender| {
            let times = there_and_back(contender.peer, count)?;
            contender.times.extend(times);
            Ok(())
        },
    )?;
    let lines = contenders
        .iter()
        .flat_map(|it| percentiles::lines(shape.name, it.peer.name(), 3, ("us", 1e3), &it.times));
    Ok(lines.collect())
}

/// Nothing, if the peer cannot take part.
fn there_and_back(peer: &'static dyn Peer, count: u64) -> Result<Option<Times>, Fault> {
    let total = 2 * (WARM_UP + count);
    let (slots, recorder): ([Slot; 2], _) = (Default::default(), Recorder::new());
    let look = |idx: usize| -> Option<Look> {
        let recorder = recorder.clone();
        let mut party = Party {
            slot: Arc::clone(&slots[idx]),
            publisher: None,
            end: total,
        };
        let mut last = Instant::now();
        Some(Box::new(move |item: &Item| {
            if idx == 1 {
                let now = Instant::now();
                if item.number > 2 * WARM_UP {
                    recorder.record((now - last).as_nanos() as u64);
                }
                last = now;
            }
            party.answer(item);
        }))
    };
    let takes_part = with_single(peer, WIRING, look, |single| {
        let topics = [1, 0, 0];
        let publishers = single.take_publishers().into_iter().zip(topics);
        let mut staying = Vec::new();
        for (mut publisher, topic) in publishers {
            if !publisher.stay_on(topic) {
                return Ok(false);
            }
            staying.push(publisher);
        }
        let first = staying.pop();
        single.expect(total);
        for (slot, publisher) in slots.iter().zip(staying) {
            *slot.lock().expect("no panic") = Some(publisher);
        }
        first
            .into_iter()
            .for_each(|mut it| it.publish(Item::new(0, 0)));
        single.wait()?;
        Ok(true)
    })?;
    let mut times = Times::new();
    recorder.add_to(&mut times);
    if takes_part && times.len() != count {
        return Err(format!("{}: {} of {count} round trips", peer.name(), times.len()).into());
    }
    Ok(takes_part.then_some(times))
}
