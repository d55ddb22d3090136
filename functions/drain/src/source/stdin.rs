//! JSON lines on standard input: `probe | drain` without any Kafka.

use std::io::{BufRead as _, BufReader, Read as _};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use sitewatch::event::MAX_EVENT;
use sitewatch::postgres::{check_schema, connect, record_run};
use sitewatch::run::{Exit, Failure, Run, Summary};

use crate::batch::{Batch, MAX_BUFFERED, Origin, Record};
use crate::row::Known;
use crate::settings::Settings;
use crate::store::{Limits, Store, check_columns};
use crate::summary::Counters;
use crate::window::Window;
use crate::workers::{Report, Workers};

/// Longest line that is read: one byte, and the line's end, more than an event can have. What is
/// longer is no event, and is kept as far as any dead letter is.
const MAX_LINE: u64 = MAX_EVENT as u64 + 2;

/// How long the run may wait for input before it looks for signals.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A line, or how it was cut.
struct Line {
    bytes: Vec<u8>,
    whole: bool,
}

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
    let stop = run
        .stop
        .no_later_than(Some(run.started + settings.deadline));
    let mut client = connect(&settings.database, "drain")?;
    check_schema(&mut client)?;
    check_columns(&mut client, &settings.database)?;
    let mut known = Known::new(Window::read(&mut client, &settings.database)?);
    let client = Arc::new(Mutex::new(client));
    let limits = Arc::new(Limits::new(settings.max_names));
    let mut workers = Workers::start(vec![Store::new(
        client,
        settings.database.clone(),
        None,
        limits,
    )]);
    // Reading blocks; on a thread of its own it cannot keep a signal waiting.
    let (send, lines) = mpsc::sync_channel(256);
    thread::spawn(move || read_lines(&send));

    let mut counters = Counters::default();
    let mut failure = None;
    let mut note = |report: Report, failure: &mut Option<Failure>| match report {
        Report::Written {
            counters: written, ..
        } => counters.add(written),
        Report::Fenced { .. } | Report::Refused { .. } | Report::Skipped => {}
        // What follows from the first failure must not hide it.
        Report::Failed(why) => {
            failure.get_or_insert(why);
        }
    };
    let mut batch = Batch::starting_at(Origin::Stdin, 1).with_originals();
    let mut stopped = None;
    let mut ended = false;
    while !ended && failure.is_none() {
        stopped = stop.requested();
        match lines.recv_timeout(POLL_INTERVAL) {
            Ok(Ok(line)) => add(&mut batch, &line, &mut known),
            Ok(Err(error)) => {
                failure = Some(Failure::Unavailable(format!(
                    "standard input cannot be read: {error}; the lines before are recorded"
                )));
                ended = true;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => ended = true,
        }
        // What was taken from the pipe exists nowhere else: it is written before the run ends.
        ended |= stopped.is_some();
        if batch.len() >= settings.batch_size
            || batch.bytes() > MAX_BUFFERED
            || (ended && batch.len() > 0)
        {
            let mut full = batch.take();
            while let Err(back) = workers.offer(full) {
                full = back;
                if let Some(report) = workers.wait(POLL_INTERVAL) {
                    note(report, &mut failure);
                }
                if failure.is_some() {
                    break;
                }
            }
        }
        while let Some(report) = workers.report() {
            note(report, &mut failure);
        }
    }
    workers.finish(&run.stop.no_later_than(None), |report| {
        note(report, &mut failure);
    });
    if let Some(failure) = failure {
        return Err(failure);
    }
    let mut summary = counters.summary();
    if let Some(why) = stopped {
        summary = summary.exiting(Exit::Unfinished);
        summary.sentence = format!(
            "{}; stopped by {why} before the input's end",
            summary.sentence
        );
    }
    Ok(summary)
}

fn add(batch: &mut Batch, line: &Line, known: &mut Known) {
    let record = Record {
        offset: batch.next,
        key: None,
        value: Some(&line.bytes),
        timestamp_ms: None,
    };
    if line.bytes.iter().all(u8::is_ascii_whitespace) {
        batch.next += 1;
    } else if line.whole {
        batch.add(&record, known, std::iter::empty());
    } else {
        batch.record_dead_letter(
            &Record {
                value: line.bytes.get(..MAX_EVENT),
                ..record
            },
            format!(
                "the line is longer than {MAX_EVENT} bytes, which is the most an event has; the rest of it is not kept"
            ),
            std::iter::empty(),
        );
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
