//! From a client's mailbox to its socket: a thread that waits for whichever of the two is slower.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use stasis_bus::channels::{AMI, AmiEvent};
use stasis_bus::{FinalMessage, FinalReason, Gap, Receiver, RecvError};

use super::TICK;
use super::out::Out;
use crate::consumer::{Finding, Outcome};
use crate::feed::News;
use crate::totals::Ended;

/// What was done for one client so far.
#[derive(Debug, Default)]
struct Count {
    seen: u64,
    written: u64,
    lost: u64,
    /// It was unsubscribed because it has gone.
    has_gone: bool,
}

/// Writes all that comes, until the subscription has had its final message.
pub(super) fn run(mut receiver: Receiver, out: &Arc<Out>, sender: &Sender<News>) {
    let mut count = Count::default();
    loop {
        if out.is_closed() && !count.has_gone {
            count.has_gone = true;
            receiver.subscription().unsubscribe();
        }
        let message = match receiver.recv_timeout(TICK) {
            Ok(message) => message,
            Err(RecvError::TimedOut) => continue,
            Err(_) => break,
        };
        if let Some(gap) = message.as_gap() {
            count.lost += gap.count;
            out.write(&told(gap).finish());
        } else if let Some(last) = message.as_final() {
            // The client is told last: when it knows, so does the switchboard.
            let _ = sender.send(News::Ended(count.ended(last)));
            break;
        } else {
            count.seen += 1;
            // One text for all clients: the message keeps it.
            if let Some(event) = message.render(&AMI) {
                count.written += u64::from(out.write(&event));
            }
        }
    }
    out.finish(AmiEvent::new("Shutdown"));
}

/// So many events were shed here.
fn told(gap: &Gap) -> AmiEvent {
    AmiEvent::new("Gap")
        .field("Lost", gap.count)
        .field("First", gap.first.get())
        .field("Last", gap.last.get())
}

impl Count {
    fn ended(&self, last: &FinalMessage) -> Ended {
        let as_told = match last.reason {
            FinalReason::Shutdown => true,
            FinalReason::Unsubscribed => self.has_gone,
            _ => false,
        };
        Ended {
            outcome: Outcome {
                seen: self.seen,
                result: Finding::Client {
                    written: self.written,
                    lost: self.lost,
                },
            },
            as_told,
            delivered: last.delivered,
            shed: last.shed,
            conflated: last.conflated,
            discarded: last.discarded,
        }
    }
}
