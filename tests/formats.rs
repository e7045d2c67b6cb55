//! Formats: messages as text, made once and shared by all; sanitizers; subscribing by format.

#![allow(clippy::disallowed_types, reason = "tests use std's own")]

mod common;

use common::observe::DropGuard;
use common::{DropFlag, Gate, Log, bus_with, for_each_kind, number, with_deadline};
use stasis_bus::{
    Bus, Format, Formatter, Message, MessageType, Rendering, Sanitizer, Subject, TypeInfo,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

static TEXT: Format = Format::new("text");
static CSV: Format = Format::new("csv");
/// Of the same name, and another one.
static OTHER_TEXT: Format = Format::new("text");

/// A payload that counts how often it is rendered.
struct Counted {
    number: u64,
    calls: Arc<AtomicUsize>,
}

fn counted(number: u64) -> (Counted, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let payload = Counted {
        number,
        calls: Arc::clone(&calls),
    };
    (payload, calls)
}

fn count(payload: &Counted, rendering: &Rendering<'_>) -> Option<String> {
    payload.calls.fetch_add(1, Relaxed);
    let id = payload.number.to_string();
    let left_out = rendering.leaves_out(&Subject::new("number", &id).with_snapshot(payload));
    (payload.number != 0 && !left_out).then_some(id)
}

static COUNTED: MessageType<Counted> = MessageType::with_formats(
    "counted",
    &[
        Formatter::new(&TEXT, count),
        Formatter::new(&CSV, |payload, _| Some(format!("{};", payload.number))),
        // Comes too late: the first one counts.
        Formatter::new(&TEXT, |_, _| unreachable!("the first one counts")),
    ],
);

static PLAIN: MessageType<u64> = MessageType::new("plain");
static NUMBER: MessageType<u64> = MessageType::with_formats(
    "number",
    &[Formatter::new(&TEXT, |number, _| Some(number.to_string()))],
);
static CSV_NUMBER: MessageType<u64> = MessageType::with_formats(
    "csv number",
    &[Formatter::new(&CSV, |number, _| Some(format!("{number};")))],
);

#[test]
fn many_consumers_share_one_text_that_is_made_once() {
    with_deadline("one text", || {
        let bus = bus_with(2);
        let topic = bus.topic("topic").unwrap();
        let texts = Log::new();
        let subscriptions: Vec<_> = (0..8)
            .map(|_| {
                let texts = texts.clone();
                let run = move |message: &Message| {
                    if let Some(text) = message.render(&TEXT) {
                        texts.push(text);
                    }
                };
                topic.subscribe().run(run).unwrap()
            })
            .collect();
        let (payload, calls) = counted(7);
        let message = COUNTED.message(payload);
        let first = message.render(&TEXT).unwrap();
        topic.publish(message.clone()).unwrap();
        texts.wait_len(subscriptions.len());
        assert_eq!(calls.load(Relaxed), 1);
        assert_eq!(&*first, "7");
        assert!(texts.get().iter().all(|text| Arc::ptr_eq(text, &first)));
        // Another format is another text.
        assert_eq!(message.render(&CSV).as_deref(), Some("7;"));
        assert_eq!(calls.load(Relaxed), 1);
    });
}

#[test]
fn no_text_is_made_once_too() {
    let (payload, calls) = counted(0);
    let message = COUNTED.message(payload);
    for _ in 0..3 {
        assert_eq!(message.render(&TEXT), None);
    }
    assert_eq!(calls.load(Relaxed), 1);
}

#[test]
fn formats_that_a_type_has_not() {
    let (payload, calls) = counted(7);
    let message = COUNTED.message(payload);
    assert_eq!(message.render(&OTHER_TEXT), None);
    assert_eq!(calls.load(Relaxed), 0);
    assert_eq!(PLAIN.message(7).render(&TEXT), None);
    assert_eq!(Message::new(7_u64).render(&TEXT), None);
    assert_eq!(CSV_NUMBER.message(7).render(&TEXT), None);

    let infos: [(&TypeInfo, usize); 3] = [
        (COUNTED.info(), 3),
        (NUMBER.info(), 1),
        (Message::new(7_u64).info(), 0),
    ];
    for (info, formats) in infos {
        assert_eq!(info.formats().len(), formats, "{info:?}");
        assert_eq!(info.has_format(&TEXT), formats > 0);
        assert!(!info.has_format(&OTHER_TEXT));
    }
    assert_ne!(TEXT, OTHER_TEXT);
    assert_eq!(TEXT.name(), OTHER_TEXT.name());
    assert_eq!(format!("{TEXT:?}"), "Format(\"text\")");
}

#[test]
fn a_message_on_behalf_of_somebody_else_has_texts_too() {
    let message = NUMBER.message_with_origin(7, stasis_bus::Origin::new(3));
    assert_eq!(message.render(&TEXT).as_deref(), Some("7"));
    assert_eq!(message.get::<u64>(), Some(&7));
    assert_eq!(message.payload(&NUMBER), Some(&7));
}

#[test]
fn sanitizers_have_texts_of_their_own() {
    let odd = Sanitizer::new("odd", |subject| {
        let known = subject.snapshot::<Counted>();
        assert_eq!(subject.kind(), "number");
        assert!(subject.snapshot::<String>().is_none());
        known.is_some_and(|payload| payload.number % 2 == 1)
    });
    let (payload, calls) = counted(7);
    let message = COUNTED.message(payload);
    assert_eq!(message.render_with(&TEXT, &odd), None);
    assert_eq!(message.render_with(&TEXT, &odd.clone()), None);
    assert_eq!(calls.load(Relaxed), 1, "clones are the same sanitizer");
    assert_eq!(message.render(&TEXT).as_deref(), Some("7"));

    let nothing = Sanitizer::new("odd", |_| false);
    let text = message.render_with(&TEXT, &nothing).unwrap();
    assert_eq!(calls.load(Relaxed), 3, "another one of the same name");
    assert!(Arc::ptr_eq(
        &text,
        &message.render_with(&TEXT, &nothing).unwrap()
    ));
    assert_eq!(calls.load(Relaxed), 3);
    assert_eq!((odd.name(), nothing.name()), ("odd", "odd"));
}

#[test]
fn a_sanitizer_is_dropped_before_the_messages_that_it_was_for() {
    let flag = DropFlag::new();
    let guard = flag.guard();
    let sanitizer = Sanitizer::new("short-lived", move |_| {
        let _ = &guard;
        false
    });
    let message = NUMBER.message(7);
    assert!(message.render_with(&TEXT, &sanitizer).is_some());
    drop(sanitizer);
    assert!(flag.is_dropped());
    // The next one is not taken for it.
    let strict = Sanitizer::new("strict", |_| true);
    let (payload, calls) = counted(7);
    let message = COUNTED.message(payload);
    assert_eq!(message.render_with(&TEXT, &strict), None);
    assert_eq!(calls.load(Relaxed), 1);
}

#[test]
fn texts_of_sanitizers_that_have_gone_are_not_kept() {
    let message = NUMBER.message(7);
    let stays = Sanitizer::new("stays", |_| false);
    let kept = message.render_with(&TEXT, &stays).unwrap();
    let plain = message.render(&TEXT).unwrap();
    let texts: Vec<_> = (0..100)
        .map(|_| {
            let client = Sanitizer::new("client", |_| false);
            Arc::downgrade(&message.render_with(&TEXT, &client).unwrap())
        })
        .collect();
    let alive = texts.iter().filter(|text| text.strong_count() > 0);
    assert_eq!(alive.count(), 1, "the last one, until there is another one");
    assert!(Arc::ptr_eq(
        &kept,
        &message.render_with(&TEXT, &stays).unwrap()
    ));
    assert!(Arc::ptr_eq(&plain, &message.render(&TEXT).unwrap()));
}

#[test]
fn a_panic_of_a_formatter_goes_to_who_asked_and_leaves_nothing() {
    static FAILURES: AtomicUsize = AtomicUsize::new(2);
    static FRAGILE: MessageType<u64> = MessageType::with_formats(
        "fragile",
        &[Formatter::new(&TEXT, |number, _| {
            let failures =
                FAILURES.fetch_update(Relaxed, Relaxed, |failures| failures.checked_sub(1));
            assert!(failures.is_err(), "not yet");
            Some(number.to_string())
        })],
    );
    let message = FRAGILE.message(7);
    for _ in 0..2 {
        assert!(catch_unwind(AssertUnwindSafe(|| message.render(&TEXT))).is_err());
    }
    assert_eq!(message.render(&TEXT).as_deref(), Some("7"));
}

#[test]
fn racing_renderers_get_the_same_text() {
    for round in 0..if cfg!(miri) { 2 } else { 200 } {
        let (payload, calls) = counted(round + 1);
        let message = COUNTED.message(payload);
        let gate = Gate::new();
        let texts: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        gate.pass();
                        message.render(&TEXT).unwrap()
                    })
                })
                .collect();
            gate.open();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert!(texts.iter().all(|text| Arc::ptr_eq(text, &texts[0])));
        assert!((1..=4).contains(&calls.load(Relaxed)));
    }
}

#[test]
fn a_formatter_may_render_another_message_and_publish() {
    static OUTER: MessageType<(Message, stasis_bus::Topic)> = MessageType::with_formats(
        "outer",
        &[Formatter::new(&TEXT, |(inner, topic), rendering| {
            topic.publish("rendered").ok()?;
            assert_eq!(rendering.format(), &TEXT);
            let id = rendering.message().id();
            (id != inner.id()).then(|| format!("<{}>", inner.render(&TEXT).unwrap()))
        })],
    );
    let bus = Bus::new().unwrap();
    let topic = bus.topic("topic").unwrap();
    let mut receiver = topic.subscribe().receiver().unwrap();
    let message = OUTER.message((NUMBER.message(7), topic));
    assert_eq!(message.render(&TEXT).as_deref(), Some("<7>"));
    assert_eq!(receiver.try_recv().unwrap().get(), Some(&"rendered"));
}

#[test]
fn what_was_rendered_goes_with_the_message() {
    let flag = DropFlag::new();
    let guarded = MessageType::leak_with_formats(
        "guarded",
        vec![Formatter::new(&TEXT, |_: &(DropGuard, [u8; 3]), _| {
            Some("guarded".into())
        })],
    );
    let message = guarded.message((flag.guard(), [1, 2, 3]));
    let text = message.render(&TEXT).unwrap();
    let bus = Bus::new().unwrap();
    let topic = bus.topic("topic").unwrap();
    let mut receiver = topic.subscribe().receiver().unwrap();
    topic.publish(message).unwrap();
    let delivered = receiver.try_recv().unwrap();
    assert!(Arc::ptr_eq(&delivered.render(&TEXT).unwrap(), &text));
    assert_eq!(delivered.payload(guarded).unwrap().1, [1, 2, 3]);
    assert_eq!(Arc::strong_count(&text), 2);
    assert!(!flag.is_dropped());
    drop(delivered);
    assert!(flag.is_dropped());
    assert_eq!(Arc::strong_count(&text), 1);
}

#[test]
fn subscribing_by_format_or_type() {
    for_each_kind(|setup| {
        let topic = setup.topic("topic");
        let seen = Log::new();
        let log = seen.clone();
        let builder = topic.subscribe().accept_format(&TEXT).accept(&PLAIN);
        let subscription = setup.run_with(builder, move |message| {
            if let Some(number) = number(message) {
                log.push((message.type_name(), number));
            }
        });
        let receipt = topic.publish(1_u64).unwrap();
        assert_eq!((receipt.offered(), receipt.filtered()), (0, 1));
        assert_eq!(topic.publish(CSV_NUMBER.message(2)).unwrap().offered(), 0);
        let receipt = topic.publish(NUMBER.message(3)).unwrap();
        assert_eq!((receipt.offered(), receipt.filtered()), (1, 0));
        assert_eq!(topic.publish(PLAIN.message(4)).unwrap().offered(), 1);
        let late = MessageType::leak_with_formats(
            "late",
            vec![Formatter::new(&TEXT, |number: &u64, _| {
                Some(number.to_string())
            })],
        );
        assert!(topic.has_subscribers_for(late));
        assert!(topic.has_subscribers_for(&NUMBER) && topic.has_subscribers_for(&PLAIN));
        assert!(!topic.has_subscribers_for(&CSV_NUMBER));
        assert!(!topic.has_subscribers_for_payload::<u64>());
        assert_eq!(topic.publish(late.message(5)).unwrap().offered(), 1);
        drop(subscription);
        seen.wait_len(3);
        assert_eq!(seen.get(), [("number", 3), ("plain", 4), ("late", 5)]);
        assert_eq!(topic.publish(NUMBER.message(6)).unwrap().offered(), 0);
    });
}

#[test]
fn formats_with_a_closure_filter_and_downstream() {
    for total_order in [false, true] {
        let bus = Bus::new().unwrap();
        let up = bus.topic("up").unwrap();
        let down = match total_order {
            true => bus.topic_with_total_order("down").unwrap(),
            false => bus.topic("down").unwrap(),
        };
        let forward = up.forward_to(&down).unwrap();
        let mut even = down
            .subscribe()
            .accept_format(&TEXT)
            .filter(|message| number(message).is_some_and(|number| number % 2 == 0))
            .receiver()
            .unwrap();
        let mut both = down
            .subscribe()
            .accept_format(&TEXT)
            .accept_format(&CSV)
            .change_notices()
            .receiver()
            .unwrap();
        for message in [NUMBER.message(1), CSV_NUMBER.message(2), NUMBER.message(4)] {
            up.publish(message).unwrap();
        }
        up.publish(6_u64).unwrap();
        assert_eq!(number(&even.recv().unwrap()), Some(4));
        assert!(even.try_recv().is_err());
        assert!(both.recv().unwrap().as_change().is_some());
        for expected in [1, 2, 4] {
            assert_eq!(number(&both.recv().unwrap()), Some(expected));
        }
        assert!(both.try_recv().is_err());
        drop(forward);
    }
}

#[test]
fn typed_handlers_and_formats() {
    let bus = Bus::new().unwrap();
    let topic = bus.topic("topic").unwrap();
    let inline = || topic.subscribe().delivery(stasis_bus::Delivery::Inline);
    let (by_format, by_type) = (Log::new(), Log::new());
    let (first, second) = (by_format.clone(), by_type.clone());
    let texts = inline()
        .accept_format(&TEXT)
        .run(move |n: &u64| first.push(*n));
    let one = inline()
        .accept_format(&TEXT)
        .run_type(&PLAIN, move |n| second.push(*n));
    for message in [NUMBER.message(1), PLAIN.message(2), Message::new(3_u64)] {
        topic.publish(message).unwrap();
    }
    assert_eq!(by_format.get(), [1]);
    assert_eq!(by_type.get(), [2]);
    drop((texts, one));
}
