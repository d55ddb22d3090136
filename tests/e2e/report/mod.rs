//! `report`: what people, programs and browsers are told.

mod browser;
mod formats;
mod history;
mod states;
