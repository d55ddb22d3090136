//! The states that a site can be in, and how a location can see it.

/// All of them, as settings, JSON and CSV have them. A location never sees a site degraded.
pub(crate) const STATES: [&str; 5] = [UP, DEGRADED, DOWN, UNKNOWN, UNMONITORED];

/// Up.
pub(crate) const UP: &str = "up";
/// Down from some locations, but from fewer than have to agree.
pub(crate) const DEGRADED: &str = "degraded";
/// Down.
pub(crate) const DOWN: &str = "down";
/// Never checked, not confirmed yet, or the newest checks could not be made.
pub(crate) const UNKNOWN: &str = "unknown";
/// Checked once, but no longer: monitoring stopped.
pub(crate) const UNMONITORED: &str = "unmonitored";

/// The state of this name; what is none is unknown.
pub(crate) fn word(name: &str) -> &'static str {
    let state = STATES.into_iter().find(|state| *state == name);
    state.unwrap_or(UNKNOWN)
}

/// The state in a sentence.
pub(crate) fn description(state: &'static str) -> &'static str {
    match state {
        UNMONITORED => "not monitored",
        other => other,
    }
}
