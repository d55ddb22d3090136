//! The PostgreSQL of this machine: where its executables are, whom they run as, and a data
//! directory initialised once per test process and copied for every server.

use std::{
    cmp::Reverse,
    env, fs, io,
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use crate::{
    Failure,
    directory::{self, Directory},
};

pub(super) const SUPERUSER: &str = "postgres";
pub(super) const SUPERUSER_PASSWORD: &str = "superuser-only";

/// Where Debian, Fedora and a plain build put the executables; those on PATH come after these.
const VERSIONED_DIRECTORIES: [&str; 2] = ["/usr/lib/postgresql", "/usr"];

pub(super) struct Install {
    bin: PathBuf,
    /// PostgreSQL refuses to run as root; this is whom it runs as instead.
    user: Option<(u32, u32)>,
    template: Directory,
}

impl Install {
    /// The PostgreSQL whose executables `SITEWATCH_POSTGRES` names the directory of, else the
    /// newest found, with its data template ready.
    pub(super) fn find() -> Result<&'static Self, Failure> {
        static INSTALL: OnceLock<Result<Install, Failure>> = OnceLock::new();
        INSTALL
            .get_or_init(Self::prepare)
            .as_ref()
            .map_err(Failure::new)
    }

    fn prepare() -> Result<Self, Failure> {
        let bin = executables().ok_or_else(|| {
            Failure::new("PostgreSQL is not installed: run tests/install.sh, put `postgres` and `initdb` on PATH, or name their directory in SITEWATCH_POSTGRES")
        })?;
        let user = unprivileged_user()?;
        let directory = Directory::new("postgres-template").map_err(cannot_prepare)?;
        let install = Self {
            bin,
            user,
            template: directory,
        };
        install.initialise()?;
        Ok(install)
    }

    fn initialise(&self) -> Result<(), Failure> {
        let directory = &self.template;
        let password = directory.join("password");
        fs::write(&password, SUPERUSER_PASSWORD).map_err(cannot_prepare)?;
        self.own(directory.path()).map_err(cannot_prepare)?;
        let output = self
            .command("initdb", directory.path())
            // Only the servers promise durability; the template may be lost with the machine.
            .args(["--no-sync", "--no-locale", "--encoding=UTF8"])
            .args(["--auth=scram-sha-256", "--username", SUPERUSER])
            .arg("--pwfile")
            .arg(&password)
            .arg("-D")
            .arg(directory.join("data"))
            .output()
            .map_err(cannot_prepare)?;
        if output.status.success() {
            Ok(())
        } else {
            Err(Failure::new(format!(
                "initdb failed: {}\n{}{}",
                output.status,
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            )))
        }
    }

    /// A new directory with initialised data in `data`, the server's user's own.
    pub(super) fn new_data(&self) -> Result<Directory, Failure> {
        let create = || {
            let directory = Directory::of_server("postgres")?;
            directory::copy_all(&self.template.join("data"), &directory.join("data"))?;
            self.own(directory.path())?;
            Ok(directory)
        };
        create().map_err(cannot_prepare)
    }

    /// One of PostgreSQL's programs, as the right user and deaf to the environment of the tests.
    pub(super) fn command(&self, program: &str, directory: &Path) -> Command {
        self.program(&self.bin.join(program), directory)
    }

    /// Any program, likewise.
    pub(super) fn program(&self, path: &Path, directory: &Path) -> Command {
        let mut command = Command::new(path);
        command
            .env_clear()
            .env("LC_ALL", "C")
            .current_dir(directory);
        if let Some(path) = env::var_os("PATH") {
            command.env("PATH", path);
        }
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Makes a file the server's, for its eyes only, as PostgreSQL demands of keys.
    pub(super) fn own_secret(&self, file: &Path) -> io::Result<()> {
        fs::set_permissions(file, fs::Permissions::from_mode(0o600))?;
        self.user
            .map_or(Ok(()), |(uid, gid)| chown(file, Some(uid), Some(gid)))
    }

    pub(super) fn own(&self, path: &Path) -> io::Result<()> {
        self.user
            .map_or(Ok(()), |(uid, gid)| directory::give_all(path, uid, gid))
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the shape `map_err` asks for"
)]
fn cannot_prepare(error: io::Error) -> Failure {
    Failure::new(format!("cannot prepare PostgreSQL's data: {error}"))
}

fn executables() -> Option<PathBuf> {
    let complete = |bin: &PathBuf| bin.join("postgres").is_file() && bin.join("initdb").is_file();
    if let Some(chosen) = env::var_os("SITEWATCH_POSTGRES") {
        return Some(PathBuf::from(chosen)).filter(complete);
    }
    newest_first()
        .into_iter()
        .chain(env::split_paths(&env::var_os("PATH").unwrap_or_default()))
        .find(complete)
}

/// The `bin` directories of versioned installations, the highest version first.
fn newest_first() -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = VERSIONED_DIRECTORIES
        .iter()
        .filter_map(|parent| fs::read_dir(parent).ok())
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name();
            let version = name.to_str()?.trim_start_matches("pgsql-").parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    found.sort_by_key(|(version, _)| Reverse(*version));
    found.into_iter().map(|(_, bin)| bin).collect()
}

/// Whom a server runs as that does not run as root; none: we are not root.
pub(crate) fn unprivileged_user() -> Result<Option<(u32, u32)>, Failure> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    ["postgres", "nobody"]
        .iter()
        .find_map(|wanted| user_numbers(&users, wanted))
        .map(Some)
        .ok_or_else(|| Failure::new("a server does not run as root, and /etc/passwd has neither `postgres` nor `nobody` to run it as"))
}

fn user_numbers(users: &str, wanted: &str) -> Option<(u32, u32)> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? != wanted {
            return None;
        }
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some((uid, gid))
    })
}
