//! There and back: two parties, each of which answers what it gets, and one message on its way. What is taken is the
//! time from one answer to the next, which is a round trip. Each party has a topic, and a publisher that stays on the
//! other one's; of what has no topics there are two, one for each way.

use super::latency::{Contender, contenders};
use super::{Context, Shape};
use crate::contest::in_rounds;
use crate::item::Item;
use crate::ledger::Look;
use crate::line::Line;
use crate::peer::{Fault, Kind, Peer, Publisher, Wiring};
use crate::percentiles::{self, Recorder, Times};
use crate::single::{Single, with_single};
use std::sync::{Arc, Mutex};
use std::time::Instant;

pub(crate) const SHAPES: &[Shape] = &[Shape {
    name: "ping-pong",
    about: "a round trip between two subscribers that answer each other",
    run: measure,
}];

/// Two topics, a publisher for each, and one for the first message.
const CROSSED: Wiring = Wiring {
    topics: 2,
    ..Wiring::one_topic(3, 1)
};

/// One of the two ways, where each is something of its own.
const ONE_WAY: Wiring = Wiring::one_topic(1, 1);

/// Round trips before what is recorded.
const WARM_UP: u64 = 500;

fn measure(shape: &Shape, context: &Context) -> Result<Vec<Line>, Fault> {
    let (rounds, count) = if context.plan.is_quick {
        (2, 2_000)
    } else {
        (5, 10_000)
    };
    let mut contenders = contenders(context, &ONE_WAY, rounds);
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
    let trips = WARM_UP + count;
    let (slots, recorder): ([Slot; 2], _) = (Default::default(), Recorder::new());
    let party = |idx: usize, adds: u64| Party {
        slot: Arc::clone(&slots[idx]),
        publisher: None,
        adds,
        // The last one is not answered.
        left: if idx == 0 { trips } else { trips - 1 },
    };
    let is_ring = peer.how().kind == Kind::Ring;
    let takes_part = if is_ring {
        let there = |_| Some(answering(party(0, 0)));
        let back = |_| Some(recording(party(1, 1), &recorder));
        with_single(peer, ONE_WAY, there, |there| {
            with_single(peer, ONE_WAY, back, |back| {
                there.expect(trips);
                back.expect(trips);
                let mut first = there.take_publishers();
                *slots[0].lock().expect("no panic") = back.take_publishers().pop();
                let mut slot = slots[1].lock().expect("no panic");
                first[0].publish(Item::new(0, 0));
                *slot = first.pop();
                drop(slot);
                back.wait()?;
                empty(&slots);
                Ok(true)
            })
        })?
    } else {
        let look = |idx| match idx {
            0 => Some(answering(party(0, 1))),
            _ => Some(recording(party(1, 1), &recorder)),
        };
        with_single(peer, CROSSED, look, |single| crossed(single, &slots, trips))?
    };
    let mut times = Times::new();
    recorder.add_to(&mut times);
    if takes_part && times.len() != count {
        return Err(format!("{}: {} of {count} round trips", peer.name(), times.len()).into());
    }
    Ok(takes_part.then_some(times))
}

fn crossed(single: &mut Single, slots: &[Slot; 2], trips: u64) -> Result<bool, Fault> {
    let mut publishers = single.take_publishers();
    let mut first = publishers.pop().ok_or("three publishers")?;
    let stays = publishers[0].stay_on(1) && publishers[1].stay_on(0) && first.stay_on(0);
    if stays {
        single.expect(2 * trips);
        for (slot, publisher) in slots.iter().zip(publishers) {
            *slot.lock().expect("no panic") = Some(publisher);
        }
        first.publish(Item::new(0, 0));
        single.wait()?;
        empty(slots);
    }
    Ok(stays)
}

/// Where a party finds its publisher when it first needs it, and puts it in the end.
type Slot = Arc<Mutex<Option<Box<dyn Publisher>>>>;

/// Without publishers, contenders end.
fn empty(slots: &[Slot]) {
    for slot in slots {
        *slot.lock().expect("no panic") = None;
    }
}

/// One of the two.
struct Party {
    slot: Slot,
    publisher: Option<Box<dyn Publisher>>,
    /// From the number of what it gets to the number of what it answers.
    adds: u64,
    /// Answers that it has still to give.
    left: u64,
}

impl Party {
    #[inline]
    fn answer(&mut self, item: &Item) {
        if self.left == 0 {
            return;
        }
        if self.publisher.is_none() {
            self.publisher = self.slot.lock().expect("no panic").take();
        }
        let publisher = self.publisher.as_mut().expect("it is in the slot");
        // Who sent it does not matter: numbers are told apart by topic.
        publisher.publish(Item::new(0, item.number + self.adds));
        self.left -= 1;
        if self.left == 0 {
            *self.slot.lock().expect("no panic") = self.publisher.take();
        }
    }
}

fn answering(mut party: Party) -> Look {
    Box::new(move |item| party.answer(item))
}

/// The one that takes the times.
fn recording(mut party: Party, recorder: &Recorder) -> Look {
    let (recorder, mut last, mut trips) = (recorder.clone(), Instant::now(), 0);
    Box::new(move |item| {
        let now = Instant::now();
        if trips >= WARM_UP {
            recorder.record((now - last).as_nanos() as u64);
        }
        (last, trips) = (now, trips + 1);
        party.answer(item);
    })
}
