//! Who may import whom. The layers stand in ARCHITECTURE.md; this is their table.

use super::source::{Path, Source};
use std::collections::HashMap;

/// From top to bottom. A module may import from its own layer and from those below it.
const LAYERS: [&[&str]; 8] = [
    &["internals"],
    &["bus", "builder"],
    &["router", "cache", "state", "json", "channels"],
    &["topic"],
    &["subscription"],
    &["worker", "message"],
    &["queue", "epoch", "stats", "error"],
    &["sync"],
];

/// Modules that may import less than their layer lets them: the workers know a trait and no message, a queue
/// is generic.
const ONLY: [(&str, &[&str]); 5] = [
    ("worker", &["stats", "error", "sync"]),
    ("message", &["queue", "epoch", "stats", "error", "sync"]),
    ("queue", &["epoch", "stats", "error", "sync"]),
    ("epoch", &["sync"]),
    ("sync", &[]),
];

/// What makes a file more than a list of modules and re-exports.
const LOGIC: [&str; 14] = [
    "fn",
    "impl",
    "struct",
    "enum",
    "union",
    "trait",
    "static",
    "const",
    "type",
    "let",
    "match",
    "macro_rules",
    "unsafe",
    "async",
];

/// What lib.rs re-exports, by the module that it comes from: `crate::Bus` is a way to import `bus`.
#[derive(Debug, Default)]
pub(crate) struct Exports(HashMap<String, String>);

impl Exports {
    pub(crate) fn of(lib: &Source) -> Self {
        let exports = lib
            .paths()
            .into_iter()
            .filter(|path| path.is_import && path.nesting == 0);
        let exports = exports.filter_map(|path| {
            let mut segments = path.segments.iter();
            let module = segments.find(|segment| *segment != "self" && *segment != "crate")?;
            let name = path.alias.as_ref().or(segments.next_back())?;
            Some((name.clone(), module.clone()))
        });
        Self(exports.collect())
    }

    fn module<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        let module = self.0.get(name).map_or(name, String::as_str);
        layer(module).map(|_| module)
    }
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|modules| modules.contains(&module))
}

fn may_import(from: &str, to: &str) -> bool {
    let only = ONLY.iter().find(|(module, _)| *module == from);
    from == to
        || match only {
            Some((_, allowed)) => allowed.contains(&to),
            None => layer(from) <= layer(to),
        }
}

/// The modules that a file stands in: `src/queue/ring.rs` is `["queue", "ring"]`.
fn modules(path: &str) -> Vec<&str> {
    let path = path.strip_prefix("src/").unwrap_or(path);
    let path = path.strip_suffix(".rs").unwrap_or(path);
    path.strip_suffix("/mod")
        .unwrap_or(path)
        .split('/')
        .collect()
}

/// The name that a path takes from the root of the crate, if it goes by there.
fn from_root(path: &Path, depth: usize) -> Option<&str> {
    let supers = path
        .segments
        .iter()
        .take_while(|segment| *segment == "super")
        .count();
    let skip = match path.segments.first()?.as_str() {
        "crate" => 1,
        "super" if supers == depth + path.nesting => supers,
        _ => return None,
    };
    path.segments.get(skip).map(String::as_str)
}

pub(crate) fn imports(source: &Source, exports: &Exports) -> Vec<String> {
    let modules = modules(&source.path);
    if modules == ["lib"] {
        return Vec::new();
    }
    let from = modules[0];
    if layer(from).is_none() {
        return vec![source.complain(
            1,
            format!("`{from}` is in no layer: see tests/tidy/layers.rs"),
        )];
    }
    let mut complaints = Vec::new();
    for path in source.paths() {
        let Some(name) = from_root(&path, modules.len()) else {
            continue;
        };
        match exports.module(name) {
            Some(to) if may_import(from, to) => {}
            Some(to) => {
                complaints
                    .push(source.complain(path.line, format!("`{from}` may not import `{to}`")));
            }
            None => {
                let what =
                    format!("`{name}` is neither a layer's module nor a name that lib.rs exports");
                complaints.push(source.complain(path.line, what));
            }
        }
    }
    complaints
}

/// lib.rs declares modules and exports names, no more.
pub(crate) fn no_logic(lib: &Source) -> Vec<String> {
    let tokens = lib.tokens.iter();
    tokens
        .filter(|token| LOGIC.contains(&token.text.as_str()))
        .map(|token| {
            lib.complain(
                token.line,
                format!("lib.rs holds no logic: `{}`", token.text),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(path: &str, text: &str) -> usize {
        let lib =
            "pub use bus::Bus;\npub use self::{topic::Topic, error::{Full, Closed as Shut}};\n";
        let exports = Exports::of(&Source::new("src/lib.rs", lib));
        imports(&Source::new(path, text), &exports).len()
    }

    #[test]
    fn imports_upward_are_found() {
        for (path, text) in [
            ("src/sync/std.rs", "use crate::epoch;"),
            ("src/queue/ring.rs", "use crate::{sync, message::Message};"),
            ("src/queue/ring.rs", "fn f() { crate::message::f() }"),
            ("src/queue/ring.rs", "use super::super::message;"),
            ("src/worker/pool.rs", "use crate::queue::Ring;"),
            ("src/worker/pool.rs", "use crate::epoch;"),
            ("src/message/mod.rs", "use crate::worker::Run;"),
            ("src/message/mod.rs", "use super::topic::Topic;"),
            (
                "src/message/mod.rs",
                "mod tests { use super::super::topic::Topic; }",
            ),
            ("src/subscription/mod.rs", "use crate::topic::Topic;"),
            ("src/subscription/mod.rs", "use crate::Topic;"),
            ("src/topic/mod.rs", "use crate::Bus;"),
            (
                "src/topic/mod.rs",
                "macro_rules! m { () => { $crate::bus::Bus } }",
            ),
            ("src/router.rs", "use crate::builder::Builder;"),
            ("src/epoch.rs", "use crate::error::Full;"),
            ("src/bus.rs", "use crate::internals::Ring;"),
        ] {
            assert_eq!(complaints(path, text), 1, "{path}: {text}");
        }
    }

    #[test]
    fn imports_downward_pass() {
        for (path, text) in [
            (
                "src/queue/ring.rs",
                "use crate::sync::atomic; use crate::error::Full; use super::index;",
            ),
            (
                "src/queue/ring.rs",
                "mod tests { use super::super::index; use super::*; }",
            ),
            ("src/worker/mod.rs", "use crate::{stats, error, sync};"),
            (
                "src/topic/mod.rs",
                "use crate::{subscription, worker::Run, message::Message};",
            ),
            (
                "src/cache/mod.rs",
                "use crate::{Topic, router::Router, Full, Shut};",
            ),
            (
                "src/bus.rs",
                "use crate::builder::Builder; use crate::topic; use crate::sync;",
            ),
            ("src/builder.rs", "use crate::Bus;"),
            (
                "src/queue/mod.rs",
                "// use crate::message;\npub(in crate::queue) fn f() {}",
            ),
        ] {
            assert_eq!(complaints(path, text), 0, "{path}: {text}");
        }
    }

    #[test]
    fn what_has_no_place_is_found() {
        assert_eq!(complaints("src/helpers.rs", ""), 1);
        assert_eq!(complaints("src/bus.rs", "use crate::Unknown;"), 1);
        assert_eq!(complaints("src/bus.rs", "use crate::*;"), 1);
    }

    #[test]
    fn logic_in_lib_rs_is_found() {
        let lib = |text| no_logic(&Source::new("src/lib.rs", text)).len();
        assert_eq!(lib("pub fn f() {}"), 1);
        assert_eq!(lib("pub mod internals { impl X {} }"), 1);
        assert_eq!(lib("const N: usize = 1;"), 1);
        assert_eq!(
            lib("#![warn(a)]\n//! fn\n#[cfg(loom)]\npub mod x { pub use a::b; }"),
            0
        );
    }
}
