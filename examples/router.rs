//! A router: one subscription with a handler for each type of message. One of the handlers adds a route while the
//! call that it is for lasts, and another one removes it; the messages find out by nothing but who handles them.

use stasis_bus::{Bus, Delivery, Message, MessageType, Router};
use std::sync::{Arc, Mutex};

static ANSWERED: MessageType<u32> = MessageType::new("answered");
static DIGIT: MessageType<char> = MessageType::new("digit");
static HUNG_UP: MessageType<u32> = MessageType::new("hung up");

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bus = Bus::new()?;
    let calls = bus.topic("calls")?;
    let digits = Arc::new(Mutex::new(String::new()));
    let (dialled, others) = (Arc::clone(&digits), Arc::new(Mutex::new(Vec::new())));
    let unrouted = Arc::clone(&others);

    let builder = Router::builder();
    let (begin, end) = (builder.routes(), builder.routes());
    let router = builder
        .on(&ANSWERED, move |call: &u32| {
            println!("call {call}: waiting for digits");
            let dialled = Arc::clone(&dialled);
            let collect = move |digit: &char| dialled.lock().expect("no panic").push(*digit);
            begin.add(&DIGIT, collect).expect("one call at a time");
        })
        .on(&HUNG_UP, move |call: &u32| {
            println!("call {call}: that was all");
            end.remove(&DIGIT).expect("it was answered");
        })
        .subscribe(calls.subscribe().delivery(Delivery::Inline))?;

    // Nobody waits for digits yet: they do not even come into the mailbox.
    assert_eq!(calls.publish(DIGIT.message('0'))?.offered(), 0);
    calls.publish(ANSWERED.message(7))?;
    for digit in "123".chars() {
        assert_eq!(calls.publish(DIGIT.message(digit))?.offered(), 1);
    }
    calls.publish(HUNG_UP.message(7))?;
    assert_eq!(calls.publish(DIGIT.message('4'))?.offered(), 0);

    // From here on somebody gets what has no route.
    router.set_default(move |message: &Message| {
        let name = message.type_name();
        unrouted.lock().expect("no panic").push(name);
    })?;
    calls.publish(DIGIT.message('5'))?;
    router.remove_default()?.wait()?;
    calls.publish(DIGIT.message('6'))?;

    assert_eq!(*digits.lock().expect("no panic"), "123");
    assert_eq!(*others.lock().expect("no panic"), ["digit"]);
    println!(
        "{} digits, and one for nobody",
        digits.lock().expect("no panic").len()
    );
    Ok(())
}
