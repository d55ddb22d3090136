//! Text → typed values, with every problem kept.

use super::environment::RawEnv;
use super::{Environment, Problems, Variable};

/// Parses variables one by one and remembers what was wrong with each.
pub struct Reader {
    function: &'static str,
    raw: RawEnv,
    problems: Problems,
    warnings: Vec<String>,
    site_secrets: Vec<(String, String)>,
    dry_run: bool,
}

impl Reader {
    /// Starts with what was wrong with the environment itself. `function` is the name of the one
    /// that reads.
    #[must_use]
    pub fn new(function: &'static str, environment: Environment) -> Self {
        Self {
            function,
            raw: environment.raw,
            problems: environment.problems,
            warnings: environment.warnings,
            site_secrets: environment.site_secrets,
            dry_run: false,
        }
    }

    /// The text of a variable, unparsed; `None` when it is not set.
    ///
    /// # Panics
    /// In a debug build, when the function's `--help` does not name the variable.
    #[must_use]
    pub fn text(&self, variable: &Variable) -> Option<&str> {
        debug_assert!(
            variable.is_read_by(self.function),
            "{} --help does not name {}",
            self.function,
            variable.name
        );
        self.raw.text(variable)
    }

    /// Whether the variable is set.
    #[must_use]
    pub fn is_set(&self, variable: &Variable) -> bool {
        self.text(variable).is_some()
    }

    /// The value of a variable that must be set. `None` means that a problem was added.
    pub fn required<T>(
        &mut self,
        variable: &Variable,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        if self.is_set(variable) {
            self.optional(variable, parse)
        } else {
            self.problems.missing(variable);
            None
        }
    }

    /// The value of a variable that may be left out. `None` means not set, or that a problem was
    /// added.
    pub fn optional<T>(
        &mut self,
        variable: &Variable,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.text(variable)?.to_owned();
        match parse(&text) {
            Ok(value) => Some(value),
            Err(why) => {
                self.problems.malformed(variable, &text, &why);
                None
            }
        }
    }

    /// The value of a variable, or of its documented default. A value that does not parse is a
    /// problem; the default then only serves to go on looking for others.
    ///
    /// # Panics
    /// When the catalogue's default itself does not parse, which each function's settings test
    /// would show.
    pub fn or_default<T>(
        &mut self,
        variable: &Variable,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> T {
        self.optional(variable, &parse).unwrap_or_else(|| {
            parse(variable.default).unwrap_or_else(|why| {
                unreachable!("the default of {} does not parse: {why}", variable.name)
            })
        })
    }

    /// The value of a variable that decides which others are asked for, or of its documented default.
    /// `None` means that a problem was added: then nobody knows which those are.
    pub fn decisive<T>(
        &mut self,
        variable: &Variable,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let before = self.problems.list().len();
        let value = self.or_default(variable, parse);
        (self.problems.list().len() == before).then_some(value)
    }

    /// Adds a problem that concerns more than one variable's text.
    pub fn problem(&mut self, on: impl Into<String>, text: impl Into<String>) {
        self.problems.add(on, text);
    }

    /// Adds as a problem that none of several variables is set; the text names them.
    pub fn absence(&mut self, text: impl Into<String>) {
        self.problems.absence("", text);
    }

    /// Adds a variable's absence as a problem.
    pub fn missing(&mut self, variable: &Variable) {
        self.problems.missing(variable);
    }

    /// Says that the run only tells what one would do. It must not be taken for one by whoever
    /// waits for its heartbeat.
    pub fn set_dry_run(&mut self) {
        self.dry_run = true;
    }

    /// Whether it does.
    pub(crate) fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    /// Adds something to be told but not stopped for.
    pub fn warn(&mut self, text: impl Into<String>) {
        self.warnings.push(text.into());
    }

    /// The variables that sites may refer to; see [`SECRET_PREFIX`](crate::site::SECRET_PREFIX).
    pub fn take_site_secrets(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.site_secrets)
    }

    /// What is to be told once logging works.
    pub fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    /// The finished settings, if nothing was wrong.
    ///
    /// # Errors
    /// Every problem found.
    pub fn finish<T>(self, settings: Option<T>) -> Result<T, Problems> {
        match settings {
            Some(settings) if self.problems.list().is_empty() => Ok(settings),
            _ => Err(self.problems),
        }
    }
}
