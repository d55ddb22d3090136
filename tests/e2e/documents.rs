//! `--help`, `.env.example` and `shared/README.md` say the same of every variable, and nothing else;
//! and what documents point at is there.
//!
//! `SITEWATCH_UPDATE=1 cargo test -p sitewatch-tests documents` writes the two files anew.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use sitewatch::settings::{ALL, Group, Variable};
use sitewatch_tests::command::Run;

pub(crate) const FUNCTIONS: [&str; 6] = ["setup", "probe", "drain", "maintain", "report", "notify"];

const BEGIN: &str = "<!-- variables: made from the catalogue by the test `documents` -->";
const END: &str = "<!-- end of variables -->";

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// The variables that a function's `--help` names.
pub(crate) fn named_in_help(function: &str) -> BTreeSet<String> {
    Run::function(function)
        .arg("--help")
        .run()
        .exits(0)
        .stdout
        .lines()
        .filter_map(|line| line.strip_prefix("  "))
        .filter_map(|line| {
            line.split_whitespace()
                .next()
                .filter(|_| !line.starts_with(' '))
        })
        .map(str::to_owned)
        .collect()
}

fn groups() -> Vec<(Group, Vec<&'static Variable>)> {
    let mut groups: Vec<(Group, Vec<&Variable>)> = Vec::new();
    for variable in ALL.iter().copied() {
        match groups.last_mut() {
            Some((group, variables)) if *group == variable.group => variables.push(variable),
            _ => groups.push((variable.group, vec![variable])),
        }
    }
    groups
}

fn env_example() -> String {
    let mut text = "\
# What Sitewatch's functions read from the environment. Copy this file to .env, take the # off the
# lines you need. What is already in the environment wins over the file. Values with spaces, # or $
# go into 'single quotes'.
"
    .to_owned();
    for (group, variables) in groups() {
        write!(text, "\n# ==== {} ====\n", group.title()).unwrap();
        for variable in variables {
            text.push('\n');
            let mut line = String::from("#");
            for word in variable.about().split_whitespace() {
                if line.len() + 1 + word.len() > 100 {
                    writeln!(text, "{line}").unwrap();
                    line = String::from("#");
                }
                write!(line, " {word}").unwrap();
            }
            writeln!(text, "{line}").unwrap();
            writeln!(text, "#{}={}", variable.name, variable.example).unwrap();
        }
    }
    text
}

fn tables() -> String {
    let mut text = format!("{BEGIN}\n");
    for (group, variables) in groups() {
        write!(
            text,
            "\n**{}**\n\n| variable | read by | default | meaning |\n| --- | --- | --- | --- |\n",
            group.title()
        )
        .unwrap();
        for variable in variables {
            let readers: Vec<&str> = FUNCTIONS
                .into_iter()
                .filter(|function| variable.is_read_by(function))
                .collect();
            let readers = if readers.len() == FUNCTIONS.len() {
                "all".to_owned()
            } else {
                readers.join(", ")
            };
            let default = if variable.default.is_empty() {
                String::new()
            } else {
                format!("`{}`", variable.default)
            };
            let mut meaning = variable.help.replace('|', "\\|");
            if let Some(file) = variable.file_name() {
                write!(meaning, " Secret; or `{file}`.").unwrap();
            }
            if !variable.aliases.is_empty() {
                write!(meaning, " Also read: `{}`.", variable.aliases.join("`, `")).unwrap();
            }
            writeln!(
                text,
                "| `{}` | {readers} | {default} | {meaning} |",
                variable.name
            )
            .unwrap();
        }
    }
    write!(text, "\n{END}").unwrap();
    text
}

/// Compares, or writes when asked to.
pub(crate) fn keep(path: &Path, found: &str, expected: &str) {
    if std::env::var_os("SITEWATCH_UPDATE").is_some() {
        std::fs::write(path, expected).unwrap();
        return;
    }
    assert!(
        found == expected,
        "{} is not what the catalogue says; `SITEWATCH_UPDATE=1 cargo test -p sitewatch-tests documents` writes it anew",
        path.display()
    );
}

#[test]
fn every_variable_is_in_the_help_of_whoever_reads_it_and_somebody_does() {
    let mut named = BTreeSet::new();
    for function in FUNCTIONS {
        let names = named_in_help(function);
        let read = ALL
            .iter()
            .filter(|variable| variable.is_read_by(function))
            .map(|variable| variable.name.to_owned())
            .collect();
        assert_eq!(names, read, "{function}");
        named.extend(names);
    }
    let unread: Vec<&str> = ALL
        .iter()
        .map(|variable| variable.name)
        .filter(|name| !named.contains(*name))
        .collect();
    assert!(unread.is_empty(), "nobody reads {unread:?}");
}

#[test]
fn the_example_of_an_env_file_is_the_catalogue() {
    let path = root().join(".env.example");
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    keep(&path, &found, &env_example());
}

#[test]
fn the_page_of_variables_tells_of_the_same() {
    let path = root().join("shared/README.md");
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let (before, rest) = found
        .split_once(BEGIN)
        .expect("shared/README.md has the mark where variables begin");
    let (_, after) = rest
        .split_once(END)
        .expect("shared/README.md has the mark where variables end");
    let expected = format!("{before}{}{after}", tables());
    keep(&path, &found, &expected);
}

#[test]
fn arguments_are_answered_and_unknown_ones_refused() {
    for function in FUNCTIONS {
        Run::function(function)
            .arg("--version")
            .run()
            .exits(0)
            .stdout_is(&format!("{function} {}\n", env!("CARGO_PKG_VERSION")));
        let page = Run::function(function).arg("--man").run().exits(0).stdout;
        for name in named_in_help(function) {
            assert!(
                page.contains(&format!("\n.B {name}\n")),
                "{function}: {name}"
            );
        }
        Run::function(function)
            .arg("--sites")
            .run()
            .exits(64)
            .stderr_is(&format!("{function}: unknown argument \"--sites\"; {function} is configured by environment variables, see `{function} --help`\n"));
    }
}

/// The documents of this repository.
pub(crate) fn documents() -> Vec<PathBuf> {
    let listed = Run::program("git")
        .arg("-C")
        .arg(root())
        .arg("ls-files")
        .arg("*.md")
        .run()
        .exits(0)
        .stdout;
    let found: Vec<PathBuf> = listed.lines().map(|path| root().join(path)).collect();
    assert!(found.len() > 5, "{found:?}");
    found
}

/// Where a document's links lead, but for those that leave the repository.
pub(crate) fn links(text: &str) -> Vec<String> {
    text.split("](")
        .skip(1)
        .map(|rest| rest.split(')').next().unwrap())
        .filter(|target| !target.contains("://"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_link_leads_somewhere() {
    for document in documents() {
        let text = std::fs::read_to_string(&document).unwrap();
        let directory = document.parent().unwrap();
        for target in links(&text) {
            let (path, heading) = target.split_once('#').unwrap_or((&target, ""));
            let path = if path.is_empty() {
                document.clone()
            } else {
                directory.join(path)
            };
            assert!(path.exists(), "{}: {target}", document.display());
            if !heading.is_empty() {
                let headings = headings(&std::fs::read_to_string(&path).unwrap());
                assert!(
                    headings.iter().any(|found| found == heading),
                    "{}: {target}: {headings:?}",
                    document.display()
                );
            }
        }
    }
}

/// Headings as GitHub makes anchors of them.
fn headings(text: &str) -> Vec<String> {
    text.lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| {
            line.trim_start_matches('#')
                .trim()
                .to_lowercase()
                .chars()
                .filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect()
        })
        .collect()
}

/// Names of modules change; a story of modules that are gone misleads.
#[test]
fn the_architecture_names_only_what_is_there() {
    let text = std::fs::read_to_string(root().join("functions/README.md")).unwrap();
    let named: Vec<&str> = text
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|name| name.contains('/') && !name.contains([' ', ':', '\n']))
        .collect();
    assert!(named.len() > 20, "{named:?}");
    for name in named {
        let path = root().join("functions").join(name);
        assert!(path.exists(), "{name}");
    }
}

/// A name that no test has would neither leave anything out nor run anything.
#[test]
fn the_sets_of_tests_are_modules_that_there_are() {
    let script = std::fs::read_to_string(root().join("tests/run.sh")).unwrap();
    let sets: BTreeSet<&str> = script
        .lines()
        .filter(|line| !line.starts_with('#'))
        .flat_map(str::split_whitespace)
        .filter(|word| word.contains("::"))
        .map(|word| word.trim_end_matches("::"))
        .collect();
    assert!(sets.len() > 10, "{sets:?}");
    for set in sets {
        let path = root().join("tests/e2e").join(set.replace("::", "/"));
        assert!(
            path.is_dir() || path.with_extension("rs").is_file(),
            "{set}"
        );
    }
}

/// The text of the file that has a test function of this name.
pub(crate) fn source_of(test: &str) -> Option<String> {
    fn find(directory: &Path, function: &str) -> Option<String> {
        std::fs::read_dir(directory).unwrap().find_map(|entry| {
            let path = entry.unwrap().path();
            if path.is_dir() {
                return find(&path, function);
            }
            let is_source = path.extension().is_some_and(|ending| ending == "rs");
            let source = is_source.then(|| std::fs::read_to_string(&path).unwrap());
            source.filter(|source| source.contains(function))
        })
    }
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e");
    find(&directory, &format!("#[test]\nfn {test}() {{"))
}

#[test]
fn every_test_that_holds_a_promise_of_security_exists() {
    let text = std::fs::read_to_string(root().join(".github/SECURITY.md")).unwrap();
    let (_, table) = text.split_once("| --- | --- | --- |\n").unwrap();
    let mut promises = 0;
    for row in table.lines().take_while(|line| line.starts_with('|')) {
        let held_by = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        let tests: Vec<&str> = held_by
            .split(", ")
            .map(|name| name.trim_matches('`'))
            .collect();
        assert!(!tests.is_empty(), "{row}");
        for test in tests {
            assert!(source_of(test).is_some(), "{test}: no such test; {row}");
        }
        promises += 1;
    }
    assert!(promises > 10, "{promises}");
}
