//! What a router costs over a plain handler, and sixteen routes over one: for who is handed a message alone, and
//! with all that comes before, from publish on. And what it costs to add a route and to remove it. Ratios are of
//! one run, in turns. It is *not* about what handlers do: they count.

mod support;

#[path = "support/contest.rs"]
mod contest;

use contest::Contest;
use stasis_bus::{
    Bus, Delivery, Dispatcher, Message, MessageType, Receiver, Router, RouterBuilder, Topic,
};
use std::hint::black_box;
use std::time::{Duration, Instant};
use support::{Flags, Payload};

/// So many routes are the usual case; and so many types are published, in turns.
const ROUTES: usize = 16;

/// As large as it gets here.
const MANY: usize = 1_000;

type Types = Vec<&'static MessageType<Payload>>;

fn types(count: usize) -> Types {
    let names = (0..count).map(|n| format!("type {n}"));
    names.map(MessageType::leak).collect()
}

/// What every handler does.
fn count(payload: &Payload) {
    black_box(payload.number);
}

fn count_message(message: &Message) {
    message.get::<Payload>().into_iter().for_each(count);
}

fn router(types: &Types) -> RouterBuilder {
    let builder = Router::builder();
    types
        .iter()
        .fold(builder, |builder, it| builder.on(it, count))
}

/// A message of each type.
fn messages(types: &Types) -> Vec<Message> {
    let numbered = types.iter().zip(0..);
    numbered
        .map(|(it, n)| it.message(Payload::new(n)))
        .collect()
}

/// Hands the same messages over, again and again.
fn dispatch(messages: &[Message], iterations: u64, mut to: impl FnMut(&Message)) -> Duration {
    let start = Instant::now();
    for message in messages.iter().cycle().take(iterations as usize) {
        to(black_box(message));
    }
    start.elapsed()
}

fn dispatcher(bus: &Bus, types: &Types) -> (Receiver, Dispatcher) {
    let topic = bus.topic("dispatched").expect("a topic");
    router(types).receiver(topic.subscribe()).expect("a router")
}

/// Who is handed the message already.
fn dispatch_alone(flags: Flags, types: &Types) {
    let bus = support::bus(1);
    let (_one, mut one) = dispatcher(&bus, &types[..1].to_vec());
    let (_some, mut some) = dispatcher(&bus, &types[..ROUTES].to_vec());
    let (_many, mut many) = dispatcher(&bus, types);
    let single = messages(&types[..1].to_vec());
    let sixteen = messages(&types[..ROUTES].to_vec());
    let mut plain: Box<dyn FnMut(&Message)> = Box::new(count_message);
    let (_another, mut another) = dispatcher(&bus, &types[..ROUTES].to_vec());
    let mut contest = Contest::new("dispatch", flags, 1_000_000);
    contest.enter("plain handler, no scope", |n| {
        dispatch(&single, n, |it| plain(it))
    });
    contest.enter("1 route, 1 type", |n| {
        dispatch(&single, n, |it| one.dispatch(it))
    });
    contest.enter("16 routes, 1 type", |n| {
        dispatch(&single, n, |it| another.dispatch(it))
    });
    contest.enter("16 routes, 16 types", |n| {
        dispatch(&sixteen, n, |it| some.dispatch(it))
    });
    contest.enter("1,000 routes, 16 types", |n| {
        dispatch(&sixteen, n, |it| many.dispatch(it))
    });
    contest.run();
    contest.ratio("16 routes, 1 type", "1 route, 1 type", Some(1.2));
    contest.ratio("16 routes, 16 types", "1 route, 1 type", Some(1.2));
    contest.ratio("1,000 routes, 16 types", "1 route, 1 type", None);
}

/// Publishes one message of each type in turns; who handles them does so before publish returns.
fn publish(topic: &Topic, types: &[&'static MessageType<Payload>], iterations: u64) -> Duration {
    let start = Instant::now();
    for (number, it) in (0..iterations).zip(types.iter().cycle()) {
        let receipt = topic.publish(it.message(Payload::new(number)));
        assert_eq!(receipt.expect("an open topic").offered(), 1);
    }
    start.elapsed()
}

/// All of it, on one thread.
fn publish_and_handle(flags: Flags, types: &Types) {
    let bus = support::bus(1);
    let topic = |name: &str| bus.topic(name).expect("a topic");
    let inline = |topic: &Topic| topic.subscribe().delivery(Delivery::Inline);
    let (plain, one, some, many) = (topic("plain"), topic("one"), topic("some"), topic("many"));
    let handler = inline(&plain).run(count_message).expect("a subscription");
    let subscribe =
        |topic: &Topic, types: &Types| router(types).subscribe(inline(topic)).expect("a router");
    let routers = [
        subscribe(&one, &types[..1].to_vec()),
        subscribe(&some, &types[..ROUTES].to_vec()),
        subscribe(&many, types),
    ];
    let sixteen = &types[..ROUTES];
    let mut contest = Contest::new("publish and handle, inline", flags, 100_000);
    contest.enter("plain handler", |n| publish(&plain, sixteen, n));
    contest.enter("router, 1 route", |n| publish(&one, &types[..1], n));
    contest.enter("router, 16 routes", |n| publish(&some, sixteen, n));
    contest.enter("router, 1,000 routes", |n| publish(&many, sixteen, n));
    contest.run();
    contest.ratio("router, 16 routes", "router, 1 route", Some(1.2));
    contest.ratio("router, 16 routes", "plain handler", None);
    contest.ratio("router, 1,000 routes", "router, 1 route", None);
    drop((handler, routers));
}

/// A route that comes and goes, as one of so many.
fn add_and_remove(flags: Flags, types: &Types) {
    let bus = support::bus(1);
    let [few, many] = [ROUTES, MANY].map(|count| {
        let topic = bus.topic(&format!("{count}")).expect("a topic");
        let builder = topic.subscribe().delivery(Delivery::Inline);
        router(&types[..count].to_vec())
            .subscribe(builder)
            .expect("a router")
    });
    let another: &'static MessageType<Payload> = MessageType::leak("another");
    let pair = |router: &Router, n: u64| {
        let start = Instant::now();
        for _ in 0..n {
            router.add(another, count).expect("no duplicate");
            router.remove(another).expect("a route");
        }
        start.elapsed()
    };
    let mut contest = Contest::new("add a route and remove it", flags, 200);
    contest.enter("16 routes", |n| pair(&few, n));
    contest.enter("1,000 routes", |n| pair(&many, n));
    contest.run();
}

fn main() {
    let flags = Flags::read();
    let types = types(MANY);
    dispatch_alone(flags, &types);
    publish_and_handle(flags, &types);
    add_and_remove(flags, &types);
}
