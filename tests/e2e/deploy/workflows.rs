//! `.github/workflows`, judged without GitHub.

use std::fs;
use std::path::PathBuf;

use sitewatch_tests::workflows;

use crate::documents::root;

fn files() -> Vec<PathBuf> {
    let found: Vec<PathBuf> = fs::read_dir(root().join(".github/workflows"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(found.len() > 1, "{found:?}");
    found
}

#[test]
fn actionlint_finds_nothing() {
    workflows::check(&files()).unwrap_or_else(|failure| panic!("{failure}"));
}

/// A tag may be moved by whoever owns it or stole it; a commit is what it is.
#[test]
fn every_action_is_a_commit_with_its_version_beside_it() {
    for file in files() {
        let text = fs::read_to_string(&file).unwrap();
        for line in text.lines().filter(|line| line.contains("uses:")) {
            let (_, pinned) = line.split_once('@').unwrap();
            let (commit, version) = pinned.split_once(" # v").expect(line);
            let is_commit = commit.len() == 40 && commit.bytes().all(|b| b.is_ascii_hexdigit());
            assert!(is_commit, "{}: {line}", file.display());
            assert_eq!(version.split('.').count(), 3, "{}: {line}", file.display());
        }
    }
}
