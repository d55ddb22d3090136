//! `report`: what people, programs and browsers are told.

mod ahead;
mod alerts;
mod announcements;
mod browser;
mod certificates;
mod coverage;
mod feed;
mod foreign;
mod formats;
mod groups;
mod history;
mod many;
mod metrics;
mod notifications;
mod running;
mod search;
mod since;
mod sla;
mod states;
mod trailing;
mod words;
