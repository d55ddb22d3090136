//! Strangers' text as people may read it: without orders to a terminal, not too long, with a hint
//! where a name is misspelt.

use std::borrow::Cow;

/// Whether a terminal, a page or a log would obey this character instead of showing it: control
/// characters (C0 and C1), and those of no width, which reorder or hide the text around them or make
/// two names look the same. Those that join stay where they join, see [`printable`].
#[must_use]
pub fn is_obeyed(c: char) -> bool {
    c.is_control()
        || is_joiner(c)
        || matches!(c,
            // Soft hyphen, grapheme joiner, Arabic letter mark, Khmer's silent vowels.
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            // Spaces of no width, marks and overrides of direction, ends of lines and paragraphs.
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff0}'..='\u{fffb}'
            // Marks of shorthand and of music, tags.
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// What joins two characters to one, or chooses how the one before looks.
fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}')
}

/// The text with an escape, such as `\u{202e}`, in the place of each character that would be obeyed.
/// Joiners stay in scripts and emoji that are made with them: after a character beyond Latin, Greek
/// and Cyrillic, where they would only hide.
#[must_use]
pub fn printable(text: &str) -> String {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.to_owned();
    }
    let mut shown = String::with_capacity(text.len());
    let mut before = '\0';
    for c in text.chars() {
        if is_obeyed(c) && !(is_joiner(c) && before >= '\u{590}') {
            shown.extend(c.escape_unicode());
            before = '\0';
        } else {
            shown.push(c);
            // Of a row of joiners the first one joins.
            before = if is_joiner(c) { '\0' } else { c };
        }
    }
    shown
}

/// The text, if it has so many characters at most; else the first ones and `…`, as many in all.
#[must_use]
pub fn shortened(text: &str, most: usize) -> Cow<'_, str> {
    if text.char_indices().nth(most).is_none() {
        return text.into();
    }
    let kept = text.chars().take(most.saturating_sub(1));
    kept.chain(['…']).collect::<String>().into()
}

/// A label's name in the characters that Prometheus and Alertmanager take.
#[must_use]
pub fn prometheus_label(name: &str) -> String {
    let mut label: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    if label.is_empty() || label.starts_with(|c: char| c.is_ascii_digit()) {
        label.insert(0, '_');
    }
    label
}

/// The known name that is meant by one that is not known, if one is near enough.
#[must_use]
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Letters left out, added, exchanged or swapped: as many as a slip of the pen has.
    const MAX_DISTANCE: usize = 3;
    known
        .into_iter()
        .map(|known| (strsim::damerau_levenshtein(known, name), known))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance <= MAX_DISTANCE)
        .map(|(_, known)| known)
}

/// Whether there is nothing to be seen of a text: no name for anything.
#[must_use]
pub fn is_blank(text: &str) -> bool {
    text.chars().all(|c| {
        c.is_whitespace()
            || is_obeyed(c)
            // Letters and a pattern of dots that are drawn as nothing.
            || matches!(c, '\u{115f}' | '\u{1160}' | '\u{2800}' | '\u{3164}' | '\u{ffa0}')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_to_obey() {
        for (text, shown) in [
            ("a\u{1b}[2Jb", "a\\u{1b}[2Jb"),
            ("a\u{9b}2Jb\u{85}", "a\\u{9b}2Jb\\u{85}"),
            ("a\u{202e}c\u{2066}\u{61c}", "a\\u{202e}c\\u{2066}\\u{61c}"),
            (
                "sh\u{200b}op\u{2060}\u{feff}",
                "sh\\u{200b}op\\u{2060}\\u{feff}",
            ),
            ("so\u{ad}ft\u{e0041}", "so\\u{ad}ft\\u{e0041}"),
            // Joiners hide in one script and spell in another.
            ("sh\u{200d}op\u{fe0f}", "sh\\u{200d}op\\u{fe0f}"),
            (
                "größe 👩\u{200d}🚀 ❤\u{fe0f}",
                "größe 👩\u{200d}🚀 ❤\u{fe0f}",
            ),
            ("می\u{200c}خواهم", "می\u{200c}خواهم"),
            ("👩\u{200d}\u{200d}", "👩\u{200d}\\u{200d}"),
            ("a\nb\tc", "a\\u{a}b\\u{9}c"),
        ] {
            assert_eq!(printable(text), shown, "{text:?}");
        }
    }

    #[test]
    fn what_is_too_long_is_cut_between_characters() {
        for (most, text) in [(3, "größe"), (5, "größe"), (6, "größe")] {
            let expected = if most < 5 { "gr…" } else { "größe" };
            assert_eq!(shortened(text, most), expected, "{most}");
        }
    }

    #[test]
    fn labels_are_named_as_prometheus_wants_it() {
        for (name, expected) in [
            ("team", "team"),
            ("k8s.io/name", "k8s_io_name"),
            ("1", "_1"),
            ("", "_"),
        ] {
            assert_eq!(prometheus_label(name), expected);
        }
    }

    #[test]
    fn only_what_is_near_is_meant() {
        let known = ["DRAIN_SOURCE", "DRAIN_START"];
        assert_eq!(nearest("DRAIN_SUORCE", known), Some("DRAIN_SOURCE"));
        assert_eq!(nearest("DRAIN_SOURCE_OF", known), Some("DRAIN_SOURCE"));
        assert_eq!(nearest("DRAIN_WORKERS", known), None);
    }

    #[test]
    fn blank_is_what_shows_nothing() {
        for text in [
            "",
            " ",
            "\u{a0}\u{3000}",
            "\u{200b}\u{200d}",
            "\u{3164}",
            "\u{2800} \u{ad}",
        ] {
            assert!(is_blank(text), "{text:?}");
        }
        for text in ["a", " .", "ㅤa", "👩"] {
            assert!(!is_blank(text), "{text:?}");
        }
    }
}
