//! Response times as SVG: the median and the 95th percentile over time.

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan as _};
use plotters::prelude::*;

use crate::read::plots::Series;
use crate::read::span::{DAYS, Span, midnight};
use crate::wording::{Words, fill};

const SIZE: (u32, u32) = (600, 170);

/// Colours that are told apart from each other and from black and white pages alike; the style
/// sheet knows them by these values.
const MEDIAN: RGBColor = RGBColor(0x2f, 0x7e, 0xd8);
const HIGH: RGBColor = RGBColor(0xc9, 0x70, 0x1c);
const GRID: RGBColor = RGBColor(0x80, 0x80, 0x80);

/// A drawing and a description of it.
pub(super) struct Plot {
    pub(super) title: String,
    /// The median and the 95th percentile of the whole stretch.
    pub(super) description: String,
    /// An `svg` element; made by the plotting library of numbers and our own texts alone.
    pub(super) svg: String,
}

/// The time that a plot is of.
pub(super) struct Stretch {
    title: String,
    from: i64,
    to: i64,
    /// Seconds from one point to the next; where a point is missing the line is broken.
    step: i64,
    /// The times that are named below the plot, and how.
    marks: Vec<i64>,
    format: &'static str,
}

impl Stretch {
    /// By hour, from a day ago.
    pub(super) fn day(span: &Span, words: &Words) -> Self {
        const MARK: i64 = 6 * HOUR;
        let (from, to) = (span.day_ago.as_second(), span.now.as_second());
        let first = (from + MARK - 1).div_euclid(MARK) * MARK;
        Self {
            title: words.plot_day.clone(),
            from,
            to,
            step: HOUR,
            marks: (first..=to).step_by(6 * 3_600).collect(),
            format: "%H:%M",
        }
    }

    /// By six hours, from a week ago.
    pub(super) fn week(span: &Span, words: &Words) -> Self {
        let (from, to) = (span.day_ago.as_second() - 6 * DAY, span.now.as_second());
        Self {
            title: words.plot_week.clone(),
            from,
            to,
            step: 6 * HOUR,
            marks: days(span, 7, |_| true),
            format: "%m-%d",
        }
    }

    /// By day, from 90 days ago.
    pub(super) fn quarter(span: &Span, words: &Words) -> Self {
        Self {
            title: words.plot_quarter.clone(),
            from: midnight(span.first_day()).as_second(),
            to: span.now.as_second(),
            step: DAY,
            marks: days(span, DAYS, |day| [1, 15].contains(&day.day())),
            format: "%m-%d",
        }
    }
}

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// When those of the last days begin that are to be marked.
fn days(span: &Span, last: i32, is_marked: impl Fn(Date) -> bool) -> Vec<i64> {
    (0..last)
        .rev()
        .map(|ago| span.today.saturating_sub(ago.days()))
        .filter(|day| is_marked(*day))
        .map(|day| midnight(day).as_second())
        .collect()
}

/// A point of a line: seconds since 1970, milliseconds.
type Point = (i64, f64);

/// Draws a series; `None` when there is nothing to draw.
pub(super) fn draw(stretch: &Stretch, series: &Series, words: &Words) -> Option<Plot> {
    let mut whole = crate::histogram::Histogram::default();
    let mut median: Vec<Point> = Vec::new();
    let mut high: Vec<Point> = Vec::new();
    for (time, histogram) in series {
        let (Some(p50), Some(p95)) = (histogram.percentile(0.5), histogram.percentile(0.95)) else {
            continue;
        };
        // The first of a week's points begins before the week does.
        let at = time.as_second().max(stretch.from);
        median.push((at, f64::from(p50) / 1e3));
        high.push((at, f64::from(p95) / 1e3));
        whole.merge(histogram);
    }
    if median.is_empty() {
        return None;
    }
    let mut svg = String::new();
    // The library writes to a string, which cannot fail; should it, the page is without the plot.
    render(&mut svg, stretch, &median, &high, words).ok()?;
    let [median, high] = [0.5, 0.95].map(|share| words.milliseconds(whole.percentile(share)));
    Some(Plot {
        title: stretch.title.clone(),
        description: fill(&words.plot, &[("median", &median), ("high", &high)]),
        svg: adapt(&svg),
    })
}

fn render(
    svg: &mut String,
    stretch: &Stretch,
    median: &[Point],
    high: &[Point],
    words: &Words,
) -> Result<(), Box<dyn std::error::Error>> {
    let top = high.iter().map(|(_, value)| *value).fold(1.0, f64::max);
    let times = stretch.from..stretch.to.max(stretch.from + 1);
    let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    let mut chart = ChartBuilder::on(&area)
        .margin(6)
        .x_label_area_size(26)
        .y_label_area_size(72)
        .build_cartesian_2d(times.with_key_points(stretch.marks.clone()), 0.0..top * 1.1)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID.mix(0.3))
        .axis_style(GRID)
        .label_style(("sans-serif", 11))
        .x_labels(stretch.marks.len())
        .y_labels(4)
        .x_label_formatter(&|second| {
            Timestamp::from_second(*second)
                .map(|time| time.strftime(stretch.format).to_string())
                .unwrap_or_default()
        })
        .y_label_formatter(&|value| {
            if top < 10.0 {
                words.decimal(&format!("{value:.1} ms"))
            } else if top < 10_000.0 {
                format!("{value:.0} ms")
            } else {
                format!("{:.0} s", value / 1e3)
            }
        })
        .draw()?;
    for (points, colour) in [(high, HIGH), (median, MEDIAN)] {
        for unbroken in points.chunk_by(|one, next| next.0 - one.0 <= stretch.step) {
            if let [alone] = unbroken {
                chart.draw_series([Circle::new(*alone, 2, colour.filled())])?;
            } else {
                let line = LineSeries::new(unbroken.iter().copied(), colour.stroke_width(2));
                chart.draw_series(line)?;
            }
        }
    }
    area.present()?;
    Ok(())
}

/// Lets the drawing take the page's width, and leaves its text to the figure's caption: a screen
/// reader would read out the axes' labels one by one.
fn adapt(svg: &str) -> String {
    let size = format!("width=\"{}\" height=\"{}\"", SIZE.0, SIZE.1);
    svg.replacen(&size, "class=\"plot\" aria-hidden=\"true\"", 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::Histogram;
    use crate::read::trailing::Ends;

    fn span() -> Span {
        let now: Timestamp = "2026-03-17T10:20:00Z".parse().unwrap();
        Span {
            now,
            today: "2026-03-17".parse().unwrap(),
            day_ago: "2026-03-16T10:00:00Z".parse().unwrap(),
            fresh: Vec::new(),
            dirty_days: Vec::new(),
            waiting: 0,
            kept: Ends::default(),
            summed: None,
        }
    }

    /// A measurement in each of these hours before the running one.
    fn series(hours_ago: &[i64]) -> Series {
        hours_ago
            .iter()
            .map(|ago| {
                let mut histogram = Histogram::default();
                histogram.add([(260 << 22) | 1]);
                let time = span().day_ago.as_second() + (24 - ago) * HOUR;
                (Timestamp::from_second(time).unwrap(), histogram)
            })
            .collect()
    }

    #[test]
    fn marks_are_at_round_times() {
        let shown = |stretch: Stretch| -> Vec<String> {
            stretch
                .marks
                .iter()
                .map(|second| {
                    let time = Timestamp::from_second(*second).unwrap();
                    assert!((stretch.from..=stretch.to).contains(second));
                    time.strftime(stretch.format).to_string()
                })
                .collect()
        };
        assert_eq!(
            shown(Stretch::day(&span(), &Words::english())),
            ["12:00", "18:00", "00:00", "06:00"]
        );
        assert_eq!(shown(Stretch::week(&span(), &Words::english())).len(), 7);
        assert_eq!(
            shown(Stretch::quarter(&span(), &Words::english())),
            ["01-01", "01-15", "02-01", "02-15", "03-01", "03-15"]
        );
    }

    #[test]
    fn where_nothing_was_measured_there_is_no_line() {
        let drawn = |hours_ago: &[i64]| {
            let plot = draw(
                &Stretch::day(&span(), &Words::english()),
                &series(hours_ago),
                &Words::english(),
            )
            .unwrap();
            // Of the coloured ones, which the axes are not; the median and the 95th percentile.
            let count = |element: &str| {
                plot.svg
                    .split('<')
                    .filter(|text| text.starts_with(element) && text.contains("#2F7ED8"))
                    .count()
            };
            (count("polyline"), count("circle"))
        };
        assert_eq!(drawn(&[5, 4, 3]), (1, 0));
        assert_eq!(drawn(&[8, 7, 4, 3]), (2, 0));
        assert_eq!(drawn(&[8, 7, 4]), (1, 1));
        assert!(
            draw(
                &Stretch::day(&span(), &Words::english()),
                &series(&[]),
                &Words::english()
            )
            .is_none()
        );
    }
}
