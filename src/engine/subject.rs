//! Whether a stored run is the one that a job would make, and which run another one is about.
//!
//! Must not know: how a run is entered.

use similar::TextDiff;

use super::EngineError;
use crate::catalog::Server;
use crate::db::Session;
use crate::job::{Job, JobName};
use crate::plan::Plan;
use crate::run::{RunKind, RunState};
use crate::store::{self, Later, Run, StoreError};

/// Why the stored run is not the one that this job would make.
pub(super) fn differs(run: &Run, job: &Job, plan: &Plan, server: &Server) -> Option<String> {
    let what = if run.fingerprint != job.fingerprint() {
        let diff = TextDiff::from_lines(&run.definition, job.definition())
            .unified_diff()
            .header("as it was started", "as it is now")
            .to_string();
        return Some(format!(
            "job \"{}\" is not the one that run {} was started with; it would change other rows or change them otherwise\n\n{diff}\n\
             hint: put the old text back to go on, or start over with --new-run; only [pace], [limits], [order], [guard] and description may differ",
            run.job, run.id
        ));
    } else if run.system_identifier != server.system_identifier {
        "was started on another server; this is a copy of its database".to_owned()
    } else if run.target != plan.table.relation {
        format!(
            "was started on another table of the name {}: it was renamed, or dropped and created again",
            run.target_name
        )
    } else if run.key != plan.key {
        "was started with another key: its columns, their types or their collations changed since".to_owned()
    } else if run.protocol != store::PROTOCOL {
        format!(
            "was started by a pgbackfill that speaks protocol {}, this one speaks {}",
            run.protocol,
            store::PROTOCOL
        )
    } else {
        return None;
    };
    Some(format!(
        "run {} of job \"{}\" {what}\nhint: --new-run starts over from the beginning",
        run.id, run.job
    ))
}

/// The run that a verification, a repair or an undo is about.
pub(super) async fn subject(
    session: &Session,
    job: &Job,
    plan: &Plan,
    server: &Server,
    kind: RunKind,
) -> Result<Option<Run>, EngineError> {
    let name = job.name.as_str();
    if kind == RunKind::Backfill {
        return Ok(None);
    }
    let run = store::latest(session, name, RunKind::Backfill).await?;
    let run = run.ok_or_else(|| EngineError::Store(StoreError::NoRun(name.to_owned())))?;
    if let Some(why) = differs(&run, job, plan, server) {
        return Err(EngineError::InTheWay(why));
    }
    if kind == RunKind::Undo {
        return may_be_undone(session, &run).await.map(|()| Some(run));
    }
    if store::is_undone(session, run.id).await? {
        let what = format!("run {} of job \"{name}\" was undone: there is nothing to verify", run.id);
        return Err(EngineError::NotNow(format!(
            "{what}\nhint: pgbackfill run with --new-run runs it again"
        )));
    }
    if run.state != RunState::Complete {
        let what = format!(
            "run {} of job \"{name}\" is {}: its rows can be verified once it is complete",
            run.id, run.state
        );
        return Err(EngineError::NotNow(format!(
            "{what}\nhint: pgbackfill status {name} shows where it stands"
        )));
    }
    if kind == RunKind::Verify {
        return Ok(Some(run));
    }
    let found = store::verification(session, name, None).await?;
    let verified = store::latest(session, name, RunKind::Verify).await?;
    match (found, verified) {
        (Some(found), Some(run)) if found.run == run.id && !found.verified => Ok(Some(run)),
        (Some(found), Some(run)) if found.run == run.id => Err(EngineError::NotNow(format!(
            "there is nothing to repair: verification {} of job \"{name}\" has found no row that differs",
            found.run
        ))),
        _ => Err(EngineError::NotNow(format!(
            "there is no verification of job \"{name}\" that has ended: which rows differ is not known\n\
             hint: pgbackfill verify {name} comes first"
        ))),
    }
}

/// What is still changed, or was changed further, is not put back.
async fn may_be_undone(session: &Session, run: &Run) -> Result<(), EngineError> {
    let Run { id, job, state, .. } = run;
    if !matches!(state, RunState::Complete | RunState::Cancelled) {
        let hint = format!("pgbackfill cancel {job} ends it; then what it has done can be undone");
        return Err(EngineError::NotNow(format!("run {id} of job \"{job}\" is {state}\nhint: {hint}")));
    }
    for later in store::later_backfills(session, *id, run.target).await? {
        if builds_upon(&later, run) {
            return Err(EngineError::NotNow(format!(
                "run {} of job \"{}\" came after run {id} and uses what it has written\nhint: undo that one first",
                later.run, later.job
            )));
        }
    }
    Ok(())
}

/// Whether a later run has set a column that this one has set, or says its name anywhere.
fn builds_upon(later: &Later, run: &Run) -> bool {
    let job = |name: &str, text: &str| Job::from_toml(JobName::new(name).ok()?, "stored", text).ok();
    let (Some(later), Some(this)) = (job(&later.job, &later.job_text), job(&run.job, &run.job_text)) else {
        // What cannot be read may be anything.
        return true;
    };
    let texts: Vec<_> = later
        .set
        .iter()
        .flat_map(|value| [value.column.as_str(), value.expression.as_str()])
        .chain(later.filter.as_deref())
        .chain(later.lookup.iter().flat_map(|lookup| [lookup.from.as_str(), lookup.on.as_str()]))
        .collect();
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    this.set.iter().any(|value| {
        texts
            .iter()
            .any(|text| text.split(|c| !is_word(c)).any(|word| word.eq_ignore_ascii_case(&value.column)))
    })
}
