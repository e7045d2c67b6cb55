//! A bus at rest uses no CPU, whatever it was used for before. In a test binary of its own: the whole
//! process is measured.

mod support;

use stasis_bus::{Bus, Overflow};
use std::time::Duration;
use support::{Item, KINDS, Kind, Sub, cpu, eventually, subscribe};

const WINDOW: Duration = Duration::from_millis(500);

/// A tenth of one core. Ticks of the system's clock are 10 ms, and other programs' interrupts count a little.
const MOST: f64 = 0.1;

#[track_caller]
fn expect_idle(what: &str) {
    if let Some(cpu) = cpu::fraction_over(WINDOW) {
        assert!(cpu < MOST, "{what}: {cpu} of a core");
    }
}

fn at_rest() -> impl Iterator<Item = Kind> {
    // A thread that yields is what its user asked for; the waiting receiver of these tests looks up now and
    // then.
    KINDS
        .into_iter()
        .filter(|kind| !matches!(kind, Kind::Yield | Kind::Receiver))
}

fn use_it(bus: &Bus, subs: &[Sub], rounds: u64) {
    let topic = bus.get_topic("topic").unwrap();
    for value in 0..rounds {
        topic.publish(Item(value)).unwrap();
    }
    for sub in subs {
        sub.log.wait_for_items(rounds as usize);
    }
}

// One test: another one at the same time would be measured with it.
#[test]
fn a_bus_at_rest_uses_no_cpu() {
    let bus = Bus::builder().workers(4).build().unwrap();
    let topic = bus.topic("topic").unwrap();
    let mut subs: Vec<_> = at_rest()
        .map(|kind| subscribe(kind, &topic, |builder| builder.capacity(4)))
        .collect();
    expect_idle("before its use");
    use_it(&bus, &subs, 5000);
    expect_idle("after its use, spilling included");

    let shedding = subscribe(Kind::Pool, &topic, |builder| {
        builder.capacity(1).overflow(Overflow::DropOldest)
    });
    let blocking = subscribe(Kind::Pool, &topic, |builder| {
        builder
            .capacity(1)
            .overflow(Overflow::Block { timeout: None })
    });
    for value in 0..500 {
        topic.publish(Item(value)).unwrap();
    }
    blocking.log.wait_for_items(500);
    eventually("the last one", || {
        shedding.log.values().last() == Some(&499)
    });
    expect_idle("after its use, shedding and blocking");

    let plug = blocking.plug();
    expect_idle("with a handler that is stuck");
    plug.open();

    shedding.finish();
    blocking.finish();
    while let Some(sub) = subs.pop() {
        sub.finish();
    }
    expect_idle("without subscriptions");
    bus.shutdown().unwrap();
    expect_idle("shut down");
}
