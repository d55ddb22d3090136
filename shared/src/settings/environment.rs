//! Where the text of variables comes from, and in which order.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::{ALL, Problems, Variable};
use crate::site::SECRET_PREFIX;
use crate::words::nearest;

/// Prefixes that are ours: a name under one of them that no function knows is a slip of the pen.
const PREFIXES: &[&str] = &[
    "KAFKA_",
    "DATABASE_",
    "SITES_",
    "CHECK_",
    "PROBE_",
    "DRAIN_",
    "SETUP_",
    "MAINTAIN_",
    "REPORT_",
    "NOTIFY_",
    "PROMETHEUS_",
    "LOG_",
    "HEARTBEAT_",
];

/// The variables that are set, as text, so that reading cannot fail on a value. Deliberately without
/// `Debug`: it holds secrets.
#[derive(Default, serde::Deserialize)]
#[serde(transparent)]
pub(super) struct RawEnv {
    /// By name in lower case: `envy` writes them so.
    values: BTreeMap<String, String>,
}

impl RawEnv {
    /// The text of a variable; `None` when it is not set.
    pub(super) fn text(&self, variable: &Variable) -> Option<&str> {
        let name = variable.name.to_ascii_lowercase();
        self.values.get(&name).map(String::as_str)
    }
}

/// The variables of this process, gathered but not yet parsed.
pub struct Environment {
    pub(super) raw: RawEnv,
    pub(super) problems: Problems,
    pub(super) warnings: Vec<String>,
    pub(super) site_secrets: Vec<(String, String)>,
}

impl Environment {
    /// The environment of this process and of the `.env` file in its working directory.
    #[must_use]
    pub fn of_this_process() -> Self {
        Self::from_pairs(std::env::vars_os(), Path::new("."))
    }

    /// An environment made of the given pairs and of the `.env` file in `directory` (or of the
    /// file that `ENV_FILE` names). What is in `pairs` wins over the file.
    pub fn from_pairs(
        pairs: impl IntoIterator<Item = (OsString, OsString)>,
        directory: &Path,
    ) -> Self {
        let mut problems = Problems::default();
        let mut warnings = Vec::new();
        let mut given = BTreeMap::new();
        for (name, value) in pairs {
            let Ok(name) = name.into_string() else {
                continue;
            };
            match value.into_string() {
                // Compose files and `.env` files set a variable to nothing to say "not set".
                Ok(value) if value.is_empty() => {}
                Ok(value) => {
                    given.insert(name, value);
                }
                Err(_) if known(&name) => problems.add(name, "is not UTF-8"),
                Err(_) => {}
            }
        }
        add_env_file(&mut given, directory, &mut problems);
        warn_of_unknown(&given, &mut warnings);

        let site_secrets = given
            .iter()
            .filter(|(name, _)| name.starts_with(SECRET_PREFIX))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let chosen: Vec<(String, String)> = ALL
            .iter()
            .filter_map(|variable| {
                choose(variable, &given, &mut problems, &mut warnings)
                    .map(|value| (variable.name.to_owned(), value))
            })
            .collect();
        let raw = envy::from_iter(chosen).unwrap_or_else(|error| {
            problems.add("the environment", format!("cannot be read: {error}"));
            RawEnv::default()
        });
        Self {
            raw,
            problems,
            warnings,
            site_secrets,
        }
    }
}

/// The value of a variable: its own name, then its file, then the other accepted names.
fn choose(
    variable: &Variable,
    given: &BTreeMap<String, String>,
    problems: &mut Problems,
    warnings: &mut Vec<String>,
) -> Option<String> {
    let file_name = variable.file_name();
    let file = file_name.as_deref().and_then(|name| given.get(name));
    let direct = given.get(variable.name);
    if let (Some(_), Some(_), Some(file_name)) = (direct, file, &file_name) {
        problems.add(
            variable.name,
            format!("and {file_name} are both set; keep one of them"),
        );
        return None;
    }
    if let Some(value) = direct {
        return Some(value.clone());
    }
    if let (Some(path), Some(file_name)) = (file, file_name) {
        return match std::fs::read_to_string(path) {
            // Editors and `kubectl create secret --from-file` leave a line end that is no part
            // of the secret.
            Ok(value) => Some(value.trim_end_matches(['\r', '\n']).to_owned())
                .filter(|value| !value.is_empty())
                .or_else(|| {
                    problems.add(file_name, format!("names {path:?}, which is empty"));
                    None
                }),
            Err(error) => {
                problems.add(
                    file_name,
                    format!("names {path:?}, which cannot be read: {error}"),
                );
                None
            }
        };
    }
    let mut aliases = variable
        .aliases
        .iter()
        .filter_map(|alias| given.get(*alias).map(|value| (*alias, value)));
    let (first, value) = aliases.next()?;
    for (other, other_value) in aliases {
        if value != other_value {
            warnings.push(format!(
                "{first} and {other} both say {}; {first} is used",
                variable.name
            ));
        }
    }
    Some(value.clone())
}

fn add_env_file(given: &mut BTreeMap<String, String>, directory: &Path, problems: &mut Problems) {
    let (path, file) = match given.get("ENV_FILE").map(PathBuf::from) {
        // Named on purpose, whoever it belongs to and whatever it is: a pipe, for instance.
        Some(path) => match File::open(&path) {
            Ok(file) => (path, file),
            Err(error) => {
                let text = format!("names {path:?}, which cannot be read: {error}");
                problems.unread_file("ENV_FILE", text);
                return;
            }
        },
        None => match open_found(directory) {
            Ok(Some(file)) => (directory.join(".env"), file),
            Ok(None) => return,
            Err(why) => {
                problems.unread_file(".env in the working directory", why);
                return;
            }
        },
    };
    for pair in dotenvy::from_read_iter(file) {
        match pair {
            Ok((name, value)) if value.is_empty() || given.contains_key(&name) => {}
            Ok((name, value)) => {
                given.insert(name, value);
            }
            // The error's own text quotes the line, which may hold a secret.
            Err(dotenvy::Error::LineParse(_, column)) => problems.unread_file(
                path.display().to_string(),
                format!("has a line that is not NAME=value (at its column {column}); quote values with spaces or $"),
            ),
            Err(error) => problems.unread_file(
                path.display().to_string(),
                format!("cannot be read: {error}"),
            ),
        }
    }
}

/// Opens the `.env` that happens to be in the directory, unless somebody else may have put it
/// there or written into it: it decides where passwords are sent.
///
/// # Errors
/// Why it is not trusted, and what to do.
fn open_found(directory: &Path) -> Result<Option<File>, String> {
    let path = directory.join(".env");
    let unreadable = |error: io::Error| format!("cannot be read: {error}");
    let refuse = |why: &str| {
        Err(format!(
            "is not trusted: {why}; remove it, mend its owner and mode, or name it on purpose: ENV_FILE={}",
            path.display()
        ))
    };
    match path.symlink_metadata() {
        Ok(link) if !is_ours(link.uid()) => return refuse(&owned(link.uid())),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    }
    // Somebody who may write to the directory can put another file of ours in its place.
    let around = directory.metadata().map_err(unreadable)?;
    const STICKY: u32 = 0o1000;
    if !is_ours(around.uid()) {
        return refuse(&format!(
            "its directory is another's, {}",
            owned(around.uid())
        ));
    }
    if around.mode() & STICKY == 0
        && let Some(who) = others_who_write(&around)
    {
        return refuse(&format!("{who} may write to its directory"));
    }
    let file = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(&path);
    let file = match file {
        Ok(file) => file,
        // A link that leads nowhere.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return refuse("it is no regular file");
    }
    if !is_ours(metadata.uid()) {
        return refuse(&owned(metadata.uid()));
    }
    match others_who_write(&metadata) {
        Some(who) => refuse(&format!("{who} may write to it")),
        None => Ok(Some(file)),
    }
}

fn is_ours(user: u32) -> bool {
    user == 0 || user == rustix::process::geteuid().as_raw()
}

fn owned(user: u32) -> String {
    let ours = rustix::process::geteuid().as_raw();
    format!("it belongs to user {user}, and this is user {ours}")
}

/// Who else may write. Our own group is none of them: where each user has a group of their own, as
/// on Debian and Fedora, files are made writable for it.
fn others_who_write(metadata: &std::fs::Metadata) -> Option<String> {
    let may = |bits| metadata.mode() & bits != 0;
    let group = metadata.gid();
    if may(0o002) {
        Some("everybody".to_owned())
    } else if may(0o020) && group != rustix::process::getegid().as_raw() && group != 0 {
        Some(format!("group {group}"))
    } else {
        None
    }
}

fn known(name: &str) -> bool {
    ALL.iter().any(|variable| {
        variable.name == name
            || variable.aliases.contains(&name)
            || variable.file_name().is_some_and(|file| file == name)
    })
}

fn warn_of_unknown(given: &BTreeMap<String, String>, warnings: &mut Vec<String>) {
    for (name, value) in given {
        let ours = PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        if !ours || known(name) || set_by_kubernetes(name, value) {
            continue;
        }
        let hint = nearest(name, ALL.iter().map(|variable| variable.name))
            .map_or_else(String::new, |known| format!("; did you mean {known}?"));
        warnings.push(format!("{name} is not a variable of ours{hint}"));
    }
}

/// A Service named `kafka` or `database` puts `KAFKA_PORT=tcp://…` and its like into every pod.
fn set_by_kubernetes(name: &str, value: &str) -> bool {
    value.starts_with("tcp://")
        || value.starts_with("udp://")
        || name.contains("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.contains("_PORT_")
}
