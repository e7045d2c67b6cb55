//! Where the sharp tools may be used: std's primitives, crossbeam's, atomics and their orderings, unsafe code.

use super::source::Source;

const ORDERINGS: [&str; 5] = ["Relaxed", "Acquire", "Release", "AcqRel", "SeqCst"];
/// How far above an ordering its reason may stand.
const COMMENT_LINES: usize = 8;
/// They stand in for other people's atomics in the models; their heads say what that takes.
const STAND_INS: [&str; 2] = ["src/sync/loom.rs", "src/sync/weak_queue.rs"];

/// Crates that one place alone knows.
const HOMES: [(&str, &str); 3] = [
    ("crossbeam_epoch", "src/epoch.rs"),
    ("crossbeam_queue", "src/sync/"),
    ("triomphe", "src/sync/"),
];

/// The collector's statics are the one thing that the facade cannot give.
const STATICS: (&str, [[&str; 3]; 1], [&str; 2]) = (
    "src/epoch.rs",
    [["std", "sync", "LazyLock"]],
    ["loom", "lazy_static"],
);

/// The files that a section of ARCHITECTURE.md lists: the paths in backticks of its bullets.
pub(crate) fn listed(architecture: &str, heading: &str) -> Vec<String> {
    let lines = architecture
        .lines()
        .skip_while(|line| *line != heading)
        .skip(1);
    lines
        .take_while(|line| !line.starts_with("## "))
        .filter(|line| line.starts_with("- "))
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .filter(|path| path.ends_with(".rs"))
        .map(str::to_owned)
        .collect()
}

/// A list is true only if it holds nothing else: each file of it is there and does `what`.
pub(crate) fn stale(
    heading: &str,
    listed: &[String],
    sources: &[Source],
    does: impl Fn(&Source) -> bool,
) -> Vec<String> {
    let needs = |path: &&String| {
        !sources
            .iter()
            .any(|source| source.path == **path && does(source))
    };
    listed
        .iter()
        .filter(needs)
        .map(|path| format!("ARCHITECTURE.md: '{heading}' lists {path} without need"))
        .collect()
}

pub(crate) fn std_primitives(source: &Source) -> Vec<String> {
    if source.is_in("src/sync/") {
        return Vec::new();
    }
    let banned = source.paths().into_iter().filter(|path| {
        let segments: Vec<&str> = path.segments.iter().map(String::as_str).collect();
        let (file, std_statics, loom_static) = STATICS;
        let is_static = source.path == file
            && (std_statics
                .iter()
                .any(|allowed| segments.starts_with(allowed))
                || segments.starts_with(&loom_static));
        let is_primitive = matches!(
            segments.as_slice(),
            ["std" | "core" | "alloc", "sync" | "thread", ..]
                | ["std" | "core", "cell", "UnsafeCell", ..]
                | ["loom", ..]
        );
        is_primitive && !is_static
    });
    banned
        .map(|path| {
            let path_text = path.segments.join("::");
            source.complain(
                path.line,
                format!("`{path_text}`: take it from crate::sync"),
            )
        })
        .collect()
}

pub(crate) fn foreign_crates(source: &Source) -> Vec<String> {
    let mut complaints = Vec::new();
    for token in &source.tokens {
        for (name, home) in HOMES {
            if token.text == name && !source.is_in(home) {
                complaints.push(source.complain(token.line, format!("only {home} knows {name}")));
            }
        }
    }
    complaints
}

/// Tokens that name an atomic type or the ordering of an access (`cmp::Ordering` is something else).
fn atomics(source: &Source) -> impl Iterator<Item = usize> {
    (0..source.tokens.len()).filter(|&idx| is_ordering(source, idx) || is_atomic_type(source, idx))
}

pub(crate) fn uses_atomics(source: &Source) -> bool {
    atomics(source).next().is_some()
}

fn is_ordering(source: &Source, idx: usize) -> bool {
    ORDERINGS.contains(&source.before(idx, 0))
        && source.before(idx, 1) == "::"
        && source.before(idx, 2) == "Ordering"
}

fn is_atomic_type(source: &Source, idx: usize) -> bool {
    let name = source.before(idx, 0).strip_prefix("Atomic").unwrap_or("");
    matches!(name, "Bool" | "Ptr" | "Usize" | "Isize")
        || name
            .strip_prefix(['U', 'I'])
            .is_some_and(|bits| bits.parse::<u32>().is_ok())
}

pub(crate) fn atomics_are_listed(source: &Source, listed: &[String]) -> Vec<String> {
    if listed.contains(&source.path) {
        return Vec::new();
    }
    atomics(source)
        .map(|idx| {
            let token = &source.tokens[idx];
            let what = format!(
                "`{}`: atomics stand in the files that ARCHITECTURE.md lists",
                token.text
            );
            source.complain(token.line, what)
        })
        .collect()
}

/// Each ordering is written out where it is used, and has a reason near it.
pub(crate) fn orderings(source: &Source) -> Vec<String> {
    let mut complaints = Vec::new();
    for path in source.paths() {
        let last_two = path.segments.iter().rev().take(2).rev();
        let imported = matches!(
            last_two.map(String::as_str).collect::<Vec<_>>().as_slice(),
            ["Ordering", name] if path.is_import && (*name == "*" || ORDERINGS.contains(name))
        );
        let renamed = path.segments.last().is_some_and(|name| name == "Ordering");
        if imported || renamed && path.alias.is_some() {
            let what = "write `Ordering::X` where it is used, so that it is found there";
            complaints.push(source.complain(path.line, what));
        }
    }
    if STAND_INS.contains(&source.path.as_str()) {
        return complaints;
    }
    for (idx, token) in source.tokens.iter().enumerate() {
        if is_ordering(source, idx) && !has_reason(source, token.line, &token.text) {
            let what = format!(
                "`{0}` has no `// {0}: …` within {COMMENT_LINES} lines",
                token.text
            );
            complaints.push(source.complain(token.line, what));
        }
    }
    complaints
}

/// A comment that names the ordering, or any comment that is not documentation.
fn has_reason(source: &Source, line: usize, ordering: &str) -> bool {
    let first = line.saturating_sub(COMMENT_LINES + 1);
    source.comments[first..line].iter().any(|comment| {
        let is_doc = comment.starts_with("///") || comment.starts_with("//!");
        comment.contains(&format!("{ordering}:")) || comment.starts_with("//") && !is_doc
    })
}

/// Sequential consistency is for fences: loom takes a SeqCst access for an AcqRel one.
pub(crate) fn seq_cst(source: &Source) -> Vec<String> {
    let mut complaints = Vec::new();
    for (idx, token) in source.tokens.iter().enumerate() {
        let path = if source.before(idx, 1) == "::" { 2 } else { 0 };
        let in_fence =
            source.before(idx, path + 1) == "(" && source.before(idx, path + 2) == "fence";
        if token.text == "SeqCst" && !in_fence {
            complaints
                .push(source.complain(token.line, "SeqCst only as `fence(Ordering::SeqCst)`"));
        }
    }
    complaints
}

pub(crate) fn uses_unsafe(source: &Source) -> bool {
    source.tokens.iter().any(|token| token.text == "unsafe")
}

pub(crate) fn unsafe_code(source: &Source, listed: &[String]) -> Vec<String> {
    let Some(first) = source.tokens.iter().find(|token| token.text == "unsafe") else {
        return Vec::new();
    };
    let mut complaints = Vec::new();
    // Models and tests of unsafe parts need some themselves.
    if source.is_in("src/") && !listed.contains(&source.path) {
        let what = "unsafe code stands in the files that ARCHITECTURE.md lists";
        complaints.push(source.complain(first.line, what));
    }
    let code: String = source.code.split_whitespace().collect();
    if !code.contains("#![expect(unsafe_code,") {
        let what = "a file with unsafe code opens with `#![expect(unsafe_code, reason = …)]`";
        complaints.push(source.complain(1, what));
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(check: fn(&Source) -> Vec<String>, path: &str, text: &str) -> usize {
        check(&Source::new(path, text)).len()
    }

    #[test]
    fn lists_are_read_and_kept_true() {
        let page =
            "## A\n- `src/x.rs`\n## B\n\n- `src/a.rs`, `src/b.rs`: `why`\ntext `src/c.rs`\n## C\n";
        let files = listed(page, "## B");
        assert_eq!(files, ["src/a.rs", "src/b.rs"]);
        assert!(listed(page, "## D").is_empty());
        let sources = [
            Source::new("src/a.rs", "unsafe {}"),
            Source::new("src/b.rs", ""),
        ];
        assert_eq!(stale("B", &files, &sources, uses_unsafe).len(), 1);
        assert_eq!(stale("B", &files, &[], uses_unsafe).len(), 2);
        assert!(stale("B", &files[..1], &sources, uses_unsafe).is_empty());
    }

    #[test]
    fn primitives_of_std_are_found() {
        for bad in [
            "use std::sync::Arc;",
            "use ::std::{sync::Mutex, fmt};",
            "use std::{thread, fmt};",
            "fn f() { std::thread::sleep(d) }",
            "type A = <core::sync::atomic::AtomicBool as X>::Y;",
            "use loom::cell;",
            "use std::cell::{Cell, UnsafeCell};",
        ] {
            assert_eq!(count(std_primitives, "src/bus.rs", bad), 1, "{bad}");
            assert_eq!(count(std_primitives, "src/sync/std.rs", bad), 0, "{bad}");
        }
        for good in [
            "use std::fmt; // std::sync",
            "#[cfg(loom)] use crate::sync::loom;",
        ] {
            assert_eq!(count(std_primitives, "src/bus.rs", good), 0, "{good}");
        }
        let statics = "static A: std::sync::LazyLock<u8> = std::sync::LazyLock::new(f); loom::lazy_static! {}";
        assert_eq!(count(std_primitives, "src/epoch.rs", statics), 0);
        assert_eq!(count(std_primitives, "src/bus.rs", statics), 3);
        assert_eq!(
            count(std_primitives, "src/epoch.rs", "use std::sync::Mutex;"),
            1
        );
    }

    #[test]
    fn crates_away_from_home_are_found() {
        for (name, home) in HOMES {
            let text = format!("use {name}::X;");
            assert_eq!(count(foreign_crates, "src/bus.rs", &text), 1);
            assert_eq!(count(foreign_crates, home, &text), 0);
        }
    }

    #[test]
    fn atomics_outside_the_list_are_found() {
        let check = |text| atomics_are_listed(&Source::new("src/a.rs", text), &[]).len();
        assert_eq!(check("x.load(Ordering::Acquire)"), 1);
        assert_eq!(check("x: AtomicU64, y: AtomicPtr<u8>"), 2);
        assert_eq!(
            check("cmp::Ordering::Less; epoch::Atomic::null(); AtomicUnit"),
            0
        );
        let source = Source::new("src/a.rs", "x.load(Ordering::Acquire)");
        assert!(atomics_are_listed(&source, &["src/a.rs".to_owned()]).is_empty());
    }

    #[test]
    fn orderings_without_a_reason_are_found() {
        let access = "x.load(Ordering::Acquire);";
        let check = |text: &str| count(orderings, "src/a.rs", text);
        assert_eq!(check(access), 1);
        assert_eq!(check(&format!("/// Loads.\n{access}")), 1);
        assert_eq!(
            check(&format!("// why{}{access}", "\n".repeat(COMMENT_LINES + 1))),
            1
        );
        assert_eq!(
            check(&format!("// why{}{access}", "\n".repeat(COMMENT_LINES))),
            0
        );
        assert_eq!(check(&format!("/// Acquire: sees `f`.\n{access}")), 0);
        assert_eq!(check(&format!("{access} // sees `f`")), 0);
        assert_eq!(count(orderings, "src/sync/loom.rs", access), 0);
        for bad in [
            "Ordering::Relaxed",
            "Ordering::{Less, Acquire}",
            "Ordering::*",
            "Ordering as O",
        ] {
            let text = format!("// why\nuse crate::sync::atomic::{bad};");
            assert_eq!(check(&text), 1, "{bad}");
        }
    }

    #[test]
    fn accesses_with_seq_cst_are_found() {
        assert_eq!(count(seq_cst, "src/a.rs", "x.load(Ordering::SeqCst)"), 1);
        assert_eq!(count(seq_cst, "src/a.rs", "x.swap(1, SeqCst)"), 1);
        assert_eq!(
            count(
                seq_cst,
                "src/a.rs",
                "fence(SeqCst); atomic::fence(Ordering::SeqCst)"
            ),
            0
        );
    }

    #[test]
    fn unsafe_code_outside_the_list_is_found() {
        let open = "#![expect(\n    unsafe_code,\n    reason = \"r\"\n)]\n";
        let check =
            |text: &str, listed: &[String]| unsafe_code(&Source::new("src/a.rs", text), listed);
        let list = ["src/a.rs".to_owned()];
        assert_eq!(check("unsafe { f() }", &[]).len(), 2);
        assert_eq!(check("unsafe { f() }", &list).len(), 1);
        assert_eq!(check(&format!("{open}unsafe {{ f() }}"), &[]).len(), 1);
        assert!(check(&format!("{open}unsafe {{ f() }}"), &list).is_empty());
        assert!(check("// unsafe\n\"unsafe\"; unsafe_code", &[]).is_empty());
        let model = Source::new("loom-tests/tests/a.rs", &format!("{open}unsafe {{ f() }}"));
        assert!(unsafe_code(&model, &[]).is_empty());
    }
}
