//! Prometheus' text format (version 0.0.4), of gauges. Written as the sites are read: the client
//! libraries want all of them in memory first.

use std::borrow::Cow;
use std::fmt::{Debug, Write as _};
use std::io::{self, Write};

use crate::words::printable;

/// A metric whose samples follow.
pub(super) struct Family<'a> {
    to: &'a mut dyn Write,
    name: &'static str,
    /// The sample that is being put together.
    line: String,
}

/// Begins a metric.
pub(super) fn family<'a>(
    to: &'a mut dyn Write,
    name: &'static str,
    help: &str,
) -> io::Result<Family<'a>> {
    write!(to, "# HELP {name} {help}\n# TYPE {name} gauge\n")?;
    Ok(Family {
        to,
        name,
        line: String::new(),
    })
}

impl Family<'_> {
    /// A sample; numbers are written as Rust does, 1 of a float as 1.0, which the format takes.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: impl Debug) -> io::Result<()> {
        self.line.clear();
        self.line.push_str(self.name);
        for (number, (name, value)) in labels.iter().enumerate() {
            self.line.push(if number == 0 { '{' } else { ',' });
            self.line.push_str(name);
            self.line.push_str("=\"");
            self.line.push_str(&escaped(value));
            self.line.push('"');
        }
        if !labels.is_empty() {
            self.line.push('}');
        }
        writeln!(self.line, " {value:?}").expect("writing to a String cannot fail");
        self.to.write_all(self.line.as_bytes())
    }
}

/// A label's value as it stands between quotes. Labels are shown by whoever asks for them: what
/// would be obeyed there is an escape.
fn escaped(value: &str) -> Cow<'_, str> {
    if value
        .bytes()
        .all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'\\' | b'"'))
    {
        return value.into();
    }
    let value = printable(value).replace('\\', "\\\\");
    value.replace('"', "\\\"").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped_and_numbers_are_floats_or_whole() {
        let mut text = Vec::new();
        let mut family = family(&mut text, "x", "What x is.").unwrap();
        family.sample(&[], 17).unwrap();
        family
            .sample(&[("a", "\"q\\\n"), ("b", "\u{202e}")], 0.0735)
            .unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "# HELP x What x is.\n# TYPE x gauge\nx 17\nx{a=\"\\\"q\\\\\\\\u{a}\",b=\"\\\\u{202e}\"} 0.0735\n"
        );
    }
}
