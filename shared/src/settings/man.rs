//! The text of `--man`: the same as `--help`, as a page of the manual.

use std::fmt::Write as _;

use super::help::{EXIT_CODES, read_by};

/// The page `sitewatch-NAME(8)`, in roff: `probe --man | man -l -` shows it.
#[must_use]
pub fn man(name: &str, about: &str, version: &str) -> String {
    let about = escape(about);
    let mut page = format!(
        ".TH SITEWATCH\\-{title} 8 \"\" \"Sitewatch {version}\" Sitewatch\n\
         .SH NAME\nsitewatch\\-{name} \\- {about}\n\
         .SH SYNOPSIS\n.B {name}\n[\\fB\\-\\-help\\fR | \\fB\\-\\-man\\fR | \\fB\\-\\-version\\fR]\n\
         .SH DESCRIPTION\nThis function of Sitewatch {about}.\n\
         Everything is configured by environment variables, or by a\n.I .env\nfile in the working directory.\n\
         Where it is installed by Debian's package it is called\n.BR sitewatch\\-{name} .\n\
         .SH ENVIRONMENT\n",
        title = name.to_uppercase(),
    );
    for (group, variables) in read_by(name) {
        line(&mut page, &format!(".SS \"{}\"", group.title()));
        for variable in variables {
            line(&mut page, &format!(".TP\n.B {}", variable.name));
            // `\&` has no width: a text that begins with a dot is no request of roff's.
            line(&mut page, &format!("\\&{}", escape(&variable.about())));
        }
    }
    line(&mut page, ".SH EXIT STATUS");
    page.push_str(&escape(EXIT_CODES));
    page
}

fn line(page: &mut String, line: &str) {
    writeln!(page, "{line}").expect("writing to a String cannot fail");
}

/// No escape of roff's, no hyphen where somebody copies a minus, and no character that a terminal's
/// font lacks.
fn escape(words: &str) -> String {
    words
        .replace('\\', "\\e")
        .replace('-', "\\-")
        .replace('…', "...")
}
