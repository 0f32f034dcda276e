//! One chart: what the application feels and what the backfill gets done, second by second, while the load
//! steps up and down.
//!
//! Must not know: files, how anything was measured.

use std::fmt::Write as _;

use crate::report::{Second, Steps};

const WIDTH: f64 = 880.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const PLOT: f64 = 130.0;
const TOPS: [f64; 2] = [64.0, 254.0];
const HEIGHT: f64 = 430.0;
const SHEET: &str = "#ffffff";
const INK: &str = "#24292f";
const FAINT: &str = "#57606a";
const LINE: &str = "#2f6fb0";
const LIMIT: &str = "#c0392b";
const BAND: &str = "#eef2f6";

/// The chart as an SVG document.
pub(crate) fn draw(steps: &Steps) -> String {
    let seconds = &steps.seconds;
    let end = seconds.last().map_or(1.0, |second| second.at_s + 1.0);
    let x = |at_s: f64| LEFT + (WIDTH - LEFT - RIGHT) * at_s / end;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         font-family=\"system-ui, sans-serif\" font-size=\"13\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"8\" fill=\"{SHEET}\"/>\n"
    );
    text(
        &mut svg,
        20.0,
        28.0,
        INK,
        "font-size=\"17\" font-weight=\"600\"",
        "A backfill that makes way for the application",
    );
    bands(&mut svg, seconds, x);
    let felt =
        seconds.iter().map(|second| second.p99_ms.unwrap_or(0.0).max(second.promised_ms.unwrap_or(0.0)));
    // One stall must not flatten all that is worth seeing; it is cut, and the axis says where.
    let mut sorted: Vec<f64> = felt.collect();
    sorted.sort_by(f64::total_cmp);
    let most_ms = sorted.get(sorted.len() * 98 / 100).copied().unwrap_or(1.0) * 1.15;
    plot(&mut svg, TOPS[0], "the application's p99, ms", most_ms, 1.0);
    let latency = |second: &Second| second.p99_ms.map(|ms| y(TOPS[0], ms, most_ms));
    curve(&mut svg, seconds, x, latency, LINE, "");
    if seconds.iter().any(|second| second.promised_ms.is_some()) {
        let limit = |second: &Second| second.promised_ms.map(|ms| y(TOPS[0], ms, most_ms));
        curve(&mut svg, seconds, x, limit, LIMIT, "stroke-dasharray=\"5 4\"");
        let right = "text-anchor=\"end\" font-size=\"12\"";
        text(&mut svg, WIDTH - RIGHT, TOPS[0] - 8.0, LIMIT, right, "dashed: 5 ms more than alone");
    }
    let most_rows = seconds.iter().map(|second| second.rows_per_s).fold(1.0, f64::max) * 1.1;
    plot(&mut svg, TOPS[1], "the backfill, thousand rows/s", most_rows, 1000.0);
    curve(&mut svg, seconds, x, |second| Some(y(TOPS[1], second.rows_per_s, most_rows)), LINE, "");
    text(
        &mut svg,
        LEFT,
        HEIGHT - 14.0,
        FAINT,
        "font-size=\"12\"",
        &format!("{end:.0} seconds; the load in percent of the application's own peak"),
    );
    svg.push_str("</svg>\n");
    svg
}

fn y(top: f64, value: f64, most: f64) -> f64 {
    top + PLOT * (1.0 - (value / most).clamp(0.0, 1.0))
}

/// The loads, each a band.
fn bands(svg: &mut String, seconds: &[Second], x: impl Fn(f64) -> f64) {
    for (number, run) in seconds.chunk_by(|a, b| a.load == b.load).enumerate() {
        let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
        let (from, until) = (x(first.at_s), x(last.at_s + 1.0));
        if number % 2 == 1 {
            for top in TOPS {
                let width = until - from;
                // Writing to a String cannot fail.
                let _ = writeln!(
                    svg,
                    "<rect x=\"{from:.1}\" y=\"{top}\" width=\"{width:.1}\" height=\"{PLOT}\" fill=\"{BAND}\"/>"
                );
            }
        }
        let middle = "text-anchor=\"middle\" font-size=\"12\"";
        text(
            svg,
            f64::midpoint(from, until),
            TOPS[0] + PLOT + 18.0,
            FAINT,
            middle,
            &first.load.map_or_else(|| "nobody".to_owned(), |load| format!("load {load} %")),
        );
    }
}

fn plot(svg: &mut String, top: f64, title: &str, most: f64, unit: f64) {
    text(svg, LEFT, top - 8.0, INK, "font-weight=\"600\"", title);
    for part in [0.0, 0.5, 1.0] {
        let at = top + PLOT * (1.0 - part);
        let end = WIDTH - RIGHT;
        // As above.
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{end}\" y2=\"{at:.1}\" stroke=\"#d0d7de\"/>"
        );
        let value = most * part / unit;
        let shown = if value < 10.0 { format!("{value:.1}") } else { format!("{value:.0}") };
        text(svg, LEFT - 8.0, at + 4.0, FAINT, "text-anchor=\"end\" font-size=\"12\"", &shown);
    }
}

fn curve(
    svg: &mut String,
    seconds: &[Second],
    x: impl Fn(f64) -> f64,
    y: impl Fn(&Second) -> Option<f64>,
    color: &str,
    more: &str,
) {
    // Where there is nothing to show the line is interrupted.
    for part in seconds.split(|second| y(second).is_none()) {
        let point = |second: &Second| Some(format!("{:.1},{:.1}", x(second.at_s + 0.5), y(second)?));
        let points: Vec<_> = part.iter().filter_map(point).collect();
        let points = points.join(" ");
        // As above.
        let _ = writeln!(
            svg,
            "<polyline points=\"{points}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"1.6\" {more}/>"
        );
    }
}

fn text(svg: &mut String, x: f64, y: f64, color: &str, more: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    // As above.
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" fill=\"{color}\" {more}>{words}</text>");
}
