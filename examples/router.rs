//! One subscription with a handler for each message type. Routes come and go while it runs: what has no route
//! is not even queued.

use stasis_bus::{Bus, Message, MessageType, Router};

#[derive(Debug)]
struct Call(u32);

static RINGING: MessageType<Call> = MessageType::new("ringing");
static ANSWERED: MessageType<Call> = MessageType::new("answered");
static HANGUP: MessageType<Call> = MessageType::new("hangup");

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bus = Bus::new()?;
    let calls = bus.topic("calls")?;
    let mut rang = 0;
    let router = Router::builder()
        .on(&RINGING, move |call: &Call| {
            rang += 1;
            println!("call {} rings, the {rang}. one", call.0);
        })
        .on_message(&HANGUP, |message: &Message| {
            println!("{} at the end", message.type_name())
        })
        .subscribe(calls.subscribe().name("desk"))?;

    calls.publish(RINGING.message(Call(7)))?;
    // Nobody routes it, so nobody is offered it.
    assert_eq!(calls.publish(ANSWERED.message(Call(7)))?.offered(), 0);

    router.add(&ANSWERED, |call: &Call| println!("call {} is up", call.0))?;
    assert!(
        router.add(&ANSWERED, |_: &Call| ()).is_err(),
        "one handler for each type"
    );
    calls.publish(ANSWERED.message(Call(7)))?;
    calls.publish(HANGUP.message(Call(7)))?;

    // What came before is still handled; then the handler is gone, with all that it captured.
    router.remove(&RINGING)?.wait()?;
    assert_eq!(calls.publish(RINGING.message(Call(8)))?.offered(), 0);

    let subscription = router.subscription();
    subscription.unsubscribe();
    let last = subscription.join()?;
    println!("the desk closes: {}", last.reason);
    Ok(())
}
