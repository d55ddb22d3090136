//! Which sites are due, and when, without any memory between runs.
//!
//! Each site has slots: moments one interval apart, counted from the epoch and shifted by a hash
//! of its name, so that 10,000 sites do not fire in one second. Each run is responsible for one
//! period: the scheduler's start is rounded to the nearest multiple of `PROBE_PERIOD` (plus
//! `PROBE_PHASE`), so that a run that starts a few seconds early or late is still responsible for
//! the same period, every slot lies in exactly one run's period, and every run makes what lies in
//! its own. Everything here is arithmetic on numbers that are passed in.

mod period;
mod plan;

pub(crate) use period::Period;
pub(crate) use plan::{Due, Slot, in_shard, next_slot, plan};
