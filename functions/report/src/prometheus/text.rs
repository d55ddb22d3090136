//! Prometheus' text format (version 0.0.4), of gauges. Written as the sites are read: the client
//! libraries want all of them in memory first.

use std::fmt::Debug;
use std::io::{self, Write};

use crate::words::printable;

/// A metric whose samples follow.
pub(super) struct Family<'a> {
    to: &'a mut dyn Write,
    name: &'static str,
}

/// Begins a metric.
pub(super) fn family<'a>(
    to: &'a mut dyn Write,
    name: &'static str,
    help: &str,
) -> io::Result<Family<'a>> {
    write!(to, "# HELP {name} {help}\n# TYPE {name} gauge\n")?;
    Ok(Family { to, name })
}

impl Family<'_> {
    /// A sample; numbers are written as Rust does, 1 of a float as 1.0, which the format takes.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: impl Debug) -> io::Result<()> {
        self.to.write_all(self.name.as_bytes())?;
        for (number, (name, value)) in labels.iter().enumerate() {
            let before = if number == 0 { '{' } else { ',' };
            write!(self.to, "{before}{name}=\"{}\"", escaped(value))?;
        }
        if !labels.is_empty() {
            self.to.write_all(b"}")?;
        }
        writeln!(self.to, " {value:?}")
    }
}

/// A label's value as it stands between quotes. Labels are shown by whoever asks for them: what
/// would be obeyed there is an escape.
fn escaped(value: &str) -> String {
    printable(value).replace('\\', "\\\\").replace('"', "\\\"")
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
