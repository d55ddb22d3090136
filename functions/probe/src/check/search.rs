//! Searching a body for a regular expression while it arrives.
//!
//! A page is never held as a whole for this: a lazily built automaton is fed byte by byte and
//! carries its state over the boundaries of chunks, and a plain text is looked for with an overlap.
//! Only patterns that an automaton over bytes cannot decide (`\b` and its like in Unicode) have
//! the body kept, once for all of a site's, up to its limit.

use std::sync::Arc;

use memchr::memmem::Finder;
use regex_automata::Input;
use regex_automata::hybrid::LazyStateID;
use regex_automata::hybrid::dfa::{Cache, DFA};

use super::pattern::Compiled;

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
    /// The same for the text that every match begins with.
    Prefix(Vec<u8>),
    Automaton(Box<Cache>, LazyStateID),
    /// Decided from all of it, in the end.
    Whole,
}

impl Search {
    pub(crate) fn new(compiled: Arc<Compiled>) -> Self {
        let state = match &*compiled {
            Compiled::Text(finder) if finder.needle().is_empty() => State::Found,
            Compiled::Text(_) => State::Text(Vec::new()),
            Compiled::Prefixed(..) => State::Prefix(Vec::new()),
            Compiled::Automaton(dfa) => State::start(dfa),
            Compiled::Whole(_) => State::Whole,
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
        let compiled = Arc::clone(&self.compiled);
        match (&*compiled, &mut self.state) {
            (Compiled::Text(finder), State::Text(tail)) => {
                let found = find(finder, tail, chunk).is_some();
                if found {
                    self.state = State::Found;
                }
            }
            (Compiled::Prefixed(prefixed), State::Prefix(tail)) => {
                let before = tail.clone();
                let Some(at) = find(&prefixed.prefix, tail, chunk) else {
                    return;
                };
                let rest = chunk.get(at.saturating_sub(before.len())..);
                let rest = rest.unwrap_or_default();
                if at >= before.len() && prefixed.matches_near(rest) {
                    self.state = State::Found;
                    return;
                }
                self.state = prefixed.dfa().map_or(State::Hopeless, State::start);
                self.feed(before.get(at..).unwrap_or_default());
                self.feed(rest);
            }
            (Compiled::Automaton(dfa), State::Automaton(..)) => self.step(dfa, chunk),
            (Compiled::Prefixed(prefixed), State::Automaton(..)) => {
                if let Some(dfa) = prefixed.dfa() {
                    self.step(dfa, chunk);
                }
            }
            _ => {}
        }
    }

    fn step(&mut self, dfa: &DFA, chunk: &[u8]) {
        let State::Automaton(cache, at) = &mut self.state else {
            return;
        };
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

    /// Whether all of the text is needed for [`Search::finish`].
    pub(crate) fn needs_all(&self) -> bool {
        matches!(self.state, State::Whole)
    }

    /// Says that nothing follows; `all` is everything that was fed, if that is needed.
    pub(crate) fn finish(mut self, all: &[u8]) -> bool {
        match (&*self.compiled, &mut self.state) {
            (_, State::Found) => true,
            (Compiled::Automaton(dfa), State::Automaton(cache, at)) => ends(dfa, cache, *at),
            (Compiled::Prefixed(prefixed), State::Automaton(cache, at)) => {
                prefixed.dfa().is_some_and(|dfa| ends(dfa, cache, *at))
            }
            (Compiled::Whole(regex), State::Whole) => regex.is_match(all),
            _ => false,
        }
    }
}

impl State {
    fn start(dfa: &DFA) -> Self {
        let mut cache = dfa.create_cache();
        match dfa.start_state_forward(&mut cache, &Input::new("")) {
            Ok(start) if start.is_match() => Self::Found,
            Ok(start) => Self::Automaton(Box::new(cache), start),
            Err(_) => Self::Hopeless,
        }
    }
}

fn ends(dfa: &DFA, cache: &mut Cache, at: LazyStateID) -> bool {
    dfa.next_eoi_state(cache, at)
        .is_ok_and(|end| end.is_match())
}

/// Where the text begins in what `tail` and `chunk` are together. When it is not there, `tail`
/// becomes the end of them in which it may have begun.
fn find(finder: &Finder<'_>, tail: &mut Vec<u8>, chunk: &[u8]) -> Option<usize> {
    let overlap = finder.needle().len() - 1;
    let before = tail.len();
    let head = chunk.get(..overlap.min(chunk.len())).unwrap_or(chunk);
    tail.extend(head);
    if let Some(at) = finder.find(tail) {
        return Some(at);
    }
    if let Some(at) = finder.find(chunk) {
        return Some(before + at);
    }
    if chunk.len() > overlap {
        tail.clear();
        tail.extend(chunk.get(chunk.len() - overlap..).unwrap_or_default());
    }
    let keep = tail.len().saturating_sub(overlap);
    tail.drain(..keep);
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use sitewatch::site::Pattern;

    use super::*;

    fn search(pattern: &str, chunks: &[&[u8]]) -> bool {
        let compiled = Arc::new(Compiled::new(&Pattern::parse(pattern).unwrap()));
        let mut search = Search::new(compiled);
        for chunk in chunks {
            search.feed(chunk);
        }
        search
            .answer()
            .unwrap_or_else(|| search.finish(&chunks.concat()))
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
            (
                "site 7 is wel+",
                &[b"a site 7 is we, si", b"te 7 is", b" wel"],
                true,
            ),
            ("site 7 is wel+", &[b"a site 7 is we", b"t"], false),
            ("site 7 is wel+", &[b"site 7 is wet, site 7 is well"], true),
            ("site 7(?s:.)*end", &[b"site 7", &[b' '; 500], b"end"], true),
            ("site 7(?s:.)*end", &[b"site 7 is at its end"], true),
            (
                "site 7 (is )?fine",
                &[b"site 7 not", b" site 7 is fine"],
                true,
            ),
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

    fn patterns() -> impl Strategy<Value = String> {
        let simple = [
            "a",
            "b",
            "ab",
            "aba",
            "[ab]",
            ".",
            "(?s:.)",
            "^",
            "$",
            r"\b",
            r"(?-u:\b)",
        ];
        let simple = prop::sample::select(simple.map(str::to_owned).to_vec());
        let times = ["*", "+", "?", "{2}", "{1,2}", "{2,}", "{0,2}?", "+?"];
        simple.prop_recursive(4, 12, 4, move |inner| {
            prop_oneof![
                4 => prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.concat()),
                1 => (inner.clone(), inner.clone()).prop_map(|(one, other)| format!("(?:{one}|{other})")),
                2 => (inner, prop::sample::select(times.to_vec()))
                    .prop_map(|(inner, times)| format!("({inner}){times}")),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn neither_chunks_nor_what_is_left_out_make_a_difference(
            pattern in patterns(),
            body in "[ab \n]{0,40}",
            cuts in prop::collection::vec(0_usize..40, 0..6),
        ) {
            let whole = regex::bytes::Regex::new(&pattern).unwrap().is_match(body.as_bytes());
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(body.len())).collect();
            cuts.extend([0, body.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|cut| &body.as_bytes()[cut[0]..cut[1]]).collect();
            prop_assert_eq!(search(&pattern, &chunks), whole);
        }
    }
}
