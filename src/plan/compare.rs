//! What a verification compares: which rows it judges, and which columns have a value that can be computed
//! once more.
//!
//! Must not know: batches, what becomes of a row that differs.

use super::order::{differs, is_understood, is_volatile, reads_target};
use super::{Code, Ordering, Plan, Refusal, check};
use crate::catalog::Column;
use crate::change::{Change, Verify};
use crate::db::{Error, Session};
use crate::job::{Diagnostic, Job, Part};
use crate::run::RunKind;
use crate::scan::{LeafOrder, Scan};

/// What a predicate reads, besides other tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reads {
    /// A column that the change sets.
    targets: bool,
    /// Anything else.
    others: bool,
}

/// Decides, and makes a verification of the plan. `without_key` is why the table has no key, if it has none.
pub(super) async fn decide(
    session: &mut Session,
    job: &Job,
    plan: &mut Plan,
    columns: &[Column],
    without_key: Option<Diagnostic>,
) -> Result<(), Refusal> {
    if let Some(refused) = without_key {
        return Err(vec![refuse_without_key(job, &refused)].into());
    }
    let Change::Update(update) = plan.change.clone() else { return Ok(()) };
    let checks = job.verify.checks.iter().map(|check| (check.name.clone(), check.condition.clone()));
    let mut verify = Verify {
        of: update,
        judged: job.verify.rows.clone(),
        unfilled: None,
        columns: vec![],
        checks: checks.collect(),
    };
    plan.change = Change::Verify(verify.clone());
    // The texts have to be right before they are asked about.
    check(session, job, plan).await?;
    // Of a partitioned table ONLY has no rows, and the planner would not look any further.
    let leaf = plan.leaves.first().map_or(&plan.table.name, |leaf| &leaf.name);
    let scan = plan.walk.leaf(leaf.clone(), LeafOrder::Keys);
    if let Some(filter) = &job.filter {
        let reads = reads(session, plan, &scan, filter).await?;
        if reads.targets {
            verify.unfilled = Some(filter.clone());
        }
        match (&job.verify.rows, reads.targets) {
            (None, true) if reads.others => return Err(vec![say_which_rows(job)].into()),
            (None, false) => verify.judged = Some(filter.clone()),
            _ => {}
        }
    }
    let mut left_out = Vec::new();
    for value in &verify.of.set {
        let (column, expression) = value;
        if job.verify.columns.as_ref().is_some_and(|columns| !columns.contains(&column.0)) {
            continue;
        }
        if is_volatile(session, plan, &scan, expression).await? {
            left_out.push(format!("{column} has another value each time"));
        } else if reads_target(session, plan, &scan, expression).await? {
            left_out.push(format!("{column} is made of what the change sets"));
        } else if is_understood(session, &plan.change.constant(&scan, expression)).await? {
            left_out.push(format!("{column} gets the same value in each row, and others may be as right"));
        } else {
            verify.columns.push((column.clone(), differs(value, &plan.walk.alias, columns)));
        }
    }
    if verify.compared().is_empty() {
        return Err(vec![nothing_to_compare(job, &left_out)].into());
    }
    plan.left_out = left_out;
    plan.ordering = Ordering::of_key(true);
    plan.change = Change::Verify(verify);
    Ok(())
}

/// What a run of this kind does to the rows.
pub(super) fn change(compared: Change, kind: RunKind) -> Change {
    match (compared, kind) {
        (Change::Verify(verify), RunKind::Repair) => Change::Update(verify.repair()),
        (compared, _) => compared,
    }
}

async fn reads(session: &mut Session, plan: &Plan, scan: &Scan, filter: &str) -> Result<Reads, Error> {
    let targets = reads_target(session, plan, scan, filter).await?;
    let others = !is_understood(session, &plan.change.of_targets(scan, filter)).await?;
    Ok(Reads { targets, others })
}

fn refuse_without_key(job: &Job, refused: &Diagnostic) -> Diagnostic {
    let message = format!("its rows cannot be verified one by one: {}", refused.message());
    let hint = "a row that is updated moves, and could be missed; CREATE UNIQUE INDEX CONCURRENTLY on NOT NULL columns makes a key".to_owned();
    job.diagnose(Part::Table, message, Some(hint)).coded(Code::NoUsableIndex.as_str())
}

fn say_which_rows(job: &Job) -> Diagnostic {
    let message =
        "`where` reads what the job sets, and more: it is not known which rows the job is about, done or not"
            .to_owned();
    let hint = "say so: rows = \"kind = 'a'\" under [verify], or rows = \"true\" for all rows of the table"
        .to_owned();
    job.diagnose(Part::Where, message, Some(hint))
}

fn nothing_to_compare(job: &Job, left_out: &[String]) -> Diagnostic {
    let why =
        if left_out.is_empty() { "`columns` leaves all of them out".to_owned() } else { left_out.join("; ") };
    let message = format!("there is nothing to compare: {why}");
    let hint = "say what has to hold for each row: check.<name> = \"a condition\" under [verify]".to_owned();
    job.diagnose(Part::Table, message, Some(hint))
}
