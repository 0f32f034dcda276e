//! The review as a person reads it.
//!
//! Must not know: where its figures come from.

use std::time::Duration;

use bytesize::ByteSize;
use pgbackfill::ddl::OutlinedStep;
use pgbackfill::human;
use pgbackfill::job::units::{format_bytes, format_duration_ms};

use pgbackfill::plan::{Bottleneck, Estimate, Measured, Severity};
use pgbackfill::run::{Knobs, Mode};
use pgbackfill::scan::{self, ScanOrder};

use super::super::review;
use super::view::{Rows, View};

/// All sections, in the order of the questions that a person has.
pub(super) fn of(view: &View) -> String {
    let mut sections = vec![head(view)];
    sections.extend(before(&view.before));
    sections.extend([
        section("What will run", &what(view)),
        section("How many rows", &rows(&view.rows)),
        section("What it costs", &costs(view)),
    ]);
    sections.extend(steps("After it: pgbackfill contract", &view.after));
    if !view.findings.is_empty() {
        let all: Vec<_> = view.findings.iter().map(review::text).collect();
        sections.push(section("Findings", &all.join("\n")));
    }
    sections.push(section("A role that may do this and no more", &view.grants));
    sections.push(verdict(view));
    sections.join("\n\n")
}

/// What is made before the run, if anything.
pub(super) fn before(outlined: &[OutlinedStep]) -> Option<String> {
    steps("Before it: pgbackfill expand", outlined)
}

fn steps(title: &str, steps: &[OutlinedStep]) -> Option<String> {
    let lines = steps.iter().flat_map(|OutlinedStep { step, statements, way_back }| {
        let statements = statements
            .iter()
            .flat_map(|one| [format!("    {}", one.sql), format!("    -- {}: {}", one.lock, one.effect)]);
        let back = format!("    -- way back: {way_back}");
        std::iter::once(step.clone()).chain(statements).chain([back])
    });
    (!steps.is_empty()).then(|| section(title, &lines.collect::<Vec<_>>().join("\n")))
}

fn section(title: &str, text: &str) -> String {
    let lines = text.lines().map(|line| format!("  {line}").trim_end().to_owned());
    std::iter::once(title.to_owned()).chain(lines).collect::<Vec<_>>().join("\n")
}

fn head(view: &View) -> String {
    let partitions = match view.partitions {
        0 => String::new(),
        many => format!(", {}", human::counted(many as u64, "partition", "partitions")),
    };
    let run = view.run.as_ref();
    let run = run.map(|found| {
        format!(
            "\nrun {} of it is there ({}); run goes on with that, without a review",
            found.run, found.state
        )
    });
    format!(
        "job \"{}\" on {}{partitions}\ndatabase \"{}\", PostgreSQL {}, as role \"{}\"{}",
        view.job,
        view.table,
        view.database,
        view.server_version,
        view.role,
        run.unwrap_or_default()
    )
}

fn what(view: &View) -> String {
    let order = match view.stripes {
        1 => "In one go".to_owned(),
        stripes => format!("In {stripes} stripes"),
    };
    let Knobs { workers, batch_time_ms, .. } = &view.knobs;
    let workers = human::counted(workers.get().into(), "worker", "workers");
    let over = match view.order {
        ScanOrder::Keys => format!("over the key ({})", view.key.join(", ")),
        ScanOrder::Heap => format!("block by block ({})", view.order_why),
    };
    let mut text = format!(
        "{order} {over}: {}.\n{workers}, each in batches of {}; each batch is a transaction, with its checkpoint:",
        view.why,
        format_duration_ms(*batch_time_ms)
    );
    match &view.statement {
        Some(statement) => {
            text.extend(statement.lines().map(|line| format!("\n    {line}")));
            text.push_str(match view.order {
                ScanOrder::Keys => "\nThe parameters are keys",
                ScanOrder::Heap => "\nThe parameters are places on disk",
            });
            text.push_str(": where the batch ends, and where the one before it did");
            text.push_str(if statement.contains(scan::BAND) { "; then its bands of keys." } else { "." });
            if !view.quiet.is_empty() {
                let columns = view.quiet.join(", ");
                let quiet = format!(
                    "\nAssigning {columns} its own value spares the server a search (order.quiet = false: it is not done)."
                );
                text.push_str(&quiet);
            }
        }
        None => text.push_str("\n    none, because the table is empty"),
    }
    if view.keeps_old {
        let kept = format!(
            "\nWhat is replaced is kept ({}), so that pgbackfill undo can put it back; undo.values = \"off\" spares that.",
            view.keeps_why
        );
        text.push_str(&kept);
    }
    text
}

fn rows(rows: &Rows) -> String {
    let to_change = human::count(rows.to_change);
    match &rows.sample {
        Some(sample) if sample.whole => {
            format!("{to_change} of {} will be changed (all were looked at).", human::count(sample.rows))
        }
        Some(sample) => format!(
            "About {to_change} will be changed: the statistics say that there are {}, and {} of {} in a sample match.",
            human::count(rows.estimated),
            human::count(sample.matching),
            human::count(sample.rows)
        ),
        None => format!(
            "The statistics say that there are {}; how many match is not known.",
            human::count(rows.estimated)
        ),
    }
}

fn costs(view: &View) -> String {
    let Some(measured) = &view.trial else {
        return format!("Not known: {}.", view.not_tried.as_deref().unwrap_or("nothing was measured"));
    };
    let estimated =
        view.estimate.as_ref().map(|estimate| format!("\n{}", whole(estimate, &view.knobs, view.stripes)));
    format!("{}{}", a_row(measured), estimated.unwrap_or_default())
}

fn a_row(measured: &Measured) -> String {
    let changed = measured.rows_changed as f64;
    let made_way = measured.made_way.as_ref().map(|why| format!("\nA larger batch was given up: {why}."));
    format!(
        "A row: {:.1} µs, {} of WAL, {:.2} pages dirtied. Measured with {}, rolled back;\n\
         {} left to autovacuum.{}",
        measured.time_us / changed,
        bytes(measured.wal_bytes as f64 / changed),
        measured.pages_dirtied as f64 / changed,
        human::counted(measured.rows_changed, "row", "rows"),
        human::counted(measured.rows_dead, "dead row version is", "dead row versions are"),
        made_way.unwrap_or_default(),
    )
}

fn whole(estimate: &Estimate, knobs: &Knobs, stripes: u32) -> String {
    let held_by = match (estimate.held_by, knobs.max_rows_per_s, knobs.max_wal_bytes_per_s) {
        (Bottleneck::MaxRowsPerSecond, Some(rows), _) => format!("max_rows_per_second = {rows}"),
        (Bottleneck::MaxWalPerSecond, _, Some(bytes)) => {
            format!("max_wal_per_second = {}", format_bytes(bytes))
        }
        _ => format!("{}, never waiting", human::counted(knobs.workers.get().into(), "worker", "workers")),
    };
    format!(
        "Time: about {} ({} with {held_by}){}.\n\
         WAL: up to {}, {} a second; slots, standbys and the archive have to keep up with that.\n\
         Disk: up to {} more for table and indexes{}, beside the WAL. The server does not tell what is free.",
        human::duration(Duration::from_secs_f64(estimate.duration_s)),
        human::rate(estimate.rows_per_s),
        longer(estimate, knobs),
        bytes(estimate.wal_bytes),
        bytes(estimate.wal_bytes_per_s),
        bytes(estimate.growth_bytes),
        if stripes > 1 { ", in stripes usually far less" } else { "" },
    )
}

/// What makes more of that time.
fn longer(estimate: &Estimate, knobs: &Knobs) -> String {
    let window = knobs.window.as_ref().map(|window| {
        let (open, elapsed) = (Duration::from_secs_f64(window.open_s()), estimate.elapsed_s);
        let elapsed = human::duration(Duration::from_secs_f64(elapsed));
        format!("; with the window {window}, {} a day, {elapsed} from when it opens", human::duration(open))
    });
    let auto = match knobs.mode {
        Mode::Auto => "; mode auto makes way for the application, which may take longer",
        Mode::Full => "",
    };
    format!("{}{auto}", window.unwrap_or_default())
}

fn bytes(bytes: f64) -> ByteSize {
    ByteSize(bytes.round() as u64)
}

fn verdict(view: &View) -> String {
    let count = |severity| view.findings.iter().filter(|finding| finding.severity == severity).count() as u64;
    let warnings = human::counted(count(Severity::Warning), "warning", "warnings");
    match (count(Severity::Error), count(Severity::Warning)) {
        (0, 0) => "Nothing speaks against it.".to_owned(),
        (0, _) => format!("It can run; {warnings}."),
        (errors, _) => {
            format!("It cannot run like this; {}, {warnings}.", human::counted(errors, "error", "errors"))
        }
    }
}
