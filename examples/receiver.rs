//! Taking messages when one likes, instead of being called: one at a time, several at once, and as a
//! future. The bus knows no runtime; any executor will do, and the smallest is at the end of this file.

#![allow(
    clippy::disallowed_types,
    reason = "the ban keeps the library's shared state where loom sees it; this is a program"
)]

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use stasis_bus::{Bus, RecvError, Topic, TryRecvError};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bus = Bus::new()?;
    blocking(&bus.topic("one by one")?)?;
    several(&bus.topic("several")?)?;
    block_on(asynchronous(&bus.topic("as futures")?))?;
    Ok(())
}

/// One message at a time, waiting for each.
fn blocking(topic: &Topic) -> Result<(), Box<dyn std::error::Error>> {
    let mut receiver = topic.subscribe().receiver()?;
    assert_eq!(receiver.try_recv().err(), Some(TryRecvError::Empty));
    let timeout = Duration::from_millis(1);
    assert_eq!(
        receiver.recv_timeout(timeout).err(),
        Some(RecvError::TimedOut)
    );

    let sum: u32 = thread::scope(|scope| {
        scope.spawn(|| {
            for number in 1..=100_u32 {
                topic.publish(number).expect("the topic is open");
            }
            topic.close();
        });
        let numbers = receiver.iter();
        numbers
            .filter_map(|message| message.get::<u32>().copied())
            .sum()
    });
    println!("one by one: 1 to 100 is {sum}");
    assert_eq!(sum, 5050);
    assert_eq!(
        receiver.try_recv().err(),
        Some(TryRecvError::Ended),
        "nothing follows the end"
    );
    Ok(())
}

/// All that is there, in one go.
fn several(topic: &Topic) -> Result<(), Box<dyn std::error::Error>> {
    let mut receiver = topic.subscribe().receiver()?;
    topic.publish_batch(1..=10_u32)?;
    topic.close();
    let mut messages = Vec::new();
    while receiver.recv_many(&mut messages, 4).is_ok() {
        println!("several: {} taken so far", messages.len());
    }
    assert_eq!(messages.len(), 11);
    let last = messages.last().and_then(|message| message.as_final());
    assert_eq!(
        last.map(|last| last.delivered),
        Some(10),
        "the final message is not counted"
    );
    Ok(())
}

/// The same as futures: nothing blocks while there is no message.
async fn asynchronous(topic: &Topic) -> Result<(), Box<dyn std::error::Error>> {
    let mut receiver = topic.subscribe().receiver()?;
    let publisher = topic.clone();
    let publisher = thread::spawn(move || {
        for word in ["as", "they", "come"] {
            thread::sleep(Duration::from_millis(2));
            publisher.publish(word).expect("the topic is open");
        }
        publisher.close();
    });
    let mut words = Vec::new();
    loop {
        let message = receiver.recv_async().await?;
        match (message.get::<&str>(), message.as_final()) {
            (Some(word), _) => words.push(*word),
            (_, Some(last)) => break println!("as futures: {words:?}, then {}", last.reason),
            _ => {}
        }
    }
    assert_eq!(words, ["as", "they", "come"]);
    // The end of a subscription is a future as well.
    let last = receiver.subscription().join_async().await;
    assert_eq!((last.delivered, last.discarded), (3, 0));
    publisher.join().expect("the publisher did not panic");
    Ok(())
}

/// Runs one future on this thread.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return done;
        }
        thread::park();
    }
}
