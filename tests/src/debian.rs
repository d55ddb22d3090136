//! A Debian of a test's own, to install packages in: a directory with the release that this machine
//! has, for which packages are made here, and commands that root runs in it. Who is not root needs
//! `sudo` without a password.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::{Failure, cache, command::Run, go};

/// What is there besides the essential: what the package depends on or recommends.
const PACKAGES: &str = "--include=ca-certificates,cron,openssl,systemd";

/// One Debian, gone with its value.
pub struct Debian {
    root: PathBuf,
    _directory: TempDir,
}

impl Debian {
    /// A fresh one.
    ///
    /// # Errors
    /// When Debian's packages cannot be fetched, the first time on a machine, or nothing can be
    /// done as root.
    pub fn new() -> Result<Self, Failure> {
        let release = release()?;
        let made = cache::directory(&format!("debian-{release}-1"), |fresh| {
            let mut make = as_root("mmdebstrap");
            make.args(["--quiet", "--variant=minbase", PACKAGES, &release])
                .arg(fresh.join("root.tar"));
            go::run("make a Debian with mmdebstrap", &mut make).map(drop)
        })?;
        let directory = tempfile::tempdir()
            .map_err(|error| Failure::new(format!("cannot make a directory: {error}")))?;
        let root = directory.path().join("root");
        std::fs::create_dir(&root)
            .map_err(|error| Failure::new(format!("cannot make {}: {error}", root.display())))?;
        let mut unpack = as_root("tar");
        unpack
            .arg("-xf")
            .arg(made.join("root.tar"))
            .arg("-C")
            .arg(&root);
        go::run("unpack a Debian", &mut unpack)?;
        Ok(Self {
            root,
            _directory: directory,
        })
    }

    /// Where a path of its is here.
    #[must_use]
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// A run of shell commands in it, by root; the first that fails ends it.
    pub fn shell(&self, commands: &str) -> Run {
        let chroot = as_root("chroot");
        let run = Run::program(chroot.get_program());
        chroot
            .get_args()
            .fold(run, Run::arg)
            .arg(&self.root)
            .arg("/bin/sh")
            .arg("-ec")
            .arg(commands)
            .var(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
    }

    /// Puts a file there.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn copy(&self, file: &Path, to: &str) -> Result<(), Failure> {
        let mut copy = as_root("cp");
        copy.arg(file).arg(self.path(to));
        go::run("copy a file into a Debian", &mut copy).map(drop)
    }
}

impl Drop for Debian {
    fn drop(&mut self) {
        // A temporary directory that stays is no reason to fail.
        drop(as_root("rm").arg("-rf").arg(&self.root).status());
    }
}

/// By the name that its archive has, such as `bookworm`.
fn release() -> Result<String, Failure> {
    let file = "/etc/os-release";
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::new(format!("cannot read {file}: {error}")))?;
    text.lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .map(str::to_owned)
        .ok_or_else(|| Failure::new(format!("{file} names no release of Debian or Ubuntu")))
}

fn as_root(program: &str) -> Command {
    if rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.args(["-n", program]);
    command
}
