//! What the workers share, and what one worker does: which work is next, running it, stealing, and work
//! that has stalled. When to sleep and whom to wake is decided in `idle.rs`.

use std::time::{Duration, Instant};

use super::idle::{Announced, FallAsleep, Idle, Timed, Woken};
use super::injector::Injector;
use super::patience::Patience;
use super::pool::IdleStrategy;
use super::stats::{PoolStats, WorkerCounters};
use super::word::Singles;
use super::{Outcome, Pace, Run, current, pause};
use crate::sync::unmodelled::Arc;
use crate::sync::{ArrayQueue, SegQueue, Take, hint, thread};

/// Work that waits in one worker's queue; more goes to the injector. Small in models, which must fill it.
pub(super) const LOCAL_QUEUE_CAPACITY: usize = if cfg!(loom) { 4 } else { 256 };

/// A worker looks into the injector before its own queue at least every this many picks.
pub(super) const INJECTOR_INTERVAL: u32 = 61;

/// A worker takes at most so many pieces from the injector besides the one that it runs.
const MOST_FETCHED: usize = if cfg!(loom) { 1 } else { 7 };

/// Of its share of what waits there, a worker leaves all but one in so many. Models have little that waits.
const EACH_LEAVES: usize = if cfg!(loom) { 1 } else { 2 };

/// The first delay before stalled work is retried. None in models, which have no clock.
const RETRY_MIN: Duration = Duration::from_micros(if cfg!(loom) { 0 } else { 50 });

/// The delay doubles with each retry, up to this.
const RETRY_MAX: Duration = Duration::from_micros(if cfg!(loom) { 0 } else { 1000 });

/// For so long the watcher sleeps between two looks. None in models, which have no clock.
const WATCH: Duration = Duration::from_micros(if cfg!(loom) { 0 } else { 100 });

/// What the workers of one pool share.
pub(super) struct Crew<R> {
    pub(super) injector: Injector<R>,
    pub(super) idle: Idle,
    members: Box<[Member<R>]>,
    /// Stalled work of workers that are in a run of something else, for an idle worker to look after (R3).
    shelf: SegQueue<Stalled<R>>,
    wait: IdleStrategy,
}

struct Member<R> {
    /// The owner pushes, anyone pops.
    local: ArrayQueue<R>,
    counters: WorkerCounters,
}

/// Work that could not go on, and when it is tried again.
struct Stalled<R> {
    work: R,
    delay: Duration,
    due: Instant,
}

impl<R> Stalled<R> {
    fn new(work: R, delay: Duration) -> Self {
        let due = Instant::now() + delay;
        Self { work, delay, due }
    }
}

impl<R: Run> Crew<R> {
    pub(super) fn new(workers: usize, wait: IdleStrategy) -> Self {
        let member = |_| Member {
            local: ArrayQueue::new(LOCAL_QUEUE_CAPACITY),
            counters: WorkerCounters::default(),
        };
        Self {
            injector: Injector::new(),
            idle: Idle::new(workers),
            members: (0..workers).map(member).collect(),
            shelf: SegQueue::new(),
            wait,
        }
    }

    /// Called by worker `index` only. The caller announces it. True: it is alone in the worker's queue.
    pub(super) fn push_local(&self, index: usize, work: R) -> bool {
        let Member { local, counters } = &self.members[index];
        let is_alone = local.is_empty();
        counters.pushed.add_owned(1);
        if let Err(work) = local.push(work) {
            self.injector.push(work);
        }
        is_alone
    }

    /// On worker `index` only: what is submitted there goes into its own queue, with one decision about
    /// waking another one. It runs, so it is not gone, and nothing is refused.
    pub(super) fn submit_local(&self, index: usize, burst: impl IntoIterator<Item = R>) {
        let (mut count, mut is_alone) = (0, false);
        for work in burst {
            is_alone = self.push_local(index, work);
            count += 1;
        }
        let announced = match count {
            0 => return,
            1 if is_alone => self.idle.announce_to_watcher(),
            _ => self.idle.announce(),
        };
        debug_assert_eq!(announced, Announced::Heard);
    }

    /// Whether there is anything for a worker to take, wherever it is. The look of F1b.
    fn is_work_visible(&self, singles: Singles) -> bool {
        let counts = |local: &ArrayQueue<R>| match singles {
            Singles::Visible => !local.is_empty(),
            Singles::Watched => !local.is_empty() && local.len() > 1,
        };
        !self.injector.is_empty()
            || !self.shelf.is_empty()
            || self.members.iter().any(|member| counts(&member.local))
    }

    /// After the end of the pool: as many pieces as the caller has put in. See E3 in the README.
    pub(super) fn take_back(&self, count: usize) -> Vec<R> {
        self.idle
            .exclusively(|| (0..count).map_while(|_| self.injector.take()).collect())
    }

    pub(super) fn stats(&self) -> PoolStats {
        let now = self.idle.snapshot();
        let mut stats = PoolStats {
            workers: self.members.len(),
            parked: now.parked(),
            searching: now.searching(),
            wakeups: self.idle.wakeups.get(),
            ..PoolStats::default()
        };
        for member in &self.members {
            member.counters.add_to(&mut stats);
        }
        stats.injected += self.injector.len() as u64;
        stats
    }
}

/// Where a worker took its last piece of work from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Local,
    Injector,
}

/// One worker, as its own thread sees it.
pub(super) struct Worker<R> {
    crew: Arc<Crew<R>>,
    index: usize,
    /// Whether it is counted as searching. Never while work runs.
    searching: bool,
    /// Stalled work in its own hands. Empty while work runs: it is on the shelf then.
    held: Vec<Stalled<R>>,
    picks: u32,
    /// Which of its two queues goes first after an `Again`: the other one than last time.
    first: Source,
    /// Where stealing begins.
    next_victim: usize,
    /// How much each worker had put into its own queue when this one last looked.
    seen: Box<[u64]>,
    /// Since the look around before the last one somebody has put something in there: most likely they are
    /// about to take it out, or have. See "Watching".
    has_seen_singles: bool,
    patience: Patience,
}

impl<R: Run> Worker<R> {
    pub(super) fn new(crew: Arc<Crew<R>>, index: usize) -> Self {
        Self {
            seen: vec![0; crew.members.len()].into(),
            has_seen_singles: false,
            patience: Patience::default(),
            crew,
            index,
            searching: false,
            held: Vec::new(),
            picks: 0,
            first: Source::Local,
            next_victim: index,
        }
    }

    /// The body of a worker's thread.
    pub(super) fn work_until_gone(mut self) {
        current::enter(&self.crew, self.index);
        loop {
            if self.retry_one() {
                continue;
            }
            if let Some(work) = self.pick().or_else(|| self.search()) {
                self.run(work, RETRY_MIN);
            } else if self.is_one_due() {
                hint::spin_loop(); // at once, in models; seldom otherwise
            } else if self.rest() == Woken::Gone {
                break;
            }
        }
        debug_assert!(self.held.is_empty());
        debug_assert!(self.member().local.is_empty());
        current::leave();
    }

    fn member(&self) -> &Member<R> {
        &self.crew.members[self.index]
    }

    /// The next piece of its own queue or of the injector.
    fn pick(&mut self) -> Option<R> {
        self.picks = self.picks.wrapping_add(1);
        let injector_first = self.first == Source::Injector || self.picks % INJECTOR_INTERVAL == 0;
        self.first = Source::Local;
        if injector_first {
            self.pop_injector().or_else(|| self.member().local.take())
        } else {
            self.member().local.take().or_else(|| self.pop_injector())
        }
    }

    /// The next piece of the injector. If many wait, some more go to the own queue, so that workers do not
    /// meet at the injector for each piece.
    fn pop_injector(&self) -> Option<R> {
        let injector = &self.crew.injector;
        let work = injector.take()?;
        let share = injector.len() / EACH_LEAVES / self.crew.members.len();
        let mut fetched = 1;
        if share > 0 {
            let more = (0..share.min(MOST_FETCHED)).map_while(|_| injector.take());
            let more = more.inspect(|_| {
                fetched += 1;
            });
            self.crew.submit_local(self.index, more);
        }
        self.member().counters.injected.add_owned(fetched);
        Some(work)
    }

    /// Looks everywhere, for as long as the idle strategy allows. None: it is time to sleep, or enough
    /// others are searching.
    fn search(&mut self) -> Option<R> {
        if !self.searching && !self.crew.idle.start_search() {
            return None;
        }
        self.searching = true;
        let wait = self.crew.wait;
        let looks = wait.spins.saturating_add(wait.yields);
        for look in 0..=looks {
            if look > wait.spins {
                thread::yield_now();
            } else if look > 0 {
                hint::spin_loop();
            }
            let found = self.pop_injector().or_else(|| self.steal());
            if found.is_some() {
                return found;
            }
            self.take_from_shelf();
            if self.is_one_due() {
                return None;
            }
        }
        None
    }

    /// Half of another worker's queue: the first piece is returned, the others go to the own queue. The
    /// caller is searching, so that leaving the search announces what was moved (L2). A single piece that is
    /// new is left to who put it there.
    fn steal(&mut self) -> Option<R> {
        debug_assert!(self.searching);
        self.has_seen_singles = false;
        let members = &self.crew.members;
        self.next_victim = (self.next_victim + 1) % members.len();
        for offset in 0..members.len() {
            let victim = (self.next_victim + offset) % members.len();
            if victim == self.index {
                continue;
            }
            let queue = &members[victim].local;
            let pushed = members[victim].counters.pushed.get();
            let is_new = std::mem::replace(&mut self.seen[victim], pushed) != pushed;
            self.has_seen_singles |= is_new;
            let len = queue.len();
            if len == 0 || len == 1 && is_new {
                continue;
            }
            let half = len.div_ceil(2);
            let Some(first) = queue.pop() else {
                continue;
            };
            let mut stolen = 1;
            while stolen < half {
                let Some(work) = queue.pop() else {
                    break;
                };
                self.crew.push_local(self.index, work);
                stolen += 1;
            }
            self.member().counters.steals.add_owned(stolen as u64);
            return Some(first);
        }
        None
    }

    /// Runs one piece of work, over and over while it wants to and nothing else waits. `delay`: how long to
    /// wait should it stall.
    fn run(&mut self, work: R, delay: Duration) {
        self.before_run();
        let mut delay = delay;
        let mut work = work;
        let mut pace = Pace::default();
        loop {
            match self.run_once(work) {
                Outcome::Done => break,
                Outcome::Idle(idle, done) => {
                    pace.did(done);
                    match self.linger(idle, &pace) {
                        Some(again) => work = again,
                        None => break,
                    }
                }
                Outcome::Stalled(again) => {
                    self.held.push(Stalled::new(again, delay));
                    break;
                }
                Outcome::Again(again) => {
                    delay = RETRY_MIN;
                    work = again;
                    if self.is_other_work_waiting() {
                        self.put_back(work);
                        break;
                    }
                }
            }
        }
        self.take_from_shelf();
    }

    /// Work that has nothing to do for now: looks for a little while whether something comes, unless
    /// something else waits. Meanwhile the worker counts as searching, for it looks for other work too, and
    /// nobody is woken in its place. The work comes back if there is something to do.
    fn linger(&mut self, idle: R, pace: &Pace) -> Option<R> {
        let lingers = self.crew.wait.lingers;
        if lingers == 0 || self.is_other_work_waiting() || !self.crew.idle.start_search() {
            return idle.rest().err();
        }
        self.searching = true;
        if self.is_ready_soon(&idle, pace) {
            self.patience.pays();
            self.leave_search();
            return Some(idle);
        }
        let again = idle.rest().err()?;
        self.leave_search();
        Some(again)
    }

    /// False: it is not, or something else is.
    fn is_ready_soon(&mut self, idle: &R, pace: &Pace) -> bool {
        let impatient = self.crew.wait.lingers;
        for look in 0..self.patience.looks(impatient) {
            if look >= impatient {
                // Who waits for so long has no right to a core that somebody else could use.
                thread::yield_now();
            }
            pause();
            if look >= pace.left_out() && idle.is_ready() {
                return true;
            }
            if self.is_other_work_waiting() {
                return false;
            }
        }
        self.patience.is_in_vain();
        false
    }

    /// Something was found, and is about to be run: see `Idle::leave_search`.
    fn leave_search(&mut self) {
        self.searching = false;
        let crew = &self.crew;
        crew.idle
            .leave_search(|singles| crew.is_work_visible(singles));
    }

    /// From here on the worker may be away for as long as the work likes: what it holds becomes visible to
    /// the others, and if it was the one that searched, another one takes over.
    fn before_run(&mut self) {
        let shelved = !self.held.is_empty();
        for stalled in self.held.drain(..) {
            self.crew.shelf.push(stalled);
        }
        if self.searching {
            self.leave_search();
        } else if shelved {
            self.announce();
        }
    }

    fn run_once(&self, work: R) -> Outcome<R> {
        let counters = &self.member().counters;
        counters.begin_run();
        let bomb = AbortOnUnwind;
        let outcome = work.run();
        std::mem::forget(bomb);
        counters.end_run();
        outcome
    }

    fn is_other_work_waiting(&self) -> bool {
        !self.member().local.is_empty()
            || !self.crew.injector.is_empty()
            || !self.crew.shelf.is_empty()
    }

    /// Behind what waits in the own queue. The next pick is from the other queue than the last one, so that
    /// neither work that always wants more nor a busy injector keeps the other waiting.
    fn put_back(&mut self, work: R) {
        self.crew.push_local(self.index, work);
        self.first = Source::Injector;
        self.announce();
    }

    fn announce(&self) {
        let announced = self.crew.idle.announce();
        debug_assert_eq!(
            announced,
            Announced::Heard,
            "a worker runs, so it is not gone"
        );
    }

    fn take_from_shelf(&mut self) {
        while let Some(stalled) = self.crew.shelf.take() {
            self.held.push(stalled);
        }
    }

    fn is_one_due(&self) -> bool {
        !self.held.is_empty() && {
            let now = Instant::now();
            self.held.iter().any(|stalled| stalled.due <= now)
        }
    }

    /// Retries the stalled work that has been due for longest, if any is.
    fn retry_one(&mut self) -> bool {
        let oldest = (0..self.held.len()).min_by_key(|&position| self.held[position].due);
        let Some(position) = oldest else {
            return false;
        };
        if self.held[position].due > Instant::now() {
            return false;
        }
        let stalled = self.held.swap_remove(position);
        self.member().counters.stalled_retries.add_owned(1);
        self.run(stalled.work, (2 * stalled.delay).min(RETRY_MAX));
        true
    }

    /// Nothing to do: sleeps until called, or until stalled work is due.
    fn rest(&mut self) -> Woken {
        let due = self.held.iter().map(|stalled| stalled.due).min();
        let crew = &self.crew;
        let was_searching = std::mem::take(&mut self.searching);
        let why = Timed {
            is_holding: due.is_some(),
            has_seen_singles: self.has_seen_singles,
        };
        let fallen = crew
            .idle
            .fall_asleep(self.index, was_searching, why, |singles| {
                crew.is_work_visible(singles)
            });
        let woken = match fallen {
            FallAsleep::Gone => Woken::Gone,
            FallAsleep::WorkVisible => Woken::Called,
            FallAsleep::Asleep { watching } => {
                let left = due.map(|due| due.saturating_duration_since(Instant::now()));
                let watch = watching.then(|| left.map_or(WATCH, |left| left.min(WATCH)));
                let limit = watch.or(left);
                crew.idle.sleep(self.index, limit, watching)
            }
        };
        self.searching = woken == Woken::Called;
        woken
    }
}

/// Work must not unwind: its pool, and all that wait for it, would go on without it.
struct AbortOnUnwind;

impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        // Reached by unwinding only. A panic while panicking would abort with less of a message.
        eprintln!("stasis-bus: work of a worker pool has unwound; aborting");
        std::process::abort();
    }
}
