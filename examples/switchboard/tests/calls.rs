//! Conversations: what a caller gets, and what is published of it.

use std::time::Duration;

use super::{Sip, Talk};
use crate::snapshot::Cause;
use crate::snapshot::LegState::{Answered, Arrived, Ended, Ringing, Up};

const TRYING: &str = "SIP/2.0 100 Trying";
const RINGING: &str = "SIP/2.0 180 Ringing";
const OK: &str = "SIP/2.0 200 OK";
const BUSY: &str = "SIP/2.0 486 Busy Here";
const TERMINATED: &str = "SIP/2.0 487 Request Terminated";
const UNKNOWN: &str = "SIP/2.0 481 Call/Transaction Does Not Exist";

fn nothing() -> Vec<String> {
    Vec::new()
}

#[test]
fn answered_and_hung_up() {
    let mut talk = Talk::new();
    assert_eq!(
        talk.send(&Sip::invite("1000").text()),
        [TRYING, RINGING, OK]
    );
    let tag = Talk::new().call("1000"); // the same request leads to the same tag
    assert_eq!(
        talk.send(&Sip::new("ACK", "1000", "ack", 1).inside(&tag).text()),
        nothing()
    );
    assert_eq!(
        talk.send(&Sip::new("BYE", "1000", "bye", 2).inside(&tag).text()),
        [OK]
    );
    assert_eq!(
        talk.states(),
        [Arrived, Ringing, Answered, Up, Ended(Cause::HungUp)]
    );
}

#[test]
fn what_comes_again_is_answered_again_and_changes_nothing() {
    let mut talk = Talk::new();
    let invite = Sip::invite("1000").text();
    let first = talk.send_full(&invite);
    assert_eq!(
        talk.send_full(&invite),
        first[2..],
        "the last answer, to the byte"
    );
    let tag = Talk::new().call("1000");
    let ack = Sip::new("ACK", "1000", "ack", 1).inside(&tag).text();
    let bye = Sip::new("BYE", "1000", "bye", 2).inside(&tag).text();
    for packet in [&ack, &ack] {
        assert_eq!(talk.send(packet), nothing());
    }
    for packet in [&bye, &bye] {
        assert_eq!(talk.send(packet), [OK]);
    }
    assert_eq!(talk.switchboard.counts().repeats, 3);
    assert_eq!(
        talk.states(),
        [Arrived, Ringing, Answered, Up, Ended(Cause::HungUp)]
    );
}

#[test]
fn an_answer_is_sent_again_until_it_is_acknowledged() {
    let mut talk = Talk::new();
    let tag = talk.call("1000");
    assert_eq!(talk.wait(Duration::from_millis(499)), nothing());
    assert_eq!(talk.wait(Duration::from_millis(1)), [OK]);
    assert_eq!(talk.wait(Duration::from_millis(999)), nothing());
    assert_eq!(talk.wait(Duration::from_millis(1)), [OK]);
    talk.send(&Sip::new("ACK", "1000", "ack", 1).inside(&tag).text());
    assert_eq!(talk.wait(Duration::from_secs(60)), nothing());
}

#[test]
fn a_caller_who_never_acknowledges_is_hung_up() {
    let mut talk = Talk::new();
    talk.call("1000");
    let sent = talk.wait(Duration::from_secs(33));
    let byes = sent
        .iter()
        .filter(|line| *line == "BYE sip:alice@127.0.0.1:6000 SIP/2.0")
        .count();
    assert_eq!(byes, 1, "{sent:?}");
    assert_eq!(
        talk.states(),
        [Arrived, Ringing, Answered, Ended(Cause::NoAck)]
    );
}

#[test]
fn a_refusal_is_sent_again_until_it_is_acknowledged() {
    let mut talk = Talk::new();
    assert_eq!(talk.send(&Sip::invite("busy").text()), [TRYING, BUSY]);
    assert_eq!(talk.wait(Duration::from_millis(500)), [BUSY]);
    assert_eq!(
        talk.send(&Sip::new("ACK", "busy", "invite", 1).text()),
        nothing()
    );
    assert_eq!(talk.wait(Duration::from_secs(60)), nothing());
    assert_eq!(talk.states(), [Arrived, Ended(Cause::Rejected(486))]);
}

#[test]
fn cancelled_while_it_rings() {
    let mut talk = Talk::new();
    assert_eq!(talk.send(&Sip::invite("ring").text()), [TRYING, RINGING]);
    let cancel = Sip::new("CANCEL", "ring", "invite", 1).text();
    assert_eq!(talk.send(&cancel), [OK, TERMINATED]);
    assert_eq!(talk.send(&cancel), [OK]);
    assert_eq!(
        talk.send(&Sip::new("ACK", "ring", "invite", 1).text()),
        nothing()
    );
    assert_eq!(talk.states(), [Arrived, Ringing, Ended(Cause::Cancelled)]);
}

#[test]
fn a_cancel_that_is_too_late_or_meets_nothing() {
    let mut talk = Talk::new();
    talk.call("1000");
    assert_eq!(
        talk.send(&Sip::new("CANCEL", "1000", "invite", 1).text()),
        [OK]
    );
    assert_eq!(
        talk.send(&Sip::new("CANCEL", "1000", "other", 1).text()),
        [UNKNOWN]
    );
    assert_eq!(
        talk.states(),
        [Arrived, Ringing, Answered, Ended(Cause::Stopped)]
    );
}

#[test]
fn nothing_rings_for_ever() {
    let mut talk = Talk::new();
    talk.send(&Sip::invite("ring").text());
    assert_eq!(talk.wait(Duration::from_secs(59)), nothing());
    assert_eq!(
        talk.wait(Duration::from_secs(1)),
        ["SIP/2.0 480 Temporarily Unavailable"]
    );
    assert_eq!(talk.states(), [Arrived, Ringing, Ended(Cause::NoAnswer)]);
}

#[test]
fn nothing_talks_for_ever() {
    let mut talk = Talk::new();
    let tag = talk.call("1000");
    talk.send(&Sip::new("ACK", "1000", "ack", 1).inside(&tag).text());
    assert_eq!(talk.wait(Duration::from_secs(3600)).len(), 1, "a BYE");
    assert_eq!(
        talk.states(),
        [Arrived, Ringing, Answered, Up, Ended(Cause::TooLong)]
    );
}

#[test]
fn inside_a_dialog() {
    let mut talk = Talk::new();
    let tag = talk.call("1000");
    let inside = |method, branch, cseq| Sip::new(method, "1000", branch, cseq).inside(&tag).text();
    talk.send(&inside("ACK", "ack", 1));
    assert_eq!(
        talk.send(&inside("INVITE", "again", 2)),
        ["SIP/2.0 488 Not Acceptable Here"]
    );
    assert_eq!(talk.send(&inside("ACK", "again", 2)), nothing());
    assert_eq!(talk.send(&inside("OPTIONS", "options", 3)), [OK]);
    assert_eq!(
        talk.send(&inside("BYE", "old", 3)),
        ["SIP/2.0 500 Server Internal Error"]
    );
    let other = Sip::new("BYE", "1000", "other", 4).inside("other").text();
    assert_eq!(talk.send(&other), [UNKNOWN]);
    assert_eq!(talk.send(&inside("BYE", "bye", 4)), [OK]);
    assert_eq!(talk.send(&inside("BYE", "late", 5)), [UNKNOWN]);
    assert_eq!(
        talk.states(),
        [Arrived, Ringing, Answered, Up, Ended(Cause::HungUp)]
    );
}

#[test]
fn a_bye_ends_a_call_that_still_rings() {
    let mut talk = Talk::new();
    let tag = talk.call("ring");
    let bye = Sip::new("BYE", "ring", "bye", 2).inside(&tag).text();
    assert_eq!(talk.send(&bye), [OK, TERMINATED]);
    assert_eq!(talk.states(), [Arrived, Ringing, Ended(Cause::Cancelled)]);
}

#[test]
fn outside_of_calls() {
    let mut talk = Talk::new();
    let options = talk.send_full(&Sip::new("OPTIONS", "1000", "o", 1).text());
    assert!(
        options[0].contains("Allow: INVITE, ACK, BYE, CANCEL, OPTIONS\r\n"),
        "{options:?}"
    );
    let register = Sip::new("REGISTER", "1000", "r", 1).text();
    assert_eq!(talk.send(&register), ["SIP/2.0 405 Method Not Allowed"]);
    assert_eq!(
        talk.send(&Sip::new("BYE", "1000", "b", 1).text()),
        [UNKNOWN]
    );
    assert_eq!(
        talk.send(&Sip::new("ACK", "1000", "a", 1).text()),
        nothing()
    );
    let demanding = Sip::invite("1000").with("Require: 100rel\r\n").text();
    let refused = talk.send_full(&demanding);
    assert!(refused[0].starts_with("SIP/2.0 420 "), "{refused:?}");
    assert!(
        refused[0].contains("Unsupported: 100rel\r\n"),
        "{refused:?}"
    );
    assert_eq!(talk.states(), []);
}

#[test]
fn the_same_call_by_another_way_is_a_loop() {
    let mut talk = Talk::new();
    talk.call("ring");
    let merged = Sip {
        branch: "elsewhere",
        ..Sip::invite("ring")
    }
    .text();
    assert_eq!(talk.send(&merged), ["SIP/2.0 482 Loop Detected"]);
    assert_eq!(talk.states().len(), 3);
}

#[test]
fn a_client_behind_a_translator_is_answered_where_it_is() {
    let mut talk = Talk::new();
    let text = Sip::new("OPTIONS", "1000", "o", 1).text();
    let text = text.replace("127.0.0.1:6000;branch", "10.0.0.1:5060;rport;branch");
    talk.switchboard
        .receive(text.as_bytes(), super::caller(), talk.now);
    let packet = talk.switchboard.outbound().next().expect("an answer");
    assert_eq!(packet.to, super::caller());
    let answer = String::from_utf8_lossy(&packet.bytes);
    assert!(answer.contains("rport=6000"), "{answer}");
    assert!(answer.contains("received=127.0.0.1"), "{answer}");
}

#[test]
fn the_answer_repeats_what_it_must() {
    let mut talk = Talk::new();
    let invite = Sip::invite("1000")
        .with("Record-Route: <sip:proxy;lr>\r\n")
        .text();
    let invite = invite.replace(
        "From:",
        "Via: SIP/2.0/UDP far.example;branch=z9hG4bK-2\r\nf:",
    );
    let ok = talk.send_full(&invite).pop().expect("an answer");
    for line in [
        "Via: SIP/2.0/UDP 127.0.0.1:6000;branch=z9hG4bK-invite\r\n",
        "Via: SIP/2.0/UDP far.example;branch=z9hG4bK-2\r\n",
        "From: \"Alice\" <sip:alice@127.0.0.1>;tag=a\r\n",
        "Call-ID: call@127.0.0.1\r\n",
        "CSeq: 1 INVITE\r\n",
        "Record-Route: <sip:proxy;lr>\r\n",
        "Contact: <sip:127.0.0.1:5060>\r\n",
        "m=audio 9 RTP/AVP 0\r\n",
    ] {
        assert!(ok.contains(line), "{line} is missing in {ok}");
    }
    let (_, body) = ok.split_once("\r\n\r\n").expect("a body");
    assert!(
        ok.contains(&format!("Content-Length: {}\r\n", body.len())),
        "{ok}"
    );
}
