//! What failed checks received, into a table of its own.

use jiff::Timestamp;
use postgres::Transaction;
use postgres::types::Type;

use super::commit::Keyed;

/// Inserts what these rows have of it; what is there already stays.
pub(super) fn insert(
    transaction: &mut Transaction<'_>,
    rows: &[Keyed<'_>],
) -> Result<(), postgres::Error> {
    let (mut checked_at, mut websites, mut locations, mut received) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for check in rows {
        let texts = check.row.texts.as_ref();
        if let Some(evidence) = texts.and_then(|texts| texts.evidence.as_deref()) {
            checked_at.push(check.row.checked_at);
            websites.push(check.website_id);
            locations.push(check.location_id);
            received.push(evidence);
        }
    }
    if received.is_empty() {
        return Ok(());
    }
    let checked_at: Vec<Timestamp> = checked_at;
    transaction.execute_typed(
        "insert into evidence (checked_at, website_id, location_id, received)
         select * from unnest($1, $2, $3, $4)
         on conflict do nothing",
        &[
            (&checked_at, Type::TIMESTAMPTZ_ARRAY),
            (&websites, Type::INT4_ARRAY),
            (&locations, Type::INT2_ARRAY),
            (&received, Type::TEXT_ARRAY),
        ],
    )?;
    Ok(())
}
