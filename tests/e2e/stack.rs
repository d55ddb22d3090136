//! The stack itself: what the other stories rely on without looking.

mod certificates;
mod cleanup;
mod command;
mod install;
mod kafka;
mod postgres;
mod proxy;
mod websites;
