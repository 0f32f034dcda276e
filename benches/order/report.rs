//! What was seen, as a table for a person, as JSON for a program, and as the chart.
//!
//! Must not know: how anything was measured.

use std::path::Path;

use pgbackfill::sandbox::Server;
use serde::Serialize;

use crate::case::Case;
use crate::chart;
use crate::seen::Seen;
use crate::support::{Anything, connect, median};
use crate::{Contestant, Size};

/// All that was measured in one go.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    server: String,
    cpus: usize,
    rows: i64,
    repeats: i64,
    cases: Vec<Measured>,
}

/// One case.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    pub(crate) case: &'static str,
    pub(crate) says: &'static str,
    pub(crate) rows: i64,
    pub(crate) ways: Vec<Line>,
}

/// One way in one case: medians, and each repeat's seconds.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    pub(crate) way: &'static str,
    pub(crate) key: &'static str,
    pub(crate) rows: i64,
    pub(crate) rows_per_s: f64,
    /// Of the case's first way.
    pub(crate) ratio: f64,
    pub(crate) seconds_of_each: Vec<f64>,
    #[serde(flatten)]
    pub(crate) medians: Seen,
}

impl Line {
    fn of(contestant: &Contestant) -> Self {
        let (rows, medians) = (contestant.scene.rows(), medians(&contestant.seen));
        Self {
            way: contestant.way.name(),
            key: contestant.table.key.name(),
            rows,
            rows_per_s: rows as f64 / medians.seconds,
            ratio: 1.0,
            seconds_of_each: contestant.seen.iter().map(|seen| seen.seconds).collect(),
            medians,
        }
    }

    fn label(&self, rows: i64) -> String {
        let key = if self.key == "bigint" { String::new() } else { format!(", key {}", self.key) };
        let size = if self.rows == rows { String::new() } else { format!(", {} rows", self.rows) };
        format!("{}{key}{size}", self.way)
    }
}

impl Report {
    pub(crate) fn new(size: Size) -> Anything<Self> {
        Ok(Self {
            server: String::new(),
            cpus: std::thread::available_parallelism()?.get(),
            rows: size.rows,
            repeats: size.repeats,
            cases: vec![],
        })
    }

    /// Which server it is; every case has one of its own.
    pub(crate) async fn tested(&mut self, server: &Server) -> Anything<()> {
        let client = connect(server, "postgres").await?;
        let version: String = client.query_one("SHOW server_version", &[]).await?.get(0);
        self.server = format!("PostgreSQL {version}");
        Ok(())
    }

    pub(crate) fn add(&mut self, case: Case, all: &[Contestant]) {
        let mut ways: Vec<_> = all.iter().map(Line::of).collect();
        let base = ways.first().map_or(1.0, |line| line.rows_per_s);
        for line in &mut ways {
            line.ratio = line.rows_per_s / base;
        }
        let measured = Measured { case: case.name(), says: case.says(), rows: self.rows, ways };
        measured.print();
        self.cases.push(measured);
    }

    /// The figures, and the chart if its case was measured.
    pub(crate) fn write(&self, dir: &Path) -> Anything<()> {
        std::fs::create_dir_all(dir)?;
        let json = dir.join("order.json");
        std::fs::write(&json, serde_json::to_string_pretty(self)? + "\n")?;
        println!(
            "\n{}, {} CPUs, medians of {}; figures in {}",
            self.server,
            self.cpus,
            self.repeats,
            json.display()
        );
        if let Some(case) = self.cases.iter().find(|case| case.case == Case::OneIndex.name()) {
            let svg = dir.join("order.svg");
            let below = format!("{}, {} CPUs, medians of {} runs", self.server, self.cpus, self.repeats);
            std::fs::write(&svg, chart::draw(case, &below))?;
            println!("chart in {}", svg.display());
        }
        Ok(())
    }
}

impl Measured {
    fn print(&self) {
        println!("\n{}: {} rows, {}", self.case, self.rows, self.says);
        println!(
            "{:<38}{:>10}{:>8}{:>11}{:>7}{:>8}{:>9}{:>12}{:>9}",
            "", "rows/s", "ratio", "WAL B/row", "HOT", "heap", "indexes", "client CPU", "memory"
        );
        for line in &self.ways {
            let seen = &line.medians;
            println!(
                "{:<38}{:>10.0}{:>7.2}×{:>11.0}{:>7}{:>7.2}×{:>8.2}×{:>10.1} %{:>6.0} MB",
                line.label(self.rows),
                line.rows_per_s,
                line.ratio,
                seen.wal_bytes_per_row,
                seen.hot_percent.map_or("–".to_owned(), |hot| format!("{hot:.0} %")),
                seen.heap,
                seen.indexes,
                seen.client_cpu_percent,
                seen.client_memory_mb
            );
        }
    }
}

fn medians(seen: &[Seen]) -> Seen {
    let of = |value: fn(&Seen) -> f64| median(&mut seen.iter().map(value).collect::<Vec<_>>());
    Seen {
        seconds: of(|seen| seen.seconds),
        wal_bytes_per_row: of(|seen| seen.wal_bytes_per_row),
        hot_percent: seen[0].hot_percent.map(|_| of(|seen| seen.hot_percent.unwrap_or_default())),
        heap: of(|seen| seen.heap),
        indexes: of(|seen| seen.indexes),
        client_cpu_percent: of(|seen| seen.client_cpu_percent),
        client_memory_mb: of(|seen| seen.client_memory_mb),
    }
}
