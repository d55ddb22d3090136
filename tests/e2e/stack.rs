//! The stack itself: what the other stories rely on without looking.

mod cleanup;
mod kafka;
mod postgres;
