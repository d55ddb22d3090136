//! Which sites there are, and what holds for those that say nothing else.

use super::{Variable, var};

/// The variables that name the source of sites.
pub static SITES: &[&Variable] = &[&var::SITES, &var::SITES_FILE, &var::SITES_FROM];

/// The variables that are defaults of every site.
pub static CHECKS: &[&Variable] = &[
    &var::CHECK_TIMEOUT,
    &var::CHECK_INTERVAL,
    &var::CHECK_CONCURRENCY,
    &var::CHECK_MAX_BODY,
];
