//! Text of a site that may be kept elsewhere: in a variable or in a file.
//!
//! A site list may be written by people who must not know our secrets, and who could otherwise ask
//! for any of them to be sent to a server of theirs. So variables must begin with
//! [`SECRET_PREFIX`], and files are names within one directory, never paths.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use super::files::read_inside;

/// What the names of variables that sites may refer to begin with.
pub const SECRET_PREFIX: &str = "SITE_SECRET_";

/// A text, or where to find it. Never shown: header values, passwords and bodies hold secrets.
#[derive(Clone, PartialEq, Eq)]
pub enum Text {
    /// The text itself.
    Literal(String),
    /// The name of a variable that holds it.
    Environment(String),
    /// The name of a file that holds it, within the directory of secrets.
    File(String),
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(_) => f.write_str("[hidden]"),
            Self::Environment(name) => write!(f, "[from {name}]"),
            Self::File(name) => write!(f, "[from file {name}]"),
        }
    }
}

/// Where texts are found.
#[derive(Debug, Default)]
pub struct Secrets {
    variables: BTreeMap<String, SecretString>,
    directory: Option<PathBuf>,
}

impl Secrets {
    /// Variables beginning with [`SECRET_PREFIX`] (others are left out) and the directory of files.
    pub fn new(
        variables: impl IntoIterator<Item = (String, String)>,
        directory: Option<PathBuf>,
    ) -> Self {
        Self {
            variables: variables
                .into_iter()
                .filter(|(name, _)| name.starts_with(SECRET_PREFIX))
                .map(|(name, value)| (name, value.into()))
                .collect(),
            directory,
        }
    }

    /// The text, wherever it is. A file is read each time, so that a secret can be changed under a
    /// running probe.
    ///
    /// # Errors
    /// Where it was looked for, and why it was not found; never the text.
    pub fn find(&self, text: &Text) -> Result<SecretString, String> {
        match text {
            Text::Literal(text) => Ok(text.clone().into()),
            Text::Environment(name) => self
                .variables
                .get(name)
                .cloned()
                .ok_or_else(|| format!("the variable {name} is not set")),
            Text::File(name) => {
                let Some(directory) = &self.directory else {
                    return Err(format!(
                        "the file {name} is wanted but SITES_SECRETS_DIR is not set"
                    ));
                };
                let told = |why: String| format!("the file {name} cannot be read: {why}");
                let content = read_inside(directory, Path::new(name)).map_err(told)?;
                let mut text =
                    String::from_utf8(content).map_err(|_| told("it is not UTF-8".to_owned()))?;
                text.truncate(text.trim_end_matches(['\r', '\n']).len());
                Ok(text.into())
            }
        }
    }
}

/// The text itself, where it is needed.
impl Secrets {
    /// As [`find`](Self::find), exposed.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn reveal(&self, text: &Text) -> Result<String, String> {
        Ok(self.find(text)?.expose_secret().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_meant_for_sites_is_found() {
        let secrets = Secrets::new(
            [
                ("SITE_SECRET_TOKEN".to_owned(), "hush".to_owned()),
                ("DATABASE_URL".to_owned(), "postgres://".to_owned()),
            ],
            None,
        );
        assert_eq!(
            secrets
                .reveal(&Text::Environment("SITE_SECRET_TOKEN".into()))
                .unwrap(),
            "hush"
        );
        assert!(
            secrets
                .reveal(&Text::Environment("DATABASE_URL".into()))
                .is_err()
        );
        assert!(
            secrets
                .reveal(&Text::File("token".into()))
                .unwrap_err()
                .contains("SITES_SECRETS_DIR")
        );
        assert!(!format!("{secrets:?}").contains("hush"));
        assert!(!format!("{:?}", Text::Literal("hush".into())).contains("hush"));
    }

    #[test]
    fn a_file_loses_its_last_line_end() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("token"), "hush\n").unwrap();
        let secrets = Secrets::new([], Some(directory.path().into()));
        assert_eq!(secrets.reveal(&Text::File("token".into())).unwrap(), "hush");
    }
}
