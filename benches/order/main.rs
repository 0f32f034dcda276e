//! The striped order against what one would do otherwise, side by side on a throwaway server, interleaved,
//! medians.
//!
//! `cargo bench --bench order` measures every case, `-- one-index` only that one; `ROWS` and `REPEATS` in the
//! environment change its size. The table goes to stdout, the figures to `OUT/order.json`, the chart to
//! `OUT/order.svg` (`OUT` is `target/bench` if the environment does not say otherwise).
//!
//! Run by `cargo test` it is a smoke test: few rows, one repeat, and every way must give every row its value.

#[path = "../support/mod.rs"]
mod support;

mod case;
mod chart;
mod report;
mod seen;
mod table;
mod way;

use std::path::PathBuf;

use case::Case;
use report::Report;
use seen::{Scene, Seen};
use support::{Anything, server, size};
use table::Table;
use way::Way;

/// How large a measurement is.
#[derive(Clone, Copy, Debug)]
struct Size {
    rows: i64,
    repeats: i64,
}

fn main() -> Anything<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    // `cargo bench` says so; `cargo test` does not.
    let measuring = args.iter().any(|arg| arg == "--bench");
    let (rows, repeats) = if measuring { (3_000_000, 3) } else { (20_000, 1) };
    let size = Size { rows: size("ROWS", rows), repeats: size("REPEATS", repeats) };
    let asked: Vec<_> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let unknown = asked.iter().find(|name| Case::ALL.iter().all(|case| case.name() != name.as_str()));
    if let Some(name) = unknown {
        return Err(format!("there is no case \"{name}\": {}", Case::ALL.map(Case::name).join(", ")).into());
    }
    let wanted = |case: &Case| asked.is_empty() || asked.iter().any(|name| *name == case.name());
    let cases: Vec<_> = Case::ALL.into_iter().filter(wanted).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let report = runtime.block_on(measure(&cases, size))?;
    report.write(&out_dir(measuring))
}

/// A smoke test must not overwrite what was measured.
fn out_dir(measuring: bool) -> PathBuf {
    let dir = std::env::var_os("OUT").map_or_else(|| "target/bench".into(), PathBuf::from);
    if measuring { dir } else { dir.join("smoke") }
}

async fn measure(cases: &[Case], size: Size) -> Anything<Report> {
    let mut report = Report::new(size)?;
    for case in cases {
        let server = server(case.shared_buffers(), case.max_wal_size())?;
        report.tested(&server).await?;
        let mut all = Vec::new();
        for (table, ways) in case.tables() {
            let scene = Scene::build(&server, *case, table, size.rows * table.scale).await?;
            all.extend(ways.iter().map(|way| Contestant {
                way: *way,
                table,
                scene: scene.clone(),
                seen: vec![],
            }));
        }
        // Interleaved, so that what the machine does meanwhile meets all of them.
        for _ in 0..size.repeats {
            for contestant in &mut all {
                contestant.seen.push(contestant.scene.watch(&server, contestant.way).await?);
            }
        }
        report.add(*case, &all);
    }
    Ok(report)
}

/// One way on one table.
struct Contestant {
    way: Way,
    table: Table,
    scene: Scene,
    seen: Vec<Seen>,
}
