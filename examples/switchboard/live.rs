//! Live: SIP over UDP on a socket, until a signal ends it.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use indicatif::ProgressBar;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::board::Board;
use crate::capture::{Datagram, Recorder};
use crate::failure::Failure;
use crate::feed::Feed;
use crate::manifest::Manifest;
use crate::reply::Packet;
use crate::report::Report;
use crate::run::close;
use crate::snapshot::Moment;
use crate::switchboard::Switchboard;

/// How late a timer or a signal may be noticed.
const TICK: Duration = Duration::from_millis(20);
/// Exit code if a second signal comes before all is done: there are no books then.
const IMPATIENT: i32 = 2;
/// No datagram is longer.
const MAX_DATAGRAM: usize = 65_535;

/// Answers calls, then compares with the manifest, if one is named.
pub(crate) fn run(
    addr: SocketAddr,
    record: Option<PathBuf>,
    events: Option<SocketAddr>,
    manifest: Option<PathBuf>,
    cdr: PathBuf,
) -> Result<Report, Failure> {
    let cannot = |error| Failure(format!("cannot listen on {addr}: {error}"));
    let socket = UdpSocket::bind(addr).map_err(cannot)?;
    socket.set_read_timeout(Some(TICK)).map_err(cannot)?;
    let local = socket.local_addr().map_err(cannot)?;
    let mut recorder = record.map(|path| Recorder::create(&path)).transpose()?;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first signal sets the flag, a second one does not wait for the end.
        flag::register_conditional_shutdown(signal, IMPATIENT, stop.clone())
            .and_then(|_| flag::register(signal, stop.clone()))
            .map_err(|error| Failure(format!("cannot take signals: {error}")))?;
    }
    let mut feed = Feed::new(&cdr, Board::new(ProgressBar::new_spinner()))?;
    if let Some(events) = events {
        let events = feed.open_events(events)?;
        crate::say(&format!("events on {events}"));
    }
    crate::say(&format!("listening on {local}"));

    let begun = Instant::now();
    let clock = Clock::new();
    let mut switchboard = Switchboard::new(local, feed);
    let mut buffer = vec![0; MAX_DATAGRAM];
    // Relaxed: the flag is all that the signal handler tells.
    while !stop.load(Ordering::Relaxed) {
        match socket.recv_from(&mut buffer) {
            Ok((len, source)) => {
                let (now, payload) = (clock.now(), &buffer[..len]);
                if let Some(recorder) = &mut recorder {
                    let payload = payload.to_vec();
                    let datagram = Datagram {
                        at: now,
                        source,
                        destination: local,
                        payload,
                    };
                    recorder.write(&datagram)?;
                }
                switchboard.receive(payload, source, now);
            }
            Err(error) if is_passing(error.kind()) => switchboard.tick(clock.now()),
            Err(error) => return Err(Failure(format!("receiving on {local}: {error}"))),
        }
        switchboard
            .outbound()
            .for_each(|packet| send(&socket, &packet));
    }
    let (feed, counts, farewells) = switchboard.stop(clock.now());
    farewells.iter().for_each(|packet| send(&socket, packet));
    if let Some(recorder) = recorder {
        recorder.finish()?;
    }
    let manifest = match &manifest {
        Some(path) => Some((Manifest::read(path)?, path.as_path())),
        None => None,
    };
    close(feed, counts, None, manifest, cdr, begun)
}

/// Sends. A datagram that does not go out is as good as lost on the way, and SIP copes with that.
fn send(socket: &UdpSocket, packet: &Packet) {
    let _ = socket.send_to(&packet.bytes, packet.to);
}

/// Whether receiving may go on after such an error: a time-out, a signal, or the news that an
/// earlier datagram did not arrive (ICMP).
fn is_passing(kind: ErrorKind) -> bool {
    use ErrorKind::{ConnectionRefused, ConnectionReset, Interrupted, TimedOut, WouldBlock};
    matches!(
        kind,
        WouldBlock | TimedOut | Interrupted | ConnectionRefused | ConnectionReset
    )
}

/// The time of day, without steps.
struct Clock {
    epoch: Moment,
    begun: Instant,
}

impl Clock {
    fn new() -> Clock {
        let epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Clock {
            epoch,
            begun: Instant::now(),
        }
    }

    fn now(&self) -> Moment {
        self.epoch + self.begun.elapsed()
    }
}
