//! The job that is meant: from a file or from flags, with the pace and the limits given beside it.
//!
//! Must not know: what is done with it.

use std::io;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use pgbackfill::job::units::parse_positive;
use pgbackfill::job::{
    Job, JobErrors, JobName, JobParts, Limits, WORKERS, did_you_mean, set_knobs, set_limit,
};

use super::exit::Failure;

/// Which job, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct JobArgs {
    /// The job file; its name without .toml is the job's name
    #[arg(value_name = "JOB.toml")]
    file: Option<PathBuf>,
    /// Workers of this process alone [default: what the job says]
    #[arg(long, value_name = "N", value_parser = workers)]
    pub(crate) workers: Option<NonZeroU32>,
    // Last, because their headings hold for whatever follows.
    #[command(flatten)]
    parts: PartArgs,
    #[command(flatten)]
    pace: PaceArgs,
}

fn workers(text: &str) -> Result<NonZeroU32, String> {
    parse_positive(text, &WORKERS)
}

/// Which job, by its file or its name, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct NamedJobArgs {
    /// The job file, or the name of a job that was run in this database
    #[arg(value_name = "JOB")]
    pub(crate) job: String,
    /// Workers of this process alone [default: what the job says]
    #[arg(long, value_name = "N", value_parser = workers)]
    pub(crate) workers: Option<NonZeroU32>,
    // Last, because its heading holds for whatever follows.
    #[command(flatten)]
    pace: PaceArgs,
}

impl NamedJobArgs {
    /// Gives the job the limits that were given beside it; and the knobs that were.
    pub(crate) fn pace(&self, job: &mut Job) -> Result<Vec<(String, String)>, Failure> {
        self.pace.limit(&mut job.limits)?;
        self.pace.knob_changes(job)
    }
}

/// A job without a file.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "A job without a file")]
struct PartArgs {
    /// The table, as SQL writes it
    #[arg(long, value_name = "TABLE", requires = "set", conflicts_with = "file")]
    table: Option<String>,
    /// What to set: "column = expression"; can be repeated
    #[arg(long, value_name = "COLUMN = SQL", requires = "table")]
    set: Vec<String>,
    /// Which rows; all of them if left out
    #[arg(long = "where", value_name = "SQL", requires = "table")]
    filter: Option<String>,
    /// The key's columns [default: the primary key]
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',', requires = "table")]
    key: Vec<String>,
    /// Another table that expressions may read, for example "users AS u"
    #[arg(long, value_name = "SQL", requires_all = ["table", "on"])]
    from: Option<String>,
    /// How it is joined
    #[arg(long, value_name = "SQL", requires_all = ["table", "from"])]
    on: Option<String>,
    /// The job's name [default: table and columns]
    #[arg(long, value_name = "NAME", requires = "table")]
    name: Option<String>,
}

/// Pace and limits beside those of the job. A pace stays in force like one that was `set`; limits are those
/// of this process.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Pace (as `pgbackfill set` does) and limits (of this process)")]
struct PaceArgs {
    /// Who decides how fast: auto makes way for the application, full does not
    #[arg(long, value_name = "MODE")]
    mode: Option<String>,
    /// How long a batch should take, for example 100ms
    #[arg(long, value_name = "TIME")]
    batch_time: Option<String>,
    /// No batch is smaller
    #[arg(long, value_name = "N")]
    min_rows_per_batch: Option<String>,
    /// No batch is larger
    #[arg(long, value_name = "N")]
    max_rows_per_batch: Option<String>,
    /// Ceiling for changed rows, over all processes
    #[arg(long, value_name = "N")]
    max_rows_per_second: Option<String>,
    /// Ceiling for bytes of WAL, over all processes, for example 16MiB
    #[arg(long, value_name = "BYTES")]
    max_wal_per_second: Option<String>,
    /// When work may be done, every day, for example "22:00-06:00 Europe/Berlin"
    #[arg(long, value_name = "WINDOW")]
    window: Option<String>,
    /// How long a batch waits for a lock
    #[arg(long, value_name = "TIME")]
    lock_timeout: Option<String>,
    /// How long a batch may take before it is halved
    #[arg(long, value_name = "TIME")]
    statement_timeout: Option<String>,
    /// Failures in a row before the run blocks
    #[arg(long, value_name = "N")]
    retries: Option<String>,
    /// How long a process looks for a server that it has lost
    #[arg(long, value_name = "TIME")]
    reconnect_timeout: Option<String>,
    /// Rows that may be put aside because their own data is at fault
    #[arg(long, value_name = "N")]
    max_bad_rows: Option<String>,
}

impl PaceArgs {
    /// The knobs that were given; checked beside those of the job, turned when the run is entered.
    fn knob_changes(&self, job: &Job) -> Result<Vec<(String, String)>, Failure> {
        let knobs = [
            ("mode", &self.mode),
            ("batch-time", &self.batch_time),
            ("min-rows-per-batch", &self.min_rows_per_batch),
            ("max-rows-per-batch", &self.max_rows_per_batch),
            ("max-rows-per-second", &self.max_rows_per_second),
            ("max-wal-per-second", &self.max_wal_per_second),
            ("window", &self.window),
        ];
        let given = || knobs.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?)));
        set_knobs(&mut job.pace.knobs.clone(), given()).map_err(Failure::usage)?;
        Ok(given().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    fn limit(&self, limits: &mut Limits) -> Result<(), Failure> {
        let all = [
            ("lock-timeout", &self.lock_timeout),
            ("statement-timeout", &self.statement_timeout),
            ("retries", &self.retries),
            ("reconnect_timeout", &self.reconnect_timeout),
            ("max-bad-rows", &self.max_bad_rows),
        ];
        for (name, value) in all {
            if let Some(value) = value {
                set_limit(limits, name, value).map_err(Failure::usage)?;
            }
        }
        Ok(())
    }
}

impl JobArgs {
    /// The job; `command` is who asks for it.
    pub(crate) fn job(&self, command: &str) -> Result<Job, Failure> {
        let mut job = match &self.file {
            Some(file) => from_file(file)?,
            None if self.parts.table.is_some() => from_flags(&self.parts)?,
            None => {
                let hint = format!(
                    "hint: pgbackfill {command} JOB.toml, or pgbackfill {command} --table T --set \"column = expression\""
                );
                return Err(Failure::usage(format!(
                    "there is no job to {command}: neither a file nor --table\n{hint}"
                )));
            }
        };
        self.pace.limit(&mut job.limits)?;
        Ok(job)
    }

    /// The knobs that were given beside those of the job.
    pub(crate) fn knob_changes(&self, job: &Job) -> Result<Vec<(String, String)>, Failure> {
        self.pace.knob_changes(job)
    }
}

fn refused(errors: &JobErrors) -> Failure {
    Failure::usage(errors.to_string())
}

/// The job of a file.
pub(crate) fn from_file(file: &Path) -> Result<Job, Failure> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).map_err(|error| {
        Failure::usage(format!("cannot read {shown}: {error}\nhint: {}", advice(file, &error)))
    })?;
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let name = JobName::new(&stem).map_err(|error| {
        Failure::usage(format!(
            "{error}\nhint: the file's name without .toml is the name of the job: rename {shown}"
        ))
    })?;
    Job::from_toml(name, &shown.to_string(), &text).map_err(|errors| refused(&errors))
}

/// What to do about a job file that cannot be read.
fn advice(file: &Path, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => nearby(file).map_or_else(
            || "name a job file, or write the job as --table and --set".to_owned(),
            |near| format!("did you mean {near}?"),
        ),
        io::ErrorKind::InvalidData => "a job is TOML, which is UTF-8 text".to_owned(),
        _ => "name a file that can be read".to_owned(),
    }
}

/// A job file whose name is close to one that is not there.
fn nearby(file: &Path) -> Option<String> {
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let found: Vec<String> = [dir, Path::new("jobs")]
        .iter()
        .filter_map(|dir| std::fs::read_dir(dir).ok())
        .flat_map(|entries| entries.filter_map(Result::ok))
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .map(|path| path.strip_prefix("./").unwrap_or(&path).display().to_string())
        .collect();
    let same_name =
        found.iter().find(|path| Path::new(path).file_stem() == file.file_stem()).map(String::as_str);
    let near = || did_you_mean(&file.display().to_string(), found.iter().map(String::as_str));
    same_name.or_else(near).map(str::to_owned)
}

fn from_flags(args: &PartArgs) -> Result<Job, Failure> {
    let name = args.name.as_deref().map(JobName::new).transpose();
    let parts = JobParts {
        name: name.map_err(|error| Failure::usage(format!("--name: {error}")))?,
        table: args.table.clone().unwrap_or_default(),
        key: args.key.clone(),
        set: args.set.clone(),
        filter: args.filter.clone(),
        from: args.from.clone(),
        on: args.on.clone(),
        ..JobParts::default()
    };
    Job::from_parts(parts).map_err(|errors| refused(&errors))
}
