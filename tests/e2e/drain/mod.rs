//! `drain`: what is pending is recorded, once.

mod chaos;
mod defaults;
mod hostile;
mod interrupted;
mod messages;
mod names;
mod options;
mod refused;
mod security;
mod stdin;
mod topic;
mod trace;
