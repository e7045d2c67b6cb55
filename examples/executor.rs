//! Tests without threads and without luck: subscriptions on a `ManualExecutor` run when the test says so,
//! on its own thread, in the order in which they got something to do.
//!
//! Under test is a thermostat, which hears temperatures and publishes what the heating is to do.

#![allow(
    clippy::disallowed_types,
    reason = "the ban keeps the library's shared state where loom sees it; this is a program"
)]

use std::error::Error;
use std::sync::{Arc, mpsc};

use stasis_bus::{
    Bus, Delivery, Executor, ManualExecutor, MessageType, SubscribeError, Subscription, Task, Topic,
};

static TEMPERATURE: MessageType<f64> = MessageType::new("temperature");
static HEATING: MessageType<bool> = MessageType::new("heating");

/// Switches the heating on below 19 degrees and off above 21.
fn thermostat(room: &Topic, delivery: Delivery) -> Result<Subscription, SubscribeError> {
    let (topic, mut heats) = (room.clone(), false);
    let handler = move |degrees: &f64| {
        let wanted = if heats {
            *degrees <= 21.0
        } else {
            *degrees < 19.0
        };
        if wanted != heats {
            heats = wanted;
            if let Err(error) = topic.publish(HEATING.message(heats)) {
                eprintln!("thermostat: {error}");
            }
        }
    };
    room.subscribe()
        .name("thermostat")
        .delivery(delivery)
        .run_type(&TEMPERATURE, handler)
}

fn main() -> Result<(), Box<dyn Error>> {
    step_by_step()?;
    any_closure_is_an_executor()
}

fn step_by_step() -> Result<(), Box<dyn Error>> {
    let executor = Arc::new(ManualExecutor::new());
    let delivery = Delivery::Executor(executor.clone());
    let bus = Bus::new()?;
    let room = bus.topic("room")?;
    let thermostat = thermostat(&room, delivery.clone())?;
    let (sender, log) = mpsc::channel();
    let heating = room
        .subscribe()
        .delivery(delivery)
        .run_type(&HEATING, move |on: &bool| {
            let _ = sender.send(*on);
        })?;

    for degrees in [20.0, 18.5, 19.5, 21.5, 20.0] {
        room.publish(TEMPERATURE.message(degrees))?;
    }
    println!("5 temperatures published, {} run waits", executor.pending());
    assert_eq!(
        executor.pending(),
        1,
        "that of the thermostat, for all five"
    );
    assert!(log.try_recv().is_err(), "nothing runs by itself");

    assert!(executor.run_one());
    println!("the thermostat has run, {} run waits", executor.pending());
    assert_eq!(
        executor.pending(),
        1,
        "that of the heating, which the thermostat told"
    );
    assert!(log.try_recv().is_err());

    assert_eq!(executor.run_until_idle(), 1);
    let switched: Vec<bool> = log.try_iter().collect();
    println!("the heating was switched: {switched:?}");
    assert_eq!(switched, [true, false]);

    // The final message takes a run as well.
    room.close();
    assert!(!thermostat.is_done() && !heating.is_done());
    assert_eq!(executor.run_until_idle(), 2);
    assert_eq!(thermostat.join()?.delivered, 5);
    assert_eq!(heating.join()?.delivered, 2);
    Ok(())
}

/// Here it is one that counts the tasks before it hands them on.
fn any_closure_is_an_executor() -> Result<(), Box<dyn Error>> {
    let executor = Arc::new(ManualExecutor::new());
    let (sender, tasks) = mpsc::channel();
    let inner = executor.clone();
    let counting = move |task: Task| {
        let _ = sender.send(());
        inner.execute(task);
    };
    let bus = Bus::new()?;
    let room = bus.topic("room")?;
    let ear = room
        .subscribe()
        .delivery(Delivery::Executor(Arc::new(counting)))
        .run(|_: &f64| {})?;
    room.publish_batch([1.0, 2.0, 3.0])?;
    ear.unsubscribe();
    executor.run_until_idle();

    let (tasks, last) = (tasks.try_iter().count(), ear.join()?);
    println!(
        "{} messages and the final one took {tasks} task",
        last.delivered
    );
    assert_eq!((tasks, last.delivered), (1, 3));
    Ok(())
}
