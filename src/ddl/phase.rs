//! A phase: its steps one after the other, each until the catalog says that it is done.
//!
//! Must not know: how a lock is got, how an index is built.

use std::fmt::Write as _;
use std::time::Duration;

use super::begin::{
    Maker, Prepared, Sessions, complete, definitions, look_at_columns, prepare, title, verified,
};
use super::door::{Budget, Door, Opening};
use super::error::StepError;
use super::long::{Long, whole};
use super::news::{LockTimes, StepNews, Tell};
use super::next::next;
use super::sync::Subject;
use super::target::{Next, Target};
use crate::catalog::Server;
use crate::db::{Error, Pool, sqlstate};
use crate::job::{Job, Phase, Step, StepKind};
use crate::sql::{Ident, Qualified, ddl, settings};
use crate::store::{self, StepClaim, StoredStep};

/// ANALYZE of a sample takes seconds.
const ANALYZE_MAX: Duration = Duration::from_secs(600);

/// What was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Made {
    /// Steps that were made now.
    pub made: usize,
    /// Steps that were there already.
    pub were_there: usize,
    /// What the application had to wait for all of them.
    pub times: LockTimes,
}

/// A phase that is under way.
pub(super) struct Work<'a> {
    pub(super) job: &'a Job,
    pub(super) phase: Phase,
    pub(super) maker: &'a Maker,
    pub(super) server: &'a Server,
    pub(super) target: &'a Target,
    pub(super) budget: Budget,
}

/// Makes the steps of a phase that are not there yet. A step that was cut off goes on where it was.
pub async fn make(
    pool: &Pool,
    (job, phase): (&Job, Phase),
    maker: &Maker,
    tell: Tell<'_>,
) -> Result<Made, StepError> {
    let Prepared { mut sessions, server, table, mut target, budget } = prepare(pool, job).await?;
    if phase == Phase::Contract {
        complete(&sessions.watch, (job, &target), maker).await?;
        verified(&sessions.watch, (job, &target)).await?;
    }
    let of_types: Vec<_> = numbered(job, phase).filter(|(_, step)| step.kind == StepKind::Type).collect();
    let mut made = Made::default();
    if !of_types.is_empty() {
        // Whatever follows may be of them.
        let work = Work { job, phase, maker, server: &server, target: &target, budget };
        made = work.all(&mut sessions, &of_types, &[], tell).await?;
    }
    let subject = Subject { job, table: &table, target: &target, settings: &server.settings };
    let expected = definitions(&mut sessions, (&subject, phase), (budget, &maker.stop), tell).await?;
    (target.sync, target.references) = (expected.trigger, expected.references);
    look_at_columns(&sessions.watch, job, &mut target).await?;
    let work = Work { job, phase, maker, server: &server, target: &target, budget };
    let others: Vec<_> = numbered(job, phase).filter(|(_, step)| step.kind != StepKind::Type).collect();
    made.add(work.all(&mut sessions, &others, &expected.definitions, tell).await?);
    Ok(made)
}

fn numbered(job: &Job, phase: Phase) -> impl Iterator<Item = (usize, &Step)> {
    job.steps.of(phase).iter().enumerate()
}

impl Work<'_> {
    async fn all(
        &self,
        sessions: &mut Sessions,
        steps: &[(usize, &Step)],
        expected: &[String],
        tell: Tell<'_>,
    ) -> Result<Made, StepError> {
        let of = self.job.steps.of(self.phase).len();
        let (mut made, mut analyzed) = (Made::default(), self.phase == Phase::Expand);
        let Sessions { session, watch, backend, is_pooled } = sessions;
        let mut door = Door::new(session, watch, (self.budget, *backend), &self.maker.stop);
        for &(number, step) in steps {
            if self.maker.stop.is_cancelled() {
                return Err(StepError::Stopped);
            }
            tell(&StepNews::Begins { number: number + 1, of, step });
            let asked = (number, step, expected.get(number).map_or("", String::as_str));
            let stored = self.stored(&door, step).await?;
            let is_recorded =
                stored.as_ref().is_some_and(|stored| stored.is_done && stored.definition == step.definition);
            if matches!(
                next(door.watch, (self.target, self.job.name.as_str()), asked, is_recorded).await?,
                Next::Done
            ) {
                if !is_recorded {
                    let id = self.claim(&door, step).await?;
                    // One that was begun by us and cut off is not others' work.
                    let is_theirs = stored.is_none_or(|stored| stored.is_undone || stored.adopted);
                    store::step_is_done(door.watch, id, is_theirs).await?;
                }
                made.were_there += 1;
                tell(&StepNews::WasThere);
                continue;
            }
            let id = self.claim(&door, step).await?;
            if !analyzed {
                self.analyze(&mut door, tell).await?;
                analyzed = true;
            }
            let times = self.one(&mut door, (id, *is_pooled), asked, tell).await?;
            made.made += 1;
            made.times.add(times);
            tell(&StepNews::Done(times));
        }
        Ok(made)
    }

    /// The row of a step, if it was ever begun.
    pub(super) async fn stored(&self, door: &Door<'_>, step: &Step) -> Result<Option<StoredStep>, Error> {
        let (phase, kind) = (self.phase.as_str(), step.kind.as_str());
        let steps = store::steps(door.watch, self.job.name.as_str()).await?;
        Ok(steps
            .into_iter()
            .find(|other| (&*other.phase, &*other.kind, &other.name) == (phase, kind, &step.name)))
    }

    pub(super) async fn claim(&self, door: &Door<'_>, step: &Step) -> Result<i64, StepError> {
        let table = self.target.top().name.to_string();
        let claim = StepClaim {
            job: self.job.name.as_str(),
            phase: self.phase.as_str(),
            kind: step.kind.as_str(),
            name: &step.name,
            definition: &step.definition,
            relation: self.target.top().relation,
            relation_name: &table,
            made_by: &self.maker.made_by,
        };
        // The session that works: it is there as long as its statement runs, whatever becomes of us.
        if let Some(id) = store::claim_step(door.session, &claim).await? {
            return Ok(id);
        }
        let who = self.stored(door, step).await?.map_or_else(String::new, |step| step.made_by);
        Err(StepError::InTheWay { step: title(step), who })
    }

    /// One step until the catalog has it.
    async fn one(
        &self,
        door: &mut Door<'_>,
        (id, is_pooled): (i64, bool),
        asked: (usize, &Step, &str),
        tell: Tell<'_>,
    ) -> Result<LockTimes, StepError> {
        let title = title(asked.1);
        let (mut times, mut was_run, mut told) = (LockTimes::default(), false, None);
        // What others made is not taken back.
        let mut is_ours = self.stored(door, asked.1).await?.is_some_and(|step| step.held_ms > 0.0);
        let mut failed: Option<Error> = None;
        loop {
            let is_recorded = was_run && self.stored(door, asked.1).await?.is_some_and(|step| step.is_done);
            let todo = next(door.watch, (self.target, self.job.name.as_str()), asked, is_recorded).await?;
            if asked.1.kind == StepKind::Free && was_run && !matches!(todo, Next::Done) {
                let message = format!("step `{}` was run, and its `done` does not say so", asked.1.name);
                return Err(StepError::Job { number: asked.0, message, hint: None });
            }
            was_run = true;
            if let Next::Open { opening, what } = &todo {
                is_ours = true;
                tell(&StepNews::Does(what.clone()));
                let passed = door.pass((id, &title), opening, tell).await;
                times.add(passed.map_err(|error| self.explained(error, asked))?);
                door.rested().await;
                continue;
            }
            let mut long = self.long(door, (id, &title), is_pooled);
            match todo {
                Next::Build { .. } if failed.is_some() => {
                    return Err(failed.map_or(StepError::Stopped, |failed| long.not_built(failed)));
                }
                Next::Build { index, sql } => {
                    is_ours = true;
                    failed = long.build((&index, &sql), tell).await?;
                }
                Next::Run { sql } => long.run(&sql, tell).await?,
                Next::Remove { index } => long.remove(&index, tell).await?,
                Next::Wait { builder, index } => {
                    long.while_built((builder, &index), &mut told, tell).await?;
                }
                Next::Validate { sql, undo } => {
                    let lock_timeout = self.budget.share_update_exclusive_wait();
                    let valid = long.validate(&sql, lock_timeout, tell).await;
                    let undo = is_ours.then_some(&undo);
                    self.validated(door, valid, (id, &title, undo), tell).await?;
                }
                Next::Open { .. } | Next::Done => {
                    // One that was waited for is others'.
                    store::step_is_done(door.watch, id, told.is_some() && !is_ours).await?;
                    return Ok(times);
                }
            }
        }
    }

    /// What takes its time for a step.
    pub(super) fn long<'b>(
        &'b self,
        door: &'b mut Door<'_>,
        step: (i64, &'b str),
        is_pooled: bool,
    ) -> Long<'b> {
        Long {
            session: door.session,
            watch: door.watch,
            backend: door.backend,
            server_version: self.server.version,
            is_pooled,
            step,
            stop: &self.maker.stop,
        }
    }

    /// A constraint that the rows do not keep goes again, so that the application is not held to it.
    async fn validated(
        &self,
        door: &mut Door<'_>,
        valid: Result<(), Error>,
        (id, title, undo): (i64, &str, Option<&Opening>),
        tell: Tell<'_>,
    ) -> Result<(), StepError> {
        let Err(error) = valid else { return Ok(()) };
        let Some(server) = error.server() else { return Err(error.into()) };
        if self.maker.stop.is_cancelled() {
            return Err(StepError::Stopped);
        }
        match server.sqlstate.as_str() {
            // Others change the table: it is asked again.
            sqlstate::LOCK_NOT_AVAILABLE | "40P01" => {
                tell(&StepNews::Waits("another session changes the table".to_owned()));
                Ok(())
            }
            // check_violation, not_null_violation, foreign_key_violation.
            "23514" | "23502" | "23503" => {
                let message = whole(server);
                let mut hint = "the constraint was there before, and stays as it is, NOT VALID".to_owned();
                if let Some(undo) = undo {
                    tell(&StepNews::Does("takes the constraint back, which the rows do not keep".to_owned()));
                    door.pass((id, title), undo, tell).await?;
                    "no constraint is left behind".clone_into(&mut hint);
                }
                let _ = write!(
                    hint,
                    "; look for the rows that do not keep it; those that the run has not filled: {}",
                    self.maker.run
                );
                Err(StepError::Rows { step: title.to_owned(), message, hint })
            }
            _ => Err(error.into()),
        }
    }

    /// The server's words about SQL of the job belong to its line.
    fn explained(&self, error: StepError, (number, ..): (usize, &Step, &str)) -> StepError {
        match error {
            StepError::Database(error) if is_about_the_step(&error) => {
                let message = error.server().map(whole).unwrap_or_default();
                let hint = (error.sqlstate() == Some(sqlstate::INSUFFICIENT_PRIVILEGE)).then(|| {
                    if message.contains("schema pgbackfill") {
                        let user = Ident(self.server.user.clone());
                        return format!("its owner runs GRANT CREATE ON SCHEMA pgbackfill TO {user}");
                    }
                    format!("{} is to be changed by its owner: connect as the owner", self.target.top().name)
                });
                StepError::Job { number, message, hint }
            }
            error => error,
        }
    }

    /// The application reads the new columns soon, and its plans with them.
    async fn analyze(&self, door: &mut Door<'_>, tell: Tell<'_>) -> Result<(), StepError> {
        let columns = self.job.set.iter().map(|value| Ident(self.target.now(&value.column)));
        let columns: Vec<_> = columns.filter(|column| self.target.columns.contains(&column.0)).collect();
        tell(&StepNews::Does("gathers statistics of the columns that were filled".to_owned()));
        let table: &Qualified = &self.target.top().name;
        let lock_timeout = self.budget.share_update_exclusive_wait();
        door.session.answers_within(ANALYZE_MAX + lock_timeout);
        let begin =
            format!("{}; {}", settings::statement_timeout(ANALYZE_MAX), settings::lock_timeout(lock_timeout));
        door.session.begin(&begin).await?;
        let done = door.session.batch_execute(&ddl::analyze(table, &columns)).await;
        match door.session.commit_or_rollback(done).await {
            // A vacuum of the table gathers them, too.
            Err(error) if error.server().is_some() => {
                let why = error.server().map(whole).unwrap_or_default();
                tell(&StepNews::Does(format!("has no new statistics: {why}")));
                Ok(())
            }
            ended => Ok(ended?),
        }
    }
}

/// What would fail again.
fn is_about_the_step(error: &Error) -> bool {
    error.server().is_some() && error.next_act() == crate::db::NextAct::Block
}

impl Made {
    fn add(&mut self, other: Self) {
        self.made += other.made;
        self.were_there += other.were_there;
        self.times.add(other.times);
    }
}

impl LockTimes {
    pub(super) fn add(&mut self, other: Self) {
        self.tries += other.tries;
        self.stood += other.stood;
        self.held += other.held;
    }
}
