//! Any text as a list of sites: no panic, and what is read is stored and read again the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sitewatch::site::{SiteDefaults, fields_of_row, parse_list, parse_objects, rows_of_list};

fuzz_target!(|text: &str| {
    let defaults = SiteDefaults::default();
    let Ok(sites) = parse_list(text, &defaults) else {
        return;
    };
    // Credentials are not stored, for instance.
    let Ok(rows) = rows_of_list(text, &defaults) else {
        return;
    };
    let (again, problems) = parse_objects(rows.into_iter().map(fields_of_row), &defaults);
    assert!(problems.list().is_empty(), "{problems:?}");
    assert_eq!(sites, again);
});
