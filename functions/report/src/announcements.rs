//! What people write on the status page themselves: paragraphs of a file.

use std::fs::File;
use std::io::Read as _;

use crate::words::printable;

/// The most bytes of a file.
const SIZE: u64 = 65_536;

/// The paragraphs of the file of this name, as they are to be shown: text, with line ends.
///
/// # Errors
/// When it cannot be read whole.
pub(crate) fn read(path: &str) -> Result<Vec<String>, String> {
    Ok(paragraphs(&text(path)?))
}

/// The text of a file of at most 64 KiB.
///
/// # Errors
/// When it cannot be read whole.
pub(crate) fn text(path: &str) -> Result<String, String> {
    let cannot = |error: std::io::Error| format!("it cannot be read: {error}");
    // Before it is opened: one that nobody writes to would be waited for.
    if !std::fs::metadata(path).map_err(cannot)?.is_file() {
        return Err("it is no regular file".to_owned());
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(cannot)?;
    file.take(SIZE + 1)
        .read_to_end(&mut bytes)
        .map_err(cannot)?;
    if bytes.len() as u64 > SIZE {
        return Err("it has more than 64 KiB".to_owned());
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn paragraphs(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text
        .trim_start_matches('\u{feff}')
        .lines()
        .map(str::trim)
        .collect();
    lines
        .split(|line| line.is_empty())
        .filter(|lines| !lines.is_empty())
        .map(|lines| {
            let lines: Vec<String> = lines.iter().map(|line| printable(line)).collect();
            lines.join("\n")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_are_apart_by_empty_lines() {
        assert_eq!(
            paragraphs("\u{feff}one\r\nof two lines\r\n\r\n \t\n\nanother\u{202e}\n"),
            ["one\nof two lines", "another\\u{202e}"]
        );
        assert!(paragraphs(" \n\n").is_empty());
    }
}
