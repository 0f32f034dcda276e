//! The last word about a run, for a person.
//!
//! Must not know: where it is shown.

use std::time::Duration;

use crate::event::{Outcome, Summary};
use crate::human::{count, counted, elapsed, one_line, percent, rate};

/// Two to four lines: what came out, what this process did, how long it stood still, and what to do next.
#[must_use]
pub fn text(summary: &Summary) -> String {
    let lines = [
        Some(headline(summary)),
        Some(work(summary)),
        halted(summary),
        times(summary),
        hint(summary).map(|hint| format!("hint: {hint}")),
    ];
    lines.into_iter().flatten().collect::<Vec<_>>().join("\n")
}

/// The first line alone.
#[must_use]
pub fn headline(summary: &Summary) -> String {
    let Summary { job, run, .. } = summary;
    let noun = summary.progress.kind.noun();
    let reason =
        summary.reason.as_ref().map(|why| format!(": {}", one_line(unrepeated(why)))).unwrap_or_default();
    let far = far(summary);
    match summary.outcome {
        Outcome::Complete => format!("complete: {job}, {noun} {run}"),
        Outcome::CompleteWithBadRows => {
            let bad = counted(summary.progress.totals.bad_rows, "row", "rows");
            format!("complete but for {bad} in quarantine: {job}, {noun} {run}")
        }
        Outcome::AlreadyComplete => format!("complete before this process came: {job}, {noun} {run}"),
        Outcome::Stopped => format!("stopped{far}: {job}, {noun} {run}{reason}"),
        Outcome::MaxRows => format!("stopped at --max-rows{far}: {job}, {noun} {run}{reason}"),
        Outcome::Cancelled => format!("cancelled{far}: {job}, {noun} {run}{reason}"),
        Outcome::Blocked => format!("blocked{far}: {job}, {noun} {run}{reason}"),
    }
}

/// The headline has said what happened; a reason that begins with it goes on from there.
fn unrepeated(reason: &str) -> &str {
    reason.strip_prefix("cancelled ").unwrap_or(reason)
}

fn far(summary: &Summary) -> String {
    let progress = &summary.progress.totals;
    percent(progress.passed(), progress.total()).map(|percent| format!(" at {percent} %")).unwrap_or_default()
}

fn work(summary: &Summary) -> String {
    let (here, kind) = (summary.rows_changed_here, summary.progress.kind);
    let whole = Duration::from_millis(summary.elapsed_ms);
    let worked_s = Duration::from_millis(summary.elapsed_ms.saturating_sub(summary.halted_ms)).as_secs_f64();
    let mut parts = vec![format!(
        "{} {} by this process in {}",
        counted(here, "row", "rows"),
        kind.counted(),
        elapsed(whole)
    )];
    parts.extend((here > 0 && worked_s > 0.0).then(|| rate(here as f64 / worked_s)));
    parts.push(counted(summary.batches_here, "batch", "batches"));
    parts.push(match summary.retries_here {
        0 => "no retries".to_owned(),
        retries => counted(retries, "retry", "retries"),
    });
    let all = summary.progress.totals.rows_changed;
    parts.extend((all > here).then(|| format!("{} by the whole run", count(all))));
    parts.join(", ")
}

fn halted(summary: &Summary) -> Option<String> {
    let halted = Duration::from_millis(summary.halted_ms);
    (halted >= Duration::from_secs(1))
        .then(|| format!("{} of it halted: paused or without a connection", elapsed(halted)))
}

fn times(summary: &Summary) -> Option<String> {
    let times = summary.progress.totals.times;
    times.was_held().then(|| format!("the workers of the whole run spent {}", times.sentence()))
}

fn hint(summary: &Summary) -> Option<String> {
    let (job, command) = (&summary.job, summary.progress.kind.command());
    match summary.outcome {
        Outcome::Complete | Outcome::AlreadyComplete => None,
        Outcome::CompleteWithBadRows => Some(format!(
            "`pgbackfill status {job}` shows the rows in quarantine; once they are mended, `pgbackfill retry` with the same job changes them"
        )),
        Outcome::Stopped | Outcome::MaxRows => {
            Some(format!("the same `{command}` again goes on from the checkpoint"))
        }
        Outcome::Cancelled => Some(format!("`pgbackfill resume {job}` lets it go on from the checkpoint")),
        Outcome::Blocked => {
            Some(format!("mend the cause; then the same `{command}` again goes on from the checkpoint"))
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::event::{Event, Progress, Told};
    use crate::run::{RunId, Totals};

    pub(in super::super) fn summary(outcome: Outcome) -> Summary {
        Summary {
            run: RunId(3),
            job: "orders_status_v2".into(),
            outcome,
            reason: None,
            rows_changed_here: 3_000_000,
            batches_here: 412,
            retries_here: 0,
            elapsed_ms: 8_520,
            halted_ms: 0,
            progress: Progress {
                totals: Totals {
                    rows_changed: 3_000_000,
                    rows_passed: 3_000_000,
                    rows_total: 3_000_000,
                    ..Totals::default()
                },
                ..Progress::default()
            },
        }
    }

    pub(in super::super) fn told(event: Event) -> Told {
        let at = jiff::Timestamp::UNIX_EPOCH;
        Told { at, database: "shop".into(), run: Some(RunId(3)), event }
    }

    #[test]
    fn a_complete_run_needs_two_lines_and_no_hint() {
        insta::assert_snapshot!(text(&summary(Outcome::Complete)), @"
        complete: orders_status_v2, run 3
        3,000,000 rows changed by this process in 8.5 s, 352.1 k rows/s, 412 batches, no retries
        ");
    }

    #[test]
    fn a_stopped_run_says_how_far_it_came_and_how_to_go_on() {
        let mut summary = summary(Outcome::Stopped);
        summary.reason = Some("SIGTERM".into());
        summary.rows_changed_here = 400_000;
        summary.retries_here = 1;
        summary.halted_ms = 4_520;
        summary.progress.totals.rows_changed = 1_200_000;
        summary.progress.totals.rows_passed = 1_260_000;
        insta::assert_snapshot!(text(&summary), @"
        stopped at 42 %: orders_status_v2, run 3: SIGTERM
        400,000 rows changed by this process in 8.5 s, 100.0 k rows/s, 412 batches, 1 retry, 1,200,000 by the whole run
        4.5 s of it halted: paused or without a connection
        hint: the same `pgbackfill run` again goes on from the checkpoint
        ");
    }

    #[test]
    fn time_that_was_halted_does_not_make_the_rate_worse() {
        let mut summary = summary(Outcome::Complete);
        summary.elapsed_ms = 3_608_520;
        summary.halted_ms = 3_600_000;
        assert!(text(&summary).contains("352.1 k rows/s"), "{}", text(&summary));
    }

    #[test]
    fn bad_rows_are_not_called_complete_without_a_but() {
        let mut summary = summary(Outcome::CompleteWithBadRows);
        summary.progress.totals.bad_rows = 7;
        insta::assert_snapshot!(text(&summary), @"
        complete but for 7 rows in quarantine: orders_status_v2, run 3
        3,000,000 rows changed by this process in 8.5 s, 352.1 k rows/s, 412 batches, no retries
        hint: `pgbackfill status orders_status_v2` shows the rows in quarantine; once they are mended, `pgbackfill retry` with the same job changes them
        ");
    }

    #[test]
    fn a_process_that_came_late_claims_nothing() {
        let mut summary = summary(Outcome::AlreadyComplete);
        (summary.rows_changed_here, summary.batches_here, summary.elapsed_ms) = (0, 0, 12);
        insta::assert_snapshot!(text(&summary), @"
        complete before this process came: orders_status_v2, run 3
        0 rows changed by this process in 12 ms, 0 batches, no retries, 3,000,000 by the whole run
        ");
    }
}
