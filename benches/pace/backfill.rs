//! A backfill that goes on for as long as it is measured: run after run of the same job.
//!
//! Must not know: what the job is.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::support::Anything;

/// Processes of `pgbackfill`, one after the other.
pub(crate) struct Backfill {
    dir: PathBuf,
    ending: Arc<AtomicBool>,
    child: Arc<Mutex<Option<Child>>>,
    thread: JoinHandle<std::io::Result<()>>,
}

/// Rows changed by moments, in seconds since 1970.
#[derive(Debug, Default)]
pub(crate) struct Rows(Vec<(f64, u64)>);

/// A run from its beginning to its end.
#[derive(Debug)]
pub(crate) struct Whole {
    /// Of the process.
    pub(crate) took_s: f64,
    pub(crate) rows: Rows,
    /// What its workers waited for the pace.
    pub(crate) throttled_s: f64,
}

impl Backfill {
    pub(crate) fn start(dir: &Path, url: &str, job: &str) -> Anything<Self> {
        let dir = emptied(dir, job)?;
        let (ending, child) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(None)));
        let (in_dir, url) = (dir.clone(), url.to_owned());
        let (ends, its_child) = (ending.clone(), child.clone());
        let thread = thread::spawn(move || again_and_again(&in_dir, &url, &ends, &its_child));
        Ok(Self { dir, ending, child, thread })
    }

    /// To the process of the moment, if there is one.
    pub(crate) fn signal(&self, signal: Signal) -> Anything<()> {
        if let Some(child) = self.child.lock().map_err(|_| "a panic")?.as_ref() {
            // It may have ended by itself.
            let _ = nix::sys::signal::kill(Pid::from_raw(child.id().cast_signed()), signal);
        }
        Ok(())
    }

    /// Ends it and gives what it did.
    pub(crate) fn stop(self) -> Anything<Rows> {
        self.ending.store(true, Ordering::SeqCst);
        self.signal(Signal::SIGTERM)?;
        self.thread.join().map_err(|_| "a panic")??;
        let mut rows = Rows::default();
        let mut files: Vec<_> =
            fs::read_dir(&self.dir)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
        files.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
        files.sort();
        for file in files {
            rows.read(&fs::read_to_string(file)?);
        }
        Ok(rows)
    }
}

pub(crate) fn once(dir: &Path, url: &str, job: &str) -> Anything<Whole> {
    let dir = emptied(dir, job)?;
    let began = Instant::now();
    let status = command(&dir, url, 0)?.status()?;
    let took_s = began.elapsed().as_secs_f64();
    if !status.success() {
        let said = fs::read_to_string(dir.join("stderr"))?;
        return Err(format!("pgbackfill ended with {status}: {said}").into());
    }
    let events = fs::read_to_string(events(&dir, 0))?;
    let mut rows = Rows::default();
    rows.read(&events);
    let left: serde_json::Value = serde_json::from_str(events.lines().last().ok_or("no event")?)?;
    let throttled_ms = left["progress"]["times"]["throttled_ms"].as_f64().ok_or("no times")?;
    Ok(Whole { took_s, rows, throttled_s: throttled_ms / 1e3 })
}

/// On the clock of the events, in seconds since 1970.
pub(crate) fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// The directory of the processes, with nothing but the job.
fn emptied(dir: &Path, job: &str) -> std::io::Result<PathBuf> {
    let dir = dir.join("run");
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir)?;
    fs::write(dir.join("pace.toml"), job)?;
    Ok(dir)
}

/// The process of this number.
fn command(dir: &Path, url: &str, number: u32) -> std::io::Result<Command> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pgbackfill"));
    command.args(["run", "pace.toml", "--output", "json", "--yes", "--new-run"]).current_dir(dir);
    command.env("DATABASE_URL", url).stdin(Stdio::null());
    command.stdout(File::create(events(dir, number))?).stderr(File::create(dir.join("stderr"))?);
    Ok(command)
}

fn events(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("{number:05}.jsonl"))
}

fn again_and_again(
    dir: &Path,
    url: &str,
    ending: &AtomicBool,
    child: &Mutex<Option<Child>>,
) -> std::io::Result<()> {
    let mut first = true;
    for number in 0.. {
        if ending.load(Ordering::SeqCst) {
            break;
        }
        let mut command = command(dir, url, number)?;
        let lock = || child.lock().map_err(|_| std::io::Error::other("a panic"));
        *lock()? = Some(command.spawn()?);
        loop {
            let ended = match lock()?.as_mut() {
                Some(child) => child.try_wait()?,
                None => None,
            };
            if let Some(status) = ended {
                let ends = ending.load(Ordering::SeqCst);
                if !status.success() && !ends {
                    let said = fs::read_to_string(dir.join("stderr"))?;
                    // A run of an earlier arm that has just been left counts as live for some seconds.
                    if !(first && said.contains("live process")) {
                        return Err(std::io::Error::other(format!("pgbackfill ended with {status}: {said}")));
                    }
                } else {
                    first = false;
                }
                break;
            }
            thread::sleep(std::time::Duration::from_millis(10));
        }
        if first {
            thread::sleep(std::time::Duration::from_millis(200));
        }
    }
    Ok(())
}

impl Rows {
    /// Adds one process's progress; each begins a run at nothing.
    fn read(&mut self, events: &str) {
        let before = self.0.last().map_or(0, |(_, rows)| *rows);
        for line in events.lines() {
            let Ok(event) = serde_json::from_str::<serde_json::Value>(line) else { continue };
            let progress = match event["event"].as_str() {
                Some("progress") => &event,
                Some("left") => &event["progress"],
                _ => continue,
            };
            let at = event["at"].as_str().and_then(|at| at.parse::<jiff::Timestamp>().ok());
            if let (Some(at), Some(rows)) = (at, progress["rows_changed"].as_u64()) {
                self.0.push((at.as_microsecond() as f64 / 1e6, before + rows));
            }
        }
    }

    /// Changed rows at a moment, between two looks in proportion.
    pub(crate) fn at(&self, moment: f64) -> f64 {
        let after = self.0.iter().position(|(at, _)| *at >= moment);
        match after {
            None => self.0.last().map_or(0.0, |(_, rows)| *rows as f64),
            Some(0) => self.0[0].1 as f64,
            Some(n) => {
                let ((t0, r0), (t1, r1)) = (self.0[n - 1], self.0[n]);
                r0 as f64 + (r1 - r0) as f64 * (moment - t0) / (t1 - t0).max(1e-6)
            }
        }
    }

    /// When the first of it was told.
    pub(crate) fn began(&self) -> f64 {
        self.0.first().map_or(0.0, |(at, _)| *at)
    }

    /// Changed rows per second from a moment to the end.
    pub(crate) fn rows_per_s(&self, from: f64) -> f64 {
        let end = self.0.last().map_or(from, |(at, _)| *at);
        (self.at(end) - self.at(from)) / (end - from).max(0.001)
    }

    /// Changed rows in one second.
    pub(crate) fn in_second(&self, second: u64) -> f64 {
        self.at(second as f64 + 1.0) - self.at(second as f64)
    }
}
