//! The end-to-end tests: the project's executables on a real Kafka and a real PostgreSQL.
//!
//! One program, so that its stories share one stack.

mod kafka;
mod stack;
