//! Every misuse gives an error that says what is wrong and why (R4), hands messages back, and leaves
//! nothing behind.

mod support;

use stasis_bus::{
    BuildError, Bus, Delivery, FinalMessage, ForwardError, MAX_NAME_LEN, Message, MessageType,
    Origin, Overflow, OwnThread, PublishError, RecvError, SubscribeError, SubscriptionBuilder,
    SyncError, Topic, TopicError, TryRecvError, WaitError, WaitStrategy, WouldDeadlock,
};
use std::error::Error;
use std::sync::{Arc, mpsc};
use std::time::Duration;
use support::{DEADLINE, Item, Kind, bus_and_topic, subscribe};

/// The text has what is to be known in it, and is more than a name.
#[track_caller]
fn says(error: &dyn Error, words: &[&str]) {
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "`{text}` does not say `{word}`");
    }
    assert!(text.split(' ').count() >= 3, "`{text}` does not say why");
}

#[test]
fn a_bus_that_cannot_be_built() {
    let zero = Bus::builder().workers(0).build().unwrap_err();
    assert!(matches!(zero, BuildError::ZeroWorkers));
    says(&zero, &["at least one worker"]);
    let many = Bus::builder().workers(1_000_000).build().unwrap_err();
    assert!(matches!(many, BuildError::TooManyWorkers { asked: 1_000_000, limit } if limit > 1000));
    says(&many, &["1000000", "at most"]);
    let none = Bus::builder().message_budget(0).build().unwrap_err();
    assert!(matches!(none, BuildError::ZeroBudget));
    says(&none, &["budget", "zero"]);
    let nobody = Bus::builder().origin(Origin::AGGREGATE).build();
    let nobody = nobody.unwrap_err();
    assert!(matches!(nobody, BuildError::AggregateOrigin));
    says(&nobody, &["aggregate"]);
    for name in ["final", "gap", "subscription_change"] {
        let control = Bus::builder()
            .decline("other")
            .decline(name)
            .build()
            .unwrap_err();
        assert!(matches!(&control, BuildError::DeclinedControlType { name: said } if said == name));
        says(&control, &[name, "cannot be declined"]);
    }
}

type Ask = fn(&Bus, &str) -> Result<Topic, TopicError>;

#[test]
fn a_topic_that_cannot_be_had() {
    let bus = Bus::new().unwrap();
    let asks: [Ask; 2] = [Bus::topic, Bus::topic_with_total_order];
    for ask in asks {
        assert_eq!(ask(&bus, "").unwrap_err(), TopicError::EmptyName);
        let long = "x".repeat(MAX_NAME_LEN + 1);
        let error = ask(&bus, &long).unwrap_err();
        assert_eq!(error, TopicError::NameTooLong { len: 1025 });
        says(&error, &["1025", "1024"]);
        // Bytes count, not characters.
        let wide = "é".repeat(MAX_NAME_LEN / 2 + 1);
        assert_eq!(
            ask(&bus, &wide).unwrap_err(),
            TopicError::NameTooLong { len: 1026 }
        );
    }
    says(&TopicError::EmptyName, &["needs a name"]);
    assert!(bus.topic(&"x".repeat(MAX_NAME_LEN)).is_ok());
    let _relaxed = bus.topic("relaxed").unwrap();
    let error = bus.topic_with_total_order("relaxed").unwrap_err();
    assert_eq!(error, TopicError::OtherOrder);
    says(&error, &["order"]);
    assert!(bus.topics().len() <= 2, "what failed left nothing behind");
    bus.shutdown().unwrap();
    for ask in asks {
        assert_eq!(ask(&bus, "late").unwrap_err(), TopicError::ShutDown);
    }
    says(&TopicError::ShutDown, &["shut down"]);
}

type Misuse = (
    &'static str,
    fn(SubscriptionBuilder) -> SubscriptionBuilder,
    fn(&SubscribeError) -> bool,
);

const MISUSES: &[Misuse] = &[
    (
        "zero",
        |b| b.capacity(0),
        |e| matches!(e, SubscribeError::ZeroCapacity),
    ),
    (
        "at least one",
        |b| b.max_batch(0),
        |e| matches!(e, SubscribeError::ZeroBatch),
    ),
    (
        "limit 7 is below the capacity 8",
        |b| b.capacity(8).overflow(Overflow::Spill { limit: Some(7) }),
        |e| {
            matches!(
                e,
                SubscribeError::LimitBelowCapacity {
                    limit: 7,
                    capacity: 8
                }
            )
        },
    ),
    (
        "low-water mark 6 and high-water mark 5",
        |b| b.congestion(5, 6, |_| {}),
        |e| matches!(e, SubscribeError::BadMarks { low: 6, high: 5 }),
    ),
    (
        "high must be above zero",
        |b| b.congestion(0, 0, |_| {}),
        |e| matches!(e, SubscribeError::BadMarks { low: 0, high: 0 }),
    ),
    (
        "1025 bytes, at most 1024",
        |b| b.name("x".repeat(1025)),
        |e| matches!(e, SubscribeError::NameTooLong { len: 1025 }),
    ),
    (
        "`debug_trace`",
        |b| b.accept(&TRACE),
        |e| {
            matches!(
                e,
                SubscribeError::DeclinedType {
                    name: "debug_trace"
                }
            )
        },
    ),
];

static TRACE: MessageType<Item> = MessageType::new("debug_trace");

#[test]
fn a_subscription_that_cannot_be_made() {
    let bus = Bus::builder().decline("debug_trace").build().unwrap();
    let topic = bus.topic("topic").unwrap();
    let mut watcher = topic.subscribe().change_notices().receiver().unwrap();
    assert_eq!(watcher.try_iter().count(), 1);
    for (says_what, misuse, is_it) in MISUSES {
        let captured = Arc::new(());
        let kept = Arc::clone(&captured);
        let handler = move |_: &Message| {
            let _ = &kept;
        };
        let errors = [
            misuse(topic.subscribe()).run(handler).unwrap_err(),
            misuse(topic.subscribe()).run(|_: &Item| {}).unwrap_err(),
            misuse(topic.subscribe()).run_batch(|_| {}).unwrap_err(),
            misuse(topic.subscribe()).receiver().unwrap_err(),
            misuse(topic.subscribe())
                .delivery(OwnThread::new(WaitStrategy::Park))
                .run(|_: &Message| {})
                .unwrap_err(),
        ];
        for error in &errors {
            assert!(is_it(error), "{says_what}: {error:?}");
            says(error, &[says_what]);
        }
        assert_eq!(
            Arc::strong_count(&captured),
            1,
            "{says_what}: the handler is gone"
        );
    }
    let error = topic.subscribe().run_type(&TRACE, |_| {}).unwrap_err();
    assert!(matches!(
        error,
        SubscribeError::DeclinedType {
            name: "debug_trace"
        }
    ));
    assert_eq!(topic.stats().subscriptions.len(), 1, "nothing has happened");
    assert_eq!(
        watcher.try_iter().count(),
        0,
        "and nobody was told that it had"
    );
}

#[test]
fn a_default_type_is_declined_by_its_rust_name() {
    struct Debugging;
    let name = std::any::type_name::<Debugging>();
    let bus = Bus::builder().decline(name).build().unwrap();
    let topic = bus.topic("topic").unwrap();
    assert!(topic.subscribe().run(|_: &Debugging| {}).is_err());
    assert!(
        topic
            .subscribe()
            .accept_payload::<Debugging>()
            .receiver()
            .is_err()
    );
    assert!(matches!(
        topic.publish(Debugging),
        Err(PublishError::Declined(_))
    ));
    assert!(topic.publish(Item(0)).is_ok());
}

#[test]
fn a_receiver_has_no_delivery() {
    let (_bus, topic) = bus_and_topic();
    for delivery in [
        Delivery::Pool,
        Delivery::Inline,
        OwnThread::default().into(),
    ] {
        let error = topic.subscribe().delivery(delivery).receiver().unwrap_err();
        assert!(matches!(error, SubscribeError::ReceiverWithDelivery));
        says(&error, &["receiver", "no other delivery"]);
    }
    assert!(topic.stats().subscriptions.is_empty());
}

#[test]
fn a_core_that_is_not_there() {
    let (_bus, topic) = bus_and_topic();
    let pinned = OwnThread::new(WaitStrategy::Park).pinned_to(9999);
    let error = topic
        .subscribe()
        .delivery(pinned)
        .run(|_: &Item| {})
        .unwrap_err();
    assert!(matches!(
        error,
        SubscribeError::CannotPin { core: 9999, .. }
    ));
    says(&error, &["9999", "pinned"]);
    assert!(error.source().is_some(), "and what the system says");
    assert!(topic.stats().subscriptions.is_empty());
}

/// A name that no thread can have: not a panic, whatever has threads.
#[test]
fn a_name_that_threads_cannot_have() {
    let bus = match Bus::builder().name("a\0b").build() {
        Ok(bus) => bus,
        Err(error) => return says(&error, &["name"]),
    };
    let topic = bus.topic("topic").unwrap();
    for kind in [Kind::Pool, Kind::Park] {
        let subscribed = topic
            .subscribe()
            .delivery(kind.delivery())
            .run(|_: &Item| {});
        let error = subscribed.unwrap_err();
        assert!(matches!(error, SubscribeError::Thread(_)), "{kind:?}");
        says(&error, &["thread", "zero byte"]);
    }
    assert!(topic.stats().subscriptions.is_empty());
}

#[test]
fn after_a_close_nothing_is_taken() {
    let (bus, topic) = bus_and_topic();
    let other = bus.topic("other").unwrap();
    topic.close();
    topic.close();
    let message = Message::new(Item(7));
    let error = topic.publish(message.clone()).unwrap_err();
    assert!(matches!(error, PublishError::Closed(_)));
    says(&error, &["topic is closed"]);
    assert_eq!(error.message().id(), message.id());
    assert_eq!(error.into_message().get(), Some(&Item(7)));
    let error = topic.publish_batch([Item(1), Item(2)]).unwrap_err();
    assert_eq!(error.into_message().get(), Some(&Item(1)), "the first");
    assert!(matches!(
        topic.subscribe().run(|_: &Item| {}),
        Err(SubscribeError::TopicClosed)
    ));
    assert!(matches!(
        topic.subscribe().receiver(),
        Err(SubscribeError::TopicClosed)
    ));
    says(&SubscribeError::TopicClosed, &["closed"]);
    for (from, to) in [(&topic, &other), (&other, &topic), (&topic, &topic)] {
        let error = from.forward_to(to).unwrap_err();
        assert_eq!(error, ForwardError::TopicClosed);
        says(&error, &["closed"]);
    }
    assert!(other.publish(Item(0)).is_ok());
}

#[test]
fn after_a_shutdown_nothing_is_taken() {
    let (bus, topic) = bus_and_topic();
    let other = bus.topic("other").unwrap();
    bus.shutdown_timeout(DEADLINE).unwrap();
    let error = topic.publish(Item(7)).unwrap_err();
    assert!(matches!(error, PublishError::ShutDown(_)));
    says(&error, &["shut down"]);
    assert_eq!(error.into_message().get(), Some(&Item(7)));
    assert!(matches!(
        topic.subscribe().run(|_: &Item| {}),
        Err(SubscribeError::ShutDown)
    ));
    assert!(matches!(
        topic.subscribe().receiver(),
        Err(SubscribeError::ShutDown)
    ));
    assert_eq!(
        topic.forward_to(&other).unwrap_err(),
        ForwardError::ShutDown
    );
    says(&ForwardError::ShutDown, &["shut down"]);
}

#[test]
fn forwards_stay_within_a_bus() {
    let (_bus, topic) = bus_and_topic();
    let (_other_bus, other) = bus_and_topic();
    let error = topic.forward_to(&other).unwrap_err();
    assert_eq!(error, ForwardError::OtherBus);
    says(&error, &["two buses"]);
}

#[test]
fn a_declined_message_comes_back_and_ends_its_batch() {
    let bus = Bus::builder().decline("debug_trace").build().unwrap();
    let topic = bus.topic("topic").unwrap();
    let mut receiver = topic.subscribe().receiver().unwrap();
    let error = topic.publish(TRACE.message(Item(1))).unwrap_err();
    assert!(matches!(error, PublishError::Declined(_)));
    says(&error, &["`debug_trace`", "declines"]);
    let batch = [
        Message::new(Item(2)),
        TRACE.message(Item(3)),
        Message::new(Item(4)),
    ];
    let error = topic.publish_batch(batch).unwrap_err();
    assert_eq!(error.into_message().get(), Some(&Item(3)));
    assert_eq!(
        receiver.try_iter().count(),
        1,
        "what came before it was published"
    );
}

#[test]
fn the_messages_of_the_bus_cannot_be_published() {
    let (bus, topic) = bus_and_topic();
    let other = bus.topic("other").unwrap();
    let mut receiver = other.subscribe().receiver().unwrap();
    other.close();
    let last = receiver.try_recv().unwrap();
    assert!(last.as_final().is_some());
    let error = topic.publish(last.clone()).unwrap_err();
    assert!(matches!(error, PublishError::ControlType(_)));
    says(&error, &["final"]);
    // The payload alone is data like any other, and no final message.
    let mut receiver = topic.subscribe().receiver().unwrap();
    topic
        .publish::<FinalMessage>(*last.as_final().unwrap())
        .unwrap();
    let forged = receiver.try_recv().unwrap();
    assert!(forged.as_final().is_none() && forged.get::<FinalMessage>().is_some());
}

#[test]
fn the_debug_of_an_error_keeps_the_payload_to_itself() {
    #[derive(Debug)]
    struct Secret(#[expect(dead_code, reason = "only Debug could read it")] &'static str);
    let (_bus, topic) = bus_and_topic();
    let _full = topic
        .subscribe()
        .capacity(1)
        .overflow(Overflow::Fail)
        .receiver()
        .unwrap();
    topic.publish(Secret("hunter2")).unwrap();
    let full = topic.publish(Secret("hunter2")).unwrap_err();
    says(&full, &["full"]);
    topic.close();
    let closed = topic.publish(Secret("hunter2")).unwrap_err();
    for error in [full, closed] {
        let text = format!("{error:?} {error:#?} {error}");
        assert!(!text.contains("hunter2"), "{text}");
        assert!(text.contains("Secret"), "the type is told: {text}");
        let message = error.into_message();
        assert!(!format!("{message:?}").contains("hunter2"));
    }
}

#[test]
fn a_payload_of_another_type_is_not_there() {
    static NUMBER: MessageType<u64> = MessageType::new("number");
    static OTHER: MessageType<u64> = MessageType::new("number");
    let message = NUMBER.message(7);
    assert_eq!(message.get::<u64>(), Some(&7));
    assert_eq!(message.get::<i64>(), None);
    assert_eq!(message.payload(&NUMBER), Some(&7));
    assert_eq!(message.payload(&OTHER), None, "types are values, not names");
    assert!(message.as_final().is_none() && message.as_gap().is_none());
    assert!(message.as_change().is_none());
}

#[test]
fn waits_inside_a_handler() {
    let (_bus, topic) = bus_and_topic();
    let sub = subscribe(Kind::Park, &topic, |builder| builder);
    let other = topic.subscribe().run(|_: &u8| {}).unwrap();
    let (sender, results) = mpsc::channel();
    let publishes = topic.clone();
    let asks = topic
        .subscribe()
        .run(move |item: &Item| {
            let sync = publishes.publish_sync(&other, 1_u8);
            let Err(SyncError::WouldDeadlock(message)) = sync else {
                panic!("{sync:?}")
            };
            assert_eq!(message.get(), Some(&1_u8), "handed back");
            sender.send(other.join().map(drop)).unwrap();
            sender.send(other.join_timeout(DEADLINE).map(drop)).unwrap();
            sender.send(other.flush()).unwrap();
            sender.send(other.flush_timeout(DEADLINE)).unwrap();
            assert_eq!(item.0, 1);
        })
        .unwrap();
    topic.publish(Item(1)).unwrap();
    asks.flush_timeout(DEADLINE).unwrap();
    assert_eq!(asks.stats().panics, 0);
    let results: Vec<_> = results.try_iter().collect();
    assert_eq!(results, [Err(WaitError::WouldDeadlock); 4]);
    says(&WouldDeadlock, &["wait", "handler"]);
    says(&WaitError::from(WouldDeadlock), &["wait", "handler"]);
    sub.finish();
}

#[test]
fn waits_that_come_to_nothing() {
    let (_bus, topic) = bus_and_topic();
    let sub = subscribe(Kind::Park, &topic, |builder| builder);
    let plug = sub.plug();
    let slow = topic
        .subscribe()
        .delivery(Kind::Park.delivery())
        .run(|_: &Message| {})
        .unwrap();
    let short = Duration::from_millis(1);
    assert_eq!(slow.join_timeout(short).unwrap_err(), WaitError::TimedOut);
    slow.unsubscribe();
    assert_eq!(slow.flush_timeout(DEADLINE).unwrap_err(), WaitError::Closed);
    plug.open();
    sub.finish();
    for (error, word) in [(WaitError::TimedOut, "time"), (WaitError::Closed, "closed")] {
        says(&error, &[word]);
    }
    for (error, word) in [
        (TryRecvError::Empty, "no message"),
        (TryRecvError::Ended, "final"),
    ] {
        says(&error, &[word]);
    }
    for (error, word) in [(RecvError::Ended, "final"), (RecvError::TimedOut, "time")] {
        says(&error, &[word]);
    }
    topic.close();
    let refused = topic.publish_sync(&slow, Item(0)).unwrap_err();
    assert!(matches!(
        refused,
        SyncError::Refused(PublishError::Closed(_))
    ));
    says(&refused, &["topic is closed"]);
    assert!(refused.source().is_some());
}
