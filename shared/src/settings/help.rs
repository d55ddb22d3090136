//! The text of `--help`: made from the catalogue, so that it cannot say anything else.

use std::fmt::Write as _;

use super::{ALL, Group, Variable};

/// Column at which explanations begin.
const COLUMN: usize = 30;
/// Width of the whole text.
const WIDTH: usize = 100;

/// What a function does and every variable it reads.
#[must_use]
pub fn help(name: &str, about: &str) -> String {
    let mut text = format!(
        "{name}: {about}\n\n\
         Usage: {name} [--help | --version]\n\
         Everything is configured by environment variables, or by a .env file in the working directory.\n"
    );
    let mut variables: Vec<&Variable> = ALL
        .iter()
        .copied()
        .filter(|variable| variable.is_read_by(name))
        .collect();
    variables.sort_by_key(|variable| variable.group);
    let mut group: Option<Group> = None;
    for variable in variables {
        if group != Some(variable.group) {
            group = Some(variable.group);
            writeln!(text, "\n{}", variable.group.title())
                .expect("writing to a String cannot fail");
        }
        describe(&mut text, variable);
    }
    text.push_str(
        "\nExit codes: 0 done; 64 unknown argument; 69 Kafka or PostgreSQL cannot be reached or refused us,\n\
         or no check could be made from this machine;\n\
         70 an internal error; 75 part of the work is left, try again; 78 the configuration is wrong.\n",
    );
    text
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
