//! The text of `--help`: made from the catalogue, so that it cannot say anything else.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{ALL, Group, Variable};

/// What each exit code says to whoever started a function.
pub(super) const EXIT_CODES: &str = "\
0 done; 64 unknown argument; 69 Kafka or PostgreSQL cannot be reached or refused us,
or no check could be made from this machine;
70 an internal error; 75 part of the work is left, try again; 78 the configuration is wrong.
";

/// Column at which explanations begin.
const COLUMN: usize = 30;
/// Width of the whole text.
const WIDTH: usize = 100;

/// What a function does and every variable it reads.
#[must_use]
pub fn help(name: &str, about: &str) -> String {
    let mut text = format!(
        "{name}: {about}\n\n\
         Usage: {name} [--help | --man | --version]\n\
         Everything is configured by environment variables, or by a .env file in the working directory.\n"
    );
    for (group, variables) in read_by(name) {
        writeln!(text, "\n{}", group.title()).expect("writing to a String cannot fail");
        for variable in variables {
            describe(&mut text, variable);
        }
    }
    text.push_str("\nExit codes: ");
    text.push_str(EXIT_CODES);
    text
}

/// What a function reads, by heading and in the order of `--help`.
pub(super) fn read_by(function: &str) -> BTreeMap<Group, Vec<&'static Variable>> {
    let mut groups = BTreeMap::<Group, Vec<&Variable>>::new();
    for variable in ALL.iter().filter(|variable| variable.is_read_by(function)) {
        groups.entry(variable.group).or_default().push(variable);
    }
    groups
}

fn describe(text: &mut String, variable: &Variable) {
    let mut line = format!("  {:<width$}", variable.name, width = COLUMN - 2);
    if line.len() > COLUMN {
        text.push_str(line.trim_end());
        text.push('\n');
        line = " ".repeat(COLUMN);
    }
    for word in variable.about().split_whitespace() {
        if line.len() + 1 + word.len() > WIDTH {
            text.push_str(line.trim_end());
            text.push('\n');
            line = " ".repeat(COLUMN);
        }
        if !line.ends_with(' ') {
            line.push(' ');
        }
        line.push_str(word);
    }
    text.push_str(line.trim_end());
    text.push('\n');
}
