//! What counts as up.

use super::request::header_name;
use crate::site::fields::{Fields, pattern};
use crate::site::{Expect, Pattern, SiteDefaults, StatusSet};

/// Patterns and JSON pointers of a site at most: each is looked for in every byte of its pages.
const MAX_PATTERNS: usize = 32;
/// Memory for the patterns of a site when they are compiled: twice what a single one may take.
const MAX_COMPILED: usize = 2 * Pattern::MAX_COMPILED;

/// Reads it.
pub(super) fn expect(fields: &mut Fields, defaults: &SiteDefaults) -> Expect {
    let expect = Expect {
        status: fields
            .status("status")
            .unwrap_or_else(|| defaults.status.clone()),
        skip_status: fields.status("skip_status").unwrap_or_else(StatusSet::none),
        regex: fields.pattern("regex"),
        regex_not: fields.patterns("regex_not"),
        json: fields
            .map("json", |pointer, value| {
                if pointer.is_empty() || pointer.starts_with('/') {
                    Ok(value.clone())
                } else {
                    Err("is no JSON pointer; wants one such as /status/db".to_owned())
                }
            })
            .unwrap_or_default(),
        headers: fields
            .map("header_regex", |name, value| {
                header_name(name).or_else(|why| {
                    if why.contains("itself") {
                        Ok(())
                    } else {
                        Err(why)
                    }
                })?;
                pattern(value)
            })
            .unwrap_or_default()
            .into_iter()
            .map(|(name, pattern)| (name.to_ascii_lowercase(), pattern))
            .collect(),
        min_body_size: fields.size("min_body_size"),
        max_body_size: fields.size("max_body_size"),
        max_response_time: fields
            .duration("max_response_time")
            .or(defaults.max_response_time),
    };
    limit_patterns(fields, &expect);
    if let (Some(least), Some(most)) = (expect.min_body_size, expect.max_body_size)
        && least > most
    {
        fields.problem(
            "min_body_size",
            format!("is {least}, more than max_body_size, {most}"),
        );
    }
    expect
}

/// Whoever writes a site must not make its check arbitrarily slow or large.
fn limit_patterns(fields: &mut Fields, expect: &Expect) {
    let headers = expect.headers.iter().map(|(_, pattern)| pattern);
    let all = || {
        expect
            .regex
            .iter()
            .chain(&expect.regex_not)
            .chain(headers.clone())
    };
    for (field, count) in [("regex_not", all().count()), ("json", expect.json.len())] {
        if count > MAX_PATTERNS {
            fields.problem(
                field,
                format!("makes {count} of its kind in all; at most {MAX_PATTERNS}"),
            );
        }
    }
    // Two are within the limit because each is within its own, and so need not be compiled here.
    if (3..=MAX_PATTERNS).contains(&all().count()) {
        let compiled: usize = all().map(|pattern| pattern.compiled_size()).sum();
        if compiled > MAX_COMPILED {
            fields.problem(
                "regex_not",
                format!(
                    "and the other patterns need {} KiB when compiled; at most {}",
                    compiled >> 10,
                    MAX_COMPILED >> 10
                ),
            );
        }
    }
}
