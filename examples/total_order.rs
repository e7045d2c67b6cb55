//! A topic with total order: several threads publish at once, also through another topic that forwards
//! here, and yet all subscribers see one and the same order, so that replicas that apply the messages
//! end in the same state. On other topics only what one thread publishes stays in its order.

use std::thread;

use stasis_bus::{Bus, Topic};

const WRITERS: u64 = 4;
const WRITES: u64 = 200;
const REPLICAS: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq)]
struct Write {
    writer: u64,
    number: u64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bus = Bus::new()?;
    let journal = bus.topic_with_total_order("journal")?;
    let inbox = bus.topic("inbox")?;
    let forward = inbox.forward_to(&journal)?;
    assert!(
        bus.topic_with_total_order("inbox").is_err(),
        "an order is for life"
    );

    let mut replicas = Vec::new();
    for _ in 0..REPLICAS {
        replicas.push(journal.subscribe().receiver()?);
    }
    // Two write to the journal, two to the topic that is forwarded there.
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let topic = if writer % 2 == 0 { &journal } else { &inbox };
            scope.spawn(move || write(topic, writer));
        }
    });
    forward.cancel();
    journal.close();

    let histories: Vec<Vec<Write>> = replicas
        .iter_mut()
        .map(|replica| {
            let messages = replica.iter();
            messages
                .filter_map(|message| message.get::<Write>().copied())
                .collect()
        })
        .collect();
    let history = &histories[0];
    assert!(
        histories.iter().all(|other| other == history),
        "one order for all"
    );
    assert_eq!(history.len() as u64, WRITERS * WRITES);
    for writer in 0..WRITERS {
        let own = history.iter().filter(|write| write.writer == writer);
        assert!(
            own.map(|write| write.number).eq(0..WRITES),
            "and each writer's own order in it"
        );
    }

    // What depends on the order is the same everywhere.
    let state = |history: &[Write]| {
        history.iter().fold(0_u64, |state, write| {
            state
                .wrapping_mul(31)
                .wrapping_add(write.writer * WRITES + write.number)
        })
    };
    let turns = history
        .windows(2)
        .filter(|pair| pair[0].writer != pair[1].writer)
        .count();
    println!(
        "{} writes, {turns} changes of the writer between them",
        history.len()
    );
    for (replica, history) in histories.iter().enumerate() {
        println!("replica {replica}: state {:016x}", state(history));
    }
    Ok(())
}

fn write(topic: &Topic, writer: u64) {
    for number in 0..WRITES {
        topic
            .publish(Write { writer, number })
            .expect("the topic is open");
        if number % 8 == 0 {
            thread::yield_now();
        }
    }
}
