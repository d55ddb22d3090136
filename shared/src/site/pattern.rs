//! A regular expression that is known to be good, as text.
//!
//! A list may hold 100,000 different patterns, and a compiled one takes a hundred times the
//! memory of its text; so it is compiled where it is needed, and here only proven to compile.

use std::fmt;

use regex::bytes::RegexBuilder;
use regex_automata::nfa::thompson;

/// A valid regular expression (the syntax of the `regex` crate, over bytes of UTF-8).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Pattern(Box<str>);

impl Pattern {
    /// Longest pattern, in bytes: longer ones are data, not patterns.
    pub const MAX_LENGTH: usize = 4_096;
    /// Largest compiled size in bytes: a few thousand states of Unicode classes. What grows beyond
    /// it (nested counted repetition) is a way to use up our memory.
    pub const MAX_COMPILED: usize = 1 << 20;

    /// Checks a pattern.
    ///
    /// # Errors
    /// What is wrong with it, and at which character.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > Self::MAX_LENGTH {
            return Err(format!(
                "is {} bytes long, at most {}",
                text.len(),
                Self::MAX_LENGTH
            ));
        }
        let parsed = regex_syntax::ParserBuilder::new()
            .utf8(false)
            .build()
            .parse(text);
        if let Err(error) = parsed {
            return Err(describe(text, &error));
        }
        // Compiling costs a hundred times what parsing costs, and only counted repetition and
        // sheer length can reach the limit.
        if text.contains('{') || text.len() > 100 {
            RegexBuilder::new(text)
                .size_limit(Self::MAX_COMPILED)
                .build()
                .map_err(|_| {
                    format!(
                        "{text:?} needs more than {} KiB when compiled; use smaller repetitions",
                        Self::MAX_COMPILED >> 10
                    )
                })?;
        }
        Ok(Self(text.into()))
    }

    /// What it takes when compiled, in bytes. Compiles it to find out.
    #[must_use]
    pub fn compiled_size(&self) -> usize {
        let config = thompson::Config::new()
            .utf8(false)
            .which_captures(thompson::WhichCaptures::None)
            .nfa_size_limit(Some(Self::MAX_COMPILED));
        thompson::Compiler::new()
            .configure(config)
            .syntax(regex_automata::util::syntax::Config::new().utf8(false))
            .build(&self.0)
            .map_or(Self::MAX_COMPILED, |nfa| nfa.memory_usage())
    }

    /// The pattern.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

fn describe(text: &str, error: &regex_syntax::Error) -> String {
    let (what, span) = match error {
        regex_syntax::Error::Parse(error) => (error.kind().to_string(), Some(error.span())),
        regex_syntax::Error::Translate(error) => (error.kind().to_string(), Some(error.span())),
        other => (other.to_string(), None),
    };
    let at = span.map_or_else(String::new, |span| {
        let character = text
            .get(..span.start.offset)
            .map_or(span.start.offset, |before| before.chars().count())
            + 1;
        format!(" at character {character}")
    });
    format!("{text:?} is not a regular expression: {what}{at}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_is_placed() {
        assert_eq!(
            Pattern::parse("größe (cm").unwrap_err(),
            r#""größe (cm" is not a regular expression: unclosed group at character 7"#
        );
        assert_eq!(
            Pattern::parse("a**[").unwrap_err(),
            r#""a**[" is not a regular expression: unclosed character class at character 4"#
        );
    }

    #[test]
    fn what_would_eat_our_memory_is_refused() {
        let error = Pattern::parse(r"((\w{100}){100}){100}").unwrap_err();
        assert!(error.contains("needs more than 1024 KiB"), "{error}");
        assert!(Pattern::parse(&"a".repeat(5_000)).is_err());
        assert!(Pattern::parse(r"\w{3}").is_ok());
        assert!(Pattern::parse(r"(?-u)\xff").is_ok());
    }
}
