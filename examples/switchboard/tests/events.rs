//! The event stream, over sockets: what clients get, what they may say, and what harm they can do, which is none
//! to anybody but themselves.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use socket2::{Domain, Socket, Type};

use super::{Sip, board, caller};
use crate::board::Board;
use crate::channel::tests::leg;
use crate::events::FAREWELL;
use crate::feed::Feed;
use crate::snapshot::{Cause, LegState, Moment};
use crate::switchboard::{Outlet, Switchboard};
use crate::totals::Totals;

/// Nobody is silent for so long.
const PATIENCE: Duration = Duration::from_secs(30);

/// A feed with an event stream.
struct Party {
    feed: Feed,
    addr: SocketAddr,
    file: PathBuf,
}

impl Party {
    fn new(name: &str) -> Party {
        let file = format!("switchboard-events-{name}-{}.jsonl", std::process::id());
        let file = std::env::temp_dir().join(file);
        let mut feed = Feed::new(&file, Board::new(ProgressBar::hidden())).expect("a feed");
        let any = (Ipv4Addr::LOCALHOST, 0).into();
        let addr = feed.open_events(any).expect("an event stream");
        Party { feed, addr, file }
    }

    /// Calls that arrive and end: three events each, as [`Party::events`] names them.
    fn calls(&mut self, numbers: impl Iterator<Item = u64>) {
        for number in numbers {
            self.feed.publish(leg(number, 1, LegState::Arrived));
            let ended = LegState::Ended(Cause::Cancelled);
            self.feed.publish(leg(number, 2, ended));
        }
    }

    /// The events of those calls: name and unique id.
    fn events(numbers: impl Iterator<Item = u64>) -> Vec<(String, String)> {
        let of_call = |number| {
            let event = move |name: &str| (name.to_owned(), format!("0.{number}"));
            ["Newchannel", "VarSet", "Hangup"].map(event)
        };
        numbers.flat_map(of_call).collect()
    }

    /// Ends it. Whatever its clients did, the bus's books balance.
    fn finish(self) -> Totals {
        let totals = self.feed.finish();
        let _ = std::fs::remove_file(self.file);
        assert_eq!(totals.first_failure, None);
        assert_eq!(totals.finals, totals.subscriptions);
        let (misreported, left) = (totals.misreported, totals.left_topics);
        assert_eq!((misreported, left, totals.disorder), (0, 0, 0));
        assert_eq!(totals.latency, totals.published);
        assert_eq!(totals.timelines, totals.published);
        totals
    }
}

/// An event, read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Event {
    lines: Vec<(String, String)>,
}

impl Event {
    fn get(&self, key: &str) -> &str {
        let mut lines = self.lines.iter();
        let line = lines.find(|(name, _)| name == key);
        line.map_or("", |(_, value)| value)
    }

    fn name(&self) -> &str {
        self.get("Event")
    }

    fn number(&self, key: &str) -> u64 {
        let value = self.get(key);
        value.parse().unwrap_or_else(|_| panic!("{key}: {self:?}"))
    }
}

/// A client.
struct Guest(BufReader<TcpStream>);

impl Guest {
    fn new(addr: SocketAddr) -> Guest {
        Guest::with_buffer(addr, None)
    }

    fn with_buffer(addr: SocketAddr, buffer: Option<usize>) -> Guest {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        if let Some(buffer) = buffer {
            socket.set_recv_buffer_size(buffer).expect("a buffer");
        }
        socket.connect(&addr.into()).expect("a connection");
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        Guest(BufReader::with_capacity(1024, stream))
    }

    /// One that has said those lines and has logged in.
    fn logged_in(addr: SocketAddr, lines: &[&str]) -> Guest {
        let mut guest = Guest::new(addr);
        guest.log_in(lines);
        guest
    }

    fn log_in(&mut self, lines: &[&str]) {
        lines.iter().for_each(|line| self.say(line));
        self.say("Action: Login");
        let answer = self.until("LoggedIn");
        assert_eq!(answer.len(), 2, "{answer:?}");
        assert_eq!(answer[0].name(), "Welcome");
    }

    fn say(&mut self, line: &str) {
        self.send(format!("{line}\r\n").as_bytes());
    }

    fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).expect("sent");
    }

    /// The next event; `None` at the end. Lines end by CR LF, and are keys and values.
    fn next(&mut self) -> Option<Event> {
        let mut event = Event::default();
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).ok()? == 0 {
                assert_eq!(event, Event::default(), "half an event");
                return None;
            }
            let line = line.strip_suffix("\r\n").expect("CR LF");
            if line.is_empty() {
                return Some(event);
            }
            let (key, value) = line.split_once(": ").expect("a key and a value");
            event.lines.push((key.to_owned(), value.to_owned()));
        }
    }

    /// All events up to the next one of that name.
    fn until(&mut self, name: &str) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next() {
            events.push(event);
            if events.last().is_some_and(|event| event.name() == name) {
                return events;
            }
        }
        panic!("no {name} in {events:?}");
    }

    /// All events to the end.
    fn rest(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.next()).collect()
    }
}

/// Names and unique ids.
fn told(events: &[Event]) -> Vec<(String, String)> {
    let told = events.iter();
    told.map(|event| (event.name().into(), event.get("Uniqueid").into()))
        .collect()
}

/// What was told, and how much was lost, if the last event is that of the shutdown.
fn split(mut events: Vec<Event>) -> (Vec<Event>, u64) {
    assert_eq!(events.pop().expect("an event").name(), "Shutdown");
    let gaps = events.iter().filter(|event| event.name() == "Gap");
    let lost = gaps.map(|gap| {
        assert!(gap.number("First") <= gap.number("Last"), "{gap:?}");
        gap.number("Lost")
    });
    let lost = lost.sum();
    events.retain(|event| event.name() != "Gap");
    (events, lost)
}

#[test]
fn who_sleeps_loses_its_own_events_and_is_told_how_many() {
    let mut party = Party::new("sleeper");
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let mut guest = Guest::logged_in(party.addr, &["Queue: 65536"]);
            thread::spawn(move || guest.rest())
        })
        .collect();
    let mut sleeper = Guest::with_buffer(party.addr, Some(8 * 1024));
    sleeper.log_in(&["Queue: 100"]);
    party.calls(1..=1000);
    let sleeper = thread::spawn(move || sleeper.rest());
    let totals = party.finish();

    let expected = Party::events(1..=1000);
    let mut texts = Vec::new();
    for reader in readers {
        let (events, lost) = split(reader.join().expect("a reader"));
        assert_eq!(lost, 0);
        assert_eq!(told(&events), expected, "all of it, in order");
        texts.push(events);
    }
    assert!(texts.windows(2).all(|two| two[0] == two[1]));
    let (events, lost) = split(sleeper.join().expect("the sleeper"));
    assert!(lost > 0);
    assert_eq!(events.len() as u64 + lost, 3000);
    let mut rest = expected.iter();
    let follows = |event: &(String, String)| rest.any(|other| other == event);
    assert!(told(&events).iter().all(follows), "in order");
    let found = totals.events;
    assert_eq!(
        (found.clients, found.offered, found.lost),
        (4, 12_000, lost)
    );
    assert_eq!(found.written, found.offered - lost);
}

#[test]
fn who_never_reads_does_not_keep_the_switchboard_from_ending() {
    let mut party = Party::new("deaf");
    let mut deaf = Guest::with_buffer(party.addr, Some(8 * 1024));
    deaf.log_in(&[]);
    let mut reader = Guest::logged_in(party.addr, &["Queue: 65536"]);
    let reader = thread::spawn(move || reader.rest());
    let begun = Instant::now();
    party.calls(1..=1000);
    let published = begun.elapsed();
    let totals = party.finish();
    let ended = begun.elapsed();
    assert!(published < PATIENCE, "{published:?}");
    assert!(ended - published < FAREWELL * 2, "{ended:?}");

    let (events, lost) = split(reader.join().expect("a reader"));
    assert_eq!((told(&events), lost), (Party::events(1..=1000), 0));
    let found = totals.events;
    assert_eq!((found.clients, found.offered), (2, 6_000));
    assert!(found.written < found.offered - found.lost, "{found:?}");
    drop(deaf);
}

#[test]
fn clients_get_what_they_ask_for() {
    let mut party = Party::new("filters");
    let filters: [&[&str]; 5] = [
        &["Filter: hangup"],
        &["Filter: Newchannel", "Filter: VarSet"],
        &["Filter: Channel=SIP/b-0000001*"],
        &[
            "Filter: Uniqueid=0.7",
            "Filter: Uniqueid=0.3",
            "Filter: VarSet",
        ],
        &["Filter: Channel=SIP/alice*"],
    ];
    let mut guests = filters.map(|lines| Guest::logged_in(party.addr, lines));
    party.calls(1..=20);
    let totals = party.finish();
    let all = Party::events(1..=20);
    let only = |wanted: &dyn Fn(&str, &str) -> bool| -> Vec<_> {
        let passing = all.iter().filter(|(name, id)| wanted(name, id));
        passing.cloned().collect()
    };
    let expected = [
        only(&|name, _| name == "Hangup"),
        only(&|name, _| name == "Newchannel" || name == "VarSet"),
        only(&|_, id| ["0.16", "0.17", "0.18", "0.19", "0.20"].contains(&id)),
        only(&|name, id| name == "VarSet" && ["0.7", "0.3"].contains(&id)),
        Vec::new(),
    ];
    for (guest, expected) in guests.iter_mut().zip(&expected) {
        let (events, lost) = split(guest.rest());
        assert_eq!((&told(&events), lost), (expected, 0));
    }
    let offered: usize = expected.iter().map(Vec::len).sum();
    assert_eq!(
        totals.events.offered, offered as u64,
        "the rest is not even offered"
    );
}

#[test]
fn actions_are_answered_and_have_their_time() {
    let mut party = Party::new("actions");
    let mut guest = Guest::new(party.addr);
    guest.say("Action: Ping");
    assert_eq!(guest.until("Pong").len(), 2, "a welcome comes first");
    for line in [
        "Queue: 7",
        "",
        "Action: Login",
        "Action: Login",
        "Queue: 8",
        "Filter: VarSet",
    ] {
        guest.say(line);
    }
    assert_eq!(guest.until("LoggedIn")[0].number("Queue"), 7);
    for line in [5, 6, 7] {
        let error = guest.next().expect("an error");
        assert_eq!((error.name(), error.number("Line")), ("Error", line));
        assert_eq!(error.get("Reason"), "that is said before Action: Login");
    }
    party.calls(1..=2);
    assert_eq!(told(&guest.until("Hangup")), Party::events(1..=1));
    guest.say("Action: Logoff");
    let rest = guest.rest();
    assert_eq!(rest.last().expect("an event").name(), "Goodbye");
    party.calls(3..=3);
    let totals = party.finish();
    assert_eq!((totals.events.clients, totals.events.lost), (1, 0));
}

#[test]
fn wrong_input_is_answered_and_harms_nobody() {
    let mut party = Party::new("wrong");
    let mut reader = Guest::logged_in(party.addr, &["Queue: 65536"]);

    let mut wrong = Guest::new(party.addr);
    let long = "x".repeat(600);
    for (line, reason) in [
        (&b"\xff\xfe\x00\x01"[..], "the line is not UTF-8"),
        (b"hello", "a line is a key, a colon and a value"),
        (
            b"Action: Originate",
            "the actions are Login, Ping and Logoff",
        ),
        (
            b"Event: Forged\rEvent: Too",
            "the keys are Action, Filter and Queue",
        ),
        (b"Queue: 0", "a queue has from 1 to 65536 places"),
        (b"Filter: Channel=*a", "an asterisk stands at the end only"),
        (long.as_bytes(), "the line is longer than 512 bytes"),
    ] {
        wrong.send(line);
        wrong.send(b"\n");
        let error = wrong.until("Error").pop().expect("an error");
        assert_eq!(error.get("Reason"), reason);
    }
    // One of them might have been a filter.
    wrong.say("Action: Login");
    let error = wrong.until("Error").pop().expect("an error");
    assert_eq!(error.number("Line"), 8);
    wrong.log_in_late();
    party.calls(1..=5);

    let mut half = Guest::logged_in(party.addr, &[]);
    half.send(b"Action: Lo");
    drop(half);
    // It ends by an error, or by a reset over what it has sent and nobody wants to read.
    let mut garbage = Guest::new(party.addr);
    let line = [0x80; 300];
    for _ in 0..100 {
        let _ = garbage.0.get_mut().write_all(&[&line[..], b"\n"].concat());
    }
    let errors = garbage.rest();
    assert!(errors.len() <= 66, "{}", errors.len());
    let mut endless = Guest::new(party.addr);
    for _ in 0..1000 {
        let _ = endless.0.get_mut().write_all(&[0; 1024]);
    }
    assert!(endless.rest().len() <= 3);

    party.calls(6..=10);
    let totals = party.finish();
    for guest in [&mut reader, &mut wrong] {
        let (events, lost) = split(guest.rest());
        assert_eq!((told(&events), lost), (Party::events(1..=10), 0));
    }
    assert_eq!(totals.events.clients, 3);
}

impl Guest {
    /// As [`Guest::log_in`], after other things were said.
    fn log_in_late(&mut self) {
        self.say("Action: Login");
        assert_eq!(self.until("LoggedIn").len(), 1);
    }
}

#[test]
fn a_wrong_filter_does_not_open_the_stream() {
    let mut party = Party::new("typo");
    let wrong = [
        "Filter: Chanel=SIP/b*",
        "Filter: Hangups",
        "Queue: many",
        "Fliter: Hangup",
    ];
    let mut guests = wrong.map(|line| {
        let mut guest = Guest::new(party.addr);
        guest.until("Welcome");
        // All at once, as who does not wait for answers does.
        guest.send(format!("Queue: 7\nFilter: VarSet\n{line}\nAction: Login\n").as_bytes());
        for number in [3, 4] {
            let error = guest.next().expect("an error");
            assert_eq!((error.name(), error.number("Line")), ("Error", number));
        }
        guest
    });
    party.calls(1..=2);
    for guest in &mut guests {
        // Nothing came, and what was asked for before is forgotten.
        guest.say("Filter: Hangup");
        guest.say("Action: Login");
        let answer = guest.next().expect("an answer");
        assert_eq!((answer.name(), answer.number("Queue")), ("LoggedIn", 1024));
    }
    party.calls(3..=3);
    let totals = party.finish();
    let hangup = [("Hangup".to_owned(), "0.3".to_owned())];
    for guest in &mut guests {
        assert_eq!(told(&split(guest.rest()).0), hangup);
    }
    assert_eq!(totals.events.clients, 4);
}

#[test]
fn who_does_not_log_in_makes_way() {
    let mut party = Party::new("idle");
    let mut reader = Guest::logged_in(party.addr, &[]);
    let mut idle: Vec<_> = (0..63).map(|_| Guest::new(party.addr)).collect();
    idle.iter_mut().for_each(|guest| {
        guest.until("Welcome");
    });
    for guest in &mut idle {
        let error = guest.next().expect("an error");
        assert_eq!(error.get("Reason"), "it took too long to log in");
        assert!(guest.rest().is_empty());
    }
    let mut late = Guest::logged_in(party.addr, &[]);
    party.calls(1..=1);
    party.finish();
    for guest in [&mut reader, &mut late] {
        assert_eq!(told(&split(guest.rest()).0), Party::events(1..=1));
    }
}

#[test]
fn who_goes_in_the_middle_has_its_final_message() {
    let mut party = Party::new("gone");
    let mut reader = Guest::logged_in(party.addr, &["Queue: 65536"]);
    let mut gone = Guest::logged_in(party.addr, &[]);
    let reader = thread::spawn(move || reader.rest());
    party.calls(1..=100);
    gone.until("Hangup");
    drop(gone);
    party.calls(101..=1000);
    let totals = party.finish();
    let (events, lost) = split(reader.join().expect("a reader"));
    assert_eq!((told(&events), lost), (Party::events(1..=1000), 0));
    assert_eq!(totals.events.clients, 2);
    assert!(totals.events.written >= 3003);
}

#[test]
fn everybody_is_told_of_the_end() {
    let mut party = Party::new("end");
    let mut quiet: Vec<_> = (0..4).map(|_| Guest::new(party.addr)).collect();
    quiet.iter_mut().for_each(|guest| {
        guest.until("Welcome");
    });
    let mut guests: Vec<_> = (0..4).map(|_| Guest::logged_in(party.addr, &[])).collect();
    party.calls(1..=3);
    let begun = Instant::now();
    let addr = party.addr;
    party.finish();
    assert!(begun.elapsed() < FAREWELL, "nobody is waited for who reads");
    for guest in &mut quiet {
        assert_eq!(split(guest.rest()), (Vec::new(), 0));
    }
    for guest in &mut guests {
        assert_eq!(told(&split(guest.rest()).0), Party::events(1..=3));
    }
    TcpStream::connect(addr).expect_err("nobody listens");
}

#[test]
fn there_is_room_for_so_many() {
    let party = Party::new("room");
    let mut guests: Vec<_> = (0..64).map(|_| Guest::new(party.addr)).collect();
    guests.iter_mut().for_each(|guest| {
        guest.until("Welcome");
    });
    let refused = Guest::new(party.addr).next().expect("an event");
    assert_eq!(
        (refused.name(), refused.get("Reason")),
        ("Error", "there are too many clients")
    );
    guests.pop();
    // It takes a moment until somebody has noticed.
    let deadline = Instant::now() + PATIENCE;
    while Guest::new(party.addr).next().expect("an event").name() != "Welcome" {
        assert!(Instant::now() < deadline);
        thread::sleep(Duration::from_millis(10));
    }
    let totals = party.finish();
    assert_eq!(totals.events.clients, 0);
}

#[test]
fn a_caller_can_forge_no_event() {
    let party = Party::new("forged");
    let mut guest = Guest::logged_in(party.addr, &["Queue: 1000"]);
    let (file, addr) = (party.file, party.addr);
    let mut switchboard = Switchboard::new(board(), party.feed);
    let now = Moment::from_secs(1_000_000);
    let long = "a".repeat(20_000);
    let names = [
        "%0d%0aEvent%3a%20Forged%0d%0a%0d%0a",
        "a%00b%0ac%0dd",
        "%22quoted%22%3d%2a",
        "Event%3a%20Forged",
        "%e2%80%a8Event%3a%20Forged",
        "caf%c3%a9",
        &long,
    ];
    for (number, name) in names.iter().enumerate() {
        let packet = Sip::invite("busy")
            .text()
            .replace("sip:alice@127.0.0.1>", &format!("sip:{name}@127.0.0.1>"))
            .replace("\"Alice\"", "\"A;i:c\u{e9} %0d%0a\"")
            .replace("call@127.0.0.1", &format!("{number}%0d%0a\"@127.0.0.1"))
            .replace("z9hG4bK-invite", &format!("z9hG4bK-{number}"));
        switchboard.receive(packet.as_bytes(), caller(), now);
    }
    // What is no text at all is no packet either.
    let packet = Sip::invite("busy").text().into_bytes();
    let at = packet
        .windows(5)
        .position(|word| word == b"alice")
        .expect("alice");
    let packet = [&packet[..at], b"\xff\xfe", &packet[at..]].concat();
    switchboard.receive(&packet, caller(), now);
    let (feed, counts, _) = switchboard.stop(now);
    assert_eq!((counts.malformed, counts.legs), (1, names.len() as u64));
    Party { feed, addr, file }.finish();

    let (events, lost) = split(guest.rest());
    assert_eq!((events.len(), lost), (3 * names.len(), 0));
    for (call, number) in events.chunks(3).zip(1..) {
        let names: Vec<_> = call.iter().map(Event::name).collect();
        assert_eq!(names, ["Newchannel", "VarSet", "Hangup"]);
        let channel = call[0].get("Channel");
        assert!(
            channel.starts_with("SIP/") && channel.len() <= 256,
            "{channel}"
        );
        for event in call {
            assert_eq!(event.get("Channel"), channel);
            assert_eq!(event.get("Uniqueid"), format!("1000000.{number}"));
            let heads = event.lines.iter().filter(|(key, _)| key == "Event");
            assert_eq!(heads.count(), 1);
        }
    }
    let arrived = events.iter().step_by(3);
    let mut numbers: Vec<_> = arrived.map(|event| event.get("CallerIDNum")).collect();
    assert!(numbers.pop() == Some(&*long), "in full");
    assert_eq!(
        numbers,
        [
            "  Event: Forged    ",
            "a b c d",
            "\"quoted\"=*",
            "Event: Forged",
            " Event: Forged",
            "caf\u{e9}",
        ]
    );
}
