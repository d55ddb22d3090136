//! `drain`: what is pending is recorded, once.

mod messages;
mod stdin;
mod topic;
