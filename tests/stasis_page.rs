//! The page that compares the bus with the one of Asterisk names a test for each row. It must not rot: each of these
//! tests is there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The cells of each row of each table.
fn rows(page: &str) -> Vec<Vec<&str>> {
    let lines = page.lines().filter(|line| line.starts_with("| "));
    let cells = lines.map(|line| line.trim_matches('|').split('|').map(str::trim).collect());
    let rows = cells.filter(|cells: &Vec<&str>| !cells[0].is_empty());
    rows.collect()
}

/// The names of the tests in a source that run: not of those that are commented out or ignored.
fn tests_in(source: &str) -> BTreeSet<String> {
    let lines = source.lines().map(str::trim_start);
    let code: Vec<_> = lines.filter(|line| !line.starts_with("//")).collect();
    let mut names = BTreeSet::new();
    for part in without_block_comments(&code.join("\n"))
        .split("#[test]")
        .skip(1)
    {
        let Some((attributes, rest)) = part.split_once("fn ") else {
            continue;
        };
        let name = rest.split('(').next().unwrap_or_default();
        if !attributes.contains("ignore") && !attributes.contains("#[cfg(any())]") {
            names.insert(name.to_owned());
        }
    }
    names
}

fn without_block_comments(source: &str) -> String {
    let mut parts = source.split("/*");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |code, part| {
        code + part.split_once("*/").map_or("", |(_, rest)| rest)
    })
}

/// The names of the tests in a file.
fn tests_of(file: &Path) -> BTreeSet<String> {
    tests_in(&fs::read_to_string(file).unwrap_or_default())
}

#[test]
fn what_does_not_run_is_no_test() {
    let source = [
        "#[test]\nfn runs() {}",
        "// #[test]\n// fn commented_out() {}",
        "/* #[test]\nfn in_a_block() {} */",
        "#[test]\n#[ignore = \"slow\"]\nfn ignored() {}",
        "#[test]\n#[cfg(any())]\nfn nowhere() {}",
        "#[test]\n#[should_panic]\nfn runs_too() {}",
        "fn helper() {}",
    ];
    let names = tests_in(&source.join("\n"));
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["runs", "runs_too"]);
}

#[test]
fn each_row_names_a_test_that_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/stasis.md")).expect("the page");
    let rows = rows(&page);
    assert!(rows.len() > 120, "{} rows", rows.len());
    let mut known = BTreeMap::new();
    let mut wrong = Vec::new();
    let mut labels = BTreeSet::new();
    for row in rows {
        let [label, _there, _here, test] = row[..] else {
            panic!("a row has four cells: {row:?}");
        };
        assert!(labels.insert(label), "{label} stands there twice");
        let name = test.trim_matches('`').split_once("::");
        let (file, name) = name.unwrap_or_else(|| panic!("{label} names `file::test`"));
        let path = root.join("tests").join(format!("{file}.rs"));
        let tests = known.entry(file).or_insert_with(|| tests_of(&path));
        if !tests.contains(name) {
            wrong.push(format!("{label}: {file}::{name}"));
        }
    }
    assert!(wrong.is_empty(), "no such tests: {wrong:#?}");
}
