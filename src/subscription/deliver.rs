//! Running a subscription: one batch of its mailbox, up to a budget, and in the end its final run. Whoever
//! calls this has the duty. User code runs here, without any lock or pin (R1), and its panics end here
//! (R2).

use super::consumer::{Consumer, ConsumerCell, Course};
use super::marks::Marks;
use super::options::{Congestion, PanicPolicy};
use super::parcel::{Handled, Parcel};
use super::scope;
use super::state::{Duty, Subscriber};
use super::times::SAMPLE_INTERVAL;
use crate::message::{FINAL, FinalMessage, FinalReason, GAP, Gap, Message, Timestamp};
use crate::queue::Pop;
use crate::sync::{Panic, catch, contain, hint, panic_text};
use std::time::Duration;

/// A run delivers at most so many messages, and then goes to the back.
pub(crate) const DELIVERY_BUDGET: u32 = 128;

/// How often a run looks again at a position that is claimed but not written, before it does something else.
const UNWRITTEN_LOOKS: u32 = 8;

/// How long whoever runs a subscription sleeps before it looks at such a position again: doubled from try
/// to try, from the first to the second.
const STALLED_SLEEP: (Duration, Duration) = (Duration::from_micros(50), Duration::from_millis(1));

/// How long to sleep after so many tries that came to an unwritten position.
pub(super) fn stalled_sleep(tries: u32) -> Duration {
    let (first, longest) = STALLED_SLEEP;
    (first * (1 << tries.min(8))).min(longest)
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ran {
    /// There was nothing more to do after so many messages. If there were some, that is not sure: the next
    /// run, or to park, tells.
    Idle(u32),
    /// Its budget was used up.
    Budget,
    /// The next message is claimed, but not written yet.
    Unwritten,
    /// The final run is over: the duty has ended.
    Done,
}

/// Runs one batch.
pub(crate) fn run(duty: &mut Duty, budget: u32) -> Ran {
    ConsumerCell::open(duty, |consumer, duty| {
        duty.note_depth();
        let ran = run_batch(consumer, duty, budget);
        flush_batch(consumer, duty);
        duty.publish_freed(false);
        clear_congestion(consumer, duty);
        match ran {
            Ran::Done => finish(consumer, duty),
            // That is where publishers write: left to park, or to the next run.
            Ran::Idle(1) => {}
            // Whoever never parks is at rest, too.
            Ran::Idle(_) => duty.mailbox.return_grants_at_rest(),
            Ran::Budget => duty.mailbox.return_spare_grants(),
            Ran::Unwritten => {}
        }
        ran
    })
}

fn run_batch(consumer: &mut Consumer, duty: &Duty, budget: u32) -> Ran {
    let mut looks = 0;
    let mut left = budget;
    while left > 0 {
        let has_run_one = left + 1 == budget;
        let popped = if has_run_one {
            let Some(popped) = duty.pop_another() else {
                return Ran::Idle(1);
            };
            popped
        } else {
            duty.pop()
        };
        match popped {
            Pop::Item(parcel) => {
                left -= 1;
                looks = 0;
                // Before any handler: what it publishes may be for this mailbox.
                duty.publish_freed(true);
                if let Some(gap) = gap_before(consumer, duty) {
                    deliver_gap(consumer, duty, gap);
                }
                clear_congestion(consumer, duty);
                deliver(consumer, duty, parcel);
                scope::run_pending();
            }
            Pop::Unwritten if looks < UNWRITTEN_LOOKS => {
                looks += 1;
                hint::spin_loop();
            }
            Pop::Unwritten => return Ran::Unwritten,
            Pop::Empty => match duty.due_gap(false) {
                Some(gap) => deliver_gap(consumer, duty, gap),
                None => return Ran::Idle(budget - left),
            },
            Pop::Closed => return Ran::Done,
        }
    }
    Ran::Budget
}

/// The gap notice that belongs before the parcel that was popped last.
#[inline]
pub(super) fn gap_before(consumer: &mut Consumer, duty: &Duty) -> Option<Gap> {
    if std::mem::take(&mut consumer.greeting) {
        return None;
    }
    duty.due_gap(true)
}

/// Hands one over to the handler; without one it is discarded.
#[inline]
pub(super) fn deliver(consumer: &mut Consumer, duty: &Duty, parcel: Parcel) {
    match parcel {
        Parcel::Message(message) => {
            if passes(consumer, duty, &message) {
                hand_over(consumer, duty, message);
            } else {
                discard(message);
            }
        }
        Parcel::Marked(mut envelope) => {
            flush_batch(consumer, duty);
            let discarding = consumer.is_discarding() || consumer.is_idle();
            let Some(message) = envelope.take_message() else {
                let outcome = if discarding {
                    Handled::Closed
                } else {
                    Handled::Handled
                };
                return envelope.complete(outcome);
            };
            if !envelope.is_unfiltered() && !passes(consumer, duty, &message) {
                discard(message);
                return envelope.complete(Handled::Filtered);
            }
            let panics = duty.mailbox.figure(|seldom| &seldom.panics);
            hand_over(consumer, duty, message);
            flush_batch(consumer, duty);
            envelope.complete(
                match duty.mailbox.figure(|seldom| &seldom.panics) == panics {
                    _ if discarding => Handled::Closed,
                    true => Handled::Handled,
                    false => Handled::HandlerPanicked,
                },
            );
        }
    }
}

/// Applies the closure filter, if that is to be done here.
#[inline]
pub(super) fn passes(consumer: &Consumer, duty: &Subscriber, message: &Message) -> bool {
    if !duty.filters_itself || consumer.is_discarding() || message.info().is_control() {
        return true;
    }
    passes_closure(consumer, duty, message)
}

fn passes_closure(consumer: &Consumer, duty: &Subscriber, message: &Message) -> bool {
    let Some(filter) = consumer
        .hooks
        .as_ref()
        .and_then(|hooks| hooks.filter.as_ref())
    else {
        return true;
    };
    let _scope = scope::enter();
    // A filter that panics lets nothing through: what it protects from must not get in by that.
    let passes = catch(|| filter(message)).unwrap_or_else(|panic| {
        drop_panic(panic);
        duty.mailbox.seldom().panics.add_alone(1);
        false
    });
    if !passes {
        duty.mailbox.seldom().filtered.add(1);
    }
    passes
}

#[inline]
fn hand_over(consumer: &mut Consumer, duty: &Duty, message: Message) {
    if consumer.is_discarding() {
        duty.mailbox.seldom().discarded.add_alone(1);
        return discard(message);
    }
    if consumer.each.is_some() {
        call_each(consumer, duty, message);
        duty.delivered.add_alone(1);
    } else if let Err(message) = add_to_batch(consumer, duty, message) {
        duty.mailbox.seldom().discarded.add_alone(1);
        discard(message);
    }
}

/// Hands it back if there is no batch handler.
fn add_to_batch(consumer: &mut Consumer, duty: &Duty, message: Message) -> Result<(), Message> {
    let Some(batch) = consumer.batch() else {
        return Err(message);
    };
    batch.ready.push(message);
    if batch.ready.len() >= batch.max {
        flush_batch(consumer, duty);
    }
    Ok(())
}

#[inline]
fn call_each(consumer: &mut Consumer, duty: &Duty, message: Message) {
    let Some(call) = &mut consumer.each else {
        return;
    };
    let sampled = consumer.sample_in == 0;
    consumer.sample_in = if sampled {
        SAMPLE_INTERVAL - 1
    } else {
        consumer.sample_in - 1
    };
    let scope = scope::enter();
    let called = if sampled {
        let waited = message.timestamp().elapsed_nanos();
        let start = Timestamp::now();
        let called = catch(|| call(&message));
        duty.mailbox
            .times_to_add_to()
            .record(waited, start.elapsed_nanos(), message.info());
        called
    } else {
        catch(|| call(&message))
    };
    let type_name = message.type_name();
    drop(message);
    drop(scope);
    if let Err(panic) = called {
        panicked(consumer, duty, type_name, panic);
    }
}

/// Calls a batch handler with what is ready.
fn flush_batch(consumer: &mut Consumer, duty: &Duty) {
    let Some(batch) = consumer.batch() else {
        return;
    };
    let Some(first) = batch.ready.first() else {
        return;
    };
    let (waited, info) = (first.timestamp().elapsed_nanos(), first.info());
    let count = batch
        .ready
        .iter()
        .filter(|message| message.as_gap().is_none() && message.as_final().is_none())
        .count();
    let scope = scope::enter();
    let start = Timestamp::now();
    let called = catch(|| (batch.call)(&batch.ready));
    duty.mailbox
        .times_to_add_to()
        .record(waited, start.elapsed_nanos(), info);
    batch.ready.clear();
    drop(scope);
    duty.delivered.add_alone(count as u64);
    if let Err(panic) = called {
        panicked(consumer, duty, info.name(), panic);
    }
    scope::run_pending();
}

fn deliver_gap(consumer: &mut Consumer, duty: &Duty, gap: Gap) {
    if consumer.on_gap().is_some() {
        // What came before the gap is handled before it is told.
        flush_batch(consumer, duty);
    }
    if consumer.is_discarding() {
        return;
    }
    if let Some(on_gap) = consumer.on_gap() {
        let scope = scope::enter();
        let called = catch(|| on_gap(&gap));
        drop(scope);
        if let Err(panic) = called {
            panicked(consumer, duty, GAP.name(), panic);
        }
    } else if consumer.general {
        let message = GAP.message(gap);
        if let Err(message) = add_to_batch(consumer, duty, message) {
            call_each(consumer, duty, message);
        }
    }
}

fn panicked(consumer: &mut Consumer, duty: &Duty, type_name: &'static str, panic: Panic) {
    duty.mailbox.seldom().panics.add_alone(1);
    let text = panic_text(&*panic);
    if let Some(home) = &consumer.home {
        let _scope = scope::enter();
        home.panicked(duty, type_name, text);
    }
    drop_panic(panic);
    if consumer.is_discarding() || consumer.panic_policy == PanicPolicy::Continue {
        return;
    }
    // What waits is discarded from here on; the mailbox is drained, and `finish` does the rest.
    consumer.course = Course::Panicked;
    if let Some(batch) = consumer.batch() {
        for message in batch.ready.drain(..) {
            duty.mailbox.seldom().discarded.add_alone(1);
            discard(message);
        }
    }
    // As if by the handler: nothing waits in here, and nothing else is run (R1b).
    let _scope = scope::enter();
    if let Some(home) = consumer.home.clone() {
        home.close(duty, FinalReason::HandlerPanicked);
    }
}

/// What a panic carries is the user's, and its drop may panic too.
fn drop_panic(panic: Panic) {
    let _scope = scope::enter();
    contain(|| drop(panic));
}

/// Drops a message where its payload's drop may be user code.
fn discard(message: Message) {
    let _scope = scope::enter();
    drop(message);
}

/// Tells that congestion is over, if it is.
#[inline]
pub(super) fn clear_congestion(consumer: &Consumer, duty: &Duty) {
    if let Some(marks) = duty.marks() {
        clear(consumer, duty, marks);
    }
}

fn clear(consumer: &Consumer, duty: &Duty, marks: &Marks) {
    let tell = |raised, depth| {
        report_congestion(consumer.hooks.as_deref(), Congestion { raised, depth });
    };
    loop {
        let depth = duty.mailbox.depth();
        if depth > marks.low || !marks.begin_clear() {
            return;
        }
        tell(false, depth);
        marks.end_clear();
        // Publishers that came meanwhile have left it to us to say that it is back.
        let depth = duty.mailbox.depth();
        if depth >= marks.high && depth > marks.low && marks.begin_raise() {
            tell(true, depth);
            marks.end_raise();
        }
    }
}

/// Runs the callback for congestion, on whatever thread finds it.
pub(crate) fn report_congestion(hooks: Option<&super::filter::Hooks>, congestion: Congestion) {
    if let Some(callback) = hooks.and_then(|hooks| hooks.congestion.as_ref()) {
        let _scope = scope::enter();
        contain(|| callback(&congestion));
    }
}

/// The final run (L2): the final message, then the end of the handler and of all that it captured (L4).
fn finish(consumer: &mut Consumer, duty: &Duty) {
    if let Some(gap) = duty.mailbox.last_gap() {
        deliver_gap(consumer, duty, gap);
        flush_batch(consumer, duty);
    }
    let last = duty.last();
    // Whoever closed it: a handler that panicked is not run again, unless it asked for this.
    let wants_final = match consumer.course {
        Course::Handling => true,
        Course::Panicked => consumer.panic_policy == PanicPolicy::CloseWithFinal,
        Course::Abandoned => false,
    };
    // From here on a panic closes nothing more: it is closed already.
    consumer.course = Course::Panicked;
    if wants_final {
        if consumer.general {
            let message = FINAL.message(last);
            match consumer.batch() {
                Some(batch) => batch.ready.push(message),
                None => call_each(consumer, duty, message),
            }
            flush_batch(consumer, duty);
        }
        if let Some(on_final) = consumer.take_on_final() {
            let scope = scope::enter();
            let called = catch(|| on_final(&last));
            drop(scope);
            if let Err(panic) = called {
                panicked(consumer, duty, FINAL.name(), panic);
            }
        }
    }
    complete(consumer, duty, last);
}

/// Empties the consumer, and tells everybody that the subscription is done.
pub(super) fn complete(consumer: &mut Consumer, duty: &Duty, last: FinalMessage) {
    duty.mailbox.return_grants();
    let home = consumer.home.take();
    let ended = std::mem::take(consumer);
    {
        let _scope = scope::enter();
        contain(|| drop(ended));
        if let (Some(home), true) = (&home, last.discarded > 0) {
            home.discarded(duty, last.discarded);
        }
    }
    let Some(home) = home else {
        return duty.completion.complete(());
    };
    // Before anybody is told, who may want to see the figures.
    home.count(duty);
    duty.completion.complete(());
    home.finished(duty);
    // Perhaps the last one of the bus, whose hooks are the user's.
    scope::drop_in_scope(home);
}
