//! What two or more functions use.

pub mod kafka;
