//! What a verification compares: which rows it judges, and which columns have a value that can be computed
//! once more.
//!
//! Must not know: batches, what becomes of a row that differs.

use super::order::{differs, is_understood, is_volatile, reads_target};
use super::{Code, Ordering, Plan, Refusal, check, undo};
use crate::change::{Change, Verify};
use crate::db::{Error, Session};
use crate::job::{Diagnostic, Job, Part};
use crate::run::RunKind;
use crate::scan::{LeafOrder, Scan};
use crate::sql::Ident;

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
    kind: RunKind,
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
        written: None,
    };
    plan.change = Change::Verify(Box::new(verify.clone()));
    // The texts have to be right before they are asked about.
    check(session, job, plan).await?;
    // Of a partitioned table ONLY has no rows, and the planner would not look any further.
    let leaf = plan.leaves.first().map_or(&plan.table.name, |leaf| &leaf.name);
    let scan = plan.walk.leaf(leaf.clone(), LeafOrder::Keys);
    let LeftOut { mut left_out, in_place } = which_columns(session, job, plan, &scan, &mut verify).await?;
    let made_of_itself: Vec<_> = in_place.iter().map(|(column, _)| column.clone()).collect();
    let mut in_place: Vec<_> = in_place.into_iter().map(|(_, why)| why).collect();
    if kind == RunKind::Repair && !in_place.is_empty() {
        // Once more it would be changed twice.
        return Err(vec![nothing_to_repair(job, &in_place)].into());
    }
    which_rows(session, job, plan, (&scan, &made_of_itself), &mut verify).await?;
    // What the run has written is compared with what is there.
    if kind == RunKind::Verify && !in_place.is_empty() {
        let alias = plan.walk.alias.clone();
        verify.written = undo::kept(session, job, plan, alias).await?;
        if verify.written.is_some() {
            // Each row of the run, whatever `where` would say of it by now.
            verify.judged.clone_from(&job.verify.rows);
        }
    }
    if verify.written.is_none() {
        left_out.append(&mut in_place);
    }
    if kind == RunKind::Repair && verify.unfilled.is_none() && verify.columns.is_empty() {
        return Err(vec![nothing_to_repair(job, &left_out)].into());
    }
    if verify.compared().is_empty() {
        return Err(vec![nothing_to_compare(job, &left_out)].into());
    }
    plan.left_out = left_out;
    plan.ordering = Ordering::of_key(true);
    plan.change = Change::Verify(Box::new(verify));
    Ok(())
}

/// Which rows are judged, and whether one that the job still selects is wrong.
async fn which_rows(
    session: &mut Session,
    job: &Job,
    plan: &Plan,
    (scan, made_of_itself): (&Scan, &[Ident]),
    verify: &mut Verify,
) -> Result<(), Refusal> {
    if let Some(filter) = &job.filter {
        let reads = reads(session, plan, scan, filter).await?;
        // A predicate on what is made of itself may hold again after it was changed.
        let without = plan.change.without(scan, filter, &plan.column_names(), made_of_itself);
        if reads.targets && is_understood(session, &without).await? {
            verify.unfilled = Some(filter.clone());
        }
        match (&job.verify.rows, reads.targets) {
            (None, true) if reads.others => return Err(vec![say_which_rows(job)].into()),
            (None, false) => verify.judged = Some(filter.clone()),
            _ => {}
        }
    }
    Ok(())
}

/// Columns that are not compared with what `set` gives, and why.
struct LeftOut {
    left_out: Vec<String>,
    /// What they were made of is not there any more.
    in_place: Vec<(Ident, String)>,
}

/// Which columns can be computed once more.
async fn which_columns(
    session: &mut Session,
    job: &Job,
    plan: &Plan,
    scan: &Scan,
    verify: &mut Verify,
) -> Result<LeftOut, Error> {
    let columns = plan.columns.clone();
    let (mut left_out, mut in_place) = (Vec::new(), Vec::new());
    for value in &verify.of.set {
        let (column, expression) = value;
        if job.verify.columns.as_ref().is_some_and(|columns| !columns.contains(&column.0)) {
            continue;
        }
        if is_volatile(session, plan, scan, expression).await? {
            left_out.push(format!("{column} has another value each time"));
        } else if reads_target(session, plan, scan, expression).await? {
            in_place.push((column.clone(), format!("{column} is made of what the change sets")));
        } else if is_understood(session, &plan.change.constant(scan, expression)).await? {
            left_out.push(format!("{column} gets the same value in each row, and others may be as right"));
        } else {
            verify.columns.push((column.clone(), differs(value, &plan.walk.alias, &columns)));
        }
    }
    Ok(LeftOut { left_out, in_place })
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

fn nothing_to_repair(job: &Job, left_out: &[String]) -> Diagnostic {
    let message = format!("what differs cannot be set once more: {}", left_out.join("; "));
    let hint = "change the rows by hand; where the values are kept, pgbackfill undo puts back what was there"
        .to_owned();
    job.diagnose(Part::Table, message, Some(hint))
}

fn nothing_to_compare(job: &Job, left_out: &[String]) -> Diagnostic {
    let why =
        if left_out.is_empty() { "`columns` leaves all of them out".to_owned() } else { left_out.join("; ") };
    let message = format!("there is nothing to compare: {why}");
    let hint = "say what has to hold for each row: check.<name> = \"a condition\" under [verify]".to_owned();
    job.diagnose(Part::Table, message, Some(hint))
}
