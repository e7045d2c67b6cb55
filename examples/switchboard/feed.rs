//! The bus of the switchboard: each call leg is a channel of telephony with a topic of its own, which is
//! forwarded into those of all channels, and here are the subscriptions on all of these.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use stasis_bus::channels::{
    CHANNEL_DIAL, CHANNEL_SNAPSHOT, ChannelUpdate, MultiChannelBlob, Telephony,
};
use stasis_bus::{
    Bus, Delivery, FinalMessage, FinalReason, Message, Overflow, OwnThread, Router, Subscription,
    WaitStrategy,
};

use crate::board::{self, Board};
use crate::cdr::Cdr;
use crate::channel::{LEG_CHANGED, LEG_ENDED, LegChange, LegChannel};
use crate::consumer::{Consumer, Outcome};
use crate::events::EventStream;
use crate::failure::Failure;
use crate::latency::Latency;
use crate::snapshot::LegSnapshot;
use crate::switchboard::Outlet;
use crate::timeline::Timeline;
use crate::totals::{Ended, Totals};

/// What the topics of channels are called: that of all of them, and that of channel 7, `channel:7`.
const CHANNELS: &str = "channel:";
/// The slots of the rings on the aggregate; what is beyond is spilled, not lost.
const RING: usize = 1024;
/// So many calls may change between two looks of the board without it missing any of them.
const BOARD_CAPACITY: usize = 1 << 15;
/// All that was published is handled this long after the last publish, or the run has failed.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// Publishes, and hears of the ends of all subscriptions.
#[derive(Debug)]
pub(crate) struct Feed {
    bus: Bus,
    telephony: Telephony,
    /// Those on the topics of all channels; dropping them would unsubscribe.
    subscriptions: Vec<Subscription>,
    cdr: Option<Router>,
    events: Option<EventStream>,
    legs: HashMap<u64, Leg>,
    sender: Sender<News>,
    news: Receiver<News>,
    totals: Totals,
}

/// What the bus holds for one leg. All of it goes when the leg ends.
#[derive(Debug)]
struct Leg {
    /// Before the channel, whose end is published if it is dropped without one.
    _timeline: Subscription,
    channel: LegChannel,
}

/// What subscribers and hooks tell, from whatever thread they run on.
#[derive(Debug)]
pub(crate) enum News {
    /// A client of the event stream has subscribed.
    Joined,
    /// A subscription had its final message.
    Ended(Ended),
    /// Something failed.
    Failed(String),
}

impl Feed {
    /// Everything that is on the aggregate is subscribed before the first call comes.
    pub(crate) fn new(cdr: &Path, board: Board) -> Result<Feed, Failure> {
        let (sender, news) = mpsc::channel();
        let (panics, discards) = (sender.clone(), sender.clone());
        let bus = Bus::builder()
            .name("switchboard")
            .on_panic(move |panic| {
                let what = format!("a handler panicked: {panic:?}");
                let _ = panics.send(News::Failed(what));
            })
            .on_discard(move |discarded| {
                let what = format!("messages were discarded: {discarded:?}");
                let _ = discards.send(News::Failed(what));
            })
            .build()
            .map_err(cannot("build the bus"))?;
        let telephony = Telephony::new(&bus).map_err(cannot("make the topics of all calls"))?;
        let mut feed = Feed {
            bus,
            telephony,
            subscriptions: Vec::new(),
            cdr: None,
            events: None,
            legs: HashMap::new(),
            sender,
            news,
            totals: Totals::default(),
        };
        feed.subscribe_cdr(Cdr::create(cdr)?)?;
        feed.subscribe_latency(Latency::new()?)?;
        feed.subscribe_board(board)?;
        Ok(feed)
    }

    /// Begins the event stream, and says on which address.
    pub(crate) fn open_events(&mut self, addr: SocketAddr) -> Result<SocketAddr, Failure> {
        let topic = self.telephony.channel_topic_all();
        let events = EventStream::open(addr, topic, self.sender.clone())?;
        let addr = events.addr();
        self.events = Some(events);
        Ok(addr)
    }

    /// It writes to a file, so it has a thread of its own rather than to hold up a worker. It keeps each dial
    /// until the call ends, so both come by one subscription, in their order.
    fn subscribe_cdr(&mut self, cdr: Cdr) -> Result<(), Failure> {
        // The handlers of a router run one at a time: the lock is never waited for.
        let dials = Arc::new(Mutex::new(cdr));
        let (ends, last) = (Arc::clone(&dials), Arc::clone(&dials));
        let sender = self.sender.clone();
        let subscription = self
            .telephony
            .channel_topic_all()
            .subscribe()
            .name("call detail records")
            .capacity(RING)
            .delivery(OwnThread::new(WaitStrategy::Park));
        let router = Router::builder()
            .on(&CHANNEL_DIAL, move |dial: &MultiChannelBlob| {
                lock(&dials).dial(dial);
            })
            .on(&LEG_ENDED, move |change: &LegChange| {
                lock(&ends).end(change);
            })
            .on_final(move |final_message| {
                let outcome = lock(&last).finish();
                let _ = sender.send(ended(outcome, final_message, FinalReason::Shutdown, 0));
            })
            .subscribe(subscription)
            .map_err(cannot("subscribe the writer of call detail records"))?;
        self.totals.subscriptions += 1;
        self.cdr = Some(router);
        Ok(())
    }

    fn subscribe_latency(&mut self, latency: Latency) -> Result<(), Failure> {
        let subscription = self
            .telephony
            .channel_topic_all()
            .subscribe()
            .accept(&LEG_CHANGED)
            .accept(&LEG_ENDED)
            .name("latency")
            .capacity(RING)
            .delivery(Delivery::Pool)
            .run(handler(latency, FinalReason::Shutdown, self.sender.clone()))
            .map_err(cannot("subscribe the latency histogram"))?;
        self.subscribed(subscription);
        Ok(())
    }

    /// It may be as slow as its terminal, so it has a thread of its own, which is never waited for.
    fn subscribe_board(&mut self, mut board: Board) -> Result<(), Failure> {
        let receiver = begin(&mut board, &self.telephony)?;
        let sender = self.sender.clone();
        thread::Builder::new()
            .name("board".into())
            .spawn(move || watch(board, receiver, &sender))
            .map_err(cannot("start the board's thread"))?;
        self.totals.subscriptions += 1;
        Ok(())
    }

    fn subscribed(&mut self, subscription: Subscription) {
        self.totals.subscriptions += 1;
        self.subscriptions.push(subscription);
    }

    /// The channel of a leg that begins, and the subscription on its topic.
    fn open(&mut self, leg: &LegSnapshot) -> Result<Leg, Failure> {
        let channel =
            LegChannel::new(&self.telephony, leg).map_err(cannot("make the channel of a call"))?;
        let reason = FinalReason::TopicClosed;
        let timeline = channel
            .channel()
            .topic()
            .subscribe()
            .accept(&CHANNEL_SNAPSHOT)
            .run(handler(Timeline::default(), reason, self.sender.clone()))
            .map_err(cannot("subscribe the timeline of a call"))?;
        self.totals.subscriptions += 1;
        Ok(Leg {
            _timeline: timeline,
            channel,
        })
    }

    /// Takes what was told meanwhile, so that it does not pile up.
    fn take_news(&mut self) {
        while let Ok(news) = self.news.try_recv() {
            self.totals.hear(news);
        }
    }

    /// Ends all subscriptions, and waits until each of them has had its final message.
    pub(crate) fn finish(mut self) -> Totals {
        self.totals.left_topics += self.legs.len() as u64;
        self.legs.clear();
        let deadline = Instant::now() + DRAIN_LIMIT;
        // Who has subscribed by now has said so, and nobody does from here on.
        self.events.iter().for_each(EventStream::close);
        self.shut_down();
        while self.totals.finals < self.totals.subscriptions {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.news.recv_timeout(left) {
                Ok(news) => self.totals.hear(news),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        if let Some(Err(failure)) = self.events.take().map(EventStream::join) {
            self.totals.fail(failure);
        }
        self.take_news();
        self.totals
    }

    fn shut_down(&mut self) {
        let report = match self.bus.shutdown_timeout(DRAIN_LIMIT) {
            Ok(report) => report,
            Err(error) => return self.totals.fail(format!("shutdown: {error}")),
        };
        // Receivers may not have taken their final messages yet; those are waited for later.
        for name in report.unfinished.iter().chain(&report.executors) {
            self.totals
                .fail(format!("shutdown: {name} has not finished"));
        }
        if !report.workers_ended {
            self.totals.fail("shutdown: workers have not ended");
        }
        let topics = self.bus.topics();
        let all = [
            self.telephony.channel_topic_all(),
            self.telephony.channel_topic_all_cached(),
        ];
        let left = topics.iter().filter(|topic| {
            topic.name.starts_with(CHANNELS) && !all.iter().any(|one| *one.name() == *topic.name)
        });
        self.totals.left_topics += left.count() as u64;
    }
}

impl Outlet for Feed {
    fn publish(&mut self, snapshot: LegSnapshot) {
        let (number, ends) = (snapshot.leg, snapshot.state.is_ended());
        if snapshot.change == 1 {
            match self.open(&snapshot) {
                Ok(leg) => drop(self.legs.insert(number, leg)),
                Err(failure) => self.totals.fail(failure),
            }
        }
        match self.legs.get_mut(&number) {
            Some(leg) => match leg.channel.publish(&self.telephony, snapshot) {
                Ok(()) => self.totals.published += 1,
                Err(fault) => self.totals.fail(format!("publish: {fault}")),
            },
            None => self.totals.fail("publish: the call has no channel"),
        }
        if ends {
            if let Some(leg) = self.legs.remove(&number) {
                leg.channel.channel().topic().close();
            }
            self.take_news();
        }
    }
}

impl Totals {
    fn hear(&mut self, news: News) {
        match news {
            News::Joined => self.subscriptions += 1,
            News::Ended(ended) => self.end(ended),
            News::Failed(what) => self.fail(what),
        }
    }
}

/// The handler that feeds a subscriber, and tells its end by the final message.
fn handler<C: Consumer>(
    mut consumer: C,
    reason: FinalReason,
    sender: Sender<News>,
) -> impl FnMut(&Message) + Send + 'static {
    move |message| {
        if let Some(seen) = message.get::<C::Seen>() {
            consumer.see(seen);
        } else if let Some(last) = message.as_final() {
            let _ = sender.send(ended(consumer.finish(), last, reason, 0));
        }
    }
}

/// What the board gets: of each call only the newest snapshot waits for it, and it looks when it likes, so
/// that nobody even has to wake it. It begins with the calls that there are: what a publish shows to anybody is
/// there to be looked up, so that once it is subscribed no change is in neither place.
fn begin(board: &mut Board, telephony: &Telephony) -> Result<stasis_bus::Receiver, Failure> {
    let receiver = telephony
        .channel_topic_all_cached()
        .subscribe()
        .accept(&CHANNEL_SNAPSHOT)
        .name("board")
        .overflow(Overflow::conflate(|message| {
            let update = message.payload(&CHANNEL_SNAPSHOT);
            update.map_or(String::new(), |update| update.new.id().to_owned())
        }))
        .capacity(BOARD_CAPACITY)
        .receiver()
        .map_err(cannot("subscribe the board"))?;
    for channel in telephony.channels() {
        board.take(&channel);
    }
    Ok(receiver)
}

/// The board's thread.
fn watch(mut board: Board, mut receiver: stasis_bus::Receiver, sender: &Sender<News>) {
    loop {
        while let Ok(message) = receiver.try_recv() {
            if let Some(update) = message.get::<ChannelUpdate>() {
                board.see(update);
            } else if let Some(gap) = message.as_gap() {
                board.miss(gap.count);
            } else if let Some(last) = message.as_final() {
                let conflated = receiver.subscription().stats().conflated;
                let ended = ended(board.finish(), last, FinalReason::Shutdown, conflated);
                let _ = sender.send(ended);
                return;
            }
        }
        board.draw();
        thread::sleep(board::REDRAW);
    }
}

fn ended(outcome: Outcome, last: &FinalMessage, reason: FinalReason, conflated: u64) -> News {
    News::Ended(Ended {
        outcome,
        as_told: last.reason == reason,
        delivered: last.delivered,
        shed: last.shed,
        conflated,
        discarded: last.discarded,
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn cannot<E: std::fmt::Display>(what: &'static str) -> impl FnOnce(E) -> Failure {
    move |error| Failure(format!("cannot {what}: {error}"))
}

#[cfg(test)]
mod tests {
    use indicatif::ProgressBar;

    use super::*;
    use crate::channel::tests::leg as snapshot;
    use crate::snapshot::{Cause, LegState};

    /// Runs `publish` on a feed to its end.
    fn totals(name: &str, publish: impl FnOnce(&mut Feed)) -> Totals {
        let file = format!("switchboard-feed-{name}-{}.jsonl", std::process::id());
        let file = std::env::temp_dir().join(file);
        let mut feed = Feed::new(&file, Board::new(ProgressBar::hidden())).expect("a feed");
        publish(&mut feed);
        let totals = feed.finish();
        std::fs::remove_file(file).expect("the records");
        totals
    }

    #[test]
    fn every_subscription_gets_its_final_message_and_no_topic_is_left() {
        let totals = totals("finals", |feed| {
            for leg in 1..=100 {
                feed.publish(snapshot(leg, 1, LegState::Arrived));
                feed.publish(snapshot(leg, 2, LegState::Ended(Cause::Cancelled)));
            }
        });
        assert_eq!((totals.subscriptions, totals.finals), (103, 103));
        assert_eq!(
            (totals.timelines, totals.latency, totals.cdr),
            (200, 200, 100)
        );
        assert_eq!(totals.board + totals.board_shed, 200);
        assert_eq!(
            (totals.disorder, totals.misreported, totals.left_topics),
            (0, 0, 0)
        );
        assert_eq!(totals.first_failure, None);
    }

    #[test]
    fn a_call_that_does_not_end_leaves_its_topic_and_is_told_of() {
        let totals = totals("left", |feed| {
            feed.publish(snapshot(1, 1, LegState::Arrived));
        });
        assert_eq!((totals.left_topics, totals.disorder), (1, 1));
        assert_eq!((totals.subscriptions, totals.finals), (4, 4));
        assert_eq!(totals.misreported, 1, "it was not ended by its topic's end");
    }

    #[test]
    fn a_board_that_comes_late_begins_with_the_calls_that_there_are() {
        totals("late", |feed| {
            let cancelled = LegState::Ended(Cause::Cancelled);
            for leg in 1..=3 {
                feed.publish(snapshot(leg, 1, LegState::Arrived));
                feed.publish(snapshot(leg, 2, LegState::Ringing));
            }
            feed.publish(snapshot(1, 3, cancelled));
            let mut board = Board::new(ProgressBar::hidden());
            let mut receiver = begin(&mut board, &feed.telephony).expect("a receiver");
            let text = board.text(Instant::now());
            assert!(text.starts_with("2 calls, 0 ended, 2 ringing"), "{text}");
            feed.publish(snapshot(2, 3, cancelled));
            feed.publish(snapshot(3, 3, cancelled));
            for message in receiver.try_iter() {
                board.see(message.get().expect("an update"));
            }
            let text = board.text(Instant::now());
            assert!(text.starts_with("2 calls, 2 ended, 0 ringing"), "{text}");
        });
    }

    #[test]
    fn a_change_of_an_unknown_call_is_a_failure_and_no_panic() {
        let totals = totals("unknown", |feed| {
            feed.publish(snapshot(1, 2, LegState::Ringing));
        });
        assert_eq!((totals.published, totals.failures), (0, 1));
    }
}
