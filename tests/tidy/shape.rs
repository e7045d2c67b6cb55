//! How a file looks: its head, its length, its functions, its lines, its examples; and how a script opens.

use super::source::Source;

const FILE_LINES: usize = 600;
const FILE_LINES_SOFT: usize = 400;
const FUNCTION_LINES: usize = 70;
/// rustfmt holds code to 100; a comment may run on a little.
const COLUMNS: usize = 110;

/// What a clone must not know: folders of the machine that it was written on, and the tools there. Written
/// in two halves, so that this file passes.
const FOREIGN: [(&str, &str); 4] = [
    ("/wo", "rk/"),
    ("/ro", "ot/"),
    ("far", "m-"),
    ("/.lib", "rary"),
];

pub(crate) fn head(source: &Source) -> Vec<String> {
    let says_what_it_is = source
        .lines
        .first()
        .is_some_and(|line| line.starts_with("//!"));
    let what = "a file starts with `//!`: what it is, and what it is not";
    Vec::from_iter((!says_what_it_is).then(|| source.complain(1, what)))
}

pub(crate) fn length(source: &Source) -> Vec<String> {
    let length = source.lines.len();
    let what = format!("{length} lines; {FILE_LINES} is the limit: which noun can move out?");
    Vec::from_iter((length > FILE_LINES).then(|| source.complain(length, what)))
}

/// Not an error yet.
pub(crate) fn is_long(source: &Source) -> bool {
    source.lines.len() > FILE_LINES_SOFT
}

pub(crate) fn functions(source: &Source) -> Vec<String> {
    let long = source.functions().into_iter();
    long.filter(|function| function.length > FUNCTION_LINES)
        .map(|function| {
            let (name, length) = (&function.name, function.length);
            let what = format!("`{name}` has {length} lines; {FUNCTION_LINES} fit on a screen");
            source.complain(function.line, what)
        })
        .collect()
}

pub(crate) fn columns(source: &Source) -> Vec<String> {
    let lines = source.lines.iter().enumerate();
    lines
        .filter(|(_, line)| line.chars().count() > COLUMNS)
        .map(|(idx, _)| source.complain(idx + 1, format!("more than {COLUMNS} columns")))
        .collect()
}

pub(crate) fn trailing_space(path: &str, text: &str) -> Vec<String> {
    let lines = text.split('\n').enumerate();
    lines
        .filter(|(_, line)| line.ends_with([' ', '\t', '\r']))
        .map(|(idx, _)| format!("{path}:{}: trailing space", idx + 1))
        .collect()
}

/// Examples that nobody compiles, in the doc comments of a Rust file.
pub(crate) fn ignored_doctests(source: &Source) -> Vec<String> {
    let comments = source.comments.iter().enumerate();
    comments
        .filter(|(_, comment)| {
            let text = comment.trim_start_matches(['/', '!', '*', ' ']);
            is_ignored_example(text)
        })
        .map(|(idx, _)| source.complain(idx + 1, "an `ignore`d example rots: make it compile"))
        .collect()
}

/// The same in a page, which rustdoc includes.
pub(crate) fn ignored_examples(path: &str, text: &str) -> Vec<String> {
    let lines = text.lines().enumerate();
    lines
        .filter(|(_, line)| is_ignored_example(line.trim_start_matches(['>', ' '])))
        .map(|(idx, _)| format!("{path}:{}: an `ignore`d example rots", idx + 1))
        .collect()
}

fn is_ignored_example(line: &str) -> bool {
    let fence = line.strip_prefix("```").or(line.strip_prefix("~~~"));
    fence.is_some_and(|info| {
        info.split([',', ' ', '\t'])
            .any(|word| word == "ignore" || word.starts_with("ignore-"))
    })
}

pub(crate) fn foreign_words(path: &str, text: &str) -> Vec<String> {
    let words = FOREIGN.map(|(head, tail)| format!("{head}{tail}"));
    let mut complaints = Vec::new();
    for (idx, line) in text.lines().enumerate() {
        for word in words.iter().filter(|word| line.contains(*word)) {
            complaints.push(format!("{path}:{}: `{word}` means nothing here", idx + 1));
        }
    }
    complaints
}

/// A script under `ci/` says in its second line why it is there, and stops at the first error.
pub(crate) fn script(path: &str, text: &str) -> Vec<String> {
    let mut lines = text.lines();
    let mut complaints = Vec::new();
    if lines.next() != Some("#!/usr/bin/env bash") {
        complaints.push(format!(
            "{path}:1: a script starts with `#!/usr/bin/env bash`"
        ));
    }
    if !lines.next().is_some_and(|line| line.starts_with("# ")) {
        complaints.push(format!("{path}:2: a script opens with why it is there"));
    }
    if !lines.any(|line| line == "set -euo pipefail") {
        complaints.push(format!("{path}:3: `set -euo pipefail` is missing"));
    }
    complaints
}

#[test]
fn a_file_without_a_head_is_found() {
    assert_eq!(head(&Source::new("src/x.rs", "use a::B;\n")).len(), 1);
    assert_eq!(head(&Source::new("src/x.rs", "")).len(), 1);
    assert!(head(&Source::new("src/x.rs", "//! A noun.\n")).is_empty());
}

#[test]
fn a_long_file_is_found() {
    let long = Source::new("src/x.rs", &"//\n".repeat(FILE_LINES + 1));
    assert_eq!(length(&long).len(), 1);
    let longish = Source::new("src/x.rs", &"//\n".repeat(FILE_LINES));
    assert!(length(&longish).is_empty() && is_long(&longish));
    assert!(!is_long(&Source::new(
        "src/x.rs",
        &"//\n".repeat(FILE_LINES_SOFT)
    )));
}

#[test]
fn a_long_function_is_found() {
    let with_lines = |lines| {
        Source::new(
            "x.rs",
            &format!("fn f() {{\n{}}}\n", "'{';\n".repeat(lines - 2)),
        )
    };
    assert!(functions(&with_lines(FUNCTION_LINES)).is_empty());
    let complaints = functions(&with_lines(FUNCTION_LINES + 1));
    assert_eq!(complaints, ["x.rs:1: `f` has 71 lines; 70 fit on a screen"]);
}

#[test]
fn a_wide_line_is_found() {
    let of_width = |width| Source::new("x.rs", &format!("\n//{}\n", "ü".repeat(width - 2)));
    assert!(columns(&of_width(COLUMNS)).is_empty());
    assert_eq!(
        columns(&of_width(COLUMNS + 1)),
        ["x.rs:2: more than 110 columns"]
    );
}

#[test]
fn trailing_space_is_found() {
    assert_eq!(
        trailing_space("x.rs", "a\nb \n"),
        ["x.rs:2: trailing space"]
    );
    assert_eq!(trailing_space("x.rs", "a\t\nb\r\n").len(), 2);
    assert!(trailing_space("x.rs", "a\n\nb\n").is_empty());
}

#[test]
fn an_ignored_example_is_found() {
    for bad in [
        "/// ```ignore",
        "//! ```rust,ignore",
        "/// ``` ignore-windows",
        "/** \n * ```ignore",
    ] {
        assert_eq!(
            ignored_doctests(&Source::new("x.rs", bad)).len(),
            1,
            "{bad}"
        );
    }
    for good in [
        "/// ```",
        "/// ```compile_fail",
        "/// ignore",
        "\"/// ```ignore\";",
    ] {
        assert!(
            ignored_doctests(&Source::new("x.rs", good)).is_empty(),
            "{good}"
        );
    }
    assert_eq!(ignored_examples("x.md", "\n  ```rust,ignore\n").len(), 1);
    assert!(ignored_examples("x.md", "```sh\nignore\n```\n").is_empty());
}

#[test]
fn foreign_words_are_found() {
    for (head, tail) in FOREIGN {
        assert_eq!(
            foreign_words("x.md", &format!("a\nb {head}{tail}c")).len(),
            1
        );
    }
    assert!(foreign_words("x.md", "worker/root farming library").is_empty());
}

#[test]
fn a_script_without_a_reason_is_found() {
    let good = "#!/usr/bin/env bash\n# Why.\nset -euo pipefail\n";
    assert!(script("ci/x.sh", good).is_empty());
    for part in ["#!/usr/bin/env bash\n", "# Why.\n", "set -euo pipefail\n"] {
        assert!(
            !script("ci/x.sh", &good.replace(part, "\n")).is_empty(),
            "{part}"
        );
    }
}
