//! Subscribers that come and go: pairs of subscribing and unsubscribing by one thread, on a topic that is idle, under
//! fire, and beside many others.
//!
//! Under fire, another thread publishes all the time as fast as it can. It is itself the topic's one lasting
//! subscriber, so nobody else needs a core: it takes each message back before it publishes the next one, and checks
//! it. Its rate without the churn is measured in the same turn.

mod places;

use super::figures::{Figure, Figures, figure, is_wanted};
use super::{Context, Shape};
use crate::line::{self, Line};
use crate::peer::Fault;
use places::{Open, PLACES, Place};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub(crate) const SHAPES: &[Shape] = &[
    Shape {
        name: "churn-idle",
        about: "subscribe and unsubscribe, nothing is published",
        run: idle,
    },
    Shape {
        name: "churn-fire",
        about: "subscribe and unsubscribe, while another thread publishes as fast as it can",
        run: under_fire,
    },
    Shape {
        name: "churn-many",
        about: "subscribe and unsubscribe, beside 10 and beside 100,000 subscribers of the same topic",
        run: beside_many,
    },
];

/// As large as a topic gets here.
const MANY: usize = 100_000;
const FEW: usize = 10;

/// Pairs a second of a churn that does not do all it can.
const PACE: f64 = 300_000.0;

fn wanted(context: &Context) -> impl Iterator<Item = &'static (&'static str, Open)> {
    PLACES.iter().filter(|(name, _)| is_wanted(context, name))
}

fn rounds(context: &Context) -> usize {
    if context.plan.is_quick { 2 } else { 5 }
}

/// So many pairs, with their ends; nanoseconds for each.
fn time_pairs(place: &mut dyn Place, pairs: u64) -> Result<f64, Fault> {
    let begin = Instant::now();
    (0..pairs).for_each(|_| place.pair());
    place.settle()?;
    Ok(begin.elapsed().as_nanos() as f64 / pairs as f64)
}

fn idle(shape: &Shape, context: &Context) -> Result<Vec<Line>, Fault> {
    let pairs = if context.plan.is_quick { 5_000 } else { 50_000 };
    let mut figures = Figures::new(shape.name);
    for (peer, open) in wanted(context) {
        figures.enter(*peer, move || {
            let (mut place, _publisher) = open(0)?;
            time_pairs(&mut *place, pairs / 10)?;
            let nanos = time_pairs(&mut *place, pairs)?;
            Ok(vec![figure("pairs", "k/s", 1e6 / nanos)])
        });
    }
    let mut lines = figures.measure(rounds(context))?;
    lines.extend(line::elsewhere(
        shape.name,
        "Asterisk",
        ("pairs", "k/s"),
        97.0,
    ));
    Ok(lines)
}

fn under_fire(shape: &Shape, context: &Context) -> Result<Vec<Line>, Fault> {
    let time = if context.plan.is_quick { 30 } else { 70 };
    let mut figures = Figures::new(shape.name);
    for (peer, open) in wanted(context) {
        let time = Duration::from_millis(time);
        figures.enter(*peer, move || fire(*open, time));
    }
    figures.measure(rounds(context))
}

/// The publisher alone for `time`, then beside the churn for as long, and beside a slower one.
fn fire(open: Open, time: Duration) -> Result<Vec<Figure>, Fault> {
    let (mut place, mut publish) = open(0)?;
    let (stop, published) = (AtomicBool::new(false), AtomicU64::new(0));
    let rate = |from: (u64, Instant)| {
        let (count, at) = now(&published);
        (count - from.0) as f64 / (at - from.1).as_secs_f64()
    };
    std::thread::scope(|scope| {
        let (stop, published) = (&stop, &published);
        let publisher = scope.spawn(move || {
            let mut number = 0;
            // Relaxed: it says when to end, and nothing else.
            while !stop.load(Ordering::Relaxed) {
                publish(number);
                number += 1;
                // Relaxed: a figure.
                published.store(number, Ordering::Relaxed);
            }
        });
        std::thread::sleep(time / 5);
        let from = now(published);
        std::thread::sleep(time);
        let alone = rate(from);
        let mut churn = |pace: Option<f64>| {
            let from = now(published);
            let pairs = churn(&mut *place, time, pace);
            let settled = place.settle();
            let pairs = pairs as f64 / from.1.elapsed().as_secs_f64();
            (settled, pairs, 100.0 * rate(from) / alone)
        };
        let (settled, pairs, keeps) = churn(None);
        let (settled_too, _, keeps_paced) = churn(Some(PACE));
        stop.store(true, Ordering::Relaxed); // Relaxed: see above
        publisher.join().map_err(|_| "the publisher panicked")?;
        settled.and(settled_too)?;
        Ok(vec![
            figure("pairs", "k/s", pairs / 1e3),
            figure("publisher keeps", "%", keeps),
            figure("keeps beside 300 k/s", "%", keeps_paced),
            figure("publisher alone", "M/s", alone / 1e6),
        ])
    })
}

/// Pairs for as long as `time`, as many as go, or so many a second if they do.
fn churn(place: &mut dyn Place, time: Duration, pace: Option<f64>) -> u64 {
    let (begin, mut pairs) = (Instant::now(), 0);
    loop {
        let elapsed = begin.elapsed();
        if elapsed > time {
            return pairs;
        }
        if pace.is_none_or(|pace| (pairs as f64) < pace * elapsed.as_secs_f64()) {
            place.pair();
            pairs += 1;
        }
    }
}

fn now(published: &AtomicU64) -> (u64, Instant) {
    (published.load(Ordering::Relaxed), Instant::now()) // Relaxed: a figure
}

fn beside_many(shape: &Shape, context: &Context) -> Result<Vec<Line>, Fault> {
    let pairs = if context.plan.is_quick { 100 } else { 500 };
    let mut figures = Figures::new(shape.name);
    for (peer, open) in wanted(context) {
        let mut opened = None;
        figures.enter(*peer, move || {
            if opened.is_none() {
                opened = Some((open(FEW)?, open(MANY)?));
            }
            let ((few, _), (many, _)) = opened.as_mut().ok_or("two topics")?;
            let few = time_pairs(&mut **few, pairs)? / 1e3;
            let many = time_pairs(&mut **many, pairs)? / 1e3;
            Ok(vec![
                figure("beside 10", "us", few),
                figure("beside 100,000", "us", many),
                figure("ratio", "x", many / few),
            ])
        });
    }
    figures.measure(rounds(context))
}
