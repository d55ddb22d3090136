//! A run's own file in the spool: every result is in it before its thread begins another check,
//! and the file goes when Kafka has acknowledged them all. So SIGKILL costs no more than the
//! checks that are under way.
//!
//! A result is written, not synced: what is written outlives the process, and a sync for each
//! would take longer than the check. It is synced when the run ends with results that Kafka has
//! not acknowledged. A power cut in the middle of a run therefore costs its results, as far as
//! neither the kernel nor Kafka has them on disk.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::record;
use super::spool::Spool;

/// A file with nothing in it that is still needed is emptied from this size on, so that a long run
/// does not grow to the cap. Emptying costs as much as writing a few results.
const EMPTIED_FROM: u64 = 1024 * 1024;
/// How often a full spool is measured again, while earlier runs' files are sent and removed.
const MEASURED_EVERY: Duration = Duration::from_secs(1);

/// The file, made with the first result.
pub(super) struct Journal {
    spool: Spool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    open: Option<Open>,
    /// A result's line; here so that its memory is used again.
    line: Vec<u8>,
    /// Results in the file.
    kept: u64,
    /// Of these, how many Kafka has acknowledged.
    acknowledged: u64,
    /// Why nothing more is kept; it was told.
    broken: bool,
}

struct Open {
    path: PathBuf,
    file: File,
    /// Bytes in the file.
    size: u64,
    /// Bytes in the spool's other files, when they were last measured.
    others: u64,
    measured: Instant,
}

impl Journal {
    pub(super) fn new(spool: Spool) -> Self {
        Self {
            spool,
            state: Mutex::default(),
        }
    }

    pub(super) fn spool(&self) -> &Spool {
        &self.spool
    }

    /// Writes a result; false when there is no room for it, or the disk refuses, which is told
    /// once.
    pub(super) fn keep(&self, result: &[u8]) -> bool {
        let mut state = self.state.lock();
        if state.broken {
            return false;
        }
        state.keep(result, &self.spool).unwrap_or_else(|error| {
            state.broken = true;
            log::error!("the spool cannot be written (PROBE_SPOOL_DIR): {error}");
            false
        })
    }

    /// Kafka has acknowledged this many more of the results that were kept.
    pub(super) fn acknowledge(&self, results: u64) {
        let mut state = self.state.lock();
        state.acknowledged += results;
        if state.left() > 0 {
            return;
        }
        let Some(open) = &mut state.open else {
            return;
        };
        if open.size >= EMPTIED_FROM && open.file.set_len(0).is_ok() {
            open.size = 0;
            (state.kept, state.acknowledged) = (0, 0);
        }
    }

    /// Removes the file, or leaves it to the next run; returns how many results are in it that
    /// Kafka has not acknowledged.
    pub(super) fn finish(&self) -> u64 {
        let mut state = self.state.lock();
        let left = state.left();
        if let Some(open) = state.open.take() {
            let ended = if left == 0 {
                std::fs::remove_file(&open.path)
            } else {
                open.file.sync_all().and_then(|()| self.spool.sync())
            };
            if let Err(error) = ended {
                let path = open.path.display();
                log::error!("the spool's file {path} cannot be removed or synced: {error}");
            }
        }
        left
    }
}

impl State {
    fn left(&self) -> u64 {
        self.kept.saturating_sub(self.acknowledged)
    }

    fn keep(&mut self, result: &[u8], spool: &Spool) -> io::Result<bool> {
        let open = match &mut self.open {
            Some(open) => open,
            none => none.insert(Open::new(spool)?),
        };
        self.line.clear();
        record::append(&mut self.line, result);
        if !open.has_room(self.line.len() as u64, spool)? {
            return Ok(false);
        }
        if let Err(error) = open.file.write_all(&self.line) {
            // What is there of it would corrupt the next line. When even this fails, nothing is
            // written behind it: the caller gives up the file.
            open.file.set_len(open.size)?;
            return Err(error);
        }
        open.size += self.line.len() as u64;
        self.kept += 1;
        Ok(true)
    }
}

impl Open {
    fn new(spool: &Spool) -> io::Result<Self> {
        let others = spool.size()?;
        let (path, file) = spool.create()?;
        Ok(Self {
            path,
            file,
            size: 0,
            others,
            measured: Instant::now(),
        })
    }

    fn has_room(&mut self, more: u64, spool: &Spool) -> io::Result<bool> {
        if self.size + self.others + more <= spool.capacity {
            return Ok(true);
        }
        if self.measured.elapsed() < MEASURED_EVERY {
            return Ok(false);
        }
        self.measured = Instant::now();
        self.others = spool.size()?.saturating_sub(self.size);
        Ok(self.size + self.others + more <= spool.capacity)
    }
}
