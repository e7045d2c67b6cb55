//! What `docs/stasis.md` says of the bus and no other file tests by itself. What it says of channels is in
//! `comparison_channels.rs`.

#![allow(clippy::disallowed_types, reason = "tests use std's own")]

use stasis_bus::{
    Aggregate, Bus, CACHE_UPDATE, Cache, ChangeKind, Delivery, Message, MessageType, Origin,
    Subscription, WaitError,
};
use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, SystemTime};

const SOON: Duration = Duration::from_millis(20);

/// A handler that says that it runs, and goes on when it is told to.
fn stuck() -> (
    impl FnMut(&Message) + Send + 'static,
    mpsc::Receiver<()>,
    mpsc::Sender<()>,
) {
    let (run, running) = mpsc::channel();
    let (go, gate) = mpsc::channel();
    let handler = move |_: &Message| {
        let _ = run.send(());
        let _ = gate.recv();
    };
    (handler, running, go)
}

#[test]
fn one_callback_twice_is_two_subscriptions() {
    let bus = Bus::new().unwrap();
    let topic = bus.topic("t").unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let callback = move |_: &Message| {
        counted.fetch_add(1, Ordering::Relaxed);
    };
    let subscribe = || {
        let builder = topic.subscribe().delivery(Delivery::Inline);
        builder.run(callback.clone()).unwrap()
    };
    let (one, two): (Subscription, Subscription) = (subscribe(), subscribe());
    assert_ne!(one.id(), two.id());
    assert_eq!(topic.publish(1_u64).unwrap().offered(), 2);
    assert_eq!(calls.load(Ordering::Relaxed), 2);
    one.unsubscribe();
    assert_eq!(topic.publish(1_u64).unwrap().offered(), 1);
}

#[test]
fn notices_go_downstream_once_and_not_upstream() {
    let bus = Bus::new().unwrap();
    let [top, left, right, down] = ["top", "left", "right", "down"].map(|n| bus.topic(n).unwrap());
    let _forwards = [
        (&top, &left),
        (&top, &right),
        (&left, &down),
        (&right, &down),
    ]
    .map(|(from, to)| from.forward_to(to).unwrap());
    let listen = |topic: &stasis_bus::Topic| {
        let mut receiver = topic.subscribe().change_notices().receiver().unwrap();
        let own = receiver.try_recv().unwrap();
        assert!(own.as_change().is_some(), "its own notice comes first");
        receiver
    };
    let (mut upstream, mut beside) = (listen(&top), listen(&right));
    let mut downstream = listen(&down);
    while upstream.try_recv().is_ok() || beside.try_recv().is_ok() {}
    for (topic, of_top, of_right) in [(&left, 0, 0), (&down, 0, 0), (&top, 2, 2)] {
        drop(topic.subscribe().receiver().unwrap());
        let kinds: Vec<_> = downstream
            .try_iter()
            .map(|message| message.as_change().unwrap().kind)
            .collect();
        assert_eq!(kinds, [ChangeKind::Subscribed, ChangeKind::Unsubscribed]);
        assert_eq!(upstream.try_iter().count(), of_top);
        assert_eq!(beside.try_iter().count(), of_right);
    }
}

#[test]
fn a_message_has_the_time_of_its_making() {
    let bus = Bus::new().unwrap();
    let topic = bus.topic("t").unwrap();
    let mut receiver = topic.subscribe().receiver().unwrap();
    let before = SystemTime::now();
    let messages: Vec<_> = (0..1000_u64).map(Message::new).collect();
    let after = SystemTime::now();
    let times: Vec<_> = messages.iter().map(Message::timestamp).collect();
    assert!(times.windows(2).all(|two| two[0] <= two[1]), "never back");
    let slack = Duration::from_secs(5);
    for time in [times[0], times[999]].map(|time| time.to_system_time()) {
        assert!(before - slack <= time && time <= after + slack, "{time:?}");
    }
    // Not that of the publish, however often.
    thread::sleep(SOON);
    for _ in 0..2 {
        topic.publish(messages[0].clone()).unwrap();
        assert_eq!(receiver.try_recv().unwrap().timestamp(), times[0]);
    }
}

#[test]
fn each_message_has_an_id_of_its_own() {
    let make = || -> Vec<Message> { (0..500_u64).map(Message::new).collect() };
    let threads: Vec<_> = (0..4).map(|_| thread::spawn(make)).collect();
    let made = threads.into_iter().map(|thread| thread.join().unwrap());
    let messages: Vec<_> = made.flatten().collect();
    let ids: HashSet<_> = messages.iter().map(Message::id).collect();
    assert_eq!(ids.len(), 2000, "equal payloads are not equal messages");
    assert_eq!(messages[0].clone().id(), messages[0].id());
}

#[test]
fn types_have_dense_numbers_and_who_wants_others_is_not_offered_any() {
    let types: Vec<_> = (0..50)
        .map(|n| MessageType::<u64>::leak(format!("t{n}")))
        .collect();
    let numbers: Vec<_> = types.iter().map(|it| it.id()).collect();
    let unique: HashSet<_> = numbers.iter().collect();
    assert_eq!(unique.len(), types.len());
    // Other tests of this process take numbers at the same time, but not many.
    let (least, most) = (numbers.iter().min(), numbers.iter().max());
    assert!(most.unwrap() - least.unwrap() < 200, "{numbers:?}");
    assert_eq!(types[0].id(), numbers[0], "the same for ever");

    let bus = Bus::new().unwrap();
    let topic = bus.topic("t").unwrap();
    let receivers: Vec<_> = types
        .iter()
        .map(|it| topic.subscribe().accept(it).receiver().unwrap())
        .collect();
    for it in &types {
        assert_eq!(topic.publish(it.message(1)).unwrap().offered(), 1);
    }
    drop(receivers);
}

#[test]
fn a_type_is_there_as_long_as_messages_of_it() {
    let message = {
        let bus = Bus::new().unwrap();
        let topic = bus.topic("t").unwrap();
        let mut receiver = topic.subscribe().receiver().unwrap();
        let short_lived: &'static MessageType<u64> = MessageType::leak("of a module");
        topic.publish(short_lived.message(7)).unwrap();
        bus.shutdown().unwrap();
        receiver.try_recv().unwrap()
    };
    let seen = thread::spawn(move || (message.type_name(), message.get::<u64>().copied()));
    assert_eq!(seen.join().unwrap(), ("of a module", Some(7)));
}

#[test]
fn notices_of_subscriptions_are_not_cached() {
    let bus = Bus::new().unwrap();
    let topic = bus.topic("t").unwrap();
    static NUMBER: MessageType<u64> = MessageType::new("number");
    let cache = Cache::builder()
        .key(&NUMBER, |number| Some((*number).into()))
        .key_for_others(|_| Some(1_u64.into()))
        .build()
        .unwrap();
    let caching = cache.attach(&topic).unwrap();
    let mut updates = caching.topic().subscribe().accept(&CACHE_UPDATE).receiver();
    let updates = updates.as_mut().unwrap();
    let mut notices = topic.subscribe().change_notices().receiver().unwrap();
    drop(topic.subscribe().receiver().unwrap());
    assert_eq!(notices.try_iter().count(), 3, "there were some");
    assert!(cache.is_empty());
    assert!(updates.try_recv().is_err());
    topic.publish(NUMBER.message(7)).unwrap();
    assert_eq!(cache.len(), 1);
    assert!(updates.try_recv().is_ok());
}

#[test]
fn an_entry_is_there_while_somebody_has_a_snapshot_in_it() {
    static STATE: MessageType<u64> = MessageType::new("state");
    const FAR: Origin = Origin::new(7);
    let bus = Bus::new().unwrap();
    let topic = bus.topic("t").unwrap();
    let cache = Cache::builder()
        .key(&STATE, |_| Some(1_u64.into()))
        // It would stay for ever if it had a say.
        .aggregate(&STATE, |_| Aggregate::New(9))
        .build()
        .unwrap();
    let caching = cache.attach(&topic).unwrap();
    topic.publish(STATE.message(1)).unwrap();
    topic.publish(STATE.message_with_origin(2, FAR)).unwrap();
    let get_all = || cache.get_all(&STATE, 1_u64).unwrap().len();
    assert!(get_all() >= 2 && cache.len() == 1);
    caching.clear(&STATE, 1_u64, Origin::LOCAL).unwrap();
    assert_eq!(cache.len(), 1, "the other one is left");
    assert!(cache.get(&STATE, 1_u64).unwrap().is_none());
    caching.clear(&STATE, 1_u64, FAR).unwrap();
    assert_eq!(
        (cache.len(), get_all()),
        (0, 0),
        "an aggregate alone is nothing"
    );
    assert!(cache.aggregate(&STATE, 1_u64).unwrap().is_none());
}

#[test]
fn a_flush_is_a_ping_and_says_who_is_stuck() {
    let bus = Bus::builder().workers(1).build().unwrap();
    let topic = bus.topic("t").unwrap();
    let (handler, running, go) = stuck();
    let subscription = topic.subscribe().name("who").run(handler).unwrap();
    topic.publish(1_u64).unwrap();
    running.recv().unwrap();
    topic.publish_batch([2_u64, 3]).unwrap();
    let stats = subscription.stats();
    assert_eq!((&*stats.name, stats.offered), ("who", 3));
    assert!(stats.depth >= 2, "all but the one that is handled wait");
    assert_eq!(subscription.flush_timeout(SOON), Err(WaitError::TimedOut));
    drop((go, running));
    subscription.flush_timeout(Duration::from_secs(30)).unwrap();
    assert_eq!(subscription.stats().delivered, 3);
}

#[test]
fn the_pool_has_the_size_that_was_asked_for_whatever_waits() {
    let bus = Bus::builder().workers(2).build().unwrap();
    let topic = bus.topic("t").unwrap();
    let both: Vec<_> = (0..2)
        .map(|_| {
            let (handler, running, go) = stuck();
            (topic.subscribe().run(handler).unwrap(), running, go)
        })
        .collect();
    topic.publish(1_u64).unwrap();
    both.iter()
        .for_each(|(_, running, _)| running.recv().unwrap());
    let waiting = bus.topic("others").unwrap();
    let others: Vec<_> = (0..20)
        .map(|_| waiting.subscribe().run(|_: &Message| ()).unwrap())
        .collect();
    for n in 0..600_u64 {
        waiting.publish(n).unwrap();
    }
    thread::sleep(SOON);
    assert_eq!(bus.stats().workers, 2, "nobody came to help");
    drop(both);
    for other in &others {
        other.flush_timeout(Duration::from_secs(30)).unwrap();
        assert_eq!(other.stats().delivered, 600);
    }
    assert_eq!(bus.stats().workers, 2, "nobody went");
}

#[test]
fn a_subscription_goes_while_somebody_is_stuck_in_a_publish() {
    let bus = Bus::builder().workers(1).build().unwrap();
    let topic = bus.topic("t").unwrap();
    let (mut handler, running, go) = stuck();
    let slow = topic.subscribe().delivery(Delivery::Inline);
    let slow = slow.run(move |message: &Message| handler(message)).unwrap();
    let publisher = {
        let topic = topic.clone();
        thread::spawn(move || topic.publish(1_u64).unwrap())
    };
    running.recv().unwrap();
    for topic in [topic.clone(), bus.topic("another").unwrap()] {
        let short = topic.subscribe().accept_payload::<u32>();
        let short = short.run(|_: &Message| ()).unwrap();
        topic.publish(7_u32).unwrap();
        short.unsubscribe();
        short.join_timeout(Duration::from_secs(30)).unwrap();
        assert_eq!(short.stats().delivered, 1);
        if topic.name() == "t" {
            break;
        }
    }
    drop((go, running));
    publisher.join().unwrap();
    slow.unsubscribe();
}

#[test]
fn who_is_congested_is_listed() {
    let bus = Bus::builder().workers(1).build().unwrap();
    let topic = bus.topic("t").unwrap();
    let slow = topic.subscribe().name("slow").congestion(3, 1, |_| ());
    let mut slow = slow.receiver().unwrap();
    let fast = topic.subscribe().name("fast").congestion(3, 1, |_| ());
    let mut fast = fast.receiver().unwrap();
    let listed = || -> Vec<String> {
        let topics = bus.topics();
        let all = topics.iter().flat_map(|topic| &topic.subscriptions);
        let congested = all.filter(|stats| stats.congested);
        congested.map(|stats| stats.name.to_string()).collect()
    };
    for n in 0..4_u64 {
        topic.publish(n).unwrap();
        fast.recv().unwrap();
    }
    assert_eq!(listed(), ["slow"]);
    while slow.try_recv().is_ok() {}
    assert!(listed().is_empty());
}
