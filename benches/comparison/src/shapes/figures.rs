//! Contenders that are no [`Peer`](crate::peer::Peer)s, as what they do is not to get messages from publishers to
//! subscribers: a function each, which gives some figures when its turn comes.

use super::Context;
use crate::contest::in_rounds;
use crate::line::Line;
use crate::peer::Fault;
use crate::watchdog;

/// A metric, its unit, and what was found.
pub(super) type Figure = (String, &'static str, f64);

pub(super) fn figure(metric: impl Into<String>, unit: &'static str, value: f64) -> Figure {
    (metric.into(), unit, value)
}

type Run<'a> = Box<dyn FnMut() -> Result<Vec<Figure>, Fault> + 'a>;

struct Contender<'a> {
    peer: String,
    run: Run<'a>,
    rounds: Vec<Vec<Figure>>,
}

/// See the module.
pub(super) struct Figures<'a> {
    shape: &'a str,
    contenders: Vec<Contender<'a>>,
}

impl<'a> Figures<'a> {
    pub(super) fn new(shape: &'a str) -> Self {
        Self {
            shape,
            contenders: Vec::new(),
        }
    }

    pub(super) fn enter(
        &mut self,
        peer: impl Into<String>,
        run: impl FnMut() -> Result<Vec<Figure>, Fault> + 'a,
    ) {
        self.contenders.push(Contender {
            peer: peer.into(),
            run: Box::new(run),
            rounds: Vec::new(),
        });
    }

    /// A line for each metric of each contender, after so many rounds.
    ///
    /// # Errors
    /// What a contender says.
    pub(super) fn measure(mut self, rounds: usize) -> Result<Vec<Line>, Fault> {
        in_rounds(
            &mut self.contenders,
            |_| rounds,
            |contender| {
                let _watch = watchdog::watch(format!("{}: {}", self.shape, contender.peer));
                let found = (contender.run)();
                let found = found.map_err(|fault| format!("{}: {fault}", contender.peer))?;
                contender.rounds.push(found);
                Ok(())
            },
        )?;
        let lines = self.contenders.iter().flat_map(|it| lines(self.shape, it));
        Ok(lines.collect())
    }
}

fn lines(shape: &str, contender: &Contender<'_>) -> Vec<Line> {
    let metrics = contender.rounds.first().map_or(0, Vec::len);
    let line = |idx: usize| {
        let (metric, unit, _) = &contender.rounds[0][idx];
        let measured: Vec<f64> = contender.rounds.iter().map(|round| round[idx].2).collect();
        Line::of(shape, &contender.peer, (metric, unit), &measured)
    };
    (0..metrics).filter_map(line).collect()
}

/// Whether somebody of that name, variants aside, is to be measured.
pub(super) fn is_wanted(context: &Context, peer: &str) -> bool {
    let crate_of = |name: &str| name.split('/').next().map(str::to_owned);
    let mut peers = context.peers.iter();
    peers.any(|it| crate_of(it.name()) == crate_of(peer))
}

#[test]
fn each_metric_has_its_line() {
    let mut turns = 0.0;
    let mut figures = Figures::new("x");
    figures.enter("one", || {
        turns += 1.0;
        Ok(vec![figure("a", "ns", turns), figure("b", "x", 1.0)])
    });
    let lines = figures.measure(3).expect("no fault");
    assert_eq!(lines.len(), 2);
    assert_eq!((lines[0].median, lines[0].max, lines[1].n), (2.0, 3.0, 3));
}
