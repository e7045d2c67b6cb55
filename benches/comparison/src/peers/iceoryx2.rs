//! iceoryx2: its in-process service (`local::Service`), lossless: no overflow, and publishers that retry. Messages are
//! written into memory that it set aside beforehand. Ports stay on the thread that made them, so each thread has a
//! node of its own; subscribers poll, which is its fastest way to receive, and yield when there is nothing.
//!
//! Not part of the default build, as it does not run reliably here: with 0.10.0, in one process, a subscriber now and
//! then never sees a publisher that was made before its first look, and the publisher then retries without end; with
//! `local_threadsafe::Service` and all ports made on one thread it is the same. Such a run fails by its count, or by the
//! watchdog. `--features iceoryx` builds it; plain Rust is enough on Linux.

use super::threads::{self, Started, Threads};
use crate::item::{Item, Items, Words};
use crate::ledger::Consumer;
use crate::peer::{Arena, Fault, How, Kind, Messages, Peer, Publisher, Wiring};
use iceoryx2::port::publisher::Publisher as Port;
use iceoryx2::prelude::*;
use iceoryx2::service::port_factory::publish_subscribe::PortFactory;
use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

pub(crate) const PEERS: &[&dyn Peer] = &[&Iceoryx2];

struct Iceoryx2;

/// Looks in vain before the thread yields.
const SPINS: u32 = 100;

/// Services have names, which are the process's; each arena has one of its own.
static ARENAS: AtomicU64 = AtomicU64::new(0);

impl Peer for Iceoryx2 {
    fn name(&self) -> &'static str {
        "iceoryx2"
    }

    fn how(&self) -> How {
        How {
            kind: Kind::Shared,
            runs_on: "a thread each that polls and yields",
            sleeps: false,
            messages: Messages::InPlace,
            ..How::BOUNDED
        }
    }

    fn declines(&self, wiring: &Wiring) -> Option<&'static str> {
        if wiring.channels() > 1 {
            return Some("a service, with memory set aside, for each topic");
        }
        threads::too_many_spin(wiring)
    }

    fn build(&self, wiring: &Wiring, consumers: Vec<Consumer>) -> Result<Box<dyn Arena>, Fault> {
        set_log_level(LogLevel::Fatal);
        let service = Service {
            // Relaxed: a number that nobody else has is all that is wanted.
            arena: ARENAS.fetch_add(1, Ordering::Relaxed),
            room: wiring.room(),
            publishers: wiring.publishers,
            subscribers: consumers.len(),
        };
        let state = Arc::new(State::default());
        let mut threads = Threads::default();
        let (tell, told) = mpsc::channel();
        for consumer in consumers {
            let (state, tell) = (Arc::clone(&state), tell.clone());
            threads.spawn(move || service.subscribe(consumer, &state, &tell));
        }
        drop(tell);
        let threads = threads.start();
        for _ in 0..service.subscribers {
            told.recv()??;
        }
        Ok(Box::new(Running {
            service,
            threads,
            state,
        }))
    }
}

type Opened = (Node<local::Service>, PortFactory<local::Service, Words, ()>);

/// What everybody needs to open the same service.
#[derive(Clone, Copy, Debug)]
struct Service {
    arena: u64,
    room: usize,
    publishers: usize,
    subscribers: usize,
}

impl Service {
    fn open(&self) -> Result<Opened, Fault> {
        let node = NodeBuilder::new()
            .signal_handling_mode(SignalHandlingMode::Disabled)
            .create::<local::Service>()?;
        let name = format!("comparison/{}", self.arena);
        let service = node
            .service_builder(&name.as_str().try_into()?)
            .publish_subscribe::<Words>()
            .enable_safe_overflow(false)
            .subscriber_max_buffer_size(self.room)
            .history_size(0)
            .max_publishers(self.publishers)
            .max_subscribers(self.subscribers)
            .max_nodes(self.publishers + self.subscribers)
            .open_or_create()?;
        Ok((node, service))
    }

    /// One subscriber's thread. Says when it has subscribed.
    fn subscribe(
        self,
        mut consumer: Consumer,
        state: &State,
        tell: &mpsc::Sender<Result<(), String>>,
    ) {
        let opened = self.open().and_then(|(node, service)| {
            let subscriber = service.subscriber_builder().create()?;
            Ok((node, service, subscriber))
        });
        let told = opened.as_ref().map(|_| ()).map_err(ToString::to_string);
        tell.send(told).expect("somebody waits for it");
        let Ok((_node, _service, subscriber)) = opened else {
            return;
        };
        // Acquire: the ports are behind us. A subscriber that polls while a publisher is being made may miss it.
        while state.opened.load(Ordering::Acquire) < self.publishers {
            std::thread::yield_now();
        }
        let mut in_vain = 0;
        // Relaxed: it is set when there is nothing to come.
        while !state.ends.load(Ordering::Relaxed) {
            match subscriber.receive().expect("a connection") {
                Some(sample) => {
                    consumer.receive(&Item::from(*sample));
                    in_vain = 0;
                }
                None if in_vain < SPINS => {
                    std::hint::spin_loop();
                    in_vain += 1;
                }
                None => std::thread::yield_now(),
            }
        }
    }
}

/// What the threads of an arena tell each other.
#[derive(Debug, Default)]
struct State {
    /// How many publishers have made their ports.
    opened: AtomicUsize,
    /// Whether subscribers are to end.
    ends: AtomicBool,
}

struct Running {
    service: Service,
    threads: Started,
    state: Arc<State>,
}

impl Arena for Running {
    fn publishers(&mut self) -> Vec<Box<dyn Publisher>> {
        let publisher = |_| -> Box<dyn Publisher> {
            Box::new(Publishes {
                service: self.service,
                state: Arc::clone(&self.state),
            })
        };
        (0..self.service.publishers).map(publisher).collect()
    }

    fn close(self: Box<Self>) -> Result<(), Fault> {
        self.state.ends.store(true, Ordering::Relaxed); // Relaxed: see `subscribe`
        self.threads.join()
    }
}

/// A publisher's port, on the thread that publishes.
struct Open {
    arena: u64,
    port: Port<local::Service, Words, ()>,
    _opened: Opened,
}

thread_local! {
    static PORT: RefCell<Option<Open>> = const { RefCell::new(None) };
}

/// A publisher that may go to another thread until it publishes.
struct Publishes {
    service: Service,
    state: Arc<State>,
}

impl Publishes {
    fn open(&self) -> Result<Open, Fault> {
        let opened = self.service.open()?;
        let port = opened
            .1
            .publisher_builder()
            .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
            .create()?;
        self.state.opened.fetch_add(1, Ordering::Release); // Release: see `subscribe`
        Ok(Open {
            arena: self.service.arena,
            port,
            _opened: opened,
        })
    }

    fn with_port(&self, publish: impl FnOnce(&Port<local::Service, Words, ()>)) {
        PORT.with_borrow_mut(|open| {
            if open
                .as_ref()
                .is_none_or(|open| open.arena != self.service.arena)
            {
                *open = Some(self.open().expect("a port"));
            }
            publish(&open.as_ref().expect("it was opened").port);
        });
    }
}

fn send(port: &Port<local::Service, Words, ()>, item: Item) {
    let sample = port.loan_uninit().expect("memory set aside");
    sample.write_payload(item.into()).send().expect("sent");
}

impl Publisher for Publishes {
    fn publish(&mut self, item: Item) {
        self.with_port(|port| send(port, item));
    }

    fn publish_all(&mut self, items: Items) {
        self.with_port(|port| items.for_each(|item| send(port, item)));
    }
}

impl Drop for Publishes {
    fn drop(&mut self) {
        // On another thread, or after its thread's storage is gone, there is nothing to close.
        let _ = PORT.try_with(|open| open.take());
    }
}
