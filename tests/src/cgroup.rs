//! Control groups: what the limits of a container are made of.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// What the processes of a group may have together.
#[derive(Clone, Copy, Debug)]
pub enum Limit {
    /// So many bytes of memory; what takes more is killed.
    Memory(u64),
    /// So many hundredths of one CPU.
    Cpu(u32),
}

/// A group, which is gone once this is dropped and its processes are over.
pub struct Cgroup(PathBuf);

impl Cgroup {
    /// Makes one, by the second version of the interface or the first. `None`: only root can, and
    /// only where the system lets it.
    pub fn make(limit: Limit) -> Option<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("sitewatch-{}-{number}", std::process::id());
        let (controller, second, first) = match limit {
            Limit::Memory(bytes) => (
                "memory",
                ("memory.max", bytes.to_string()),
                ("memory.limit_in_bytes", bytes.to_string()),
            ),
            // Of every 100 ms.
            Limit::Cpu(hundredths) => (
                "cpu",
                ("cpu.max", format!("{} 100000", hundredths * 1_000)),
                ("cpu.cfs_quota_us", (hundredths * 1_000).to_string()),
            ),
        };
        let all = Path::new("/sys/fs/cgroup");
        for (parent, (file, limit)) in [(all.to_owned(), second), (all.join(controller), first)] {
            let path = parent.join(&name);
            if fs::create_dir(&path).is_err() {
                continue;
            }
            let made = Self(path);
            // Only into a file that the kernel has put there: where the first version is mounted, its
            // parent is an ordinary directory, and an ordinary file limits nothing.
            let limited = File::options()
                .write(true)
                .open(made.0.join(file))
                .and_then(|mut file| file.write_all(limit.as_bytes()));
            if limited.is_ok() {
                return Some(made);
            }
        }
        None
    }

    /// Where a process that writes its number belongs to the group from then on.
    pub fn processes(&self) -> PathBuf {
        self.0.join("cgroup.procs")
    }

    /// A command that runs in the group.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", r#"echo $$ > "$0" && exec "$@""#])
            .arg(self.processes())
            .arg(program);
        command
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        fs::remove_dir(&self.0).ok();
    }
}
