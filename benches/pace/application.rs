//! The application: short transactions by `pgbench`, and how long each of them took.
//!
//! Must not know: what runs beside it.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::Anything;

const CLIENTS: u32 = 8;
/// Rows of the accounts of pgbench's own script, in units of 100,000.
pub(crate) const TPCB_SCALE: u32 = 20;

/// What the application does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transactions {
    /// A read and a write of one row that the backfill may be changing, too.
    Key,
    /// pgbench's own script, like TPC-B, on other tables of the same database.
    Tpcb,
    /// A read of one row.
    Read,
}

impl Transactions {
    /// What the environment asks for.
    pub(crate) fn asked() -> Anything<Self> {
        match env::var("TRANSACTIONS").as_deref() {
            Err(_) | Ok("key") => Ok(Self::Key),
            Ok("tpcb") => Ok(Self::Tpcb),
            Ok("read") => Ok(Self::Read),
            Ok(other) => Err(format!("TRANSACTIONS={other} is neither key nor tpcb nor read").into()),
        }
    }

    /// The script of it, if it is not one of pgbench's own.
    pub(crate) fn script(self) -> Option<&'static str> {
        match self {
            Self::Key => Some(
                "\
\\set id random(1, :rows)
SELECT total FROM orders WHERE id = :id;
UPDATE orders SET hits = hits + 1 WHERE id = :id;
",
            ),
            Self::Tpcb => None,
            Self::Read => Some("\\set id random(1, :rows)\nSELECT total FROM orders WHERE id = :id;\n"),
        }
    }
}

/// Latencies in microseconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latencies(Vec<u64>);

impl Latencies {
    /// A percentile, in milliseconds.
    pub(crate) fn ms(&self, percentile: f64) -> f64 {
        let mut all = self.0.clone();
        all.sort_unstable();
        let at = (all.len() as f64 * percentile / 100.0).ceil() as usize;
        all.get(at.saturating_sub(1)).map_or(0.0, |us| *us as f64 / 1000.0)
    }
}

/// The transactions by the second in which they should have begun: by that of their end, a second in which
/// none ended would be missing and not bad.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bins(BTreeMap<u64, Latencies>);

impl Bins {
    pub(crate) fn all(&self) -> Latencies {
        Latencies(self.0.values().flat_map(|bin| bin.0.iter().copied()).collect())
    }

    /// The part of the seconds whose 99th percentile is above this, in percent.
    pub(crate) fn above(&self, ms: f64) -> f64 {
        let bad = self.0.values().filter(|bin| bin.ms(99.0) > ms).count();
        100.0 * bad as f64 / self.0.len().max(1) as f64
    }

    /// Each second since 1970 with its 99th percentile.
    pub(crate) fn p99_ms(&self) -> Vec<(u64, f64)> {
        self.0.iter().map(|(second, bin)| (*second, bin.ms(99.0))).collect()
    }
}

/// `pgbench` on a database.
pub(crate) struct Application<'a> {
    pub(crate) program: &'a Path,
    pub(crate) url: &'a str,
    pub(crate) dir: &'a Path,
    pub(crate) transactions: Transactions,
    pub(crate) rows: i64,
}

impl Application<'_> {
    fn command(&self, time: Duration) -> Command {
        let mut command = Command::new(self.program);
        command.current_dir(self.dir).stdin(Stdio::null()).stderr(Stdio::piped());
        command.args(["-n", "-M", "prepared", "-j", "1", "-c", &CLIENTS.to_string()]);
        match self.transactions.script() {
            Some(_) => command.args(["-f", "script.sql", "-D", &format!("rows={}", self.rows)]),
            None => command.args(["-b", "tpcb-like"]),
        };
        command.args(["-T", &time.as_secs().to_string()]);
        command
    }

    /// A closed loop: as many transactions a second as the clients can do.
    pub(crate) fn throughput(&self, time: Duration) -> Anything<f64> {
        let output = self.command(time).arg(self.url).output()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = said
            .lines()
            .find_map(|line| line.strip_prefix("tps = "))
            .ok_or_else(|| failed(&output.stderr))?;
        Ok(line.split_whitespace().next().unwrap_or_default().parse()?)
    }

    /// An open loop: so many transactions a second, each counted from when it should have begun.
    pub(crate) fn at(&self, tps: f64, time: Duration) -> Anything<Bins> {
        let prefix = "latencies";
        let output = self
            .command(time)
            .args(["--rate", &format!("{tps:.1}"), "-l", "--log-prefix", prefix])
            .arg(self.url)
            .output()?;
        if !output.status.success() {
            return Err(failed(&output.stderr).into());
        }
        let mut bins = Bins::default();
        for entry in fs::read_dir(self.dir)? {
            let path = entry?.path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix)) {
                read(&fs::read_to_string(&path)?, &mut bins);
                fs::remove_file(path)?;
            }
        }
        // The first and the last second are not whole ones.
        bins.0.pop_first();
        bins.0.pop_last();
        Ok(bins)
    }
}

/// Client, transaction, latency in µs (under `--rate` from the scheduled beginning on), script, second and µs
/// of its end, lag.
fn read(log: &str, bins: &mut Bins) {
    for line in log.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        let number = |at: usize| words.get(at).and_then(|word| word.parse::<u64>().ok());
        if let (Some(latency), Some(second), Some(us)) = (number(2), number(4), number(5)) {
            let scheduled_us = (second * 1_000_000 + us).saturating_sub(latency);
            bins.0.entry(scheduled_us / 1_000_000).or_default().0.push(latency);
        }
    }
}

fn failed(stderr: &[u8]) -> String {
    format!("pgbench failed: {}", String::from_utf8_lossy(stderr))
}
