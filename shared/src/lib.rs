//! What two or more of Sitewatch's functions use, and nothing else: a module a concern, each
//! described at its own head.

pub mod deny;
pub mod event;
pub mod http;
pub mod postgres;
pub mod run;
pub mod settings;
pub mod site;
pub mod tls;
pub mod units;
pub mod wildcard;
pub mod words;
