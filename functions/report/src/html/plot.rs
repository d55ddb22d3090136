//! Response times as SVG: the median and the 95th percentile over time.

use jiff::Timestamp;
use plotters::prelude::*;

use crate::read::plots::Series;
use crate::words::milliseconds;

const SIZE: (u32, u32) = (640, 160);

/// Colours that are told apart from each other and from black and white pages alike; the style
/// sheet knows them by these values.
const MEDIAN: RGBColor = RGBColor(0x2f, 0x7e, 0xd8);
const HIGH: RGBColor = RGBColor(0xc9, 0x70, 0x1c);
const GRID: RGBColor = RGBColor(0x80, 0x80, 0x80);

/// A drawing and what it shows, in words.
pub(super) struct Plot {
    pub(super) title: &'static str,
    /// The median and the 95th percentile of the whole stretch.
    pub(super) words: String,
    /// An `svg` element; made by the plotting library of numbers and our own words alone.
    pub(super) svg: String,
}

/// Draws a series; `None` when there is nothing to draw.
pub(super) fn draw(title: &'static str, series: &Series, format: &str) -> Option<Plot> {
    let mut whole = crate::histogram::Histogram::default();
    let mut median: Vec<(i64, f64)> = Vec::new();
    let mut high: Vec<(i64, f64)> = Vec::new();
    for (time, histogram) in series {
        let (Some(p50), Some(p95)) = (histogram.percentile(0.5), histogram.percentile(0.95)) else {
            continue;
        };
        median.push((time.as_second(), f64::from(p50) / 1e3));
        high.push((time.as_second(), f64::from(p95) / 1e3));
        whole.merge(histogram);
    }
    let first = median.first()?.0;
    let last = median.last()?.0.max(first + 1);
    let top = high.iter().map(|(_, value)| *value).fold(1.0, f64::max);
    let mut svg = String::new();
    // The library writes to a string, which cannot fail; should it, the page is without the plot.
    render(&mut svg, first..last, top, &median, &high, format).ok()?;
    Some(Plot {
        title,
        words: format!(
            "median {}, 95 % within {}",
            milliseconds(whole.percentile(0.5)),
            milliseconds(whole.percentile(0.95))
        ),
        svg: adapt(&svg),
    })
}

fn render(
    svg: &mut String,
    times: std::ops::Range<i64>,
    top: f64,
    median: &[(i64, f64)],
    high: &[(i64, f64)],
    format: &str,
) -> Result<(), Box<dyn std::error::Error>> {
    let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    let mut chart = ChartBuilder::on(&area)
        .margin(6)
        .x_label_area_size(20)
        .y_label_area_size(56)
        .build_cartesian_2d(times, 0.0..top * 1.1)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID.mix(0.3))
        .axis_style(GRID)
        .label_style(("sans-serif", 11))
        .x_labels(6)
        .y_labels(4)
        .x_label_formatter(&|second| {
            Timestamp::from_second(*second)
                .map(|time| time.strftime(format).to_string())
                .unwrap_or_default()
        })
        .y_label_formatter(&|value| {
            if top < 10_000.0 {
                format!("{value:.0} ms")
            } else {
                format!("{:.0} s", value / 1e3)
            }
        })
        .draw()?;
    chart.draw_series(LineSeries::new(high.iter().copied(), HIGH.stroke_width(2)))?;
    chart.draw_series(LineSeries::new(
        median.iter().copied(),
        MEDIAN.stroke_width(2),
    ))?;
    area.present()?;
    Ok(())
}

/// Lets the drawing take the page's width, and leaves its words to the figure's caption: a screen
/// reader would read out the axes' labels one by one.
fn adapt(svg: &str) -> String {
    let size = format!("width=\"{}\" height=\"{}\"", SIZE.0, SIZE.1);
    svg.replacen(&size, "class=\"plot\" aria-hidden=\"true\"", 1)
}
