//! `report`: what people, programs and browsers are told.

mod ahead;
mod browser;
mod foreign;
mod formats;
mod history;
mod since;
mod states;
