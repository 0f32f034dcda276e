//! What ends a contract: columns that go at last, and the way back from it.
//!
//! Must not know: who was asked.

use std::time::Duration;

use super::begin::{Maker, Prepared, complete, definitions, look_at_columns, prepare, title};
use super::door::{Door, Opening};
use super::error::StepError;
use super::foreign;
use super::news::{LockTimes, StepNews, Tell};
use super::next::{next, not_null_helper};
use super::phase::{Made, Work};
use super::replace::{dependants, drop_opening, swap_back};
use super::sync::Subject;
use super::target::{Next, Target};
use crate::db::Pool;
use crate::human;
use crate::job::{Job, Phase, Step, StepKind};
use crate::sql::{Ident, LockMode, Qualified, bare, ddl};
use crate::store;

/// What each step of the contract makes, in the server's words.
async fn words(
    prepared: &mut Prepared,
    (job, maker): (&Job, &Maker),
    tell: Tell<'_>,
) -> Result<Vec<String>, StepError> {
    let Prepared { sessions, server, table, target, budget } = prepared;
    let subject = Subject { job, table, target, settings: &server.settings };
    let expected = definitions(sessions, (&subject, Phase::Contract), (*budget, &maker.stop), tell).await?;
    (target.sync, target.references) = (expected.trigger, expected.references);
    look_at_columns(&sessions.watch, job, target).await?;
    Ok(expected.definitions)
}

/// Drops the columns that the job drops at last: not before the contract is done, and has been for as long as
/// they are to be kept.
pub async fn drop_columns(pool: &Pool, job: &Job, maker: &Maker, tell: Tell<'_>) -> Result<Made, StepError> {
    let mut prepared = prepare(pool, job).await?;
    let definitions = words(&mut prepared, (job, maker), tell).await?;
    let Prepared { sessions, server, target, budget, .. } = &mut prepared;
    complete(&sessions.watch, (job, target), maker).await?;
    let work = Work { job, phase: Phase::Contract, maker, server, target, budget: *budget };
    let mut door =
        Door::new(&mut sessions.session, &sessions.watch, (*budget, sessions.backend), &maker.stop);
    may_go(&work, &door, &definitions).await?;
    let mut made = Made::default();
    let (mut going, mut ids) = (Vec::new(), Vec::new());
    for (number, step) in job.steps.drop.iter().enumerate() {
        tell(&StepNews::Begins { number: number + 1, of: job.steps.drop.len(), step });
        if !target.columns.contains(&step.name) {
            made.were_there += 1;
            tell(&StepNews::Does("is gone already".to_owned()));
            continue;
        }
        let found = dependants(&sessions.watch, target, (&step.name, job.name.as_str())).await?;
        if !found.others.is_empty() {
            return Err(StepError::TooEarly(format!(
                "column {} is still used, and nothing was dropped: {}\nhint: drop what uses it first",
                step.name,
                found.others.join(", ")
            )));
        }
        if !found.vanish.is_empty() {
            tell(&StepNews::Does(format!("with it goes: {}", found.vanish.join(", "))));
        }
        going.push(step.name.as_str());
        ids.push((work.claim(&door, step).await?, title(step)));
    }
    // All at once: what one of them needs may be what another one takes along.
    if let Some((first, title)) = ids.first() {
        let opening = drop_opening(target, &going, job.name.as_str());
        let times = door.pass((*first, title), &opening, tell).await?;
        for (id, _) in &ids {
            store::step_is_done(door.watch, *id, false).await?;
        }
        door.rested().await;
        made.made += ids.len();
        made.times.add(times);
        tell(&StepNews::Done(times));
    }
    Ok(made)
}

/// Whether the contract is done, and has been for long enough.
async fn may_go(work: &Work<'_>, door: &Door<'_>, definitions: &[String]) -> Result<(), StepError> {
    let Work { job, target, .. } = work;
    let mut youngest: Option<f64> = None;
    for (number, (step, expected)) in job.steps.contract.iter().zip(definitions).enumerate() {
        let stored = work.stored(door, step).await?;
        let is_recorded = stored.as_ref().is_some_and(|stored| stored.is_done);
        let asked = (number, step, expected.as_str());
        let todo = next(door.watch, (target, job.name.as_str()), asked, is_recorded).await?;
        if !matches!(todo, Next::Done) {
            return Err(StepError::TooEarly(format!(
                "{} is not made yet, so nothing is dropped\nhint: pgbackfill contract {} comes first",
                title(step),
                job.name
            )));
        }
        let done = stored.and_then(|stored| stored.done_s_ago);
        youngest = [youngest, done].into_iter().flatten().reduce(f64::min);
    }
    if job.steps.contract.is_empty() {
        youngest = store::run_in_state_s(door.watch, job.name.as_str()).await?;
    }
    let keep = Duration::from_secs(job.steps.keep_s);
    let since = Duration::from_secs_f64(youngest.unwrap_or(f64::MAX / 2.0).clamp(0.0, 1e12));
    if since < keep {
        return Err(StepError::TooEarly(format!(
            "the contract is done for {}, and the columns are kept for {}, so nothing is dropped\n\
             hint: keep = \"…\" in [contract] changes that",
            human::duration(since),
            human::duration(keep)
        )));
    }
    Ok(())
}

/// Takes back what `contract` has made, the last first. What was there before it stays.
pub async fn undo_contract(pool: &Pool, job: &Job, maker: &Maker, tell: Tell<'_>) -> Result<Made, StepError> {
    let mut prepared = prepare(pool, job).await?;
    if prepared.target.is_old_gone {
        let message = "the old column was dropped, so there is no way back, and nothing was changed";
        return Err(StepError::TooEarly(message.to_owned()));
    }
    let leads_back = job.steps.sync.as_ref().is_none_or(|sync| !sync.back.is_empty());
    if !prepared.target.replaced.is_empty() && !leads_back {
        let message = "what was written since the names were swapped is in the new column only, and would be lost from sight: nothing was changed";
        let hint =
            "with sync.back the old column is kept in step; else fill it first, and swap the names by hand";
        return Err(StepError::TooEarly(format!("{message}\nhint: {hint}")));
    }
    let mut made = Made::default();
    let steps = &job.steps.contract;
    for (number, step) in steps.iter().enumerate().rev() {
        if maker.stop.is_cancelled() {
            return Err(StepError::Stopped);
        }
        tell(&StepNews::Begins { number: steps.len() - number, of: steps.len(), step });
        // With names that were swapped back the server says other words.
        let definitions = words(&mut prepared, (job, maker), tell).await?;
        let Prepared { sessions, server, target, budget, .. } = &mut prepared;
        let asked = (number, step, definitions[number].as_str());
        let work = Work { job, phase: Phase::Contract, maker, server, target, budget: *budget };
        let mut door =
            Door::new(&mut sessions.session, &sessions.watch, (*budget, sessions.backend), &maker.stop);
        let Some(stored) = work.stored(&door, step).await?.filter(|stored| !stored.is_undone) else {
            tell(&StepNews::Does("was not made".to_owned()));
            continue;
        };
        if stored.adopted {
            tell(&StepNews::Does("was there before, and stays".to_owned()));
            continue;
        }
        let id = work.claim(&door, step).await?;
        let todo = next(door.watch, (target, job.name.as_str()), asked, stored.is_done).await?;
        let times = if has_nothing(&todo, step, target) {
            LockTimes::default()
        } else {
            take_back(&work, &mut door, (id, step, sessions.is_pooled), tell).await?
        };
        store::step_is_undone(door.watch, id).await?;
        door.rested().await;
        made.made += 1;
        made.times.add(times);
        tell(&StepNews::Done(times));
        look_at_columns(&sessions.watch, job, target).await?;
    }
    Ok(made)
}

/// Whether nothing of a step is there. What is left of one that was cut off, on either way, is taken back.
fn has_nothing(todo: &Next, step: &Step, target: &Target) -> bool {
    let is_made_in_parts = match step.kind {
        StepKind::NotNull => true,
        StepKind::Index | StepKind::UniqueIndex => target.top().is_partitioned,
        _ => false,
    };
    matches!(todo, Next::Build { .. } | Next::Open { .. }) && !is_made_in_parts
}

/// One step, made undone.
async fn take_back(
    work: &Work<'_>,
    door: &mut Door<'_>,
    (id, step, is_pooled): (i64, &Step, bool),
    tell: Tell<'_>,
) -> Result<LockTimes, StepError> {
    let (target, title) = (work.target, title(step));
    if let Some(opening) = opening_back(target, step) {
        return door.pass((id, &title), &opening, tell).await;
    }
    let mut long = work.long(door, (id, &title), is_pooled);
    match (step.kind, &step.free) {
        (StepKind::Index | StepKind::UniqueIndex, _) => {
            let index =
                Qualified { schema: target.top().name.schema.clone(), name: Ident(step.name.clone()) };
            long.remove(&index, tell).await?;
        }
        (StepKind::Free, Some(free)) => match &free.undo {
            Some(undo) => long.run(bare(undo), tell).await?,
            None => tell(&StepNews::Does("has no way back, and stays".to_owned())),
        },
        _ => {}
    }
    Ok(LockTimes::default())
}

/// The change of the catalog that takes a step back, if it is one.
fn opening_back(target: &Target, step: &Step) -> Option<Opening> {
    let table = &target.top().name;
    let name = Ident(step.name.clone());
    match (step.kind, &step.free) {
        (StepKind::Replace, _) => Some(swap_back(target, step)),
        (StepKind::NotNull, _) => {
            let column = Ident(target.now(&step.name));
            let helper = ddl::drop_constraint_if_exists(table, &not_null_helper(step));
            Some(target.open_all(vec![ddl::drop_not_null(table, &column), helper], false))
        }
        (StepKind::Check, _) => Some(target.open_all(vec![ddl::drop_constraint(table, &name)], false)),
        (StepKind::ForeignKey, _) => foreign::take_back(target, step),
        (StepKind::Index | StepKind::UniqueIndex, _) if target.top().is_partitioned => {
            let index = Qualified { schema: table.schema.clone(), name };
            Some(target.open_all(vec![ddl::drop_whole_index(&index)], false))
        }
        (StepKind::Free, Some(free)) if !free.concurrently => free.undo.as_ref().map(|undo| Opening {
            tables: Vec::new(),
            relations: target.nodes.iter().map(|node| node.relation).collect(),
            mode: LockMode::AccessExclusive,
            statements: vec![bare(undo).to_owned()],
            is_last: false,
        }),
        _ => None,
    }
}
