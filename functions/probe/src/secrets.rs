//! Where the texts are that sites keep in variables and files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use sitewatch::site::{SECRET_PREFIX, Text};

use crate::files::read_inside;

/// Where texts are found.
#[derive(Debug, Default)]
pub(crate) struct Secrets {
    variables: BTreeMap<String, SecretString>,
    directory: Option<PathBuf>,
}

impl Secrets {
    /// Variables beginning with [`SECRET_PREFIX`] (others are left out) and the directory of files.
    pub(crate) fn new(
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
    pub(crate) fn find(&self, text: &Text) -> Result<SecretString, String> {
        match text {
            Text::Literal(text) => Ok(text.clone().into()),
            Text::Environment(name) => self
                .variables
                .get(name)
                .cloned()
                .ok_or_else(|| format!("names the variable {name}, which is not set")),
            Text::File(name) => {
                let Some(directory) = &self.directory else {
                    return Err(format!(
                        "names the file {name}, and SITES_SECRETS_DIR, where it would be, is not set"
                    ));
                };
                let told =
                    |why: String| format!("names the file {name}, which cannot be read: {why}");
                let content = read_inside(directory, Path::new(name)).map_err(told)?;
                let mut text =
                    String::from_utf8(content).map_err(|_| told("it is not UTF-8".to_owned()))?;
                text.truncate(text.trim_end_matches(['\r', '\n']).len());
                Ok(text.into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

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
        let find = |text| {
            secrets
                .find(&text)
                .map(|found| found.expose_secret().to_owned())
        };
        assert_eq!(
            find(Text::Environment("SITE_SECRET_TOKEN".into())).as_deref(),
            Ok("hush")
        );
        assert!(find(Text::Environment("DATABASE_URL".into())).is_err());
        assert!(
            find(Text::File("token".into()))
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
        let found = secrets.find(&Text::File("token".into())).unwrap();
        assert_eq!(found.expose_secret(), "hush");
    }
}
