//! What compiles everything anew, as people do who install it: `tests/run.sh builds`, and a job of CI
//! of its own. `tests/run.sh` leaves it out: it costs as much CPU time as half of all other tests.

mod from_sources;
mod package;
mod release;
