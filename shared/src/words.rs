//! Figures and strangers' text as people read them.

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
/// characters, and those that reorder or hide the text around them.
#[must_use]
pub fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// The text with a mark in the place of each character that would be obeyed. Joiners stay: people
/// name sites in scripts and emoji that are made with them.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\u{200c}' | '\u{200d}' => c,
            c if is_obeyed(c) => '\u{fffd}',
            c => c,
        })
        .collect()
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
        assert_eq!(printable("a\u{1b}[2Jb\u{202e}c"), "a\u{fffd}[2Jb\u{fffd}c");
        assert_eq!(printable("größe 👩\u{200d}🚀"), "größe 👩\u{200d}🚀");
    }
}
