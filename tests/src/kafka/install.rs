//! Kafka's jars on this machine, and how to run what is in them.
//!
//! They are fetched once per machine with Maven, into `$SITEWATCH_CACHE`, `$XDG_CACHE_HOME/sitewatch`
//! or `~/.cache/sitewatch`, and appear there complete or not at all: processes that want them at the
//! same time wait for the first. Beside the jars are a formatted, empty data directory and an
//! archive of loaded classes, which together halve the start of a broker.

mod fetch;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use crate::{Failure, cache};

/// The one node every formatted data directory is for.
pub(super) const NODE_ID: u32 = 1;
/// Any identifier does, for clusters that never meet.
pub(super) const CLUSTER: &str = "c2l0ZXdhdGNoLXRlc3RzLQ";
/// Part of the directory's name: raised when what [`fetch`] puts there changes.
const RECIPE: u32 = 1;

const JARS: &str = "jars";
const FORMATTED: &str = "formatted";
const CLASSES: &str = "classes.jsa";

/// The Kafkas the tests run on: the newest of the last line that still speaks the oldest protocol
/// versions, and one that dropped them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// Kafka 3.9.
    V3_9,
    /// Kafka 4.1.
    V4_1,
}

impl Version {
    /// Both, for tests that run on each.
    pub const ALL: [Self; 2] = [Self::V3_9, Self::V4_1];

    /// The full version number.
    pub fn number(self) -> &'static str {
        match self {
            Self::V3_9 => "3.9.2",
            Self::V4_1 => "4.1.2",
        }
    }
}

/// One version of Kafka, ready to run.
pub(super) struct Install {
    directory: PathBuf,
    java: PathBuf,
    class_path: String,
}

impl Install {
    /// Kafka of this version, fetched now if this machine has never had it.
    pub(super) fn of(version: Version) -> Result<&'static Self, Failure> {
        static V3_9: OnceLock<Result<Install, Failure>> = OnceLock::new();
        static V4_1: OnceLock<Result<Install, Failure>> = OnceLock::new();
        let install = match version {
            Version::V3_9 => &V3_9,
            Version::V4_1 => &V4_1,
        };
        install
            .get_or_init(|| Self::prepare(version))
            .as_ref()
            .map_err(Failure::new)
    }

    fn prepare(version: Version) -> Result<Self, Failure> {
        let name = format!("kafka-{}-{RECIPE}", version.number());
        let directory = cache::directory(&name, |fresh| fetch::fetch(version, fresh))?;
        Self::at(&directory)
    }

    /// The jars in `directory`. The class path is relative to it and sorted, because the archive of
    /// classes holds only for the very same class path.
    fn at(directory: &Path) -> Result<Self, Failure> {
        let jars = directory.join(JARS);
        let mut names: Vec<String> = fs::read_dir(&jars)
            .map_err(|error| Failure::new(format!("cannot read {}: {error}", jars.display())))?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .map(|name| format!("{JARS}/{name}"))
            .collect();
        names.sort();
        Ok(Self {
            directory: directory.to_owned(),
            java: java(),
            class_path: names.join(":"),
        })
    }

    /// An empty data directory of a broker that has never run.
    pub(super) fn formatted(&self) -> PathBuf {
        self.directory.join(FORMATTED)
    }

    /// A broker, lacking its properties file.
    pub(super) fn broker(&self) -> Command {
        let mut command = self.java("kafka.Kafka", "info");
        command.current_dir(&self.directory);
        command
    }

    pub(super) fn java_program(&self) -> &Path {
        &self.java
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The arguments that run a class of these jars.
    pub(super) fn java_arguments(&self, class: &str, log_level: &str) -> Vec<String> {
        [
            // For processes that live for seconds: compile fast rather than well, collect garbage
            // without threads, and take the classes from the archive.
            "-XX:TieredStopAtLevel=1",
            "-XX:+UseSerialGC",
            "-Xmx512m",
            "-Xshare:auto",
            &format!("-XX:SharedArchiveFile={CLASSES}"),
            // Another Java than the one that made the archive does without it, silently.
            "-Xlog:disable",
            "-Xlog:all=error:stderr",
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
            &format!("-Dorg.slf4j.simpleLogger.defaultLogLevel={log_level}"),
            "-cp",
            &self.class_path,
            class,
        ]
        .map(str::to_owned)
        .to_vec()
    }

    fn java(&self, class: &str, log_level: &str) -> Command {
        let mut command = Command::new(&self.java);
        command
            .args(self.java_arguments(class, log_level))
            .current_dir(&self.directory);
        command
    }
}

/// The Java the machine's owner chose, else the one on PATH.
pub(crate) fn java() -> PathBuf {
    env::var_os("JAVA_HOME")
        .map(|home| PathBuf::from(home).join("bin/java"))
        .filter(|java| java.is_file())
        .unwrap_or_else(|| "java".into())
}
