//! Results on disk until Kafka has acknowledged them: `PROBE_SPOOL_DIR`.
//!
//! A file holds results of one run, a line each, behind a checksum. Its name is a UUID of version
//! 7, so that names sort by age; nothing that is named otherwise is touched. Whoever writes or
//! reads a file holds its lock (`flock`, which ends with its process), so runs may share the
//! directory. A file is removed only after Kafka acknowledged every result in it; what is no
//! result is put into a file of its own first. Sending a result again is harmless: it keeps its id
//! and its time.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, BufRead as _, BufReader, BufWriter, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use uuid::{Uuid, Version};

use super::message::Message;
use super::record::{Format, parse};

/// Files of this release.
const CURRENT: &str = "spool";
/// Lines that are no results, of a file whose results were sent.
const UNREADABLE: &str = "unreadable";
/// Files of release 0.1, whose lines have no checksum.
const EARLIER: &str = "jsonl";
/// The same, half written, with a dot before the name.
const EARLIER_PARTIAL: &str = "partial";

/// The directory, and how much it may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spool {
    directory: PathBuf,
    /// Bytes.
    pub(super) capacity: u64,
}

/// A file of the directory that is ours by its name.
pub(super) struct Found {
    id: Uuid,
    path: PathBuf,
    /// How its lines look; `None`: lines that were set aside, which nobody reads but people.
    format: Option<Format>,
}

/// A file of results, locked until it is dropped.
pub(super) struct Spooled {
    path: PathBuf,
    file: File,
    format: Format,
    unreadable: Unreadable,
}

/// What a file holds besides results.
struct Unreadable {
    path: PathBuf,
    file: Option<BufWriter<File>>,
    lines: u64,
}

impl Spool {
    /// Makes the directory if need be, for us alone, and proves that it can be written to.
    ///
    /// # Errors
    /// When it cannot: better known now than when Kafka is away.
    pub(crate) fn open(directory: PathBuf, capacity: u64) -> io::Result<Self> {
        if let Some(parent) = directory.parent() {
            fs::create_dir_all(parent)?;
        }
        match DirBuilder::new().mode(0o700).create(&directory) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made?,
        }
        let spool = Self {
            directory,
            capacity,
        };
        let (path, file) = spool.create()?;
        drop(file);
        fs::remove_file(path)?;
        Ok(spool)
    }

    /// Makes a file for results, locked.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn create(&self) -> io::Result<(PathBuf, File)> {
        loop {
            let path = self.path(Uuid::now_v7(), CURRENT);
            let file = OpenOptions::new()
                .append(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)?;
            file.lock()?;
            // Another run may have found it between the two, empty, and removed it.
            if file.metadata()?.nlink() > 0 {
                return Ok((path, file));
            }
        }
    }

    /// Bytes in our files.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub(super) fn size(&self) -> io::Result<u64> {
        let files = self.every_file()?;
        // One that another run has just removed counts nothing.
        let sizes = files.iter().map(|file| fs::symlink_metadata(&file.path));
        Ok(sizes.flatten().map(|metadata| metadata.len()).sum())
    }

    /// The files of results, oldest first. What killed runs left is among them.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub(super) fn files(&self) -> io::Result<Vec<Found>> {
        let mut files = self.every_file()?;
        files.retain(|file| file.format.is_some());
        files.sort_by_key(|file| file.id);
        Ok(files)
    }

    /// Makes what was done to names in the directory last through a power cut.
    pub(super) fn sync(&self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }

    /// Acquires a file, by its lock; `None` when another run has it, or had it and removed it.
    ///
    /// # Errors
    /// When it cannot be opened, or is no regular file of this user.
    pub(super) fn acquire(&self, found: &Found) -> io::Result<Option<Spooled>> {
        let Some(format) = found.format else {
            return Ok(None);
        };
        let file = match open_own(&found.path) {
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
        Ok((file.metadata()?.nlink() > 0).then(|| Spooled {
            path: found.path.clone(),
            file,
            format,
            unreadable: Unreadable {
                path: self.path(found.id, UNREADABLE),
                file: None,
                lines: 0,
            },
        }))
    }

    fn path(&self, id: Uuid, kind: &str) -> PathBuf {
        self.directory.join(format!("{id}.{kind}"))
    }

    fn every_file(&self) -> io::Result<Vec<Found>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            if let Some((id, format)) = entry.file_name().to_str().and_then(ours) {
                let path = entry.path();
                files.push(Found { id, path, format });
            }
        }
        Ok(files)
    }
}

impl Found {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// What a name of ours says; `None`: somebody else's.
fn ours(name: &str) -> Option<(Uuid, Option<Format>)> {
    let (stem, kind) = name.rsplit_once('.')?;
    let (stem, format) = match kind {
        CURRENT => (stem, Some(Format::Checked)),
        UNREADABLE => (stem, None),
        EARLIER => (stem, Some(Format::Plain)),
        EARLIER_PARTIAL => (stem.strip_prefix('.')?, Some(Format::Plain)),
        _ => return None,
    };
    let id = Uuid::try_parse(stem).ok()?;
    // The parser takes other spellings as well.
    let exact = id.get_version() == Some(Version::SortRand) && id.to_string() == stem;
    exact.then_some((id, format))
}

/// Opens a regular file of this user. Whatever else may be in its place is refused, without
/// waiting for it: nobody may ever write to a FIFO.
fn open_own(path: &Path) -> io::Result<File> {
    let refuse = |why: &str| {
        Err(io::Error::other(format!(
            "{why}; probe reads only regular files of its own user here"
        )))
    };
    // Before it is opened: opening a device may do something already.
    if !fs::symlink_metadata(path)?.is_file() {
        return refuse("it is no regular file");
    }
    let file = OpenOptions::new()
        .read(true)
        .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
        .open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return refuse("it is no regular file");
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return refuse("it belongs to another user");
    }
    Ok(file)
}

impl Spooled {
    /// Calls `each` with every result, and puts the lines that are none aside.
    ///
    /// # Errors
    /// When the file cannot be read, or what `each` fails with.
    pub(super) fn read(
        &mut self,
        mut each: impl FnMut(Message) -> io::Result<()>,
    ) -> io::Result<()> {
        for line in BufReader::new(&self.file).split(b'\n') {
            let line = line?;
            if line.is_empty() {
                continue;
            }
            match parse(&line, self.format) {
                Some(message) => each(message)?,
                None => self.unreadable.add(&line)?,
            }
        }
        Ok(())
    }

    /// Removes the file: every result in it is safe elsewhere.
    ///
    /// # Errors
    /// When the disk refuses; the results will then be sent again.
    pub(super) fn remove(self, spool: &Spool) -> io::Result<()> {
        self.unreadable.finish(&self.path, spool)?;
        fs::remove_file(&self.path)
    }
}

impl Unreadable {
    fn add(&mut self, line: &[u8]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            // It is there when a run was cut short here before; it then gets the same lines.
            none => none.insert(BufWriter::new(
                OpenOptions::new()
                    .write(true)
                    .create(true)
                    .truncate(true)
                    .mode(0o600)
                    .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
                    .open(&self.path)?,
            )),
        };
        self.lines += 1;
        file.write_all(line)?;
        file.write_all(b"\n")
    }

    fn finish(self, of: &Path, spool: &Spool) -> io::Result<()> {
        let Some(file) = self.file else {
            return Ok(());
        };
        file.into_inner()
            .map_err(io::IntoInnerError::into_error)?
            .sync_all()?;
        spool.sync()?;
        let lines = self.lines;
        log::warn!(
            "{lines} {} in the spool's file {} {} (a kill in the middle of writing, or a disk that changed it); kept in {}, for you to read and delete",
            if lines == 1 { "line" } else { "lines" },
            of.display(),
            if lines == 1 {
                "is no result"
            } else {
                "are no results"
            },
            self.path.display()
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_our_making_are_ours() {
        let id = "01938f5e-8b1a-7c3d-9e2f-0a1b2c3d4e5f";
        for (name, format) in [
            (format!("{id}.spool"), Some(Format::Checked)),
            (format!("{id}.unreadable"), None),
            (format!("{id}.jsonl"), Some(Format::Plain)),
            (format!(".{id}.partial"), Some(Format::Plain)),
        ] {
            assert_eq!(ours(&name), Some((id.parse().unwrap(), format)), "{name}");
        }
        for name in [
            "notes.spool".to_owned(),
            "export.jsonl".to_owned(),
            "download.partial".to_owned(),
            ".partial".to_owned(),
            id.to_owned(),
            format!("{id}.partial"),
            format!(".{id}.jsonl"),
            format!("{id}.spool~"),
            format!("{id}.spool.bak"),
            format!("{}.spool", id.to_uppercase()),
            format!("{}.spool", id.replace('-', "")),
            format!("{{{id}}}.jsonl"),
            format!("urn:uuid:{id}.jsonl"),
            // Another version of UUID.
            "01938f5e-8b1a-4c3d-9e2f-0a1b2c3d4e5f.jsonl".to_owned(),
        ] {
            assert_eq!(ours(&name), None, "{name}");
        }
    }
}
