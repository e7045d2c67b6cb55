//! The files of the repository: those that git tracks or would track; without git, all but what is built.

use super::source::Source;
use std::fs;
use std::path::Path;
use std::process::Command;

const BUILT: [&str; 5] = [".git", "target", "corpus", "artifacts", "coverage"];

#[derive(Debug)]
pub(crate) struct Repository {
    /// Path from the root, with `/`, and text.
    pub(crate) texts: Vec<(String, String)>,
    /// The Rust files among them.
    pub(crate) sources: Vec<Source>,
}

impl Repository {
    pub(crate) fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut paths = tracked(root).unwrap_or_else(|| walk(root, ""));
        paths.sort();
        let texts: Vec<_> = paths
            .into_iter()
            .filter_map(|path| {
                let bytes = fs::read(root.join(&path)).ok()?; // deleted, but not yet in git
                Some((path, String::from_utf8_lossy(&bytes).into_owned()))
            })
            .collect();
        let sources: Vec<_> = texts
            .iter()
            .filter(|(path, _)| path.ends_with(".rs"))
            .map(|(path, text)| Source::new(path, text))
            .collect();
        let repository = Self { texts, sources };
        assert!(
            repository.library().count() > 1,
            "no files found: nothing was checked"
        );
        repository
    }

    /// The files of the crate itself.
    pub(crate) fn library(&self) -> impl Iterator<Item = &Source> {
        self.sources.iter().filter(|source| source.is_in("src/"))
    }

    pub(crate) fn architecture(&self) -> String {
        let mut texts = self.texts.iter();
        let page = texts.find(|(path, _)| path == "ARCHITECTURE.md");
        page.map(|(_, text)| text.clone()).expect("ARCHITECTURE.md")
    }
}

pub(crate) fn is_script(path: &str) -> bool {
    path == ".ci/run" || path.starts_with("ci/") && path.ends_with(".sh")
}

fn tracked(root: &Path) -> Option<Vec<String>> {
    let output = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(root)
        .output()
        .ok()?;
    let list = String::from_utf8(output.stdout).ok()?;
    let paths: Vec<_> = list.split_terminator('\0').map(str::to_owned).collect();
    (output.status.success() && !paths.is_empty()).then_some(paths)
}

fn walk(root: &Path, folder: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(root.join(folder))
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if folder.is_empty() {
            name.clone()
        } else {
            format!("{folder}/{name}")
        };
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && !BUILT.contains(&name.as_str()) => {
                paths.extend(walk(root, &path));
            }
            Ok(kind) if kind.is_file() => paths.push(path),
            _ => {}
        }
    }
    paths
}

#[test]
fn both_ways_find_the_same_sources() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let of_library = |paths: Vec<String>| {
        let mut paths: Vec<_> = paths
            .into_iter()
            .filter(|path| path.starts_with("src/"))
            .collect();
        paths.retain(|path| path.ends_with(".rs") && root.join(path).exists());
        paths.sort();
        paths
    };
    let walked = of_library(walk(root, ""));
    assert!(!walked.is_empty());
    if let Some(tracked) = tracked(root) {
        assert_eq!(of_library(tracked), walked);
    }
}
