//! The two clients that a replay has of its own, over a socket like any other: one that reads all, and one that
//! reads nothing before all is over. What they say they got is compared with what they must have got.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde::Serialize;
use socket2::{Domain, Socket, Type};

use crate::failure::Failure;

/// As many events as there may be in a queue: who reads loses none of a capture.
const READER_QUEUE: usize = 1 << 16;
/// Who sleeps is to lose some.
const SLEEPER_QUEUE: usize = 256;
/// As much as the kernel may keep for who sleeps.
const SLEEPER_BUFFER: usize = 16 * 1024;
/// Nobody is silent for so long.
const PATIENCE: Duration = Duration::from_secs(30);

/// The two.
#[derive(Debug)]
pub(crate) struct Audience {
    clients: [JoinHandle<Result<Heard, String>>; 2],
    alarm: Sender<()>,
}

/// What a client read.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Heard {
    /// Events about calls.
    pub(crate) events: u64,
    /// Events that it was told it has lost.
    pub(crate) lost: u64,
    /// Changes of a call that do not come after those before, or come not right after them where nothing
    /// was lost.
    pub(crate) disorder: u64,
    /// How often it was told that it is over.
    pub(crate) ends: u64,
}

impl Audience {
    /// Both have logged in when this returns.
    pub(crate) fn new(addr: SocketAddr) -> Result<Audience, Failure> {
        let reader = Client::log_in(addr, READER_QUEUE, None).map_err(cannot)?;
        let sleeper = Client::log_in(addr, SLEEPER_QUEUE, Some(SLEEPER_BUFFER)).map_err(cannot)?;
        let (alarm, sleep) = mpsc::channel();
        let spawn = |name: &str, run: Box<dyn FnOnce() -> Result<Heard, String> + Send>| {
            let thread = thread::Builder::new().name(name.into());
            thread.spawn(run).map_err(cannot)
        };
        let clients = [
            spawn("reader", Box::new(move || reader.hear()))?,
            spawn(
                "sleeper",
                Box::new(move || {
                    // Whether it is woken or forgotten, it reads now.
                    let _ = sleep.recv();
                    sleeper.hear()
                }),
            )?,
        ];
        Ok(Audience { clients, alarm })
    }

    /// All that happens has happened: who sleeps may read what was kept for it.
    pub(crate) fn wake(&self) {
        let _ = self.alarm.send(());
    }

    /// What both have heard.
    pub(crate) fn finish(self) -> Result<[Heard; 2], Failure> {
        self.wake();
        let [reader, sleeper] = self.clients.map(|client| match client.join() {
            Ok(heard) => heard.map_err(cannot),
            Err(_) => Err(cannot("it panicked")),
        });
        Ok([reader?, sleeper?])
    }
}

fn cannot(error: impl std::fmt::Display) -> Failure {
    Failure(format!("a client of the event stream: {error}"))
}

/// One of them.
#[derive(Debug)]
struct Client {
    events: BufReader<TcpStream>,
}

/// An event, read: what is of interest in it.
#[derive(Debug, Default)]
struct Event {
    name: String,
    leg: Option<u64>,
    change: Option<u64>,
    lost: u64,
}

impl Client {
    fn log_in(addr: SocketAddr, queue: usize, buffer: Option<usize>) -> std::io::Result<Client> {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
        if let Some(buffer) = buffer {
            socket.set_recv_buffer_size(buffer)?;
        }
        socket.connect(&addr.into())?;
        let mut stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(format!("Queue: {queue}\r\nAction: Login\r\n").as_bytes())?;
        let mut client = Client {
            events: BufReader::with_capacity(1024, stream),
        };
        while let Some(event) = client.next()? {
            if event.name == "LoggedIn" {
                return Ok(client);
            }
        }
        Err(std::io::ErrorKind::UnexpectedEof.into())
    }

    fn next(&mut self) -> std::io::Result<Option<Event>> {
        let mut event = Event::default();
        let mut line = String::new();
        loop {
            line.clear();
            if self.events.read_line(&mut line)? == 0 {
                return Ok(None);
            }
            let line = line.trim_end();
            if line.is_empty() {
                return Ok(Some(event));
            }
            let Some((key, value)) = line.split_once(": ") else {
                continue;
            };
            match key {
                "Event" => value.clone_into(&mut event.name),
                "Leg" => event.leg = value.parse().ok(),
                "Change" => event.change = value.parse().ok(),
                "Lost" => event.lost = value.parse().unwrap_or(0),
                _ => {}
            }
        }
    }

    /// Reads to the end.
    fn hear(mut self) -> Result<Heard, String> {
        let mut heard = Heard::default();
        // By the number of the leg; in the order of their coming, from 1.
        let mut changes: Vec<u64> = Vec::new();
        while let Some(event) = self.next().map_err(|error| error.to_string())? {
            match &*event.name {
                "Gap" => heard.lost += event.lost,
                "Shutdown" => heard.ends += 1,
                _ => heard.events += 1,
            }
            let (Some(leg), Some(change)) = (event.leg, event.change) else {
                continue;
            };
            let leg = usize::try_from(leg).map_err(|error| error.to_string())?;
            if changes.len() <= leg {
                changes.resize(leg + 1, 0);
            }
            let follows = match heard.lost {
                0 => change == changes[leg] + 1,
                _ => change > changes[leg],
            };
            heard.disorder += u64::from(!follows);
            changes[leg] = change;
        }
        Ok(heard)
    }
}
