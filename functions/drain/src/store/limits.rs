//! How many new names a run may bring into the database, all its writers together.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use postgres::Transaction;

use crate::settings::MaxNames;

/// What the writers of a run share.
pub(crate) struct Limits {
    pub(super) max: MaxNames,
    /// New sites and locations that the run may still add.
    sites: AtomicU32,
    locations: AtomicU32,
    /// `retention.forgotten`, as the run's first batch found it.
    forgotten: OnceLock<String>,
}

impl Limits {
    pub(crate) fn new(max: MaxNames) -> Self {
        Self {
            max,
            sites: AtomicU32::new(max.new_sites),
            locations: AtomicU32::new(max.new_locations),
            forgotten: OnceLock::new(),
        }
    }

    /// Begins to record: until the transaction ends, no site and no location is forgotten. `false`
    /// when some were since the run began: ids that it remembers may be nobody's, or another's.
    pub(super) fn names_are_valid(
        &self,
        transaction: &mut Transaction<'_>,
        settings: &str,
    ) -> Result<bool, postgres::Error> {
        // One exchange, but a statement each: the last sees what was committed while the lock was
        // waited for.
        let answers = transaction.simple_query(&format!(
            "{settings}
             select pg_advisory_xact_lock_shared(hashtextextended('sitewatch.names', 0));
             select forgotten from retention"
        ))?;
        let forgotten = answers
            .iter()
            .rev()
            .find_map(|answer| match answer {
                postgres::SimpleQueryMessage::Row(row) => row.get(0),
                _ => None,
            })
            .unwrap_or_default();
        Ok(self.forgotten.get_or_init(|| forgotten.to_owned()) == forgotten)
    }
}

/// Room for new names that a transaction has taken; it goes back unless the transaction is committed.
pub(super) struct Taken {
    limits: Arc<Limits>,
    sites: u32,
    locations: u32,
}

impl Taken {
    pub(super) fn nothing(limits: &Arc<Limits>) -> Self {
        Self {
            limits: Arc::clone(limits),
            sites: 0,
            locations: 0,
        }
    }

    /// Takes room for up to so many sites; returns for how many there was.
    pub(super) fn sites(&mut self, wanted: usize) -> usize {
        let taken = take(&self.limits.sites, wanted);
        self.sites += taken;
        taken as usize
    }

    /// The same for locations.
    pub(super) fn locations(&mut self, wanted: usize) -> usize {
        let taken = take(&self.limits.locations, wanted);
        self.locations += taken;
        taken as usize
    }

    /// What was taken is used up.
    pub(super) fn keep(mut self) {
        (self.sites, self.locations) = (0, 0);
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.limits.sites.fetch_add(self.sites, Ordering::Relaxed);
        self.limits
            .locations
            .fetch_add(self.locations, Ordering::Relaxed);
    }
}

fn take(room: &AtomicU32, wanted: usize) -> u32 {
    let wanted = u32::try_from(wanted).unwrap_or(u32::MAX);
    let before = room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
        Some(left.saturating_sub(wanted))
    });
    before.unwrap_or(0).min(wanted)
}
