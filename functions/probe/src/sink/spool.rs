//! Results on disk until Kafka takes them: `PROBE_SPOOL_DIR`.
//!
//! A file holds the events of one run that could not be published, as JSON lines; its name begins
//! with a UUID of version 7, so that names sort by age. It is written under a hidden name, synced,
//! and renamed, so that a visible file is whole whatever happens; it is removed only after Kafka
//! acknowledged everything in it. Whoever reads or writes a file holds its lock (`flock`, which
//! ends with its process), so runs may share the folder. A repeat is harmless: an event keeps its
//! id and its time.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use sitewatch::event::CheckEvent;
use uuid::Uuid;

use super::queue::Message;

const WHOLE: &str = ".jsonl";
const PARTIAL: &str = ".partial";

/// The folder, and how much it may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spool {
    directory: PathBuf,
    /// Bytes.
    capacity: u64,
}

/// A file of the spool, locked until it is dropped.
pub(super) struct Spooled {
    path: PathBuf,
    file: File,
}

impl Spool {
    /// Makes the folder if need be, and proves that it can be written to.
    ///
    /// # Errors
    /// When it cannot: better known now than when Kafka is away.
    pub(crate) fn open(directory: PathBuf, capacity: u64) -> io::Result<Self> {
        fs::create_dir_all(&directory)?;
        let probe = directory.join(format!(".{}{PARTIAL}", Uuid::now_v7()));
        File::create_new(&probe)?;
        fs::remove_file(&probe)?;
        Ok(Self {
            directory,
            capacity,
        })
    }

    /// Keeps the messages; what does not fit under the cap is given back.
    ///
    /// # Errors
    /// When the disk refuses. Nothing is kept then.
    pub(super) fn keep(&self, mut messages: Vec<Message>) -> io::Result<Vec<Message>> {
        let room = self.capacity.saturating_sub(self.size()?);
        let mut size = 0;
        let fits = messages
            .iter()
            .take_while(|message| {
                size += message.payload.len() as u64 + 1;
                size <= room
            })
            .count();
        let rest = messages.split_off(fits);
        if !messages.is_empty() {
            self.write(&messages)?;
        }
        Ok(rest)
    }

    fn write(&self, messages: &[Message]) -> io::Result<()> {
        let id = Uuid::now_v7();
        let partial = self.directory.join(format!(".{id}{PARTIAL}"));
        let whole = self.directory.join(format!("{id}{WHOLE}"));
        let file = File::create_new(&partial)?;
        file.lock()?;
        let mut writer = BufWriter::new(&file);
        for message in messages {
            writer.write_all(&message.payload)?;
            writer.write_all(b"\n")?;
        }
        writer.flush()?;
        drop(writer);
        file.sync_all()?;
        fs::rename(&partial, &whole)?;
        // The name is on disk only when its folder is.
        File::open(&self.directory)?.sync_all()
    }

    /// Bytes in the folder.
    fn size(&self) -> io::Result<u64> {
        let mut size = 0;
        for entry in fs::read_dir(&self.directory)? {
            // One that another run has just removed counts nothing.
            size += entry?.metadata().map_or(0, |metadata| metadata.len());
        }
        Ok(size)
    }

    /// The files that nobody else has in hand, oldest first. What a killed run left half written
    /// is among them.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub(super) fn files(&self) -> io::Result<Vec<PathBuf>> {
        let mut files: Vec<(String, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            if name.ends_with(WHOLE) || name.ends_with(PARTIAL) {
                files.push((name.trim_start_matches('.').to_owned(), entry.path()));
            }
        }
        files.sort();
        Ok(files.into_iter().map(|(_, path)| path).collect())
    }

    /// Takes a file in hand; `None` when another run has it, or had it and removed it.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(super) fn claim(path: &Path) -> io::Result<Option<Spooled>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Between opening and locking, whoever had it may have finished and removed it.
        Ok(path.exists().then(|| Spooled {
            path: path.to_owned(),
            file,
        }))
    }
}

impl Spooled {
    /// Calls `each` with every message; a line that is no event (the end of one that a killed run
    /// was writing) with `None` and its text.
    ///
    /// # Errors
    /// When the file cannot be read, or what `each` fails with.
    pub(super) fn read(
        &self,
        mut each: impl FnMut(Result<Message, Vec<u8>>) -> io::Result<()>,
    ) -> io::Result<()> {
        for line in BufReader::new(&self.file).split(b'\n') {
            let line = line?;
            if line.is_empty() {
                continue;
            }
            let key = CheckEvent::decode(&line).map(|event| event.site.as_bytes().to_vec());
            match key {
                Ok(key) => each(Ok(Message { key, payload: line }))?,
                Err(_) => each(Err(line))?,
            }
        }
        Ok(())
    }

    /// Removes the file: everything in it is safe elsewhere.
    ///
    /// # Errors
    /// When the disk refuses; the events will then be sent again.
    pub(super) fn remove(self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }
}
