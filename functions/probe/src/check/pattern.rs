//! Compiled patterns: the cheapest form that can decide each, and which of them are kept.
//!
//! An automaton and the whole body would do for all. With these two alone a round of 10,000 sites that
//! answer at once takes a third more CPU (`tests/bench.sh probe at-once`: 1.06 s against 0.80 s).

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use memchr::memmem::Finder;
use regex_automata::hybrid::dfa::DFA;
use regex_automata::nfa::thompson::backtrack::BoundedBacktracker;
use regex_automata::nfa::thompson::{self, NFA};
use regex_automata::{Anchored, Input};
use regex_syntax::hir::Hir;
use regex_syntax::hir::literal::{ExtractKind, Extractor};
use sitewatch::site::Pattern;

/// A compiled pattern.
#[derive(Debug)]
pub(crate) enum Compiled {
    /// Nothing but text.
    Text(Box<Finder<'static>>),
    /// Anything that can be decided byte by byte, behind a text that every match begins with.
    Prefixed(Box<Prefixed>),
    /// The same without such a text.
    Automaton(Box<DFA>),
    /// The rest.
    Whole(Box<regex::bytes::Regex>),
    /// An internal error: a [`Pattern`] is known to compile.
    Broken,
}

/// Memory for the states of one search that is under way. An automaton that needs more forgets its
/// states and makes them anew.
const CACHE: usize = 64 * 1024;
/// A text shorter than this is found too often to be worth looking for.
const MIN_PREFIX: usize = 3;

impl Compiled {
    pub(crate) fn new(pattern: &Pattern) -> Self {
        if let Some(text) = pattern.text() {
            return Self::Text(Box::new(Finder::new(text).into_owned()));
        }
        let Ok(hir) = pattern.decisive() else {
            return Self::Broken;
        };
        if let Some(prefix) = prefix(&hir) {
            return Self::Prefixed(Box::new(Prefixed {
                prefix,
                hir,
                nfa: OnceLock::new(),
                dfa: OnceLock::new(),
            }));
        }
        match nfa(&hir).as_ref().and_then(dfa) {
            Some(automaton) => Self::Automaton(automaton),
            None => regex::bytes::RegexBuilder::new(pattern.as_str())
                .size_limit(2 * Pattern::MAX_COMPILED)
                .build()
                .map_or(Self::Broken, |regex| Self::Whole(Box::new(regex))),
        }
    }
}

/// A pattern whose every match begins with the same text. The text is looked for first, several
/// times as fast as any automaton goes; the rest is compiled when it is found.
#[derive(Debug)]
pub(crate) struct Prefixed {
    pub(super) prefix: Finder<'static>,
    hir: Hir,
    nfa: OnceLock<Option<NFA>>,
    dfa: OnceLock<Option<Box<DFA>>>,
}

impl Prefixed {
    /// How far behind the first prefix a match is looked for by trying: most pages that are as
    /// expected are decided here, for less than a tenth of what the automaton and its states take
    /// to make.
    const NEAR: usize = 256;
    /// Memory for that, in bytes: a bit for each state at each place, so 256 states.
    const TRIED: usize = 8 * 1024;

    fn nfa(&self) -> Option<&NFA> {
        self.nfa.get_or_init(|| nfa(&self.hir)).as_ref()
    }

    /// The automaton; `None` is an internal error, like [`Compiled::Broken`].
    pub(super) fn dfa(&self) -> Option<&DFA> {
        self.dfa.get_or_init(|| self.nfa().and_then(dfa)).as_deref()
    }

    /// Whether a match begins where `text` does and ends soon; false when that is not known. Where
    /// `text` is cut makes no difference: nothing with a prefix looks at what is around a match.
    pub(super) fn matches_near(&self, text: &[u8]) -> bool {
        let near = text.get(..Self::NEAR).unwrap_or(text);
        let config = BoundedBacktracker::config().visited_capacity(Self::TRIED);
        let tried = self.nfa().and_then(|nfa| {
            let tries = BoundedBacktracker::builder()
                .configure(config)
                .build_from_nfa(nfa.clone())
                .ok()?;
            let near = Input::new(near).anchored(Anchored::Yes);
            tries.try_is_match(&mut tries.create_cache(), near).ok()
        });
        tried == Some(true)
    }
}

/// The text that every match begins with, if there is one and nothing depends on what is around it.
fn prefix(hir: &Hir) -> Option<Finder<'static>> {
    if !hir.properties().look_set().is_empty() {
        return None;
    }
    let prefixes = Extractor::new().kind(ExtractKind::Prefix).extract(hir);
    let prefix = prefixes.longest_common_prefix()?;
    (prefix.len() >= MIN_PREFIX).then(|| Finder::new(prefix).into_owned())
}

thread_local! {
    /// Kept, because it fills half a megabyte before the first class of Unicode (`.`, `[^<]`, `\d`) that it
    /// compiles: that takes longer than most patterns.
    static COMPILER: thompson::Compiler = {
        let config = thompson::Config::new()
            .utf8(false)
            .which_captures(thompson::WhichCaptures::None)
            .nfa_size_limit(Some(Pattern::MAX_COMPILED));
        thompson::Compiler::new().configure(config).clone()
    };
}

fn nfa(hir: &Hir) -> Option<NFA> {
    COMPILER.with(|compiler| compiler.build_from_hir(hir).ok())
}

/// The automaton, if one over bytes can decide the pattern.
fn dfa(nfa: &NFA) -> Option<Box<DFA>> {
    let config = DFA::config()
        .cache_capacity(CACHE)
        .skip_cache_capacity_check(true);
    let automaton = DFA::builder().configure(config).build_from_nfa(nfa.clone());
    automaton.ok().map(Box::new)
}

/// The compiled patterns that more than one site has. One that a single site has is compiled
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
