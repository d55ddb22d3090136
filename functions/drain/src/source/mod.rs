//! Where events come from.

pub(crate) mod kafka;
pub(crate) mod stdin;
