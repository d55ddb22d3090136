//! Control groups: what the limits of a container are made of.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// What the processes of a group may have together.
#[derive(Clone, Copy, Debug)]
pub enum Limit {
    /// So many bytes of memory, none of them swapped out; what takes more is killed.
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
            if made.set(file, &limit).is_ok() {
                // Not every kernel accounts for swap.
                made.set("memory.swap.max", "0").ok();
                made.set("memory.memsw.limit_in_bytes", &limit).ok();
                return Some(made);
            }
        }
        None
    }

    /// Writes a file that the kernel has put there: where the first version is mounted, the parent of
    /// its controllers is an ordinary directory, and an ordinary file limits nothing.
    fn set(&self, file: &str, value: &str) -> io::Result<()> {
        File::options()
            .write(true)
            .open(self.0.join(file))?
            .write_all(value.as_bytes())
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

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    #[test]
    fn what_takes_more_memory_than_its_group_may_is_killed() {
        let Some(cgroup) = Cgroup::make(Limit::Memory(16 << 20)) else {
            eprintln!("NOT TESTED: only root can make a control group");
            return;
        };
        for (buffer, signal) in [("1M", None), ("64M", Some(9))] {
            let status = cgroup
                .command(Path::new("dd"))
                .args(["if=/dev/zero", "of=/dev/null", "count=1", "status=none"])
                .arg(format!("bs={buffer}"))
                .status()
                .expect("start dd");
            assert_eq!(status.signal(), signal, "{buffer}: {status}");
        }
    }
}
