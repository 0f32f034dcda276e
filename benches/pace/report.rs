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
    load: String,
    arm: String,
    repeat: usize,
    p50_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
    p999_ms: f64,
    rows_per_s: f64,
    #[serde(skip)]
    bins: Bins,
}

impl Seen {
    pub(crate) fn new(load: Load, arm: Arm, repeat: usize, bins: &Bins, rows_per_s: f64) -> Self {
        let all = bins.all();
        Self {
            load: load.to_string(),
            arm: arm.to_string(),
            repeat,
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
    /// In how many of the repeats the promise was kept.
    kept: usize,
    repeats: usize,
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

/// Two runs from their beginning to their end, with nobody else there.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Nobody {
    pub(crate) auto: WholeRun,
    pub(crate) full: WholeRun,
}

#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct WholeRun {
    pub(crate) took_s: f64,
    /// Without its first seconds.
    pub(crate) later_rows_per_s: f64,
}

/// An application that came to a run at full speed, and went.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Comes {
    /// Of the same application alone.
    pub(crate) alone_p99_ms: f64,
    /// Of each second of it but the first, which is not a whole one, and the last.
    pub(crate) seconds_p99_ms: Vec<f64>,
    /// Before it came.
    pub(crate) full_rows_per_s: f64,
    /// The second after it had gone in which it was 0.9 of that again.
    pub(crate) back_after_s: Option<i32>,
}

/// Rows a second, while another server was at work for a third of the time.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Foreign {
    pub(crate) auto: f64,
    pub(crate) full: f64,
}

/// A time of the chart with one load; none: no application.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) load: Option<u32>,
    pub(crate) from: f64,
    pub(crate) until: f64,
    pub(crate) bins: Bins,
}

/// One second of the chart.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Second {
    pub(crate) at_s: f64,
    pub(crate) load: Option<u32>,
    /// None without an application.
    pub(crate) p99_ms: Option<f64>,
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
    /// `alone_ms` is the p99 of the application alone at a load.
    pub(crate) fn new(
        steps: &[Step],
        rows: &Rows,
        began: f64,
        alone_ms: impl Fn(u32) -> Option<f64>,
    ) -> Self {
        let mut seconds = Vec::new();
        for step in steps {
            let promised_ms = step.load.and_then(&alone_ms).map(promised_ms);
            let p99_ms = step.bins.p99_ms();
            for second in step.from.ceil() as u64..step.until.floor() as u64 {
                let p99_ms = p99_ms.iter().find(|(of, _)| *of == second).map(|(_, ms)| *ms);
                let at_s = second as f64 - began;
                let rows_per_s = rows.in_second(second);
                seconds.push(Second { at_s, load: step.load, p99_ms, rows_per_s, promised_ms });
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
    pub(crate) nobody: Vec<Nobody>,
    pub(crate) comes: Vec<Comes>,
    pub(crate) foreign: Vec<Foreign>,
    pub(crate) overhead: Option<Overhead>,
    pub(crate) steps: Option<Steps>,
}

impl Report {
    pub(crate) fn new(peak_tps: f64) -> Self {
        Self {
            peak_tps,
            seen: vec![],
            lines: vec![],
            nobody: vec![],
            comes: vec![],
            foreign: vec![],
            overhead: None,
            steps: None,
        }
    }

    /// The p99 of the application alone, if it was measured.
    pub(crate) fn alone_p99_ms(&self, load: Load) -> Option<f64> {
        let seen = self.of(&load.to_string(), &Arm::Nothing.to_string());
        (!seen.is_empty()).then(|| middle(&seen, |seen| seen.p99_ms))
    }

    fn of(&self, load: &str, arm: &str) -> Vec<&Seen> {
        self.seen.iter().filter(|seen| seen.load == load && seen.arm == arm).collect()
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
        let (alone, seen) = (self.of(load, &Arm::Nothing.to_string()), self.of(load, arm));
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
            kept: seen.iter().filter(|seen| seen.p99_ms <= promised_ms(alone_ms)).count(),
            repeats: seen.len(),
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
                "{:<7} {:<16} {:>7.2} {:>7.2} {:>7.2} {:>9.2} {:>10.0} % {:>8.0}  {:>4}",
                line.load,
                line.arm,
                line.p50_ms,
                line.p95_ms,
                line.p99_ms,
                line.p999_ms,
                line.bad_bins,
                line.rows_per_s,
                format!("{}/{}", line.kept, line.repeats)
            );
        }
        for load in Load::ALL {
            out.extend(self.verdict(&load.to_string()));
        }
        self.nobody_comes_and_foreign(&mut out);
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

    fn nobody_comes_and_foreign(&self, out: &mut String) {
        let ratio = |of: &dyn Fn(&Nobody) -> f64| median(&mut self.nobody.iter().map(of).collect::<Vec<_>>());
        // Writing to a String cannot fail, here and below.
        if !self.nobody.is_empty() {
            let whole = ratio(&|run| run.full.took_s / run.auto.took_s);
            let later = ratio(&|run| run.auto.later_rows_per_s / run.full.later_rows_per_s);
            let _ = writeln!(
                out,
                "\nnobody there: auto is {whole:.2} times as fast as full (target 0.90), {later:.2} times after \
                 its first 5 s (target 0.97)"
            );
        }
        for comes in &self.comes {
            let second = comes.seconds_p99_ms.first().copied().unwrap_or_default();
            let back = comes.back_after_s.map_or("not".to_owned(), |s| format!("{} s", s + 1));
            let _ = writeln!(
                out,
                "\nan application comes: p99 of its second second {second:.1} ms (promised {:.1}); it goes: 0.9 \
                 of full speed after {back}",
                promised_ms(comes.alone_p99_ms)
            );
        }
        if !self.foreign.is_empty() {
            let mut ratios: Vec<f64> = self.foreign.iter().map(|run| run.auto / run.full).collect();
            let _ = writeln!(
                out,
                "\nbeside another server at work: auto changes {:.2} of the rows of full (target 0.80)",
                median(&mut ratios)
            );
        }
    }

    /// The controller against the best fixed setting that keeps the promise, which one knows only afterwards:
    /// it is chosen by one half of the repeats and judged by the other.
    fn verdict(&self, load: &str) -> Option<String> {
        let auto = self.lines.iter().find(|line| line.load == load && line.arm == auto())?;
        let promised = promised_ms(middle(&self.of(load, &Arm::Nothing.to_string()), |seen| seen.p99_ms));
        let chosen = self
            .lines
            .iter()
            .filter(|line| line.load == load && !line.arm.starts_with("auto") && line.rows_per_s > 0.0)
            .filter_map(|line| {
                let seen = self.of(load, &line.arm);
                let (judged, choosing): (Vec<&Seen>, Vec<&Seen>) =
                    seen.into_iter().partition(|seen| line.repeats > 1 && seen.repeat % 2 == 1);
                let keeps = middle(&choosing, |seen| seen.p99_ms) <= promised;
                let judged = if judged.is_empty() { choosing.clone() } else { judged };
                keeps.then(|| (middle(&choosing, |seen| seen.rows_per_s), &line.arm, judged))
            })
            .max_by(|a, b| a.0.total_cmp(&b.0));
        let kept = format!("auto keeps the promise in {} of {}", auto.kept, auto.repeats);
        Some(match chosen {
            Some((_, arm, judged)) => {
                let rows_per_s = middle(&judged, |seen| seen.rows_per_s);
                let also = judged.iter().filter(|seen| seen.p99_ms <= promised).count();
                format!(
                    "\n{load}: {kept}, at {:.2} of the best setting that does ({arm}: {rows_per_s:.0} rows/s, kept \
                     in {also} of {} other repeats; target 0.70)",
                    auto.rows_per_s / rows_per_s,
                    judged.len()
                )
            }
            None => format!("\n{load}: {kept}, at {:.0} rows/s; no fixed setting does", auto.rows_per_s),
        })
    }
}

fn middle(seen: &[&Seen], value: fn(&Seen) -> f64) -> f64 {
    median(&mut seen.iter().map(|seen| value(seen)).collect::<Vec<_>>())
}

fn auto() -> String {
    Arm::AUTO.to_string()
}
