//! Lines as a table, JSON or CSV; text to standard output or, whole or not at all, to a file.

use std::fs::{File, Permissions};
use std::io::{self, BufWriter, ErrorKind, IsTerminal as _, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde::Serialize;
use sitewatch::run::Failure;
use sitewatch::settings::Problems;
use sitewatch::words::{is_obeyed, printable};
use url::Url;

use crate::settings::{Format, Settings};
use crate::table::{self, Line, Look};

pub(crate) use crate::words::state;

/// What is written to a file at a time: thousands of small pieces take the kernel longer than few large ones.
const FILE_BUFFER: usize = 256 << 10;

/// Why writing came to its end before it was done.
pub(crate) enum Interrupted {
    /// There is no more to be read.
    Reading(Failure),
    /// What was read cannot be written.
    Writing(io::Error),
}

impl From<Failure> for Interrupted {
    fn from(failure: Failure) -> Self {
        Self::Reading(failure)
    }
}

impl From<io::Error> for Interrupted {
    fn from(error: io::Error) -> Self {
        Self::Writing(error)
    }
}

/// What is done with each line.
pub(crate) type Each<'a, L> = &'a mut dyn FnMut(&L) -> io::Result<()>;

/// Reads lines and hands each on; may be asked to do so more than once.
pub(crate) type ReadLines<'a, L> = &'a mut dyn FnMut(Each<'_, L>) -> Result<(), Interrupted>;

/// Prints lines as they are read, so that few are in memory at a time.
///
/// # Errors
/// When they cannot be written where they are to go, and those of `read`.
pub(crate) fn lines<L: Line + Serialize>(
    settings: &Settings,
    read: ReadLines<'_, L>,
) -> Result<(), Failure> {
    write(settings.output.as_deref(), |to| {
        if settings.format == Format::Table {
            return table::write(look(settings), to, read);
        }
        let mut printer = Printer::new::<L>(settings.format, to)?;
        read(&mut |line| printer.print(line))?;
        Ok(printer.finish()?)
    })
}

/// Writes lines as JSON or CSV.
enum Printer<'a> {
    Json(&'a mut dyn Write),
    Csv {
        writer: Box<csv::Writer<&'a mut dyn Write>>,
        fields: &'static [&'static str],
    },
}

impl<'a> Printer<'a> {
    fn new<L: Line>(format: Format, to: &'a mut dyn Write) -> io::Result<Self> {
        if format == Format::Json {
            return Ok(Self::Json(to));
        }
        let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(to);
        writer.write_record(L::FIELDS).map_err(cause)?;
        Ok(Self::Csv {
            writer: Box::new(writer),
            fields: L::FIELDS,
        })
    }

    fn print<L: Serialize>(&mut self, line: &L) -> io::Result<()> {
        match self {
            Self::Json(to) => {
                line.serialize(&mut serde_json::Serializer::with_formatter(
                    &mut **to, Visible,
                ))?;
                to.write_all(b"\n")
            }
            Self::Csv { writer, fields } => {
                let line = serde_json::to_value(line)?;
                let cells = fields.iter().map(|field| cell(line.get(field)));
                writer.write_record(cells).map_err(cause)
            }
        }
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Self::Json(_) => Ok(()),
            Self::Csv { mut writer, .. } => writer.flush(),
        }
    }
}

/// JSON that shows what it holds: what a terminal would obey is escaped, so that it reads the same.
struct Visible;

impl serde_json::ser::Formatter for Visible {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        if fragment.is_ascii() && !fragment.contains('\u{7f}') {
            return writer.write_all(fragment.as_bytes());
        }
        let mut units = [0; 2];
        let mut bytes = [0; 4];
        for c in fragment.chars() {
            if is_obeyed(c) {
                for unit in c.encode_utf16(&mut units) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            } else {
                writer.write_all(c.encode_utf8(&mut bytes).as_bytes())?;
            }
        }
        Ok(())
    }
}

/// What a field is in CSV: numbers as they are, texts so that a spreadsheet takes them for texts.
fn cell(value: Option<&serde_json::Value>) -> String {
    match value {
        None | Some(serde_json::Value::Null) => String::new(),
        Some(serde_json::Value::String(text)) => no_formula(printable(text)),
        Some(other) => other.to_string(),
    }
}

/// A text that begins as a formula does would be computed where the file is opened: the apostrophe
/// before it, which spreadsheets do not show, makes it a text. As OWASP's "CSV Injection" has it,
/// with the wide forms that East Asian spreadsheets read alike; tabs and line ends are escapes here.
fn no_formula(text: String) -> String {
    if text.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']) {
        format!("'{text}")
    } else {
        text
    }
}

/// The library's own way from its errors to these forgets that a pipe was closed.
fn cause(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

/// Hands the place to write to to `fill`: standard output, or a file that takes its name once it
/// is complete, so that whoever reads it finds the old one or the new one.
///
/// # Errors
/// When it cannot be written, other than because the reader of a pipe has seen enough, and those of
/// `fill`.
pub(crate) fn write(
    path: Option<&Path>,
    fill: impl FnOnce(&mut dyn Write) -> Result<(), Interrupted>,
) -> Result<(), Failure> {
    let Some(path) = path else {
        let mut to = BufWriter::new(io::stdout().lock());
        return match fill(&mut to).and_then(|()| Ok(to.flush()?)) {
            Err(Interrupted::Reading(failure)) => Err(failure),
            Err(Interrupted::Writing(error)) if error.kind() != ErrorKind::BrokenPipe => Err(
                Failure::Unavailable(format!("standard output cannot be written to: {error}")),
            ),
            _ => Ok(()),
        };
    };
    let written = (|| -> Result<(), Interrupted> {
        // A link stays, and what it leads to is replaced. A pipe or a device, /dev/stdout for one, is
        // written to: root's run would put a file in its place.
        let found = path.canonicalize();
        let path = found.as_deref().unwrap_or(path);
        if path
            .metadata()
            .is_ok_and(|known| !known.is_file() && !known.is_dir())
        {
            let mut to = BufWriter::new(File::options().write(true).open(path)?);
            fill(&mut to)?;
            return Ok(to.flush()?);
        }
        let directory = match path.parent() {
            Some(directory) if !directory.as_os_str().is_empty() => directory,
            _ => Path::new("."),
        };
        // Begins with a dot and has another ending: neither a web server nor a collector that
        // takes *.prom finds it before it is done. A web server's user has to be able to read it.
        let mut file = tempfile::Builder::new()
            .prefix(".report-")
            .suffix(".new")
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(directory)?;
        let mut to = BufWriter::with_capacity(FILE_BUFFER, file.as_file_mut());
        fill(&mut to)?;
        to.flush()?;
        drop(to);
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    })();
    written.map_err(|interrupted| match interrupted {
        Interrupted::Reading(failure) => failure,
        Interrupted::Writing(error) => Problems::one(
            "REPORT_OUTPUT",
            match path
                .parent()
                .filter(|parent| !parent.as_os_str().is_empty())
            {
                Some(parent) if !parent.is_dir() => format!(
                    "is {}, and there is no directory {}; make it",
                    path.display(),
                    parent.display()
                ),
                _ => format!("is {}, which cannot be written: {error}", path.display()),
            },
        )
        .into(),
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
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out.txt");
        write(Some(&path), |to| Ok(to.write_all(b"first")?)).unwrap();
        let failed = write(Some(&path), |to| {
            to.write_all(b"half")?;
            Err(io::Error::other("full").into())
        });
        assert!(failed.is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "first");
        let files = std::fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(files, 1, "nothing half done is left");
    }
}
