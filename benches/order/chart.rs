//! One chart: a bar a way, as long as its speed, with what it left behind written beside it.
//!
//! Must not know: files, how anything was measured.

use std::fmt::Write as _;

use crate::report::{Line, Measured};

const WIDTH: f64 = 880.0;
const ROW: f64 = 46.0;
const TOP: f64 = 64.0;
/// Where bars begin, and how long the longest is.
const LEFT: f64 = 300.0;
const LONGEST: f64 = 310.0;
/// Readable on a white page and, with the sheet behind it, on a dark one.
const SHEET: &str = "#ffffff";
const INK: &str = "#24292f";
const FAINT: &str = "#57606a";
const OURS: &str = "#2f6fb0";
const OTHERS: &str = "#b9c2cc";

/// The chart as an SVG document.
pub(crate) fn draw(case: &Measured, below: &str) -> String {
    let height = TOP + ROW * case.ways.len() as f64 + 34.0;
    let fastest = case.ways.iter().map(|line| line.rows_per_s).fold(1.0, f64::max);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         font-family=\"system-ui, sans-serif\" font-size=\"14\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" rx=\"8\" fill=\"{SHEET}\"/>\n"
    );
    let title = format!("Filling a column of {} rows", thousands(case.rows as f64));
    text(&mut svg, 20.0, 28.0, INK, "font-size=\"17\" font-weight=\"600\"", &title);
    text(&mut svg, 20.0, 48.0, FAINT, "", case.says);
    for (line, y) in case.ways.iter().zip((0..).map(|n| TOP + ROW * f64::from(n))) {
        bar(&mut svg, line, y, line.rows_per_s / fastest * LONGEST);
    }
    text(&mut svg, 20.0, height - 14.0, FAINT, "font-size=\"12\"", below);
    svg.push_str("</svg>\n");
    svg
}

fn bar(svg: &mut String, line: &Line, y: f64, length: f64) {
    let ours = line.way.starts_with("pgbackfill");
    let (color, weight) = if ours { (OURS, "font-weight=\"600\"") } else { (OTHERS, "") };
    // Writing to a String cannot fail.
    let _ = writeln!(
        svg,
        "<rect x=\"{LEFT}\" y=\"{}\" width=\"{length:.1}\" height=\"24\" rx=\"3\" fill=\"{color}\"/>",
        y + 6.0
    );
    text(svg, 20.0, y + 23.0, INK, weight, line.way);
    let speed = format!("{} rows/s, {:.2}×", thousands(line.rows_per_s), line.ratio);
    text(svg, LEFT + length + 10.0, y + 17.0, INK, weight, &speed);
    let seen = &line.medians;
    let left = format!("heap {:.2}×, {:.0} B of WAL a row", seen.heap, seen.wal_bytes_per_row);
    text(svg, LEFT + length + 10.0, y + 33.0, FAINT, "font-size=\"12\"", &left);
}

fn text(svg: &mut String, x: f64, y: f64, color: &str, more: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    // As in `bar`.
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" fill=\"{color}\" {more}>{words}</text>");
}

/// `1234567.8` as `1,234,568`.
fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}
