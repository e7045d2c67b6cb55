//! Shutdown drains (L6): nothing accepted is lost, everybody gets a final message, blocked publishers are released,
//! and the report says what was left.

#![allow(clippy::disallowed_types, reason = "tests use std's own")]

mod common;

use common::{
    DEADLINE, DropFlag, Gate, Kind, Log, Setup, bus_with, for_each_handler_kind, for_each_kind,
    number, wait_until, with_deadline,
};
use stasis_bus::{
    Bus, Delivery, FinalReason, ManualExecutor, Message, Overflow, OwnThread, PublishError,
    SubscribeError, TopicError, WaitError, WaitStrategy,
};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

#[test]
fn everything_accepted_is_delivered_and_finished() {
    for_each_kind(|setup| {
        let topic = setup.topic("drain");
        let log = Log::new();
        let logs = log.clone();
        let sub = setup.run_with(topic.subscribe().capacity(4), move |message| {
            logs.push((number(message), message.as_final().map(|last| last.reason)));
        });
        topic.publish_batch(0..500_u64).unwrap();
        let report = setup.bus.shutdown_timeout(DEADLINE).unwrap();
        assert!(report.is_complete(), "{report:?}");
        let last = sub.join();
        assert_eq!((last.reason, last.delivered), (FinalReason::Shutdown, 500));
        let mut expected: Vec<_> = (0..500).map(|n| (Some(n), None)).collect();
        expected.push((None, Some(FinalReason::Shutdown)));
        assert_eq!(log.take(), expected);
    });
}

#[test]
fn shutdown_waits_for_what_the_bus_runs() {
    let own = |wait| Delivery::from(OwnThread::new(wait));
    with_deadline("waits", move || {
        for delivery in [
            Delivery::Pool,
            Delivery::Inline,
            own(WaitStrategy::Park),
            own(WaitStrategy::SpinThenPark),
            own(WaitStrategy::Yield),
        ] {
            for workers in [1, 3] {
                let bus = bus_with(workers);
                let topic = bus.topic("waits").unwrap();
                let captured = DropFlag::new();
                for _ in 0..50 {
                    let guard = captured.guard();
                    topic
                        .subscribe()
                        .delivery(delivery.clone())
                        .run(move |_: &Message| {
                            let _ = &guard;
                        })
                        .unwrap()
                        .detach();
                }
                topic.publish_batch(0..20_u64).unwrap();
                let report = bus.shutdown().unwrap();
                assert_eq!(captured.count(), 50, "{delivery:?}");
                assert!(report.is_complete() && report.workers_ended, "{report:?}");
                assert_eq!(
                    report,
                    bus.shutdown().unwrap(),
                    "again, it has nothing to do"
                );
            }
        }
    });
}

#[test]
fn nothing_begins_after_it() {
    for_each_kind(|setup| {
        let topic = setup.topic("after");
        let other = setup.topic("other");
        setup.bus.shutdown_timeout(DEADLINE).unwrap();
        assert!(matches!(
            topic.publish(1_u64),
            Err(PublishError::ShutDown(_))
        ));
        assert!(matches!(
            topic.publish_batch([1_u64, 2]),
            Err(PublishError::ShutDown(_))
        ));
        assert!(matches!(
            topic.subscribe().run(|_: &u64| {}),
            Err(SubscribeError::ShutDown)
        ));
        assert!(matches!(
            topic.subscribe().receiver(),
            Err(SubscribeError::ShutDown)
        ));
        assert!(matches!(setup.bus.topic("new"), Err(TopicError::ShutDown)));
        assert!(matches!(
            setup.bus.topic_with_total_order("new"),
            Err(TopicError::ShutDown)
        ));
        assert!(topic.forward_to(&other).is_err());
        assert!(topic.is_closed());
    });
}

#[test]
fn each_of_several_shutdowns_waits() {
    with_deadline("several", || {
        for _ in 0..20 {
            let bus = bus_with(2);
            let captured = DropFlag::new();
            let topics: Vec<_> = (0..300)
                .map(|n| {
                    let topic = bus.topic(&format!("topic {n}")).unwrap();
                    let guard = captured.guard();
                    let handler = move |_: &Message| {
                        let _ = &guard;
                    };
                    // Without a pool there are no workers to wait for either.
                    let builder = topic.subscribe().delivery(Delivery::Inline);
                    builder.run(handler).unwrap().detach();
                    topic
                })
                .collect();
            let others: Vec<_> = (0..2)
                .map(|_| {
                    let (bus, captured) = (bus.clone(), captured.clone());
                    thread::spawn(move || {
                        // Somebody else has begun it, and is at work.
                        wait_until("it began", || bus.topic("probe").is_err());
                        let report = bus.shutdown().unwrap();
                        (captured.count(), report.is_complete())
                    })
                })
                .collect();
            bus.shutdown().unwrap();
            assert_eq!(captured.count(), 300);
            for other in others {
                assert_eq!(other.join().unwrap(), (300, true));
            }
            drop(topics);
        }
    });
}

#[test]
fn the_report_names_what_was_left() {
    with_deadline("report", || {
        let bus = bus_with(1);
        let topic = bus.topic("left").unwrap();
        let gate = Gate::new();
        let stops = gate.clone();
        let stuck = topic.subscribe().name("stuck");
        let stuck = stuck
            .run(move |message: &Message| {
                if number(message).is_some() {
                    stops.pass();
                }
            })
            .unwrap();
        let mut receiver = topic.subscribe().name("receiver").receiver().unwrap();
        let executor = Arc::new(ManualExecutor::new());
        let foreign = topic
            .subscribe()
            .name("foreign")
            .delivery(Delivery::Executor(executor.clone()))
            .run(|_: &u64| {})
            .unwrap();
        topic.publish(1_u64).unwrap();
        gate.wait_arrived(1);
        let report = bus.shutdown_timeout(Duration::from_millis(20)).unwrap();
        assert_eq!(report.unfinished, ["stuck"]);
        assert_eq!(report.receivers, ["receiver"]);
        assert_eq!(report.executors, ["foreign"]);
        assert!(!report.is_complete() && !report.workers_ended);
        // It goes on to be delivered.
        gate.open();
        assert_eq!(stuck.join_timeout(DEADLINE).unwrap().delivered, 1);
        executor.run_until_idle();
        assert_eq!(foreign.join_timeout(DEADLINE).unwrap().delivered, 1);
        assert_eq!(receiver.iter().count(), 2);
        let report = bus.shutdown_timeout(DEADLINE).unwrap();
        assert!(report.is_complete() && report.workers_ended);
        assert!(report.receivers.is_empty() && report.executors.is_empty());
    });
}

#[test]
fn the_report_is_right_for_names_that_are_shared() {
    with_deadline("names", || {
        for _ in 0..10 {
            let bus = bus_with(1);
            let topic = bus.topic("names").unwrap();
            let receivers: Vec<_> = (0..4)
                .map(|_| topic.subscribe().name("same").receiver().unwrap())
                .collect();
            for _ in 0..4 {
                let same = topic.subscribe().name("same");
                same.run(|_: &u64| {}).unwrap().detach();
            }
            let report = bus.shutdown_timeout(DEADLINE).unwrap();
            assert_eq!(report.receivers, ["same"; 4]);
            assert!(report.is_complete());
            drop(receivers);
        }
    });
}

#[test]
fn blocked_publishers_are_released() {
    for_each_kind(|setup| {
        let topic = setup.topic("blocked");
        let gate = Gate::new();
        let stops = gate.clone();
        let builder = topic
            .subscribe()
            .capacity(1)
            .overflow(Overflow::Block { timeout: None });
        let sub = setup.run_with(builder, move |message| {
            if number(message) == Some(0) {
                stops.pass();
            }
        });
        let publish = |n: u64| {
            let topic = topic.clone();
            thread::spawn(move || topic.publish(n))
        };
        let first = publish(0);
        gate.wait_arrived(1);
        assert_eq!(topic.publish(1_u64).unwrap().offered(), 1);
        let blocked: Vec<_> = (2..5).map(publish).collect();
        let report = setup.bus.shutdown_timeout(Duration::from_millis(20));
        for publisher in blocked {
            // One that came late finds the topic closed already, or the subscription off its list.
            match publisher.join().unwrap() {
                Ok(receipt) => assert!(receipt.offered() == 0 && receipt.closed() <= 1),
                Err(error) => assert!(matches!(error, PublishError::ShutDown(_))),
            }
        }
        assert!(report.is_ok());
        gate.open();
        first.join().unwrap().unwrap();
        assert_eq!(sub.join().delivered, 2);
    });
}

#[test]
fn inside_handlers_it_begins_and_does_not_wait() {
    for_each_handler_kind(|setup| {
        let topic = setup.topic("inside");
        let log = Log::new();
        let (logs, bus) = (log.clone(), setup.bus.clone());
        let sub = setup
            .builder(&topic)
            .run(move |message: &Message| match message.as_final() {
                Some(last) => logs.push(Some(last.reason)),
                None => {
                    assert_eq!(bus.shutdown().unwrap_err(), WaitError::WouldDeadlock);
                    assert!(bus.topic("another").is_err());
                    logs.push(None);
                }
            })
            .unwrap();
        topic.publish(1_u64).unwrap();
        sub.join_timeout(DEADLINE).unwrap();
        assert_eq!(log.take(), [None, Some(FinalReason::Shutdown)]);
        assert_eq!(sub.stats().panics, 0);
        assert!(setup.bus.shutdown_timeout(DEADLINE).unwrap().is_complete());
    });
}

#[test]
fn dropping_the_last_bus_shuts_down_without_waiting() {
    for_each_kind(|setup| {
        let kind = setup.kind;
        let setup = Setup::with_bus(kind, bus_with(1));
        let clone = setup.bus.clone();
        let topic = setup.topic("last");
        let log = Log::new();
        let logs = log.clone();
        let sub = setup.run(&topic, move |message| logs.push(number(message)));
        drop(setup);
        topic.publish(1_u64).unwrap();
        if kind == Kind::ManualExecutor {
            // Its pump went with the setup.
            return;
        }
        sub.flush();
        drop(clone);
        assert!(matches!(
            topic.publish(2_u64),
            Err(PublishError::ShutDown(_))
        ));
        assert_eq!(sub.join().reason, FinalReason::Shutdown);
        assert_eq!(log.take(), [Some(1), None]);
    });
}

#[test]
fn publishers_and_subscribers_race_with_it() {
    for_each_kind(|setup| {
        let kind = setup.kind;
        for _ in 0..5 {
            let setup = Setup::with_bus(kind, bus_with(2));
            let topic = setup.topic("race");
            let handled = Log::new();
            let publisher = {
                let topic = topic.clone();
                thread::spawn(move || {
                    let mut offered = 0;
                    while let Ok(receipt) = topic.publish(1_u64) {
                        offered += receipt.offered();
                        thread::yield_now();
                    }
                    offered
                })
            };
            let subs: Vec<_> = (0..10)
                .map(|_| {
                    let logs = handled.clone();
                    setup.run(&topic, move |message| {
                        if number(message).is_some() {
                            logs.push(());
                        }
                    })
                })
                .collect();
            let report = setup.bus.shutdown_timeout(DEADLINE).unwrap();
            assert!(report.is_complete(), "{report:?}");
            for sub in &subs {
                assert_eq!(sub.join().reason, FinalReason::Shutdown);
            }
            assert_eq!(handled.len() as u64, publisher.join().unwrap());
        }
    });
}

/// A topic that is made while the bus shuts down is either refused, or ends with all others.
#[test]
fn no_topic_slips_through() {
    with_deadline("slips", || {
        for _ in 0..100 {
            let bus = bus_with(1);
            let makes = bus.clone();
            let maker = thread::spawn(move || {
                let mut made = Vec::new();
                while let Ok(topic) = makes.topic(&format!("topic {}", made.len())) {
                    made.push(topic);
                }
                made
            });
            thread::yield_now();
            bus.shutdown().unwrap();
            for topic in maker.join().unwrap() {
                assert!(topic.is_closed(), "{topic:?}");
            }
        }
    });
}

/// The hook that a bus was built with goes with it: nothing of it is left in a circle.
fn bus_with_flag() -> (Bus, DropFlag) {
    let flag = DropFlag::new();
    let guard = flag.guard();
    let builder = Bus::builder().workers(1).on_panic(move |_| {
        let _ = &guard;
    });
    (builder.build().unwrap(), flag)
}

#[test]
fn a_forward_that_is_detached_after_it_is_not_kept() {
    with_deadline("detached", || {
        for late in [false, true] {
            let (bus, flag) = bus_with_flag();
            let (a, b) = (bus.topic("a").unwrap(), bus.topic("b").unwrap());
            let forward = a.forward_to(&b).unwrap();
            let mut forward = Some(forward);
            if !late {
                forward.take().unwrap().detach();
            }
            bus.shutdown().unwrap();
            if let Some(forward) = forward {
                forward.detach();
            }
            drop((a, b, bus));
            wait_until("the bus is gone", || flag.is_dropped());
        }
    });
}

#[test]
fn a_bus_with_subscriptions_of_every_kind_goes_in_whole() {
    for_each_kind(|setup| {
        let (bus, flag) = bus_with_flag();
        let setup = Setup::with_bus(setup.kind, bus);
        let (a, b) = (setup.topic("a"), setup.topic("b"));
        let cycle = [a.forward_to(&b).unwrap(), b.forward_to(&a).unwrap()];
        let sub = setup.run(&b, |_| {});
        a.publish(1_u64).unwrap();
        setup.bus.shutdown_timeout(DEADLINE).unwrap();
        sub.join();
        drop((a, b, cycle, sub, setup));
        wait_until("the bus is gone", || flag.is_dropped());
    });
}
