//! The environment → typed settings.
//!
//! Reading goes in two steps, so that a person sees every mistake at once and no mistake shows a
//! secret. First [`Environment`] gathers pairs (the process, a `.env` file, `NAME_FILE` secrets,
//! other accepted names) and `envy` hands them over as text, so that nothing can fail on a value
//! there. Then a function's settings parse that text through a [`Reader`], which collects every
//! [`Problem`] instead of stopping at the first.
//!
//! Nothing else in the workspace reads the process's environment.

mod catalogue;
mod checks;
mod database;
mod environment;
mod help;
mod man;
pub mod parse;
mod problem;
mod reader;
mod run;
#[cfg(test)]
mod tests;
mod variable;

pub use catalogue::{ALL, var};
pub use checks::{SiteSource, check_defaults, site_source};
pub use database::{DatabaseSettings, SslMode, database};
pub use environment::Environment;
pub use help::help;
pub use man::man;
pub use problem::{Problem, Problems};
pub use reader::Reader;
pub use run::{LogFormat, RunSettings};
pub use variable::{Group, Variable};
