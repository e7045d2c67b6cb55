//! What the command line asks for. Names that nobody knows are errors here, before anything is measured.

use crate::peer::{Fault, Peer};
use crate::peers;
use crate::shapes::{self, Shape};
use lexopt::prelude::*;
use std::ffi::OsString;
use std::path::PathBuf;

pub(crate) const HELP: &str = "\
The bus beside what a user would pick instead, in one run.

cargo run --release -p comparison [--features mimalloc] -- [OPTIONS]

  --quick         all shapes in under 90 s, with shorter runs and fewer rounds
  --only SHAPE    this shape, or those whose names begin so and then with `-` or `:`; repeatable
  --peer NAME     this peer and its variants, or one variant; repeatable
  --json FILE     the results, one JSON object a line
  --from FILE     measures nothing: reports and draws what such a file says; repeatable
  --plots DIR     where pictures of the results go; target/comparison if nothing is said
  --list          what there is
  --help          this
";

/// What is wanted.
pub(crate) enum Wish {
    Help,
    List,
    Run(Run),
}

/// What is to be measured.
pub(crate) struct Run {
    pub(crate) quick: bool,
    pub(crate) shapes: Vec<&'static Shape>,
    pub(crate) peers: Vec<&'static dyn Peer>,
    pub(crate) json: Option<PathBuf>,
    /// Results to be shown, in the place of measuring.
    pub(crate) from: Vec<PathBuf>,
    pub(crate) plots: PathBuf,
}

/// # Errors
/// What is wrong with them, in a sentence.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Wish, Fault> {
    let mut parser = lexopt::Parser::from_iter(args);
    let (mut quick, mut json) = (false, None);
    let (mut from, mut plots) = (Vec::new(), PathBuf::from("target/comparison"));
    let (mut only, mut names) = (Vec::new(), Vec::new());
    while let Some(arg) = parser.next()? {
        match arg {
            Long("quick") => quick = true,
            Long("only") => only.push(parser.value()?.string()?),
            Long("peer") => names.push(parser.value()?.string()?),
            Long("json") => json = Some(parser.value()?.into()),
            Long("from") => from.push(parser.value()?.into()),
            Long("plots") => plots = parser.value()?.into(),
            Long("list") => return Ok(Wish::List),
            Long("help") | Short('h') => return Ok(Wish::Help),
            _ => return Err(arg.unexpected().into()),
        }
    }
    let shapes = shapes::all().collect();
    let shapes = chosen("shape", shapes, &only, |shape| shape.name, &['-', ':'])?;
    let peers = peers::all().collect();
    let peers = chosen("peer", peers, &names, |peer| peer.name(), &['/'])?;
    Ok(Wish::Run(Run {
        quick,
        shapes,
        peers,
        json,
        from,
        plots,
    }))
}

/// Those of `all` that have one of the names, or that name and one of the separators at their beginning.
fn chosen<T>(
    what: &str,
    mut all: Vec<T>,
    names: &[String],
    name: impl Fn(&T) -> &'static str,
    separators: &[char],
) -> Result<Vec<T>, Fault> {
    let is_meant = |it: &T, wanted: &String| {
        let rest = name(it).strip_prefix(wanted.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(separators))
    };
    for wanted in names {
        if !all.iter().any(|it| is_meant(it, wanted)) {
            return Err(
                format!("no {what} is called `{wanted}`; --list tells what there is").into(),
            );
        }
    }
    all.retain(|it| names.is_empty() || names.iter().any(|wanted| is_meant(it, wanted)));
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(args: &[&str]) -> Result<Run, Fault> {
        let args = std::iter::once("comparison").chain(args.iter().copied());
        match parse(args.map(OsString::from))? {
            Wish::Run(run) => Ok(run),
            _ => Err("not a run".into()),
        }
    }

    #[test]
    fn everything_is_the_default() {
        let run = run(&[]).expect("a run");
        assert!(!run.quick && run.json.is_none());
        assert_eq!(run.shapes.len(), shapes::all().count());
        assert_eq!(run.peers.len(), peers::all().count());
    }

    #[test]
    fn a_name_means_its_variants_too() {
        let ours = run(&["--peer", "stasis-bus", "--only", "1:8"]).expect("a run");
        assert_eq!(ours.shapes.len(), 1);
        assert!(ours.peers.len() > 1);
        let one = run(&["--peer", "stasis-bus/batch", "--peer=callbacks", "--quick"]);
        assert_eq!(one.expect("a run").peers.len(), 2);
    }

    #[test]
    fn what_nobody_knows_is_an_error() {
        for args in [
            &["--only", "1:9"][..],
            &["--peer", "stasis"],
            &["--fast"],
            &["--json"],
            &["x"],
        ] {
            assert!(run(args).is_err(), "{args:?}");
        }
    }
}
