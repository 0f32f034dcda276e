//! `pgbackfill check`: what can be said of job files, and of the migrations around them, without a server.
//!
//! Must not know: how a job is read.

use std::fs;
use std::path::{Path, PathBuf};

use pgbackfill::human::counted;
use pgbackfill::job::{Job, Part, TableName};

use super::exit::{Exit, Failure};
use super::{job, out};

mod migrations;

const EXAMPLES: &str = "\
Examples:
  pgbackfill check                                   every job file in jobs/
  pgbackfill check jobs/ --migrations migrations/    and that none runs before its backfill

A migration that drops, renames or tightens a column which a job sets has to ask whether that job
is complete: pgbackfill gate prints how. Where it need not, a comment in it says so:
pgbackfill: no gate for JOB

Exit code 0: no fault was found; 2: some were, each at its line.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CheckArgs {
    /// Job files, and folders of them
    #[arg(value_name = "JOBS", default_value = "jobs")]
    jobs: Vec<PathBuf>,
    /// A folder of migrations, of whatever tool; can be repeated
    #[arg(long, value_name = "DIR")]
    migrations: Vec<PathBuf>,
}

/// A job and its file.
#[derive(Debug)]
struct JobFile {
    file: PathBuf,
    job: Job,
}

pub(crate) fn run(args: &CheckArgs) -> anyhow::Result<Exit> {
    let files = all_files(&args.jobs, |path| path.extension().is_some_and(|extension| extension == "toml"))?;
    if files.is_empty() {
        let dirs: Vec<_> = args.jobs.iter().map(|path| path.display().to_string()).collect();
        let hint = "hint: name a folder of job files, or some of them";
        return Err(Failure::usage(format!("there is no job file in {}\n{hint}", dirs.join(", "))).into());
    }
    let (mut jobs, mut faults) = (Vec::new(), Vec::new());
    for file in &files {
        match job::from_file(file) {
            Ok(job) => jobs.push(JobFile { file: file.clone(), job }),
            Err(failure) => faults.push(headed(failure.message)),
        }
    }
    faults.extend(set_twice(&jobs));
    let migrations = all_files(&args.migrations, |path| !is_way_back(path))?;
    for file in &migrations {
        faults.extend(ungated(file, &jobs)?);
    }
    if faults.is_empty() {
        let mut told = counted(files.len() as u64, "job", "jobs");
        if !args.migrations.is_empty() {
            told = format!("{told}, {}", counted(migrations.len() as u64, "migration", "migrations"));
        }
        out::verdict(&format!("{told}: no fault found"))?;
        return Ok(Exit::Complete);
    }
    Err(Failure::usage(faults.join("\n\n")).into())
}

/// As a fault of a job file begins.
fn headed(message: String) -> String {
    if message.starts_with("error") { message } else { format!("error: {message}") }
}

/// Where a tool has a file of its own for the way back: `.down.sql` of many, `U2__name.sql` of Flyway.
fn is_way_back(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_undo = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit()) && rest.contains("__");
    name.ends_with(".down.sql") || name.strip_prefix('U').is_some_and(is_undo)
}

/// Files that were named, and those in folders that were, at any depth, in the order of their names.
fn all_files(paths: &[PathBuf], is_wanted: impl Fn(&Path) -> bool) -> Result<Vec<PathBuf>, Failure> {
    let (mut todo, mut found) = (paths.to_vec(), Vec::new());
    while let Some(path) = todo.pop() {
        let unreadable = |error| Failure::usage(format!("cannot read {}: {error}", path.display()));
        if !fs::metadata(&path).map_err(unreadable)?.is_dir() {
            found.push(path);
            continue;
        }
        for entry in fs::read_dir(&path).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?.path();
            let is_hidden = entry.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            // A link to a folder may lead back here.
            let is_linked_dir = entry.is_symlink() && entry.is_dir();
            if !is_hidden && !is_linked_dir && (entry.is_dir() || is_wanted(&entry)) {
                todo.push(entry);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Columns that a job sets and one before it sets, too.
fn set_twice(jobs: &[JobFile]) -> Vec<String> {
    let mut faults = Vec::new();
    for (at, JobFile { file, job }) in jobs.iter().enumerate() {
        for value in &job.set {
            let other = jobs[..at].iter().find(|other| {
                are_same(&other.job.table, &job.table)
                    && other.job.set.iter().any(|theirs| theirs.column == value.column)
            });
            if let Some(other) = other {
                let message = format!(
                    "column \"{}\" of {} is set by {}, too",
                    value.column,
                    job.table,
                    other.file.display()
                );
                let hint = format!("let one job set it: {} or {}", other.file.display(), file.display());
                faults.push(job.diagnose(Part::SetColumn(&value.column), message, Some(hint)).to_string());
            }
        }
    }
    faults
}

/// Where one of them names no schema it may be that of the other.
fn are_same(one: &TableName, other: &TableName) -> bool {
    let may_be = one.schema.is_none() || other.schema.is_none() || one.schema == other.schema;
    one.name == other.name && may_be
}

/// Statements of a migration that need the gate of a job which is not in it.
fn ungated(file: &Path, jobs: &[JobFile]) -> Result<Vec<String>, Failure> {
    let bytes =
        fs::read(file).map_err(|error| Failure::usage(format!("cannot read {}: {error}", file.display())))?;
    // What is no text is no migration.
    let Ok(text) = String::from_utf8(bytes) else { return Ok(Vec::new()) };
    let mut faults = Vec::new();
    for JobFile { file: job_file, job } in
        jobs.iter().filter(|filed| !migrations::asks(&text, filed.job.name.as_str()))
    {
        for value in &job.set {
            for found in migrations::endings(&text, &job.table.name, &value.column) {
                let (name, table) = (&job.name, &job.table);
                let (verb, column) = (found.verb, &value.column);
                faults.push(format!(
                    "error: this {verb} {table}.{column}, which job {name} sets, and does not ask whether that is complete\n \
                     --> {}:{}\n  hint: begin it with what `pgbackfill gate {}` prints, or say in a comment: pgbackfill: no gate for {name}",
                    file.display(),
                    found.line,
                    job_file.display(),
                ));
            }
        }
    }
    Ok(faults)
}
