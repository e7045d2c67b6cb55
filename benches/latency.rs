//! From publish to handler, at 10,000 and 100,000 messages a second, and there and back: medians, high percentiles
//! and the greatest, for each delivery kind, and for a crossbeam channel with a thread as a yardstick. It is *not*
//! about throughput.
//!
//! A message is late from the moment that it was due to be sent, not from when the sender got round to it, so a
//! sender that is held up hides nothing (no coordinated omission). The sender spins between messages: what it
//! measures is a publisher on one core and a consumer on the other.

mod support;

use hdrhistogram::Histogram;
use stasis_bus::{Bus, Delivery, OwnThread, Subscription, Topic, WaitStrategy};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};
use support::Flags;

const RATES: [u64; 2] = [10_000, 100_000];

/// The greatest latency that is told apart from greater ones.
const LONGEST: Duration = Duration::from_secs(60);

/// When a message was due, and its number; 64 bytes.
#[derive(Clone, Copy)]
struct Due {
    at: Instant,
    number: u64,
    _rest: [u64; 5],
}

/// One consumer's records.
struct Record {
    histogram: Histogram<u64>,
    next: u64,
}

type Shared = Arc<Mutex<Record>>;

fn record() -> Shared {
    let highest = LONGEST.as_nanos() as u64;
    let histogram = Histogram::new_with_bounds(1, highest, 3).expect("legal bounds");
    Arc::new(Mutex::new(Record { histogram, next: 0 }))
}

/// What consumers do with a message. The lock is theirs alone until the end.
fn receive(record: &Shared, due: &Due) {
    let nanos = due.at.elapsed().as_nanos() as u64;
    let mut record = record.lock().expect("no panic");
    assert_eq!(due.number, record.next, "in order, none missing");
    record.next += 1;
    record.histogram.saturating_record(nanos.max(1));
}

fn finish(record: &Shared, count: u64) -> Histogram<u64> {
    support::wait_until("all are delivered", || {
        record.lock().expect("no panic").next == count
    });
    record.lock().expect("no panic").histogram.clone()
}

/// Sends `count` messages, each when it is due.
fn send_paced(rate: u64, count: u64, mut send: impl FnMut(Due)) {
    let period = Duration::from_nanos(1_000_000_000 / rate);
    let begin = Instant::now() + Duration::from_millis(1);
    for number in 0..count {
        let at = begin + period * u32::try_from(number).expect("not that many");
        while Instant::now() < at {
            std::hint::spin_loop();
        }
        send(Due {
            at,
            number,
            _rest: [0; 5],
        });
    }
}

fn kinds() -> Vec<(&'static str, Delivery)> {
    let own = |wait| Delivery::OwnThread(OwnThread::new(wait));
    vec![
        ("pool", Delivery::Pool),
        ("own thread, park", own(WaitStrategy::Park)),
        (
            "own thread, spin then park",
            own(WaitStrategy::SpinThenPark),
        ),
        ("own thread, spin", own(WaitStrategy::Spin)),
        ("inline", Delivery::Inline),
    ]
}

fn subscribe(topic: &Topic, delivery: Delivery, record: &Shared) -> Subscription {
    let record = Arc::clone(record);
    let builder = topic.subscribe().delivery(delivery);
    builder
        .run(move |due: &Due| receive(&record, due))
        .expect("a subscription")
}

fn paced_on_bus(delivery: Delivery, rate: u64, count: u64) -> Histogram<u64> {
    let bus = support::bus(1);
    let topic = bus.topic("t").expect("a topic");
    let record = record();
    let subscription = subscribe(&topic, delivery, &record);
    send_paced(rate, count, |due| {
        topic.publish(due).expect("an open topic");
    });
    let histogram = finish(&record, count);
    subscription.unsubscribe();
    histogram
}

fn paced_on_channel(rate: u64, count: u64) -> Histogram<u64> {
    let (sender, receiver) = crossbeam_channel::unbounded::<Arc<Due>>();
    let record = record();
    let shared = Arc::clone(&record);
    let consumer = std::thread::spawn(move || {
        for due in receiver {
            receive(&shared, &due);
        }
    });
    send_paced(rate, count, |due| {
        sender.send(Arc::new(due)).expect("a receiver")
    });
    let histogram = finish(&record, count);
    drop(sender);
    consumer.join().expect("no panic");
    histogram
}

/// There and back: a handler answers, and this thread waits for the answer before it sends again.
fn ping_pong_on_bus(delivery: &Delivery, count: u64) -> Histogram<u64> {
    let bus: Bus = support::bus(1);
    let (there, back) = (
        bus.topic("there").expect("one"),
        bus.topic("back").expect("one"),
    );
    let answers = back.clone();
    let ping = there
        .subscribe()
        .delivery(delivery.clone())
        .run(move |due: &Due| {
            answers.publish(*due).expect("an open topic");
        });
    let ping = ping.expect("a subscription");
    let (tell, told) = mpsc::channel();
    let pong = back
        .subscribe()
        .delivery(delivery.clone())
        .run(move |due: &Due| {
            tell.send(due.number).expect("somebody waits");
        });
    let pong = pong.expect("a subscription");
    let histogram = measure_pings(count, |due| {
        there.publish(due).expect("an open topic");
        assert_eq!(told.recv(), Ok(due.number));
    });
    ping.unsubscribe();
    pong.unsubscribe();
    histogram
}

fn ping_pong_on_channels(count: u64) -> Histogram<u64> {
    let (ping, pings) = crossbeam_channel::unbounded::<Arc<Due>>();
    let (pong, pongs) = crossbeam_channel::unbounded::<Arc<Due>>();
    let (tell, told) = mpsc::channel();
    let threads = [
        std::thread::spawn(move || pings.iter().for_each(|due| pong.send(due).expect("open"))),
        std::thread::spawn(move || {
            pongs
                .iter()
                .for_each(|due| tell.send(due.number).expect("somebody waits"));
        }),
    ];
    let histogram = measure_pings(count, |due| {
        ping.send(Arc::new(due)).expect("open");
        assert_eq!(told.recv(), Ok(due.number));
    });
    drop(ping);
    for thread in threads {
        thread.join().expect("no panic");
    }
    histogram
}

fn measure_pings(count: u64, mut there_and_back: impl FnMut(Due)) -> Histogram<u64> {
    let record = record();
    for number in 0..count {
        let due = Due {
            at: Instant::now(),
            number,
            _rest: [0; 5],
        };
        there_and_back(due);
        receive(&record, &due);
    }
    finish(&record, count)
}

/// What is printed of a histogram.
const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];

fn print(what: &str, runs: &mut [Histogram<u64>], json: &mut Vec<String>) {
    let mut fields = vec![format!("\"case\": \"{what}\"")];
    print!("{what:<38}");
    for (name, quantile) in QUANTILES {
        // Of each quantile the median over the runs, and how far they are apart.
        let mut micros: Vec<f64> = runs
            .iter()
            .map(|run| run.value_at_quantile(quantile) as f64 / 1_000.0)
            .collect();
        let (middle, least, most) = support::median_and_range(&mut micros);
        print!("  {middle:>8.1} ({least:.1}-{most:.1})");
        fields.push(format!("\"{name}_micros\": {middle}"));
    }
    println!();
    json.push(format!("{{{}}}", fields.join(", ")));
}

fn main() {
    let flags = Flags::read();
    let (seconds, runs, pings) = match (flags.test, flags.quick) {
        (true, _) => (0.01, 1, 100),
        (_, true) => (0.3, 1, 2_000),
        _ => (1.0, 5, 10_000),
    };
    println!("microseconds: median of {runs} runs, and the range\n");
    print!("{:<38}", "");
    QUANTILES.iter().for_each(|(name, _)| print!("  {name:>8}"));
    println!();
    let mut json = Vec::new();
    for rate in RATES {
        let count = (rate as f64 * seconds) as u64;
        for (name, delivery) in kinds() {
            let run = |_| paced_on_bus(delivery.clone(), rate, count);
            print(
                &format!("{rate}/s, {name}"),
                &mut collect(runs, run),
                &mut json,
            );
        }
        let run = |_| paced_on_channel(rate, count);
        print(
            &format!("{rate}/s, crossbeam channel"),
            &mut collect(runs, run),
            &mut json,
        );
    }
    for (name, delivery) in kinds() {
        let run = |_| ping_pong_on_bus(&delivery, pings);
        print(
            &format!("there and back, {name}"),
            &mut collect(runs, run),
            &mut json,
        );
    }
    let run = |_| ping_pong_on_channels(pings);
    print(
        "there and back, crossbeam channels",
        &mut collect(runs, run),
        &mut json,
    );
    if flags.json {
        println!("[{}]", json.join(", "));
    }
}

fn collect(runs: usize, run: impl FnMut(usize) -> Histogram<u64>) -> Vec<Histogram<u64>> {
    (0..runs).map(run).collect()
}
