//! Where events come from.

pub(crate) mod dead_letters;
pub(crate) mod kafka;
pub(crate) mod stdin;
mod work;
