//! D5, D6: routes that come and go lose nothing. What was offered is handled by the route that it was offered for, also
//! if the route is added or removed at the same time; and a handler that was removed is gone once the change is handled.
//!
//! Mutants: a type that is accepted before its handler is on its way, a removal that does not wait for those who are
//! offering, a removal that is not told to the table.
#![cfg(loom)]

use loom_tests::{Got, Journal, Note, phased, race};
use stasis_bus::{Bus, Dispatcher, MessageType, Receiver, Router, Topic};

static NOTE: MessageType<Note> = MessageType::new("note");

fn handler(journal: &Journal<Vec<Got>>) -> impl FnMut(&Note) + Send + 'static {
    let journal = journal.clone();
    move |note| journal.write(|all| all.push(Got::Note(note.tag())))
}

fn publish(topic: &Topic) -> Box<dyn FnOnce() -> u64> {
    let topic = topic.clone();
    Box::new(move || {
        let receipt = topic.publish(NOTE.message(Note::new(0, 0)));
        receipt.unwrap().offered()
    })
}

fn dispatch_all(receiver: &mut Receiver, dispatcher: &mut Dispatcher) {
    for message in receiver.try_iter() {
        dispatcher.dispatch(&message);
    }
}

#[test]
fn a_route_is_added_while_its_type_is_published() {
    phased("router_routes, added", 6, || {
        let bus = Bus::new().unwrap();
        let topic = bus.topic("topic").unwrap();
        let (mut receiver, mut dispatcher) = Router::builder().receiver(topic.subscribe()).unwrap();
        let journal = Journal::new();
        let (routes, added) = (dispatcher.routes().clone(), handler(&journal));
        let [_, offered] = race(
            &topic,
            [
                Box::new(move || {
                    routes.add(&NOTE, added).unwrap();
                    0
                }),
                publish(&topic),
            ],
        );
        dispatch_all(&mut receiver, &mut dispatcher);
        assert_eq!(journal.all().len() as u64, offered);
        assert_eq!(publish(&topic)(), 1);
        dispatch_all(&mut receiver, &mut dispatcher);
        assert_eq!(journal.all().len() as u64, offered + 1);
    });
}

#[test]
fn a_route_is_removed_while_its_type_is_published() {
    phased("router_routes, removed", 40, || {
        let bus = Bus::new().unwrap();
        let topic = bus.topic("topic").unwrap();
        let journal = Journal::new();
        let builder = Router::builder().on(&NOTE, handler(&journal));
        let (mut receiver, mut dispatcher) = builder.receiver(topic.subscribe()).unwrap();
        let routes = dispatcher.routes().clone();
        let [_, offered] = race(
            &topic,
            [
                Box::new(move || {
                    drop(routes.remove(&NOTE).unwrap());
                    0
                }),
                publish(&topic),
            ],
        );
        assert_eq!(publish(&topic)(), 0);
        dispatch_all(&mut receiver, &mut dispatcher);
        assert_eq!(journal.all().len() as u64, offered);
        let removed = dispatcher.routes().add(&NOTE, |_| {});
        assert!(removed.is_ok(), "its place is free");
    });
}

#[test]
fn a_removed_handler_is_gone_when_its_removal_is_handled() {
    phased("router_routes, gone", 54, || {
        let bus = Bus::new().unwrap();
        let topic = bus.topic("topic").unwrap();
        let journal = Journal::new();
        let (mut receiver, mut dispatcher) = Router::builder().receiver(topic.subscribe()).unwrap();
        let (routes, added) = (dispatcher.routes().clone(), handler(&journal));
        let [removed, _] = race(
            &topic,
            [
                Box::new(move || {
                    routes.add(&NOTE, added).unwrap();
                    Some(routes.remove(&NOTE).unwrap())
                }),
                Box::new({
                    let publish = publish(&topic);
                    move || {
                        publish();
                        None
                    }
                }),
            ],
        );
        let removed = removed.unwrap();
        assert!(!removed.is_done());
        dispatch_all(&mut receiver, &mut dispatcher);
        assert!(removed.is_done());
    });
}
