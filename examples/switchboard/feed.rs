//! The bus of the switchboard: a topic for each call leg, an aggregate that all of them are forwarded
//! into, and the subscriptions on both. No other file knows the bus.

use std::collections::HashMap;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use stasis_bus::{
    Bus, Delivery, FinalMessage, FinalReason, Forward, Message, MessageType, Overflow, OwnThread,
    Subscription, SubscriptionBuilder, Topic, WaitStrategy,
};

use crate::board::{self, Board};
use crate::cdr::Cdr;
use crate::consumer::Consumer;
use crate::failure::Failure;
use crate::latency::Latency;
use crate::snapshot::LegSnapshot;
use crate::switchboard::Outlet;
use crate::timeline::Timeline;
use crate::totals::{Ended, Totals};

/// A leg changed, and goes on.
static CHANGED: MessageType<LegSnapshot> = MessageType::new("leg changed");
/// A leg ended. Only this is worth a record, and whoever wants no more than that is not even offered
/// the others.
static ENDED: MessageType<LegSnapshot> = MessageType::new("leg ended");

/// The topic that all legs are forwarded into. That of leg 7 is `calls/7`.
const AGGREGATE: &str = "calls";
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
    aggregate: Topic,
    /// Those on the aggregate; dropping them would unsubscribe.
    subscriptions: Vec<Subscription>,
    legs: HashMap<u64, Leg>,
    sender: Sender<News>,
    news: Receiver<News>,
    totals: Totals,
}

/// What the bus holds for one leg. All of it goes when the leg ends.
#[derive(Debug)]
struct Leg {
    topic: Topic,
    _forward: Forward,
    _timeline: Subscription,
}

/// What subscribers and hooks tell, from whatever thread they run on.
#[derive(Debug)]
enum News {
    Ended(Ended),
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
        let aggregate = bus
            .topic(AGGREGATE)
            .map_err(cannot("make the topic of all calls"))?;
        let mut feed = Feed {
            bus,
            aggregate,
            subscriptions: Vec::new(),
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

    /// It writes to a file, so it has a thread of its own rather than to hold up a worker.
    fn subscribe_cdr(&mut self, cdr: Cdr) -> Result<(), Failure> {
        let subscription = self
            .aggregate
            .subscribe()
            .name("call detail records")
            .accept(&ENDED)
            .capacity(RING)
            .delivery(OwnThread::new(WaitStrategy::Park))
            .run(handler(cdr, FinalReason::Shutdown, self.sender.clone()))
            .map_err(cannot("subscribe the writer of call detail records"))?;
        self.subscribed(subscription);
        Ok(())
    }

    fn subscribe_latency(&mut self, latency: Latency) -> Result<(), Failure> {
        let subscription = snapshots(&self.aggregate)
            .name("latency")
            .capacity(RING)
            .delivery(Delivery::Pool)
            .run(handler(latency, FinalReason::Shutdown, self.sender.clone()))
            .map_err(cannot("subscribe the latency histogram"))?;
        self.subscribed(subscription);
        Ok(())
    }

    /// It may be as slow as its terminal: of each call only the newest snapshot waits for it, and it
    /// looks when it likes, so that nobody even has to wake it.
    fn subscribe_board(&mut self, board: Board) -> Result<(), Failure> {
        let receiver = snapshots(&self.aggregate)
            .name("board")
            .overflow(Overflow::conflate(|message| {
                message.get::<LegSnapshot>().map_or(0, |leg| leg.leg)
            }))
            .capacity(BOARD_CAPACITY)
            .receiver()
            .map_err(cannot("subscribe the board"))?;
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

    /// The topic of a leg that begins, its forward and its subscription.
    fn open(&mut self, number: u64) -> Result<Leg, Failure> {
        let topic = self
            .bus
            .topic(&format!("{AGGREGATE}/{number}"))
            .map_err(cannot("make the topic of a call"))?;
        let forward = topic
            .forward_to(&self.aggregate)
            .map_err(cannot("forward the topic of a call"))?;
        let timeline = Timeline::default();
        let timeline = snapshots(&topic)
            .run(handler(
                timeline,
                FinalReason::TopicClosed,
                self.sender.clone(),
            ))
            .map_err(cannot("subscribe the timeline of a call"))?;
        self.totals.subscriptions += 1;
        Ok(Leg {
            topic,
            _forward: forward,
            _timeline: timeline,
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
        self.shut_down();
        while self.totals.finals < self.totals.subscriptions {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.news.recv_timeout(left) {
                Ok(news) => self.totals.hear(news),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        self.take_news();
        self.totals
    }

    fn shut_down(&mut self) {
        let report = match self.bus.shutdown_timeout(DRAIN_LIMIT) {
            Ok(report) => report,
            Err(error) => return self.totals.fail(format!("shutdown: {error}")),
        };
        // The board's receiver may not have taken its final message yet; that one is waited for later.
        for name in report.unfinished.iter().chain(&report.executors) {
            self.totals
                .fail(format!("shutdown: {name} has not finished"));
        }
        if !report.workers_ended {
            self.totals.fail("shutdown: workers have not ended");
        }
        let topics = self.bus.topics();
        let left = topics.iter().filter(|topic| *topic.name != *AGGREGATE);
        self.totals.left_topics += left.count() as u64;
    }
}

impl Outlet for Feed {
    fn publish(&mut self, snapshot: LegSnapshot) {
        let (number, ends) = (snapshot.leg, snapshot.state.is_ended());
        if snapshot.change == 1 {
            match self.open(number) {
                Ok(leg) => drop(self.legs.insert(number, leg)),
                Err(failure) => self.totals.fail(failure),
            }
        }
        let kind = if ends { &ENDED } else { &CHANGED };
        match self.legs.get(&number) {
            Some(leg) => match leg.topic.publish(kind.message(snapshot)) {
                Ok(_) => self.totals.published += 1,
                Err(error) => self.totals.fail(format!("publish: {error}")),
            },
            None => self.totals.fail("publish: the call has no topic"),
        }
        if ends {
            if let Some(leg) = self.legs.remove(&number) {
                leg.topic.close();
            }
            self.take_news();
        }
    }
}

impl Totals {
    fn hear(&mut self, news: News) {
        match news {
            News::Ended(ended) => self.end(ended),
            News::Failed(what) => self.fail(what),
        }
    }
}

/// Begins a subscription to all snapshots.
fn snapshots(topic: &Topic) -> SubscriptionBuilder {
    topic.subscribe().accept(&CHANGED).accept(&ENDED)
}

/// The handler that feeds a subscriber, and tells its end by the final message.
fn handler<C: Consumer>(
    mut consumer: C,
    reason: FinalReason,
    sender: Sender<News>,
) -> impl FnMut(&Message) + Send + 'static {
    move |message| {
        if let Some(snapshot) = message.get::<LegSnapshot>() {
            consumer.see(snapshot);
        } else if let Some(last) = message.as_final() {
            let _ = sender.send(ended(&mut consumer, last, reason, 0));
        }
    }
}

/// The board's thread.
fn watch(mut board: Board, mut receiver: stasis_bus::Receiver, sender: &Sender<News>) {
    loop {
        while let Ok(message) = receiver.try_recv() {
            if let Some(snapshot) = message.get::<LegSnapshot>() {
                board.see(snapshot);
            } else if let Some(gap) = message.as_gap() {
                board.miss(gap.count);
            } else if let Some(last) = message.as_final() {
                let conflated = receiver.subscription().stats().conflated;
                let ended = ended(&mut board, last, FinalReason::Shutdown, conflated);
                let _ = sender.send(ended);
                return;
            }
        }
        board.draw();
        thread::sleep(board::REDRAW);
    }
}

fn ended(
    consumer: &mut impl Consumer,
    last: &FinalMessage,
    reason: FinalReason,
    conflated: u64,
) -> News {
    News::Ended(Ended {
        outcome: consumer.finish(),
        as_told: last.reason == reason,
        delivered: last.delivered,
        shed: last.shed,
        conflated,
        discarded: last.discarded,
    })
}

fn cannot<E: std::fmt::Display>(what: &'static str) -> impl FnOnce(E) -> Failure {
    move |error| Failure(format!("cannot {what}: {error}"))
}

#[cfg(test)]
mod tests {
    use indicatif::ProgressBar;

    use super::*;
    use crate::snapshot::{Cause, LegState, Times};

    fn snapshot(leg: u64, change: u32, state: LegState) -> LegSnapshot {
        LegSnapshot {
            leg,
            call_id: "a".into(),
            caller: "b".into(),
            called: "c".into(),
            change,
            state,
            times: Times::default(),
            published: Instant::now(),
        }
    }

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
    fn a_change_of_an_unknown_call_is_a_failure_and_no_panic() {
        let totals = totals("unknown", |feed| {
            feed.publish(snapshot(1, 2, LegState::Ringing));
        });
        assert_eq!((totals.published, totals.failures), (0, 1));
    }
}
