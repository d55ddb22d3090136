//! Lines as a table, JSON or CSV; text to standard output or, whole or not at all, to a file.

use std::fs::Permissions;
use std::io::{self, BufWriter, ErrorKind, IsTerminal as _, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde::Serialize;
use sitewatch::run::Failure;
use sitewatch::settings::Problems;
use url::Url;

use crate::settings::{Format, Settings};
use crate::table::{self, Line, Look};

pub(crate) use crate::words::state;

/// Prints the lines.
///
/// # Errors
/// When they cannot be written where they are to go.
pub(crate) fn lines<L: Line + Serialize>(settings: &Settings, lines: &[L]) -> Result<(), Failure> {
    let text = match settings.format {
        Format::Json => json(lines)?,
        Format::Csv => csv(lines)?,
        _ => table::render(lines, look(settings)),
    };
    write(settings.output.as_deref(), |to| {
        to.write_all(text.as_bytes())
    })
}

/// Hands the place to write to to `fill`: standard output, or a file that takes its name once it
/// is complete, so that whoever reads it finds the old one or the new one.
///
/// # Errors
/// When it cannot be written, other than because the reader of a pipe has seen enough.
pub(crate) fn write(
    path: Option<&Path>,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), Failure> {
    let Some(path) = path else {
        let mut to = BufWriter::new(io::stdout().lock());
        return match fill(&mut to).and_then(|()| to.flush()) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::Unavailable(
                format!("standard output cannot be written to: {error}"),
            )),
            _ => Ok(()),
        };
    };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let written = (|| {
        // Begins with a dot and has another ending: neither a web server nor a collector that
        // takes *.prom finds it before it is done. A web server's user has to be able to read it.
        let mut file = tempfile::Builder::new()
            .prefix(".report-")
            .suffix(".new")
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(folder)?;
        let mut to = BufWriter::new(file.as_file_mut());
        fill(&mut to)?;
        to.flush()?;
        drop(to);
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    })();
    written.map_err(|error: io::Error| {
        Problems::one(
            "REPORT_OUTPUT",
            format!("cannot be written: {}: {error}", path.display()),
        )
        .into()
    })
}

fn look(settings: &Settings) -> Look {
    if settings.output.is_some() || !io::stdout().is_terminal() {
        return Look::Plain;
    }
    match table::terminal_width() {
        Some(width) => Look::Terminal {
            width,
            colours: settings.colours,
        },
        None => Look::Plain,
    }
}

fn json<L: Serialize>(lines: &[L]) -> Result<String, Failure> {
    lines
        .iter()
        .map(|line| serde_json::to_string(line).map(|json| json + "\n"))
        .collect::<Result<_, _>>()
        .map_err(|error| Failure::Defect(format!("a line could not be written as JSON: {error}")))
}

fn csv<L: Line + Serialize>(lines: &[L]) -> Result<String, Failure> {
    let wrong = |error: &dyn std::fmt::Display| {
        Failure::Defect(format!("a line could not be written as CSV: {error}"))
    };
    let mut writer = csv::WriterBuilder::new()
        .has_headers(false)
        .from_writer(Vec::new());
    writer
        .write_record(L::FIELDS)
        .map_err(|error| wrong(&error))?;
    for line in lines {
        writer.serialize(line).map_err(|error| wrong(&error))?;
    }
    let bytes = writer.into_inner().map_err(|error| wrong(&error))?;
    String::from_utf8(bytes).map_err(|error| wrong(&error))
}

/// The URL without user name and password.
pub(crate) fn without_credentials(url: &str) -> String {
    match Url::parse(url) {
        Ok(mut parsed) if !parsed.username().is_empty() || parsed.password().is_some() => {
            // Both only fail for URLs that cannot have them, which this one has.
            let cleared = parsed.set_username("").is_ok() && parsed.set_password(None).is_ok();
            if cleared {
                parsed.into()
            } else {
                String::new()
            }
        }
        Ok(parsed) if parsed.has_host() => url.to_owned(),
        // No web address: then what looks like credentials is cut by hand.
        _ => url
            .rsplit_once('@')
            .map_or(url, |(_, rest)| rest)
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_not_shown() {
        assert_eq!(without_credentials("https://u:p@h/x"), "https://h/x");
        assert_eq!(
            without_credentials("https://h/x?a=b@c"),
            "https://h/x?a=b@c"
        );
        assert_eq!(without_credentials("u:p@h"), "h");
    }

    #[test]
    fn a_file_is_there_whole_or_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.txt");
        write(Some(&path), |to| to.write_all(b"first")).unwrap();
        let failed = write(Some(&path), |to| {
            to.write_all(b"half")?;
            Err(io::Error::other("full"))
        });
        assert!(failed.is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "first");
        let files = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(files, 1, "nothing half done is left");
    }
}
