//! The figures: a table for a person, JSON for a program, and what was promised against what was seen.
//!
//! Must not know: how anything was measured.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde::Serialize;

use crate::application::Bins;
use crate::arm::Arm;
use crate::backfill::Rows;
use crate::chart;
use crate::load::Load;
use crate::support::{Anything, median};

/// What may be added to the application's 99th percentile: 5 ms, and at least a tenth.
fn promised_ms(alone_ms: f64) -> f64 {
    alone_ms + f64::max(5.0, alone_ms * 0.1)
}

/// One arm at one load, once.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Seen {
    pub(crate) load: String,
    pub(crate) arm: String,
    p50_ms: f64,
    p95_ms: f64,
    pub(crate) p99_ms: f64,
    p999_ms: f64,
    rows_per_s: f64,
    #[serde(skip)]
    bins: Bins,
}

impl Seen {
    pub(crate) fn new(load: Load, arm: Arm, bins: &Bins, rows_per_s: f64) -> Self {
        let all = bins.all();
        Self {
            load: load.to_string(),
            arm: arm.to_string(),
            p50_ms: all.ms(50.0),
            p95_ms: all.ms(95.0),
            p99_ms: all.ms(99.0),
            p999_ms: all.ms(99.9),
            rows_per_s,
            bins: bins.clone(),
        }
    }
}

/// The medians of one arm at one load.
#[derive(Clone, Debug, Serialize)]
struct Line {
    load: String,
    arm: String,
    p50_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
    p999_ms: f64,
    /// Seconds that break the promise, in percent.
    bad_bins: f64,
    rows_per_s: f64,
    keeps_the_promise: bool,
}

/// A run that does nothing but guard, beside the application at its peak.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Overhead {
    pairs: Vec<(f64, f64)>,
    ratio: f64,
}

impl Overhead {
    pub(crate) fn new(pairs: Vec<(f64, f64)>) -> Self {
        let mut ratios: Vec<f64> = pairs.iter().map(|(alone, guarded)| guarded / alone).collect();
        Self { ratio: median(&mut ratios), pairs }
    }
}

/// One second of the chart.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Second {
    pub(crate) at_s: f64,
    pub(crate) load: u32,
    pub(crate) p99_ms: f64,
    pub(crate) rows_per_s: f64,
    /// What the promise allows at this load.
    pub(crate) promised_ms: Option<f64>,
}

/// The load over time, and what followed.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Steps {
    pub(crate) seconds: Vec<Second>,
}

impl Steps {
    pub(crate) fn new(bins: &[(u32, Bins)], rows: &Rows, began: f64, alone_ms: &[(String, f64)]) -> Self {
        let mut seconds = Vec::new();
        for (load, bins) in bins {
            let alone = alone_ms
                .iter()
                .find(|(at, _)| *at == Load::Percent(*load).to_string())
                .map(|(_, ms)| promised_ms(*ms));
            for (second, p99_ms) in bins.p99_ms() {
                let rows_per_s = rows.in_second(second);
                let at_s = second as f64 - began;
                seconds.push(Second { at_s, load: *load, p99_ms, rows_per_s, promised_ms: alone });
            }
        }
        Self { seconds }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) peak_tps: f64,
    pub(crate) seen: Vec<Seen>,
    lines: Vec<Line>,
    pub(crate) overhead: Option<Overhead>,
    pub(crate) steps: Option<Steps>,
}

impl Report {
    pub(crate) fn new(peak_tps: f64) -> Self {
        Self { peak_tps, seen: vec![], lines: vec![], overhead: None, steps: None }
    }

    /// The table to stdout, the rest to files.
    pub(crate) fn write(mut self, out: &Path) -> Anything<()> {
        self.lines = self.lines();
        println!("{}", self.table());
        fs::create_dir_all(out)?;
        fs::write(out.join("pace.json"), serde_json::to_string_pretty(&self)?)?;
        if let Some(steps) = &self.steps {
            fs::write(out.join("pace.svg"), chart::draw(steps))?;
        }
        println!("figures and chart: {}", out.display());
        Ok(())
    }

    fn lines(&self) -> Vec<Line> {
        let mut keys: Vec<(&str, &str)> = Vec::new();
        for seen in &self.seen {
            if !keys.contains(&(seen.load.as_str(), seen.arm.as_str())) {
                keys.push((&seen.load, &seen.arm));
            }
        }
        keys.into_iter().map(|(load, arm)| self.line(load, arm)).collect()
    }

    fn line(&self, load: &str, arm: &str) -> Line {
        let of = |arm: &str| -> Vec<&Seen> {
            self.seen.iter().filter(|seen| seen.load == load && seen.arm == arm).collect()
        };
        let middle = |seen: &[&Seen], value: fn(&Seen) -> f64| {
            median(&mut seen.iter().map(|seen| value(seen)).collect::<Vec<_>>())
        };
        let (alone, seen) = (of(&Arm::Nothing.to_string()), of(arm));
        let alone_ms = middle(&alone, |seen| seen.p99_ms);
        let above =
            |limit: f64| median(&mut seen.iter().map(|seen| seen.bins.above(limit)).collect::<Vec<_>>());
        let p99_ms = middle(&seen, |seen| seen.p99_ms);
        let bad_bins = above(promised_ms(alone_ms));
        Line {
            load: load.to_owned(),
            arm: arm.to_owned(),
            p50_ms: middle(&seen, |seen| seen.p50_ms),
            p95_ms: middle(&seen, |seen| seen.p95_ms),
            p99_ms,
            p999_ms: middle(&seen, |seen| seen.p999_ms),
            bad_bins,
            rows_per_s: middle(&seen, |seen| seen.rows_per_s),
            keeps_the_promise: p99_ms <= promised_ms(alone_ms),
        }
    }

    fn table(&self) -> String {
        let mut out = format!("the application alone: {:.0} transactions/s at its peak\n", self.peak_tps);
        if !self.lines.is_empty() {
            out.push_str(
                "\nload    backfill          p50 ms  p95 ms  p99 ms  p99.9 ms  bad seconds   rows/s  kept\n",
            );
        }
        for line in &self.lines {
            // Writing to a String cannot fail.
            let _ = writeln!(
                out,
                "{:<7} {:<16} {:>7.2} {:>7.2} {:>7.2} {:>9.2} {:>10.0} % {:>8.0}  {}",
                line.load,
                line.arm,
                line.p50_ms,
                line.p95_ms,
                line.p99_ms,
                line.p999_ms,
                line.bad_bins,
                line.rows_per_s,
                if line.keeps_the_promise { "yes" } else { "no" }
            );
        }
        for load in Load::ALL {
            out.extend(self.verdict(&load.to_string()));
        }
        if let Some(overhead) = &self.overhead {
            let _ = writeln!(
                out,
                "\nbeside a run that only guards: {:.3} of the throughput alone (median of {} pairs; target 0.99)",
                overhead.ratio,
                overhead.pairs.len()
            );
        }
        out
    }

    /// The controller against the best fixed setting that keeps the promise, which one knows only afterwards.
    fn verdict(&self, load: &str) -> Option<String> {
        let at: Vec<_> = self.lines.iter().filter(|line| line.load == load).collect();
        let auto = at.iter().find(|line| line.arm == Arm::Auto.to_string())?;
        let fixed = at.iter().filter(|line| {
            line.arm != Arm::Auto.to_string() && line.rows_per_s > 0.0 && line.keeps_the_promise
        });
        let best = fixed.map(|line| line.rows_per_s).reduce(f64::max);
        let kept = if auto.keeps_the_promise { "keeps the promise" } else { "breaks the promise" };
        Some(match best {
            Some(best) => format!(
                "\n{load}: auto {kept} at {:.2} of the best setting that does ({best:.0} rows/s; target 0.70)",
                auto.rows_per_s / best
            ),
            None => format!("\n{load}: auto {kept} at {:.0} rows/s; no fixed setting does", auto.rows_per_s),
        })
    }
}
