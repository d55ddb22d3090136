//! JSON lines on standard input: `probe | drain` without any Kafka.

use std::io::{BufRead as _, BufReader, Read as _};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use sitewatch::event::MAX_EVENT;
use sitewatch::postgres::{check_schema, connect, record_run};
use sitewatch::run::{Failure, Progress, Run, Summary};
use sitewatch_kafka::Range;

use crate::decode::{Decoder, Window};
use crate::filling::Filling;
use crate::finish;
use crate::ledger::Ledger;
use crate::pump::Pump;
use crate::read::{Message, Polled, Source};
use crate::settings::Settings;
use crate::store::{Limits, Origin, Store, check_columns};
use crate::write::Writers;

/// Longest line that is read: one byte, and the line's end, more than an event can have. What is
/// longer is no event, and is kept as far as any dead letter is.
const MAX_LINE: u64 = MAX_EVENT as u64 + 2;

/// Lines are one partition, and their numbers its offsets.
const ALL_LINES: Range = Range {
    partition: 0,
    next: 1,
    end: i64::MAX,
};

/// Records the events on standard input, up to its end.
///
/// # Errors
/// When PostgreSQL cannot be used or the input not be read; what was recorded before stays so.
pub(crate) fn drain(settings: &Settings, run: &Run) -> Result<Summary, Failure> {
    let result = record_lines(settings, run);
    record_run(&settings.database, "drain", run, &result);
    result
}

fn record_lines(settings: &Settings, run: &Run) -> Result<Summary, Failure> {
    let mut client = connect(&settings.database, "drain")?;
    check_schema(&mut client)?;
    check_columns(&mut client, &settings.database)?;
    let decoder = Decoder::new(Window::read(&mut client, &settings.database)?);
    let store = Store::new(
        Arc::new(Mutex::new(client)),
        settings.database.clone(),
        Origin::Stdin,
        Arc::new(Limits::new(settings.max_names)),
    );
    let mut filling = Filling::new(settings.batch_size, 1).with_originals();
    filling.begin(&[ALL_LINES]);
    let mut pump = Pump {
        decoder,
        filling,
        writers: Writers::start_for_lines(store),
        ledger: Ledger::without_plan(),
        progress: Progress::none(),
        stop: settings.stop(run),
    };
    let ended = pump.run(&mut Lines::of_standard_input());
    // Past the deadline too, what was taken from the pipe is written.
    let (ledger, stopped) = pump.finish(ended, &run.stop);
    let summary = ledger.counters().summary();
    Ok(match stopped? {
        Some(why) => {
            finish::unfinished(summary, &format!("stopped by {why} before the input's end"))
        }
        None => summary,
    })
}

/// A line, or how it was cut.
struct Line {
    bytes: Vec<u8>,
    whole: bool,
}

/// Lines as they come in.
struct Lines {
    lines: Receiver<std::io::Result<Line>>,
    /// The one that was returned last, and its number.
    line: Line,
    number: i64,
    ended: bool,
}

impl Lines {
    fn of_standard_input() -> Self {
        // Reading blocks; on a thread of its own it cannot keep a signal waiting.
        let (send, lines) = mpsc::sync_channel(256);
        thread::spawn(move || read_lines(&send));
        Self::new(lines)
    }

    fn new(lines: Receiver<std::io::Result<Line>>) -> Self {
        Self {
            lines,
            line: Line {
                bytes: Vec::new(),
                whole: true,
            },
            number: 0,
            ended: false,
        }
    }
}

impl Source for Lines {
    fn poll(&mut self, wait: Duration) -> Result<Option<Polled<'_>>, Failure> {
        match self.lines.recv_timeout(wait) {
            Ok(Ok(line)) => self.line = line,
            Ok(Err(error)) => {
                self.ended = true;
                return Err(Failure::Unavailable(format!(
                    "standard input cannot be read: {error}; the lines before are recorded"
                )));
            }
            Err(RecvTimeoutError::Timeout) => return Ok(None),
            Err(RecvTimeoutError::Disconnected) => {
                self.ended = true;
                return Ok(None);
            }
        }
        self.number += 1;
        let Line { bytes, whole } = &self.line;
        let message = |bytes| Message::Value {
            partition: ALL_LINES.partition,
            offset: self.number,
            value: Some(bytes),
        };
        Ok(Some(if bytes.iter().all(u8::is_ascii_whitespace) {
            Polled::Position {
                partition: ALL_LINES.partition,
                next: self.number + 1,
            }
        } else if *whole {
            Polled::Message(message(bytes))
        } else {
            let kept = &bytes[..bytes.len().min(MAX_EVENT)];
            Polled::Invalid(
                message(kept),
                format!(
                    "the line is longer than {MAX_EVENT} bytes, which is the most an event has; the rest of it is not kept"
                ),
            )
        }))
    }

    fn is_done(&self) -> bool {
        self.ended
    }

    fn can_be_read_again(&self) -> bool {
        false
    }
}

fn read_lines(to: &mpsc::SyncSender<std::io::Result<Line>>) {
    let mut input = BufReader::with_capacity(1 << 16, std::io::stdin());
    loop {
        let line = match read_line(&mut input) {
            Ok(None) => return,
            Ok(Some(line)) => Ok(line),
            Err(error) => Err(error),
        };
        let broken = line.is_err();
        // The run may have ended meanwhile.
        if to.send(line).is_err() || broken {
            return;
        }
    }
}

fn read_line(input: &mut BufReader<std::io::Stdin>) -> std::io::Result<Option<Line>> {
    let mut bytes = Vec::new();
    if input
        .by_ref()
        .take(MAX_LINE)
        .read_until(b'\n', &mut bytes)?
        == 0
    {
        return Ok(None);
    }
    let whole = bytes.ends_with(b"\n") || (bytes.len() as u64) < MAX_LINE;
    if !whole {
        skip_line(input)?;
    }
    while bytes
        .last()
        .is_some_and(|byte| matches!(byte, b'\n' | b'\r'))
    {
        bytes.pop();
    }
    Ok(Some(Line { bytes, whole }))
}

fn skip_line(input: &mut BufReader<std::io::Stdin>) -> std::io::Result<()> {
    loop {
        let buffered = input.fill_buf()?;
        let end = buffered.iter().position(|byte| *byte == b'\n');
        let used = end.map_or(buffered.len(), |at| at + 1);
        if used == 0 {
            return Ok(());
        }
        input.consume(used);
        if end.is_some() {
            return Ok(());
        }
    }
}
