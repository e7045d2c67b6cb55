//! One client, from its coming to its going: what it says is read here; the events go their own way (`pump`).

use std::io::Read;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use stasis_bus::channels::AmiEvent;

use super::filter::Filters;
use super::lines::{Input, Lines, MAX_LINE};
use super::out::Out;
use super::request::{QUEUE, Request};
use super::{House, pump};

/// Who has not logged in by then makes way for others.
const LOGIN_DEADLINE: Duration = Duration::from_secs(10);
/// Who sends more wrong lines than this does not want to talk.
const MAX_FAULTS: u32 = 64;
/// So long after the last event is read what a client has sent: a socket that is closed over unread bytes takes
/// back what was written to it.
const LINGER: Duration = Duration::from_millis(200);

/// A client.
struct Session<'a> {
    house: &'a Arc<House>,
    out: &'a Arc<Out>,
    /// Its thread's name, and its subscription's.
    name: &'a str,
    queue: usize,
    filters: Filters,
    /// A line before the login was wrong, so what the client wants to get is not known.
    is_in_doubt: bool,
    /// Once it has logged in.
    pump: Option<JoinHandle<()>>,
    /// Lines that it has sent.
    lines: u64,
    faults: u32,
}

/// Whether a client stays.
#[derive(PartialEq, Eq)]
enum Stay {
    On,
    Over,
}

/// Serves a client until it goes, or until all go.
pub(super) fn run(house: &Arc<House>, out: &Arc<Out>, name: &str) {
    let mut session = Session {
        house,
        out,
        name,
        queue: QUEUE,
        filters: Filters::default(),
        is_in_doubt: false,
        pump: None,
        lines: 0,
        faults: 0,
    };
    session.serve();
    // The pump ends because the client has gone, or because the bus has shut down.
    if let Some(pump) = session.pump.take() {
        let _ = pump.join();
    }
    let until = Instant::now() + LINGER;
    while out.is_finished() && Instant::now() < until {
        if let Ok(0) = out.stream().read(&mut [0; 1024]) {
            break;
        }
    }
}

impl Session<'_> {
    fn serve(&mut self) {
        self.out
            .write(&AmiEvent::new("Welcome").field("Queue", self.queue).finish());
        let mut lines = Lines::default();
        let deadline = Instant::now() + LOGIN_DEADLINE;
        while !self.out.is_closed() && !self.out.is_finished() {
            if self.house.is_closing() {
                if self.pump.is_none() {
                    return self.out.finish(AmiEvent::new("Shutdown"));
                }
                if self.house.is_overdue() {
                    return self.out.close();
                }
            }
            if self.pump.is_none() && Instant::now() >= deadline {
                self.out.error("it took too long to log in", None);
                return self.out.close();
            }
            let stay = match lines.next(self.out.stream()) {
                Input::Nothing => Stay::On,
                Input::Line(line) => {
                    self.lines += 1;
                    self.obey(&line)
                }
                Input::TooLong => {
                    self.lines += 1;
                    self.fault(&format!("the line is longer than {MAX_LINE} bytes"))
                }
                Input::Endless => {
                    self.out.error("the line does not end", Some(self.lines));
                    Stay::Over
                }
                Input::End => Stay::Over,
            };
            if stay == Stay::Over {
                return self.out.close();
            }
        }
    }

    fn obey(&mut self, line: &[u8]) -> Stay {
        let done = match Request::parse(line) {
            Ok(Request::Nothing) => return Stay::On,
            Ok(Request::Ping) => self.answer("Pong"),
            Ok(Request::Logoff) => {
                self.out.finish(AmiEvent::new("Goodbye"));
                return Stay::Over;
            }
            Ok(_) if self.pump.is_some() => Err("that is said before Action: Login".into()),
            Ok(Request::Login) => match self.begin() {
                Ok(()) => return Stay::On,
                Err(reason) => return self.complain(&reason),
            },
            Ok(Request::Queue(queue)) => {
                self.queue = queue;
                Ok(())
            }
            Ok(Request::Filter(filter)) => self.filters.add(filter),
            Err(reason) => Err(reason),
        };
        match done {
            Ok(()) => Stay::On,
            Err(reason) => self.fault(&reason),
        }
    }

    fn answer(&self, event: &str) -> Result<(), String> {
        self.out.write(&AmiEvent::new(event).finish());
        Ok(())
    }

    /// The events begin, unless a line before was wrong: whoever made a mistake in a filter would get
    /// everything else. What was asked for is forgotten then, and can be said again.
    fn begin(&mut self) -> Result<(), String> {
        if !self.is_in_doubt {
            let done = self.log_in();
            self.is_in_doubt = done.is_err();
            return done;
        }
        self.is_in_doubt = false;
        self.queue = QUEUE;
        self.filters = Filters::default();
        Err("a line before was wrong: say the filters and the queue again".into())
    }

    /// There is a thread for them before there is a subscription, which must not be lost.
    fn log_in(&mut self) -> Result<(), String> {
        let (hand_over, receivers) = mpsc::channel();
        let (out, sender) = (Arc::clone(self.out), self.house.sender.clone());
        let pump = thread::Builder::new()
            .name(self.name.to_owned())
            .spawn(move || {
                if let Ok(receiver) = receivers.recv() {
                    pump::run(receiver, &out, &sender);
                }
            })
            .map_err(|error| error.to_string())?;
        let filters = std::mem::take(&mut self.filters);
        let receiver = self.house.subscribe(self.name, self.queue, filters)?;
        let event = AmiEvent::new("LoggedIn").field("Queue", self.queue);
        self.out.write(&event.finish());
        let _ = hand_over.send(receiver);
        self.pump = Some(pump);
        Ok(())
    }

    /// A line was wrong; it may have been a filter.
    fn fault(&mut self, reason: &str) -> Stay {
        self.is_in_doubt = true;
        self.complain(reason)
    }

    fn complain(&mut self, reason: &str) -> Stay {
        self.faults += 1;
        self.out.error(reason, Some(self.lines));
        if self.faults < MAX_FAULTS {
            return Stay::On;
        }
        self.out.error("too many lines are wrong", None);
        Stay::Over
    }
}
