//! Searching a body for a regular expression while it arrives.
//!
//! A page is never held as a whole for this: a lazily built automaton is fed byte by byte and
//! carries its state over the borders of chunks, and a plain text is looked for with an overlap.
//! Only expressions that an automaton over bytes cannot decide (`\b` and its like in Unicode) have
//! the body kept, up to the site's limit.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use memchr::memmem::Finder;
use regex_automata::Input;
use regex_automata::hybrid::LazyStateID;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson;
use regex_automata::util::syntax;
use regex_syntax::hir::HirKind;
use sitewatch::site::Pattern;

/// A compiled expression.
#[derive(Debug)]
pub(crate) enum Compiled {
    /// Nothing but text.
    Text(Box<Finder<'static>>),
    /// Anything that can be decided byte by byte.
    Automaton(Box<DFA>),
    /// The rest.
    Whole(Box<regex::bytes::Regex>),
    /// Nothing that could be compiled. A [`Pattern`] is known to compile, so this is a defect.
    Broken,
}

/// Memory for the states of one search that is under way. An automaton that needs more forgets its
/// states and makes them anew.
const CACHE: usize = 64 * 1024;

impl Compiled {
    pub(crate) fn new(pattern: &Pattern) -> Self {
        let text = pattern.as_str();
        let parsed = regex_syntax::ParserBuilder::new()
            .utf8(false)
            .build()
            .parse(text);
        let hir = match parsed {
            Ok(hir) => hir,
            Err(_) => return Self::Broken,
        };
        if let HirKind::Literal(literal) = hir.kind() {
            return Self::Text(Box::new(Finder::new(&literal.0).into_owned()));
        }
        let automaton = DFA::builder()
            .configure(
                DFA::config()
                    .cache_capacity(CACHE)
                    .skip_cache_capacity_check(true),
            )
            .thompson(
                thompson::Config::new()
                    .utf8(false)
                    .which_captures(thompson::WhichCaptures::None)
                    .nfa_size_limit(Some(Pattern::MAX_COMPILED)),
            )
            .syntax(syntax::Config::new().utf8(false))
            .build(text);
        match automaton {
            Ok(automaton) => Self::Automaton(Box::new(automaton)),
            Err(_) => regex::bytes::RegexBuilder::new(text)
                .size_limit(2 * Pattern::MAX_COMPILED)
                .build()
                .map_or(Self::Broken, |regex| Self::Whole(Box::new(regex))),
        }
    }
}

/// The compiled expressions that more than one site has. One that a single site has is compiled
/// for its check and forgotten: 10,000 different ones would take a hundred megabytes.
#[derive(Debug, Default)]
pub(crate) struct Patterns(HashMap<Arc<Pattern>, OnceLock<Arc<Compiled>>>);

impl Patterns {
    /// Finds those that occur more than once.
    pub(crate) fn shared<'a>(all: impl IntoIterator<Item = &'a Arc<Pattern>>) -> Self {
        let mut counts: HashMap<&Arc<Pattern>, usize> = HashMap::new();
        for pattern in all {
            *counts.entry(pattern).or_default() += 1;
        }
        let shared = counts.into_iter().filter(|(_, count)| *count > 1);
        Self(
            shared
                .map(|(pattern, _)| (Arc::clone(pattern), OnceLock::new()))
                .collect(),
        )
    }

    pub(crate) fn get(&self, pattern: &Arc<Pattern>) -> Arc<Compiled> {
        match self.0.get(pattern) {
            Some(shared) => Arc::clone(shared.get_or_init(|| Arc::new(Compiled::new(pattern)))),
            None => Arc::new(Compiled::new(pattern)),
        }
    }
}

/// One search under way.
#[derive(Debug)]
pub(crate) struct Search {
    compiled: Arc<Compiled>,
    state: State,
}

#[derive(Debug)]
enum State {
    Found,
    /// It is not there, whatever follows.
    Hopeless,
    /// The last bytes, in which a text may have begun.
    Text(Vec<u8>),
    Automaton(Box<Cache>, LazyStateID),
    Whole(Vec<u8>),
}

impl Search {
    pub(crate) fn new(compiled: Arc<Compiled>) -> Self {
        let state = match &*compiled {
            Compiled::Text(finder) if finder.needle().is_empty() => State::Found,
            Compiled::Text(_) => State::Text(Vec::new()),
            Compiled::Automaton(dfa) => {
                let mut cache = dfa.create_cache();
                match dfa.start_state_forward(&mut cache, &Input::new("")) {
                    Ok(start) if start.is_match() => State::Found,
                    Ok(start) => State::Automaton(Box::new(cache), start),
                    Err(_) => State::Hopeless,
                }
            }
            Compiled::Whole(_) => State::Whole(Vec::new()),
            Compiled::Broken => State::Hopeless,
        };
        Self { compiled, state }
    }

    /// Whether it is found; `None` while that depends on what follows.
    pub(crate) fn answer(&self) -> Option<bool> {
        match self.state {
            State::Found => Some(true),
            State::Hopeless => Some(false),
            _ => None,
        }
    }

    /// Takes the next bytes.
    pub(crate) fn feed(&mut self, chunk: &[u8]) {
        match (&*self.compiled, &mut self.state) {
            (Compiled::Text(finder), State::Text(tail)) => {
                let overlap = finder.needle().len() - 1;
                let head = chunk.get(..overlap.min(chunk.len())).unwrap_or(chunk);
                tail.extend(head);
                if finder.find(tail).is_some() || finder.find(chunk).is_some() {
                    self.state = State::Found;
                    return;
                }
                tail.extend(chunk.get(head.len()..).unwrap_or_default());
                let keep = tail.len().saturating_sub(overlap);
                tail.drain(..keep);
            }
            (Compiled::Automaton(dfa), State::Automaton(cache, at)) => {
                for byte in chunk {
                    match dfa.next_state(cache, *at, *byte) {
                        Ok(next) => *at = next,
                        Err(_) => {
                            self.state = State::Hopeless;
                            return;
                        }
                    }
                    if at.is_tagged() {
                        if at.is_match() {
                            self.state = State::Found;
                            return;
                        }
                        if at.is_dead() || at.is_quit() {
                            self.state = State::Hopeless;
                            return;
                        }
                    }
                }
            }
            (Compiled::Whole(_), State::Whole(body)) => body.extend(chunk),
            _ => {}
        }
    }

    /// Says that nothing follows.
    pub(crate) fn finish(mut self) -> bool {
        match (&*self.compiled, &mut self.state) {
            (_, State::Found) => true,
            (Compiled::Automaton(dfa), State::Automaton(cache, at)) => dfa
                .next_eoi_state(cache, *at)
                .is_ok_and(|end| end.is_match()),
            (Compiled::Whole(regex), State::Whole(body)) => regex.is_match(body),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn search(pattern: &str, chunks: &[&[u8]]) -> bool {
        let compiled = Arc::new(Compiled::new(&Pattern::parse(pattern).unwrap()));
        let mut search = Search::new(compiled);
        for chunk in chunks {
            search.feed(chunk);
        }
        search.answer().unwrap_or_else(|| search.finish())
    }

    #[test]
    fn over_the_borders_of_chunks() {
        for (pattern, chunks, found) in [
            ("hello", &[&b"say hel"[..], b"lo"][..], true),
            ("hello", &[b"h", b"e", b"l", b"l", b"o"], true),
            ("hello", &[b"hel", b"", b"l", b"x"], false),
            (r"page \d+ of 9", &[b"page 1", b"2 of ", b"9"], true),
            (r"^start", &[b"st", b"art"], true),
            (r"^start", &[b"a start"], false),
            (r"end$", &[b"the en", b"d"], true),
            (r"end$", &[b"the end", b"."], false),
            (
                r"gr\u{f6}\u{df}e",
                &[b"gr\xc3", b"\xb6\xc3\x9f", b"e"],
                true,
            ),
            (r"\bcaf\u{e9}\b", &[b"un caf\xc3", b"\xa9 noir"], true),
            (r"(?-u)\xff\xfe", &[b"\xff", b"\xfe"], true),
            ("", &[b""], true),
            ("(?i)HeLLo", &[b"HEL", b"LO"], true),
        ] {
            assert_eq!(search(pattern, chunks), found, "{pattern} in {chunks:?}");
        }
    }

    #[test]
    fn reading_can_stop_as_soon_as_the_answer_is_known() {
        let of =
            |pattern: &str| Search::new(Arc::new(Compiled::new(&Pattern::parse(pattern).unwrap())));
        let mut found = of("b+c");
        found.feed(b"abbc ");
        assert_eq!(found.answer(), Some(true));
        let mut hopeless = of("^b");
        hopeless.feed(b"ab");
        assert_eq!(hopeless.answer(), Some(false));
    }

    proptest! {
        #[test]
        fn chunks_make_no_difference(
            pattern in prop::sample::select(vec!["ab", "a+b", "(?s)a.*b", "^a", "b$", r"\bab\b", "[ab]{3}", "a|bb"]),
            body in "[ab \n]{0,40}",
            cuts in prop::collection::vec(0_usize..40, 0..6),
        ) {
            let whole = regex::bytes::Regex::new(pattern).unwrap().is_match(body.as_bytes());
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(body.len())).collect();
            cuts.extend([0, body.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|cut| &body.as_bytes()[cut[0]..cut[1]]).collect();
            prop_assert_eq!(search(pattern, &chunks), whole);
        }
    }
}
