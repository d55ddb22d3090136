//! What two or more functions use, and nothing else.

pub mod event;
