//! Whether the database's schema is the one this release was written for.

use postgres::Client;

use super::connect::begin_read_committed;
use super::explain;
use crate::run::Failure;
use crate::settings::Problems;

/// The number of the newest migration of this release.
pub const SCHEMA_VERSION: i32 = 30;

/// Proves that the schema is neither older nor newer than this release.
///
/// # Errors
/// [`Failure::Configuration`] when it is another, with what to do.
pub fn check_schema(client: &mut Client) -> Result<(), Failure> {
    let mut newest = || {
        begin_read_committed(client)?
            .query_typed_one("select max(version) from refinery_schema_history", &[])
    };
    let found: Option<i32> = match newest() {
        Ok(row) => row.get(0),
        Err(error) if error.code() == Some(&postgres::error::SqlState::UNDEFINED_TABLE) => None,
        Err(error) => return Err(explain("reading the schema's version", &error)),
    };
    let problem = match found {
        Some(SCHEMA_VERSION) => return Ok(()),
        None => "is empty; run `setup` first".to_owned(),
        Some(found) if found < SCHEMA_VERSION => format!(
            "is at version {found}, this release needs {SCHEMA_VERSION}; run `setup` of this release"
        ),
        Some(found) => format!(
            "is at version {found}, newer than this release ({SCHEMA_VERSION}); upgrade this function"
        ),
    };
    Err(Problems::one("the database's schema", problem).into())
}
