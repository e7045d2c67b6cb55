//! The house rules that no other tool checks: how files look, who imports whom, where atomics and unsafe code
//! stand. Each rule is a function of a file's text under `tests/tidy/`, with tests on bad snippets beside it;
//! here they meet the repository. CONTRIBUTING.md says what the rules are for.

#[path = "tidy/layers.rs"]
mod layers;
#[path = "tidy/primitives.rs"]
mod primitives;
#[path = "tidy/repository.rs"]
mod repository;
#[path = "tidy/shape.rs"]
mod shape;
#[path = "tidy/source.rs"]
mod source;

use repository::{Repository, is_script};
use source::Source;

const ATOMICS: &str = "## Where atomics stand";
const UNSAFE: &str = "## Where unsafe code stands";

type Rule<'a> = &'a dyn Fn(&Source) -> Vec<String>;

/// Fails with all that was found, one `file:line: what` a line.
#[track_caller]
fn expect_none(complaints: impl IntoIterator<Item = String>) {
    let complaints: Vec<_> = complaints.into_iter().collect();
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[track_caller]
fn check<'a>(sources: impl IntoIterator<Item = &'a Source>, rules: &[Rule<'_>]) {
    let sources = sources.into_iter();
    expect_none(sources.flat_map(|source| rules.iter().flat_map(|rule| rule(source))));
}

#[test]
fn files_have_a_head_and_a_size() {
    let repository = Repository::read();
    for long in repository.library().filter(|source| shape::is_long(source)) {
        println!("warning: {} has {} lines", long.path, long.lines.len());
    }
    check(
        repository.library(),
        &[&shape::head, &shape::length, &shape::columns],
    );
}

#[test]
fn functions_fit_a_screen_and_examples_compile() {
    let repository = Repository::read();
    check(
        &repository.sources,
        &[&shape::functions, &shape::ignored_doctests],
    );
    let pages = repository
        .texts
        .iter()
        .filter(|(path, _)| path.ends_with(".md"));
    expect_none(pages.flat_map(|(path, text)| shape::ignored_examples(path, text)));
}

#[test]
fn texts_are_clean() {
    let repository = Repository::read();
    let kinds = [".rs", ".md", ".toml", ".sh", ".yml"];
    let is_prose = |path: &str| kinds.iter().any(|kind| path.ends_with(kind)) || is_script(path);
    expect_none(repository.texts.iter().flat_map(|(path, text)| {
        let mut complaints = shape::foreign_words(path, text);
        if is_prose(path) {
            complaints.extend(shape::trailing_space(path, text));
        }
        complaints
    }));
}

#[test]
fn scripts_say_why() {
    let repository = Repository::read();
    let scripts = repository.texts.iter().filter(|(path, _)| is_script(path));
    expect_none(scripts.flat_map(|(path, text)| shape::script(path, text)));
}

#[test]
fn imports_go_down() {
    let repository = Repository::read();
    let lib = repository
        .library()
        .find(|source| source.path == "src/lib.rs");
    let lib = lib.expect("src/lib.rs");
    let exports = layers::Exports::of(lib);
    let imports = repository
        .library()
        .flat_map(|source| layers::imports(source, &exports));
    expect_none(layers::no_logic(lib).into_iter().chain(imports));
}

/// Unit tests in files of their own may use std's threads and atomics: no model runs them.
fn is_no_unit_test(source: &&Source) -> bool {
    !source.path.contains("/tests/") && !source.path.ends_with("/tests.rs")
}

#[test]
fn primitives_come_from_the_facade() {
    let repository = Repository::read();
    check(
        repository.library().filter(is_no_unit_test),
        &[&primitives::std_primitives, &primitives::foreign_crates],
    );
}

#[test]
fn atomics_stand_where_they_are_listed_and_explained() {
    let repository = Repository::read();
    let listed = primitives::listed(&repository.architecture(), ATOMICS);
    let is_listed = |source: &Source| primitives::atomics_are_listed(source, &listed);
    check(
        repository.library().filter(is_no_unit_test),
        &[&is_listed, &primitives::orderings, &primitives::seq_cst],
    );
    let sources = &repository.sources;
    expect_none(primitives::stale(
        ATOMICS,
        &listed,
        sources,
        primitives::uses_atomics,
    ));
}

#[test]
fn unsafe_code_stands_where_it_is_listed() {
    let repository = Repository::read();
    let listed = primitives::listed(&repository.architecture(), UNSAFE);
    check(
        &repository.sources,
        &[&|source| primitives::unsafe_code(source, &listed)],
    );
    let sources = &repository.sources;
    expect_none(primitives::stale(
        UNSAFE,
        &listed,
        sources,
        primitives::uses_unsafe,
    ));
}
