//! The way out to one client: whole events, one after the other, whoever writes them. Whoever writes may have
//! to wait for the client, but not once that has gone, nor past the end of the farewell.

use std::io::{ErrorKind, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use socket2::SockRef;
use stasis_bus::channels::AmiEvent;

use super::{House, TICK, lock};

/// So much may be on its way in a socket. What is beyond waits in the client's mailbox, where it is counted
/// and may be shed.
const SOCKET_BUFFER: usize = 32 * 1024;

/// The writing half of a client's socket.
#[derive(Debug)]
pub(super) struct Out {
    house: Arc<House>,
    stream: TcpStream,
    /// Held while an event is written.
    turn: Mutex<()>,
    /// The client has gone, or is given up.
    is_closed: AtomicBool,
    /// The last event was written.
    is_finished: AtomicBool,
}

impl Out {
    /// For a client that has just come.
    pub(super) fn new(stream: TcpStream, house: Arc<House>) -> std::io::Result<Out> {
        stream.set_nonblocking(false)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TICK))?;
        stream.set_write_timeout(Some(TICK))?;
        SockRef::from(&stream).set_send_buffer_size(SOCKET_BUFFER)?;
        Ok(Out {
            house,
            stream,
            turn: Mutex::new(()),
            is_closed: AtomicBool::new(false),
            is_finished: AtomicBool::new(false),
        })
    }

    /// The socket, to be read from.
    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Writes a whole event, or nothing more at all. False if it was not written to its end.
    pub(super) fn write(&self, event: &str) -> bool {
        let _turn = lock(&self.turn);
        let mut rest = event.as_bytes();
        while !rest.is_empty() {
            if self.is_closed() || self.is_finished() || self.house.is_overdue() {
                break;
            }
            match (&self.stream).write(rest) {
                Ok(len @ 1..) => rest = &rest[len..],
                Err(error) if is_passing(error.kind()) => {}
                Ok(0) | Err(_) => break,
            }
        }
        if !rest.is_empty() {
            self.close();
        }
        rest.is_empty()
    }

    /// Tells what was wrong with a line, by its number, or with all.
    pub(super) fn error(&self, reason: &str, line: Option<u64>) -> bool {
        let event = AmiEvent::new("Error")
            .optional("Line", line)
            .field("Reason", reason);
        self.write(&event.finish())
    }

    /// The last event. Nothing is written after it.
    pub(super) fn finish(&self, event: AmiEvent) {
        if self.write(&event.finish()) {
            // Release: no `Acquire` is needed for what is a flag and no more.
            self.is_finished.store(true, Ordering::Release);
            let _ = self.stream.shutdown(Shutdown::Write);
        }
    }

    /// Nothing is written any more, not even the rest of an event.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
    }

    /// Whether the client has gone or was given up.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// Whether the last event was written.
    pub(super) fn is_finished(&self) -> bool {
        self.is_finished.load(Ordering::Acquire)
    }
}

fn is_passing(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}
