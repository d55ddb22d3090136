//! A terminal to print to, which nobody looks at.

use std::{fs::File, io, process::Stdio};

use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};

/// Our side of it.
pub(super) struct Terminal {
    ours: File,
}

impl Terminal {
    pub(super) fn open(columns: u16) -> Result<Self, Errno> {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&ours)?;
        unlockpt(&ours)?;
        tcsetwinsize(
            &ours,
            Winsize {
                ws_row: 50,
                ws_col: columns,
                ws_xpixel: 0,
                ws_ypixel: 0,
            },
        )?;
        Ok(Self { ours: ours.into() })
    }

    /// The other side, for a process to print to.
    pub(super) fn output(&self) -> io::Result<Stdio> {
        let name = ptsname(&self.ours, Vec::new())?;
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        Ok(rustix::fs::open(name, flags, Mode::empty())?.into())
    }

    /// What was printed. Reading ends with an error when the last process that prints is gone.
    pub(super) fn into_printed(self) -> File {
        self.ours
    }
}
