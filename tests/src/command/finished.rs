//! What is left of a run: exit code, output, time.

use std::{
    fmt::{self, Display, Formatter},
    time::Duration,
};

/// A process that ended. Its checks return it, so that they can be written in a row.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
    /// All of its standard output; bytes that are not UTF-8 are replaced.
    pub stdout: String,
    /// All of its standard error, likewise.
    pub stderr: String,
    /// From just before its start to its end.
    pub elapsed: Duration,
}

impl Finished {
    /// It ended by itself with this exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert!(
            self.code == Some(code),
            "expected exit code {code}, but it {self}"
        );
        self
    }

    /// Its standard output is exactly this.
    #[track_caller]
    pub fn stdout_is(self, expected: &str) -> Self {
        assert!(
            self.stdout == expected,
            "expected on stdout:\n{expected}\nbut it {self}"
        );
        self
    }

    /// Its standard error is exactly this.
    #[track_caller]
    pub fn stderr_is(self, expected: &str) -> Self {
        assert!(
            self.stderr == expected,
            "expected on stderr:\n{expected}\nbut it {self}"
        );
        self
    }

    /// Its standard error is exactly this, but for times: of day, before a line of the log, and how
    /// long the run took, at a line's end.
    #[track_caller]
    pub fn logs(self, expected: &str) -> Self {
        let lines = self.stderr.split_inclusive('\n');
        let text: String = lines.flat_map(untimed).collect();
        assert!(
            text == expected,
            "expected in the log:\n{expected}\nbut it {self}"
        );
        self
    }

    /// Its standard output contains this.
    #[track_caller]
    pub fn stdout_has(self, part: &str) -> Self {
        assert!(
            self.stdout.contains(part),
            "expected somewhere on stdout:\n{part}\nbut it {self}"
        );
        self
    }

    /// Its standard error contains this.
    #[track_caller]
    pub fn stderr_has(self, part: &str) -> Self {
        assert!(
            self.stderr.contains(part),
            "expected somewhere on stderr:\n{part}\nbut it {self}"
        );
        self
    }
}

/// A line in two parts, without the time that the log puts before it and ` in 8 ms` or
/// ` (after 8 ms)` at its end.
fn untimed(line: &str) -> [&str; 2] {
    let (text, end) = line.split_at(line.trim_end_matches('\n').len());
    let text = match text.split_once(' ') {
        Some((time, rest)) if time.parse::<jiff::Timestamp>().is_ok() => rest,
        _ => text,
    };
    let is_duration = |text: &str| {
        let mut words = text.split(' ');
        words.all(|word| ["ms", "s", "min"].contains(&word) || word.parse::<f64>().is_ok())
    };
    let after = text.strip_suffix(')').unwrap_or(text);
    [text.rsplit_once(" in "), after.rsplit_once(" (after ")]
        .into_iter()
        .flatten()
        .find(|(_, taken)| is_duration(taken))
        .map_or([text, end], |(rest, _)| [rest, end])
}

impl Display for Finished {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match (self.code, self.signal) {
            (Some(code), _) => write!(f, "exited with {code}")?,
            (None, Some(signal)) => write!(f, "was ended by signal {signal}")?,
            (None, None) => write!(f, "ended")?,
        }
        write!(
            f,
            " after {:?}\n--- stdout ---\n{}\n--- stderr ---\n{}",
            self.elapsed, self.stdout, self.stderr
        )
    }
}
