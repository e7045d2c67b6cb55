//! The event stream: what happens to the calls, as the text of the manager interface (AMI), for any number of
//! clients on a loopback TCP port. Each client has a subscription of its own, so one that is slow loses events
//! of its own and harms nobody. What a client may say stands in `request`.
//!
//! There is no authentication, so only who is on the same machine gets in.

mod filter;
mod lines;
mod out;
mod pump;
mod request;
mod session;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use stasis_bus::channels::AMI;
use stasis_bus::{Overflow, Receiver, Topic};

use crate::failure::Failure;
use crate::feed::News;
use filter::Filters;
use out::Out;

/// More clients than this at a time are turned away.
const MAX_CLIENTS: usize = 64;
/// How late a thread may notice that it is to end, or that somebody wants to come in.
const TICK: Duration = Duration::from_millis(20);
/// What clients are still sent for so long after the last event; who has not read by then is cut off.
pub(crate) const FAREWELL: Duration = Duration::from_secs(5);

/// Listens, and has a thread for each client.
#[derive(Debug)]
pub(crate) struct EventStream {
    addr: SocketAddr,
    house: Arc<House>,
    door: JoinHandle<()>,
}

/// What all clients have in common.
#[derive(Debug)]
struct House {
    topic: Topic,
    sender: Sender<News>,
    /// Held while somebody subscribes: whoever closes knows of all who have.
    is_closing: Mutex<bool>,
    /// When the last byte is sent. Set when it closes.
    deadline: OnceLock<Instant>,
    clients: AtomicUsize,
}

impl EventStream {
    /// Begins to listen.
    pub(crate) fn open(
        addr: SocketAddr,
        topic: &Topic,
        sender: Sender<News>,
    ) -> Result<EventStream, Failure> {
        let cannot = |error| Failure(format!("cannot listen on {addr} for events: {error}"));
        let listener = TcpListener::bind(addr).map_err(cannot)?;
        listener.set_nonblocking(true).map_err(cannot)?;
        let addr = listener.local_addr().map_err(cannot)?;
        let house = Arc::new(House {
            topic: topic.clone(),
            sender,
            is_closing: Mutex::new(false),
            deadline: OnceLock::new(),
            clients: AtomicUsize::new(0),
        });
        let at_door = Arc::clone(&house);
        let door = thread::Builder::new()
            .name("events".into())
            .spawn(move || at_door.let_in(&listener))
            .map_err(cannot)?;
        Ok(EventStream { addr, house, door })
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Nobody subscribes any more. What was published until now is sent, but not for longer than
    /// `FAREWELL`.
    pub(crate) fn close(&self) {
        *lock(&self.house.is_closing) = true;
        self.house
            .deadline
            .get_or_init(|| Instant::now() + FAREWELL);
    }

    /// Waits until all clients were sent away. They are when the bus has shut down, or at the deadline.
    pub(crate) fn join(self) -> Result<(), Failure> {
        self.close();
        let ended = self.door.join();
        ended.map_err(|_| Failure("a thread of the event stream panicked".into()))
    }
}

impl House {
    fn let_in(self: &Arc<House>, listener: &TcpListener) {
        let mut sessions = Vec::new();
        while self.deadline.get().is_none() {
            match listener.accept() {
                Ok((stream, peer)) => sessions.extend(self.welcome(stream, peer)),
                // Nobody is there, or whoever was has gone, or there are too many files open.
                Err(_) => thread::sleep(TICK),
            }
            sessions.retain(|session: &JoinHandle<()>| !session.is_finished());
        }
        for session in sessions {
            if session.join().is_err() {
                let what = "a client's thread panicked".to_owned();
                let _ = self.sender.send(News::Failed(what));
            }
        }
    }

    /// Gives whoever comes a thread.
    fn welcome(self: &Arc<House>, stream: TcpStream, peer: SocketAddr) -> Option<JoinHandle<()>> {
        let out = Arc::new(Out::new(stream, Arc::clone(self)).ok()?);
        let Some(place) = Place::take(self) else {
            // It goes into the socket's buffer, which is empty.
            out.error("there are too many clients", None);
            return None;
        };
        let house = Arc::clone(self);
        let name = format!("events {peer}");
        let spawned = thread::Builder::new().name(name.clone()).spawn(move || {
            let _place = place;
            session::run(&house, &out, &name);
        });
        spawned.ok()
    }

    /// Subscribes a client to the events that it wants, so many of which may wait for it.
    fn subscribe(&self, name: &str, queue: usize, filters: Filters) -> Result<Receiver, String> {
        let is_closing = lock(&self.is_closing);
        if *is_closing {
            return Err("the switchboard is going down".into());
        }
        let mut builder = self
            .topic
            .subscribe()
            .name(name)
            .accept_format(&AMI)
            .overflow(Overflow::DropOldest)
            .capacity(queue);
        if !filters.is_empty() {
            builder = builder.filter(move |message| filters.pass(message));
        }
        let receiver = builder.receiver().map_err(|error| error.to_string())?;
        let _ = self.sender.send(News::Joined);
        Ok(receiver)
    }

    fn is_closing(&self) -> bool {
        self.deadline.get().is_some()
    }

    fn is_overdue(&self) -> bool {
        let deadline = self.deadline.get();
        deadline.is_some_and(|deadline| *deadline <= Instant::now())
    }
}

/// One of the places that there are for clients. It is free again when this is dropped, whatever became of the
/// client.
struct Place(Arc<House>);

impl Place {
    /// Only who lets in takes one.
    fn take(house: &Arc<House>) -> Option<Place> {
        // Relaxed: it counts, and orders nothing.
        if house.clients.load(Ordering::Relaxed) >= MAX_CLIENTS {
            return None;
        }
        house.clients.fetch_add(1, Ordering::Relaxed);
        Some(Place(Arc::clone(house)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Relaxed: as above.
        self.0.clients.fetch_sub(1, Ordering::Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
