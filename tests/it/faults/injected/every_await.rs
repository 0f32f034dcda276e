//! Whatever a process waits for, something befalls it there: it is killed, frozen until all its timeouts are
//! over, or the task that makes a request panics.
//!
//! A runtime of one thread has nothing ready exactly when each of its tasks waits at an await, and calls a
//! hook then. Each such moment is visited, so no await can be forgotten, and a new one is visited from the
//! day on which it is written. A process of its own plays the engine: this program once more, with nothing
//! but [`a_process_of_its_own`].
//!
//! Must not know: what must hold afterwards.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio, exit};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{env, fmt, fs};

use log::{LevelFilter, Log, Metadata, Record};
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::time;

use super::expected::Expected;
use super::schedule::{Case, What};
use super::test_bed::{self, Ended, TestBed};
use super::work::Work;

/// What befalls the process of its own, and when: its presence makes a process one.
const PLAN: &str = "PGBACKFILL_TEST_MISHAP";
const URL: &str = "PGBACKFILL_TEST_URL";
const WORK: &str = "PGBACKFILL_TEST_WORK";
const NAME: &str = concat!(module_path!(), "::a_process_of_its_own");
/// Longer than anything of a frozen process is waited for: its transactions, its connections, its claims.
const FROZEN: Duration = Duration::from_secs(7);
/// Longer than it waits for an answer itself, so that it finds its own deadline over; every few times.
const FROZEN_LONGER: Duration = Duration::from_secs(14);
const LONGER_EVERY: usize = 4;
const COUNTS: usize = 3;
/// How a process ends in which nobody noticed a panic.
const PASSED_OVER: i32 = 42;
/// How one ends that failed before it came to the panic.
const FAILED_BEFORE: i32 = 43;
/// How one ends that did not bear it: Rust's own.
const PANICKED: i32 = 101;
/// Whoever needs longer hangs.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mishap {
    /// SIGKILL while everything waits.
    Kill,
    /// SIGSTOP while everything waits; when others have done its work, SIGCONT.
    Freeze,
    /// A panic in a task that makes a request.
    Panic,
}

impl fmt::Display for Mishap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kill => "SIGKILL at an await",
            Self::Freeze => "SIGSTOP at an await",
            Self::Panic => "panic at a request",
        })
    }
}

/// How many moments of each sort there are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moments {
    pub(super) awaits: usize,
    pub(super) requests: usize,
}

/// All cases of each mishap.
pub(super) fn cases(work: Work, moments: Moments) -> Vec<Vec<Case>> {
    let of = |mishap, moments| (1..=moments).map(|at| Case { work, what: What::Await(mishap, at) }).collect();
    vec![
        of(Mishap::Kill, moments.awaits),
        of(Mishap::Freeze, moments.awaits),
        of(Mishap::Panic, moments.requests),
    ]
}

/// Counts them when nothing befalls it: the fewest of some times, because how often all wait is a matter of
/// time.
pub(super) async fn count(bed: &TestBed) -> Moments {
    let mut fewest = count_once(bed).await;
    for _ in 1..COUNTS {
        let Moments { awaits, requests } = count_once(bed).await;
        fewest = Moments { awaits: fewest.awaits.min(awaits), requests: fewest.requests.min(requests) };
    }
    fewest
}

async fn count_once(bed: &TestBed) -> Moments {
    bed.reset().await;
    let output = process(bed, "count 0").wait_with_output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let number = |name: &str| {
        let (_, rest) = said.split_once(name).unwrap_or_else(|| panic!("no {name} in {said}"));
        rest.split_whitespace().next().unwrap().parse().unwrap()
    };
    Moments { awaits: number("awaits:"), requests: number("requests:") }
}

/// Whether it came to it; another process does what is left.
pub(super) async fn inject(bed: &TestBed, mishap: Mishap, at: usize) -> bool {
    let plan = match mishap {
        Mishap::Kill => format!("kill {at}"),
        Mishap::Freeze => format!("freeze {at}"),
        Mishap::Panic => format!("panic {at}"),
    };
    let mut child = process(bed, &plan);
    let url = bed.direct_url();
    let (met, others) = if mishap == Mishap::Freeze {
        let met = is_stopped(&mut child).await;
        let since = Instant::now();
        let others = bed.complete(&url).await;
        if met {
            let frozen = if at.is_multiple_of(LONGER_EVERY) { FROZEN_LONGER } else { FROZEN };
            time::sleep(frozen.saturating_sub(since.elapsed())).await;
            let pid = child.id().expect("nobody has waited for it");
            signal::kill(Pid::from_raw(pid.cast_signed()), Signal::SIGCONT).unwrap();
        }
        // It finds that all is done, or that it has lost its connection.
        ended(&mut child).await;
        (met, others)
    } else {
        let status = ended(&mut child).await;
        let met = match mishap {
            Mishap::Kill => status.signal() == Some(Signal::SIGKILL as i32),
            _ => status.code() == Some(PANICKED),
        };
        assert!(met || status.success(), "it ended otherwise: {status}");
        (met, bed.complete(&url).await)
    };
    bed.judge().await;
    // Whatever has happened to the first, the next one has nothing to complain of, but that a frozen one
    // holds a row.
    let others: Vec<_> =
        others.into_iter().filter(|other| mishap != Mishap::Freeze || !other.was_held_up()).collect();
    Expected::Alone.assert(&others, bed.blocked().await);
    met
}

fn process(bed: &TestBed, plan: &str) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", NAME.split_once("::").expect("a crate and its module").1, "--nocapture"])
        // Nobody reads where it panics, and finding out takes longer than all the rest.
        .env("RUST_BACKTRACE", "0")
        .envs([(PLAN, plan), (URL, &bed.direct_url()), (WORK, &bed.work().to_string())])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// Waits for its end.
async fn ended(child: &mut Child) -> ExitStatus {
    let ended = time::timeout(PATIENCE, child.wait()).await;
    let status = ended.unwrap_or_else(|_| panic!("it does not end")).unwrap();
    assert_ne!(status.code(), Some(PASSED_OVER), "it went on with a part of it missing");
    status
}

/// Waits until it stands still; false if it has ended instead.
async fn is_stopped(child: &mut Child) -> bool {
    loop {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        let status = child.id().and_then(|pid| fs::read_to_string(format!("/proc/{pid}/stat")).ok());
        // The state follows the name, which is in parentheses.
        if status.is_some_and(|status| status.rsplit(')').next().is_some_and(|rest| rest.starts_with(" T"))) {
            return true;
        }
        time::sleep(Duration::from_millis(5)).await;
    }
}

/// The driver logs each request in the task that makes it.
struct Requests {
    made: AtomicUsize,
    panic_at: usize,
}

impl Log for Requests {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("tokio_postgres")
    }

    fn log(&self, record: &Record<'_>) {
        let is_request =
            self.enabled(record.metadata()) && record.args().to_string().starts_with("executing");
        if is_request {
            let made = self.made.fetch_add(1, Ordering::SeqCst) + 1;
            assert!(made != self.panic_at, "on purpose");
        }
    }

    fn flush(&self) {}
}

/// Not a test but one process at the run, when it is told to be.
#[test]
fn a_process_of_its_own() {
    let Ok(plan) = env::var(PLAN) else { return };
    let (what, at) = plan.split_once(' ').unwrap();
    let at: usize = at.parse().unwrap();
    let signal = match what {
        "kill" => Some(Signal::SIGKILL),
        "freeze" => Some(Signal::SIGSTOP),
        _ => None,
    };
    let panic_at = if what == "panic" { at } else { 0 };
    let requests: &'static Requests = Box::leak(Box::new(Requests { made: AtomicUsize::new(0), panic_at }));
    log::set_logger(requests).unwrap();
    log::set_max_level(LevelFilter::Debug);
    let awaits = Arc::new(AtomicUsize::new(0));
    let counted = awaits.clone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_park(move || {
            let is_it = counted.fetch_add(1, Ordering::SeqCst) + 1 == at;
            if let Some(signal) = signal.filter(|_| is_it) {
                signal::raise(signal).unwrap();
            }
        })
        .build()
        .unwrap();
    let name = env::var(WORK).unwrap();
    let work = Work::ALL.into_iter().find(|work| work.to_string() == name).unwrap();
    let ended = runtime.block_on(test_bed::process(work, &env::var(URL).unwrap()));
    let made = requests.made.load(Ordering::SeqCst);
    println!("awaits:{} requests:{made}", awaits.load(Ordering::SeqCst));
    if ended == Ended::Complete && panic_at > 0 && made >= panic_at {
        exit(PASSED_OVER);
    }
    if ended != Ended::Complete && made < panic_at {
        exit(FAILED_BEFORE);
    }
    assert_eq!(ended, Ended::Complete);
}
