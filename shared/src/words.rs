//! Numbers and strangers' text as people read them.

/// Microseconds; empty for what did not happen. The unit changes where rounding would reach it.
#[must_use]
pub fn milliseconds(microseconds: Option<impl Into<f64>>) -> String {
    match microseconds.map(Into::into) {
        None => String::new(),
        // What happened took some time.
        Some(us) if us < 50.0 => "<0.1 ms".to_owned(),
        Some(us) if us < 9_950.0 => format!("{:.1} ms", us / 1_000.0),
        Some(us) if us < 999_500.0 => format!("{:.0} ms", us / 1_000.0),
        Some(us) => format!("{:.2} s", us / 1_000_000.0),
    }
}

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
    fn durations_have_three_digits_at_most_before_the_unit_changes() {
        for (us, text) in [
            (None, ""),
            (Some(0), "<0.1 ms"),
            (Some(49), "<0.1 ms"),
            (Some(50), "0.1 ms"),
            (Some(412), "0.4 ms"),
            (Some(9_949), "9.9 ms"),
            (Some(9_950), "10 ms"),
            (Some(12_340), "12 ms"),
            (Some(999_499), "999 ms"),
            (Some(999_500), "1.00 s"),
            (Some(1_234_000), "1.23 s"),
        ] {
            assert_eq!(milliseconds(us), text);
        }
    }

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
