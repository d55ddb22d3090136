//! Terminals for processes that behave otherwise on one, and what a person sees there.

use std::{fs::File, process::Stdio};

use rustix::{
    fs::{Mode, OFlags, open as open_file},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};

/// Wide enough for a progress bar, a name and numbers, unless told otherwise.
const COLUMNS: u16 = 100;

/// Makes a pseudo-terminal: our end, which cannot be read any more once the process has ended, and
/// the process's.
///
/// # Panics
/// When the system has none left.
pub(super) fn open(columns: Option<u16>) -> (File, Stdio) {
    let make = || -> rustix::io::Result<(File, Stdio)> {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&ours)?;
        unlockpt(&ours)?;
        let name = ptsname(&ours, Vec::new())?;
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let theirs = open_file(name, flags, Mode::empty())?;
        tcsetwinsize(
            &theirs,
            Winsize {
                ws_row: 25,
                ws_col: columns.unwrap_or(COLUMNS),
                ws_xpixel: 0,
                ws_ypixel: 0,
            },
        )?;
        Ok((ours.into(), theirs.into()))
    };
    make().unwrap_or_else(|error| panic!("cannot make a pseudo-terminal: {error}"))
}

/// The lines that are left on a terminal's screen after this output, wrapped nowhere and without
/// trailing spaces: carriage returns, cursor movements and erasures are obeyed, colours are not
/// shown.
///
/// # Panics
/// When there is a control sequence that it does not know.
#[must_use]
pub fn screen(output: &str) -> Vec<String> {
    let mut lines: Vec<Vec<char>> = vec![Vec::new()];
    let (mut row, mut column) = (0_usize, 0_usize);
    let mut rest = output.chars();
    while let Some(c) = rest.next() {
        match c {
            '\r' => column = 0,
            '\n' => {
                row += 1;
                if row == lines.len() {
                    lines.push(Vec::new());
                }
            }
            '\u{1b}' => {
                assert_eq!(rest.next(), Some('['), "a control sequence in {output:?}");
                let mut parameters = String::new();
                let order = rest
                    .by_ref()
                    .find(|c| {
                        parameters.push(*c);
                        c.is_ascii_alphabetic()
                    })
                    .unwrap_or_default();
                parameters.pop();
                let number = || parameters.parse().unwrap_or(1);
                match (order, parameters.as_str()) {
                    ('m', _) => {}
                    ('A', _) => row = row.saturating_sub(number()),
                    ('B', _) => row = (row + number()).min(lines.len() - 1),
                    ('K', "2") => lines[row].clear(),
                    ('K', "" | "0") => lines[row].truncate(column),
                    _ => panic!("ESC [ {parameters} {order} in {output:?}"),
                }
            }
            c => {
                let line = &mut lines[row];
                if line.len() <= column {
                    line.resize(column + 1, ' ');
                }
                line[column] = c;
                column += 1;
            }
        }
    }
    let mut lines: Vec<String> = lines
        .into_iter()
        .map(|line| String::from_iter(line).trim_end().to_owned())
        .collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::screen;

    #[test]
    fn what_was_drawn_over_is_gone() {
        let output = "\x1b[32mfirst\x1b[0m\r\nbar\r\x1b[2Ksecond\r\nbar 1\x1b[1A\r\n\r\x1b[2K";
        assert_eq!(screen(output), ["first", "second"]);
    }
}
