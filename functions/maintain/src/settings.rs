//! What `maintain` reads from the environment.

use std::time::Duration;

use sitewatch::settings::{DatabaseSettings, Reader, database, parse, var};

const DAY: Duration = Duration::from_secs(86_400);

/// The longest anything is kept or made ahead, in days: ten years, as the schema's own functions
/// have it.
const LONGEST: u64 = 3_650;

/// Typed and valid.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) database: DatabaseSettings,
    /// Whole days that single checks are kept.
    pub(crate) keep_checks_days: i32,
    /// Whole days that statistics by hour are kept, no fewer.
    pub(crate) keep_hourly_days: i32,
    /// Whole days that statistics by day are kept, no fewer.
    pub(crate) keep_daily_days: i32,
    /// Whole days that a name is kept after its newest check.
    pub(crate) keep_sites_days: i32,
    /// Whole days that dead letters are kept.
    pub(crate) keep_dead_letters_days: i32,
    /// Whole days that evidence of failed checks is kept.
    pub(crate) keep_evidence_days: i32,
    /// Days for which partitions are made ahead.
    pub(crate) ahead_days: i32,
    /// How long the run may take before it leaves the rest to the next one.
    pub(crate) deadline: Duration,
}

/// Reads them; `None` means that problems were added.
pub(crate) fn read(reader: &mut Reader) -> Option<Settings> {
    let keep_checks_days = reader.or_default(&var::MAINTAIN_KEEP_CHECKS, whole_days);
    let keep_hourly_days = reader.or_default(&var::MAINTAIN_KEEP_HOURLY, whole_days);
    let keep_daily_days = reader.or_default(&var::MAINTAIN_KEEP_DAILY, whole_days);
    let keep_sites_days = reader.or_default(&var::MAINTAIN_KEEP_SITES, whole_days);
    let keep_dead_letters_days = reader.or_default(&var::MAINTAIN_KEEP_DEAD_LETTERS, whole_days);
    let keep_evidence_days = reader.or_default(&var::MAINTAIN_KEEP_EVIDENCE, whole_days);
    let ahead_days = reader.or_default(&var::MAINTAIN_AHEAD, whole_days);
    let deadline = reader.or_default(&var::MAINTAIN_DEADLINE, parse::positive_duration);
    // Each is made from the one before; a site is there as long as its hours.
    for (longer, days, than, least) in [
        (
            &var::MAINTAIN_KEEP_HOURLY,
            keep_hourly_days,
            &var::MAINTAIN_KEEP_CHECKS,
            keep_checks_days,
        ),
        (
            &var::MAINTAIN_KEEP_DAILY,
            keep_daily_days,
            &var::MAINTAIN_KEEP_HOURLY,
            keep_hourly_days,
        ),
        (
            &var::MAINTAIN_KEEP_SITES,
            keep_sites_days,
            &var::MAINTAIN_KEEP_HOURLY,
            keep_hourly_days,
        ),
    ] {
        if days < least {
            reader.problem(
                longer.name,
                format!(
                    "is {days}d, shorter than {} ({least}d); wants {least}d or more",
                    than.name
                ),
            );
        }
    }
    Some(Settings {
        database: database(reader)?,
        keep_checks_days,
        keep_hourly_days,
        keep_daily_days,
        keep_sites_days,
        keep_dead_letters_days,
        keep_evidence_days,
        ahead_days,
        deadline,
    })
}

/// From one day to ten years.
fn whole_days(text: &str) -> Result<i32, String> {
    let duration = parse::positive_duration(text)?;
    let days = duration.as_secs() / DAY.as_secs();
    if !duration.as_secs().is_multiple_of(DAY.as_secs()) || duration.subsec_nanos() != 0 {
        return Err("not whole days".to_owned());
    }
    match i32::try_from(days) {
        Ok(number) if days <= LONGEST => Ok(number),
        _ => Err(format!("more than {LONGEST} days")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_whole_and_no_more_than_ten_years() {
        assert_eq!(whole_days("90d"), Ok(90));
        assert_eq!(whole_days("48h"), Ok(2));
        for text in ["0d", "36h", "12h", "4000d", "90"] {
            assert!(whole_days(text).is_err(), "{text}");
        }
    }
}
