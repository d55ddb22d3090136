//! What one site is, or was in a period, as a small picture for pages of others.

use std::io;

use askama::Template;
use sitewatch::run::Failure;
use sitewatch::settings::Problems;
use sitewatch::words::shortened;

use crate::output;
use crate::settings::Settings;
use crate::states;
use crate::wording::Words;
use crate::words::xml;

/// The most characters of a name that are shown.
const NAME: usize = 40;

/// Widths that text of eleven pixels takes in most fonts; the picture makes it fit.
const NARROW: usize = 7;
const WIDE: usize = 12;

/// Beside a text.
const MARGIN: usize = 6;

/// The colours of white text's background, each with a contrast of 4.5 at least.
const GREEN: &str = "#1a7f37";
const AMBER: &str = "#8a5d00";
const RED: &str = "#b3201d";
const GREY: &str = "#59616b";

/// A badge: a name, and what is told of it.
#[derive(Template)]
#[template(path = "badge.svg", escape = "html")]
pub(crate) struct Badge {
    name: Part,
    told: Part,
    colour: &'static str,
}

/// A text and where it stands.
struct Part {
    text: String,
    text_width: usize,
    width: usize,
    middle: usize,
}

impl Part {
    fn new(text: String, from: usize) -> Self {
        let text_width = text
            .chars()
            .map(|c| if c.is_ascii() { NARROW } else { WIDE })
            .sum();
        let width = text_width + 2 * MARGIN;
        Self {
            text,
            text_width,
            width,
            middle: from + width / 2,
        }
    }
}

impl Badge {
    fn new(name: &str, told: String, colour: &'static str) -> Self {
        let name = Part::new(shortened(&xml(name), NAME).into_owned(), 0);
        let told = Part::new(told, name.width);
        Self { name, told, colour }
    }

    /// Of a site's state.
    pub(crate) fn state(site: &str, state: &'static str, words: &Words) -> Self {
        let colour = match state {
            states::UP => GREEN,
            states::DOWN => RED,
            states::DEGRADED => AMBER,
            _ => GREY,
        };
        Self::new(site, words.state(state).to_owned(), colour)
    }

    /// Of a site's uptime, beside the objective; `None`: it was not monitored.
    pub(crate) fn uptime(site: &str, uptime: Option<f64>, target: f64, words: &Words) -> Self {
        let (told, colour) = match uptime {
            None => (words.state_unmonitored.clone(), GREY),
            Some(some) if some < target => (words.share_of_time(uptime), RED),
            Some(_) => (words.share_of_time(uptime), GREEN),
        };
        Self::new(site, told, colour)
    }

    fn width(&self) -> usize {
        self.name.width + self.told.width
    }

    /// Writes it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn write(&self, settings: &Settings) -> Result<(), Failure> {
        output::write(settings.output.as_deref(), |to| {
            self.write_into(to).map_err(io::Error::other)?;
            Ok(())
        })
    }
}

/// What is wrong with a badge of so many sites.
pub(crate) fn not_of_one(sites: u64) -> Failure {
    let sites = match sites {
        0 => "no site".to_owned(),
        _ => format!("{sites} sites"),
    };
    Problems::one(
        "REPORT_SITE",
        format!("and the other filters leave {sites}, and a badge is of one; name it"),
    )
    .into()
}
