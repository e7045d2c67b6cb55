//! Replay: a capture goes through the switchboard as if it were received now. Time is taken from the
//! capture, so every replay counts the same; the answers are made and go nowhere.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::thread;
use std::time::Instant;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::audience::Audience;
use crate::board::Board;
use crate::capture::{Capture, Datagram};
use crate::failure::Failure;
use crate::feed::Feed;
use crate::manifest::Manifest;
use crate::report::Report;
use crate::run::close;
use crate::snapshot::Moment;
use crate::switchboard::Switchboard;
use crate::transaction::LINGER;

/// The capture that comes with the example.
pub(crate) const CAPTURE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/examples/switchboard/data/calls.pcap"
);

/// Replays, and compares with the manifest, if there is one.
pub(crate) fn run(
    capture: Option<PathBuf>,
    speed: Option<f64>,
    events: Option<SocketAddr>,
    manifest: Option<PathBuf>,
    cdr: PathBuf,
) -> Result<Report, Failure> {
    let path = capture.clone().unwrap_or_else(|| CAPTURE.into());
    let beside = path.with_extension("json");
    let must_have_one = capture.is_none() || manifest.is_some();
    let manifest_path = manifest.unwrap_or(beside);
    let capture = Capture::read(&path)?;
    let manifest = if must_have_one || manifest_path.exists() {
        let manifest = Manifest::read(&manifest_path)?;
        manifest.check(&manifest_path, &capture)?;
        Some((manifest, manifest_path.as_path()))
    } else {
        None
    };
    crate::say(&format!(
        "{}: {} packets over {:.1?}",
        path.display(),
        capture.packets.len(),
        capture.length()
    ));
    if capture.skipped > 0 {
        crate::say(&format!(
            "{} packets are not UDP and are left out",
            capture.skipped
        ));
    }

    let screen = MultiProgress::new();
    let progress = screen.add(ProgressBar::new(capture.packets.len() as u64));
    let template = "{bar:40} {pos}/{len} packets, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(template) {
        progress.set_style(style);
    }
    let board = Board::new(screen.add(ProgressBar::new_spinner()));
    let mut feed = Feed::new(&cdr, board)?;
    let audience = Audience::new(open_events(&mut feed, events)?)?;
    let begun = Instant::now();
    let (feed, counts) = play(&capture, speed, feed, &progress);
    progress.finish_and_clear();
    close(feed, counts, Some(audience), manifest, cdr, begun)
}

/// Says where, if somebody has asked.
fn open_events(feed: &mut Feed, events: Option<SocketAddr>) -> Result<SocketAddr, Failure> {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let addr = feed.open_events(events.unwrap_or(any))?;
    if events.is_some() {
        crate::say(&format!("events on {addr}"));
    }
    Ok(addr)
}

/// Plays all packets, then lets the time pass in which the last of them still matter.
fn play(
    capture: &Capture,
    speed: Option<f64>,
    feed: Feed,
    progress: &ProgressBar,
) -> (Feed, crate::counts::Counts) {
    let local = capture
        .address()
        .unwrap_or_else(|| ([127, 0, 0, 1], 5060).into());
    let mut switchboard = Switchboard::new(local, feed);
    let begun = Instant::now();
    let first = capture
        .packets
        .first()
        .map_or(Moment::ZERO, |packet| packet.at);
    let mut now = first;
    for Datagram {
        at,
        source,
        payload,
        ..
    } in &capture.packets
    {
        // Time never goes back, whatever the capture says.
        now = now.max(*at);
        if let Some(speed) = speed {
            let due = (now - first).div_f64(speed);
            thread::sleep(due.saturating_sub(begun.elapsed()));
        }
        switchboard.receive(payload, *source, now);
        switchboard.outbound().for_each(drop);
        progress.inc(1);
    }
    now += LINGER;
    switchboard.tick(now);
    let (feed, counts, _) = switchboard.stop(now);
    (feed, counts)
}

/// The example's own capture, for tests.
#[cfg(test)]
pub(crate) fn own_capture() -> Capture {
    Capture::read(CAPTURE.as_ref()).expect("the capture of the example")
}
