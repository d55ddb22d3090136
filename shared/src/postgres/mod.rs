//! Connecting to PostgreSQL, and what its errors mean for the person who runs us.
//!
//! Statements run inside transactions only ([`begin`]), which name their own isolation, whatever the
//! role's or the database's default is, and carry their own time limits by `set local`: nothing is
//! left behind on the session, so that PgBouncer may hand it to somebody else after each
//! transaction.

mod connect;
mod error;
mod retry;
mod runs;
mod schema;
mod tls;

pub use connect::{Cancel, begin, connect};
pub use error::{explain, root_cause};
pub use retry::retried;
pub use runs::{record_run, record_run_over};
pub use schema::{SCHEMA_VERSION, check_schema};
