//! What callers should not send, and what a capture of both good and bad ones leads to.

use std::collections::HashMap;

use super::{Published, Sip, Talk, board};
use crate::capture::Datagram;
use crate::manifest::Manifest;
use crate::replay::{CAPTURE, own_capture};
use crate::snapshot::{LegSnapshot, LegState, Moment};
use crate::switchboard::Switchboard;

/// How many packets the mutation test tries; `FUZZ_RUNS` sets another number.
const RUNS: u64 = 20_000;

#[test]
fn malformed_packets_are_counted_and_answered_where_they_can_be() {
    let good = Sip::new("OPTIONS", "1000", "o", 1).text();
    let cases = [
        ("400", good.replace("1 OPTIONS", "1 INVITE")),
        ("400", good.replace("1 OPTIONS", "one OPTIONS")),
        ("400", good.replace("1 OPTIONS", "2147483648 OPTIONS")),
        ("400", good.replace(";tag=a", "")),
        ("400", good.replace("Length: 0", "Length: 1")),
        ("400", good.replace("Length: 0", "Length: many")),
        ("400", good.replace("To: <sip:", "To: <nothing")),
        (
            "400",
            good.replace("OPTIONS sip:1000@127.0.0.1 SIP", "OPTIONS  SIP"),
        ),
        (
            "416",
            good.replace("OPTIONS sip:1000@127.0.0.1", "OPTIONS tel:1000"),
        ),
        (
            "505",
            good.replace("127.0.0.1 SIP/2.0", "127.0.0.1 SIP/3.0"),
        ),
        ("", good.replace("Call-ID: call@127.0.0.1\r\n", "")),
        ("", good.replace("Call-ID:", "Call-ID: twice\r\nCall-ID:")),
        ("", good.replace("Via:", "Viable:")),
        ("", good.replace("Call-ID:", "no colon here\r\nCall-ID:")),
        ("", good.trim_end().to_owned()),
        ("", good.replace("Call-ID:", &"X: y\r\n".repeat(200))),
        ("", "SIP/2.0 200 OK\r\n\r\n".to_owned()),
        ("", "SIP/2.0 fine\r\n\r\n".to_owned()),
        ("", String::new()),
        ("", "GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        // Whatever is wrong with an ACK, it is never answered.
        (
            "",
            Sip::new("ACK", "1000", "a", 1)
                .text()
                .replace("1 ACK", "1 BYE"),
        ),
    ];
    let mut talk = Talk::new();
    for (count, (status, packet)) in (1..).zip(&cases) {
        let answers = talk.send(packet);
        match (answers.as_slice(), *status) {
            ([], "") => {}
            ([answer], status) if !status.is_empty() => {
                assert!(
                    answer.starts_with(&format!("SIP/2.0 {status} ")),
                    "{answer}: {packet}"
                );
            }
            _ => panic!("{answers:?}, not {status:?}: {packet}"),
        }
        assert_eq!(talk.switchboard.counts().malformed, count, "{packet}");
    }
    assert_eq!(talk.send(&good), ["SIP/2.0 200 OK"]);
    assert_eq!(talk.states(), []);
}

#[test]
fn bytes_that_are_no_text_are_malformed() {
    let mut talk = Talk::new();
    for packet in [
        &b"\xff\xfe"[..],
        b"OPTIONS sip:\xc3\x28@a SIP/2.0\r\n\r\n",
        b"\0\0\0\0",
    ] {
        talk.switchboard.receive(packet, super::caller(), talk.now);
    }
    assert_eq!(talk.switchboard.counts().malformed, 3);
    talk.switchboard
        .receive(b"\r\n\r\n", super::caller(), talk.now);
    assert_eq!(talk.switchboard.counts().keep_alives, 1);
}

#[test]
fn the_capture_leads_to_what_sipp_says_it_sent() {
    let path = std::path::Path::new(CAPTURE).with_extension("json");
    let manifest = Manifest::read(&path).expect("the manifest");
    let capture = own_capture();
    manifest
        .check(&path, &capture)
        .expect("the manifest of this capture");
    let expected = manifest.expected(&path).expect("expectations");

    let (published, counts) = play(&capture.packets);
    assert_eq!(published.0.len() as u64, expected.events);
    let ended = published
        .0
        .iter()
        .filter(|snapshot| snapshot.state.is_ended())
        .count();
    assert_eq!(ended as u64, expected.cdrs);
    assert_eq!(
        (
            counts.legs,
            counts.malformed,
            counts.packets,
            counts.repeats
        ),
        (
            expected.calls,
            expected.malformed,
            expected.packets,
            expected.repeats
        )
    );
    assert!(expected.calls >= 500, "{expected:?}");
}

#[test]
fn every_replay_is_the_same() {
    let capture = own_capture();
    let states = |published: Published| -> Vec<_> {
        let snapshots = published.0.into_iter();
        snapshots
            .map(
                |LegSnapshot {
                     leg, state, times, ..
                 }| (leg, state, times),
            )
            .collect()
    };
    let (first, counts) = play(&capture.packets);
    let (second, counts_again) = play(&capture.packets);
    assert_eq!(counts, counts_again);
    assert_eq!(states(first), states(second));
}

#[test]
fn no_mutation_of_the_capture_breaks_it() {
    let runs = std::env::var("FUZZ_RUNS")
        .ok()
        .and_then(|runs| runs.parse().ok())
        .unwrap_or(RUNS);
    let originals = own_capture().packets;
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut left = runs;
    while left > 0 {
        let from = dice.below(originals.len());
        let mut packets: Vec<_> = originals[from..].iter().take(2_000).cloned().collect();
        left = left.saturating_sub(packets.len() as u64);
        let mut late = 0;
        for packet in &mut packets {
            dice.mutate(&mut packet.payload);
            // Now and then much time passes, so that the timers have their say.
            late += if dice.below(50) == 0 {
                dice.below(40) as u64
            } else {
                0
            };
            packet.at += Moment::from_secs(late);
        }
        let (published, _) = play(&packets);
        assert_lives(&published.0);
    }
}

/// Plays packets without a bus, and stops.
fn play(packets: &[Datagram]) -> (Published, crate::counts::Counts) {
    let mut switchboard = Switchboard::new(board(), Published::default());
    let mut now = Moment::ZERO;
    for packet in packets {
        now = now.max(packet.at);
        switchboard.receive(&packet.payload, packet.source, now);
        switchboard.outbound().for_each(drop);
    }
    now += Moment::from_secs(32);
    switchboard.tick(now);
    let (published, counts, _) = switchboard.stop(now);
    (published, counts)
}

/// Each call arrives, goes from state to state as it may, and ends, once.
fn assert_lives(published: &[LegSnapshot]) {
    let mut latest: HashMap<u64, (LegState, u32)> = HashMap::new();
    for LegSnapshot {
        leg, state, change, ..
    } in published
    {
        match latest.insert(*leg, (*state, *change)) {
            None => assert_eq!((*state, *change), (LegState::Arrived, 1)),
            Some((before, number)) => {
                assert!(before.may_become(*state), "{before:?} to {state:?}");
                assert_eq!(*change, number + 1);
            }
        }
    }
    assert!(latest.values().all(|(state, _)| state.is_ended()));
}

/// Pseudo-random numbers (xorshift64*), the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.roll() >> 16) as usize % limit.max(1)
    }

    /// Does up to four things to a packet: changes, removes, doubles or inserts bytes, or cuts it.
    fn mutate(&mut self, packet: &mut Vec<u8>) {
        const TELLING: &[u8] = b"\r\n :;,<>\"\\=%@[]?&\0\x80\xc3\xff09zA";
        for _ in 0..self.below(5) {
            let at = self.below(packet.len());
            let until = (at + self.below(24)).min(packet.len());
            match self.below(6) {
                _ if packet.is_empty() => packet.push(self.roll() as u8),
                0 => packet[at] = self.roll() as u8,
                1 => packet[at] = TELLING[self.below(TELLING.len())],
                2 => packet.insert(at, TELLING[self.below(TELLING.len())]),
                3 => drop(packet.drain(at..until)),
                4 => packet.extend_from_within(at..until),
                _ => packet.truncate(at + self.below(400)),
            }
        }
    }
}
