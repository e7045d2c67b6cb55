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

/// The names of the tests in a file.
fn tests_of(file: &Path) -> BTreeSet<String> {
    let source = fs::read_to_string(file).unwrap_or_default();
    let parts = source.split("#[test]").skip(1);
    let names = parts.filter_map(|part| part.split_once("fn ")?.1.split_once('('));
    names.map(|(name, _)| name.to_owned()).collect()
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
