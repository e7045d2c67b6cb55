//! What a replay and a live run have in common: how they begin and how they end.

use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::audience::Audience;
use crate::books::Books;
use crate::cdr;
use crate::counts::Counts;
use crate::failure::Failure;
use crate::feed::Feed;
use crate::manifest::{Expected, Manifest};
use crate::report::Report;

/// Where the call detail records go if nothing is said.
pub(crate) fn default_cdr() -> PathBuf {
    std::env::temp_dir().join(format!("switchboard-{}.cdr.jsonl", std::process::id()))
}

/// Ends a run: wakes who sleeps, waits for the last subscriber and the last client, reads the call detail
/// records back and compares.
pub(crate) fn close(
    feed: Feed,
    counts: Counts,
    audience: Option<Audience>,
    manifest: Option<(Manifest, &Path)>,
    cdr: PathBuf,
    begun: Instant,
) -> Result<Report, Failure> {
    audience.iter().for_each(Audience::wake);
    let totals = feed.finish();
    let heard = audience.map(Audience::finish).transpose()?;
    let wall = begun.elapsed();
    let records = cdr::count(&cdr)?;
    let (expected, authority) = match manifest {
        Some((manifest, path)) => (manifest.expected(path)?, path.display().to_string()),
        None => (
            Expected::of(&counts),
            "the switchboard itself: there is no manifest".to_owned(),
        ),
    };
    let books = Books::new(&expected, &counts, &totals, records, heard.as_ref());
    Ok(Report {
        books,
        authority,
        counts,
        totals,
        heard,
        cdr,
        records,
        wall,
    })
}

impl Expected {
    /// Without a manifest: what the SIP side did must have reached the subscribers.
    fn of(counts: &Counts) -> Expected {
        Expected {
            calls: counts.legs,
            events: counts.snapshots,
            cdrs: counts.legs,
            malformed: counts.malformed,
            packets: counts.packets,
            repeats: counts.repeats,
        }
    }
}
