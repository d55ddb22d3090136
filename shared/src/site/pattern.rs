//! A regular expression that is known to be good, as text.
//!
//! A list may hold 100,000 different patterns. A compiled one takes a hundred times the memory of its
//! text, and a parsed one with a `\w` in it 6 KB; so both are made where they are needed, and here a
//! pattern is only proven to compile. Most come down to a text to look for, which is kept.

use std::collections::VecDeque;
use std::fmt;

use regex::bytes::RegexBuilder;
use regex_automata::nfa::thompson;
use regex_syntax::hir::{Hir, HirKind, Repetition};

/// A valid regular expression (the syntax of the `regex` crate, over bytes of UTF-8).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Pattern {
    source: Box<str>,
    text: Option<Box<[u8]>>,
}

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
        let literal = match plain(text) {
            Some(plain) => Some(plain.as_bytes().into()),
            None => literal(&decisive(text).map_err(|error| describe(text, &error))?),
        };
        // Compiling costs a hundred times what parsing costs, and only counted repetition and
        // sheer length can reach the limit.
        if literal.is_none() && (text.contains('{') || text.len() > 100) {
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
        Ok(Self {
            source: text.into(),
            text: literal,
        })
    }

    /// The text that is there exactly when the pattern matches; `None`: that takes more than a text.
    #[must_use]
    pub fn text(&self) -> Option<&[u8]> {
        self.text.as_deref()
    }

    /// What of it decides whether it matches anywhere; what may follow or come before that is left out.
    ///
    /// # Errors
    /// An internal error: the pattern was parsed before.
    pub fn decisive(&self) -> Result<Hir, Box<regex_syntax::Error>> {
        decisive(&self.source)
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
            .build(&self.source)
            .map_or(Self::MAX_COMPILED, |nfa| nfa.memory_usage())
    }

    /// The pattern.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.source
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.source, f)
    }
}

/// The quick way to the text of most patterns, for which parsing them takes twenty times as long.
fn plain(pattern: &str) -> Option<&str> {
    let text = pattern.strip_prefix(".*").unwrap_or(pattern);
    let text = text.strip_suffix(".*").unwrap_or(text);
    let (text, optional) = match text.strip_suffix(['+', '*', '?']) {
        Some(before) => (before, !text.ends_with('+')),
        None => (text, false),
    };
    let last = text.chars().next_back()?;
    if text.chars().any(regex_syntax::is_meta_character) {
        return None;
    }
    if optional {
        return text.strip_suffix(last);
    }
    Some(text)
}

/// The text that is all there is.
fn literal(hir: &Hir) -> Option<Box<[u8]>> {
    match hir.kind() {
        HirKind::Empty => Some(Box::default()),
        HirKind::Literal(literal) => Some(literal.0.clone()),
        _ => None,
    }
}

fn decisive(text: &str) -> Result<Hir, Box<regex_syntax::Error>> {
    let parsed = regex_syntax::ParserBuilder::new()
        .utf8(false)
        .build()
        .parse(text)?;
    Ok(trim(trim(parsed, End::Last), End::First))
}

#[derive(Clone, Copy)]
enum End {
    First,
    Last,
}

/// Leaves out what a match may do without at one end: whoever finds `ab+c*` finds `ab` there, and the
/// other way round. Within what is left nothing changes, so what looks around (`$`, `\b`) stays right.
fn trim(hir: Hir, end: End) -> Hir {
    match hir.into_kind() {
        HirKind::Capture(capture) => trim(*capture.sub, end),
        HirKind::Repetition(Repetition { min: 1, sub, .. }) => trim(*sub, end),
        HirKind::Repetition(repetition) => Hir::repetition(Repetition {
            max: Some(repetition.min),
            ..repetition
        }),
        HirKind::Concat(parts) => {
            let mut parts = VecDeque::from(parts);
            while let Some(part) = match end {
                End::First => parts.pop_front(),
                End::Last => parts.pop_back(),
            } {
                let part = trim(part, end);
                if *part.kind() != HirKind::Empty {
                    match end {
                        End::First => parts.push_front(part),
                        End::Last => parts.push_back(part),
                    }
                    break;
                }
            }
            Hir::concat(parts.into())
        }
        HirKind::Alternation(parts) => Hir::alternation(parts),
        HirKind::Class(class) => Hir::class(class),
        HirKind::Literal(literal) => Hir::literal(literal.0),
        HirKind::Look(look) => Hir::look(look),
        HirKind::Empty => Hir::empty(),
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
    fn what_comes_down_to_a_text() {
        for (pattern, text) in [
            ("welcome", Some("welcome")),
            ("site 7 is wel+", Some("site 7 is wel")),
            (".*(wel)+(come){0,3}\\d*", Some("wel")),
            ("(?s:.)*", Some("")),
            ("", Some("")),
            ("<title>.*</title>", None),
            ("^welcome", None),
            ("(?i)welcome", None),
            ("wel{2}", None),
        ] {
            let parsed = Pattern::parse(pattern).unwrap();
            assert_eq!(parsed.text(), text.map(str::as_bytes), "{pattern}");
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(5_000))]
        #[test]
        fn the_quick_way_leads_to_the_same_text(pattern in r"(\.\*)?[aé.*+?\\|\[]{0,4}(\.\*)?") {
            if let Some(text) = plain(&pattern) {
                let parsed = literal(&decisive(&pattern).unwrap());
                proptest::prop_assert_eq!(parsed.as_deref(), Some(text.as_bytes()));
            }
        }
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
