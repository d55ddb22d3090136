//! Where a block is executed: a directory of its own, with the functions on the PATH.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;

use sitewatch_tests::command::{Finished, Run};
use tempfile::TempDir;

use super::block::Block;
use crate::documents::{FUNCTIONS, root};

/// Writes down how it was called.
const STAND_IN: &str = "#!/bin/sh\necho \"${0##*/} $*\" >>\"$ASKED\"\n";

/// A shell, before it is given a block.
pub(crate) struct Shell {
    directory: TempDir,
    variables: Vec<(String, String)>,
}

impl Shell {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        for name in ["bin", "home", "work"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        for function in FUNCTIONS {
            let link = directory.path().join("bin").join(function);
            symlink(Run::function(function).executable(), link).unwrap();
        }
        let at = |name: &str| directory.path().join(name).display().to_string();
        Self {
            variables: vec![
                ("BIN".to_owned(), at("bin")),
                ("HOME".to_owned(), at("home")),
                ("ASKED".to_owned(), at("asked")),
            ],
            directory,
        }
    }

    /// In a copy of the repository instead of an empty directory.
    pub(crate) fn in_the_repository(self) -> Self {
        Run::program("sh")
            .arg("-ec")
            .arg("git ls-files -z | xargs -0 cp --parents -t \"$WORK\"")
            .var("WORK", self.work())
            .in_dir(root())
            .run()
            .exits(0);
        self
    }

    pub(crate) fn var(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    /// A program that cannot do here what it is there for: it only writes down how it was called,
    /// for [`Self::asked`].
    pub(crate) fn without(self, program: &str) -> Self {
        self.with(program, STAND_IN)
    }

    /// A program of the test's own.
    pub(crate) fn with(self, program: &str, text: &str) -> Self {
        let path = self.directory.path().join("bin").join(program);
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    /// The working directory.
    pub(crate) fn work(&self) -> PathBuf {
        self.directory.path().join("work")
    }

    /// Executes a block: the first command that fails ends it, as does a variable that is not set.
    #[track_caller]
    pub(crate) fn run(&self, block: &Block) -> Finished {
        Run::program("bash")
            .arg("-euo")
            .arg("pipefail")
            .arg("-c")
            .arg(format!("PATH=$BIN:$PATH\n{}", block.script()))
            .vars(self.variables.iter().map(|(name, value)| (name, value)))
            .in_dir(self.work())
            .run()
            .exits(0)
    }

    /// How each program that is not here was called, in order: words with one space between them.
    pub(crate) fn asked(&self) -> Vec<Vec<String>> {
        let text = fs::read_to_string(self.directory.path().join("asked")).unwrap_or_default();
        text.lines()
            .map(|line| line.split(' ').map(str::to_owned).collect())
            .collect()
    }
}
