//! `drain`: what is pending is recorded, once.

mod interrupted;
mod messages;
mod security;
mod stdin;
mod topic;
