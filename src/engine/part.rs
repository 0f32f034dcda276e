//! What the tasks of one process have in common. Each field has a file, an owner and a lock of its own, if it
//! needs one.
//!
//! Must not know: what a task does with it.

use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;
use std::time::Duration;

use super::exit::Exit;
use super::inflight::InFlight;
use super::range_strategy::RangeStrategy;
use crate::db::Primary;
use crate::event::Emitter;
use crate::job::Limits;
use crate::plan::{self, Plan};
use crate::run::RunId;
use crate::scan::Scan;
use crate::sql::settings;
use crate::store::{Claim, Hint, Run};
use crate::throttle::{Account, Counters, Reason, Team, Throttle};

/// One process's part in a run.
pub(super) struct Part {
    pub(super) facts: Facts,
    pub(super) primary: Arc<Primary>,
    pub(super) team: Arc<Team>,
    pub(super) throttle: Throttle,
    pub(super) counters: Counters,
    pub(super) account: Account,
    pub(super) strategy: RangeStrategy,
    pub(super) inflight: InFlight,
    pub(super) exit: Exit,
    pub(super) events: Emitter,
}

/// What never changes while the process takes part.
pub(super) struct Facts {
    pub(super) run: Run,
    pub(super) plan: Plan,
    pub(super) limits: Limits,
    /// Unique over all processes: host, process id and the moment of its start.
    pub(super) process: String,
    pub(super) host: String,
    pub(super) by: String,
    pub(super) max_rows: Option<NonZeroU64>,
    /// How long the proof may take that no row was missed; none: no proof.
    pub(super) proof_ms: Option<NonZeroU32>,
    /// Connections besides those of the workers.
    pub(super) connections_beside: usize,
    /// The settings of a batch's transaction but its `statement_timeout`, which follows a knob.
    pub(super) batch_settings: Vec<(String, String)>,
}

impl Part {
    /// How the leaf of a range is walked.
    pub(super) fn scan(&self, claim: &Claim) -> Scan {
        self.facts.plan.walk.leaf(claim.table.clone(), claim.order)
    }
}

impl Facts {
    pub(super) fn run_id(&self) -> RunId {
        self.run.id
    }

    /// The settings of a batch's transaction, in one statement.
    pub(super) fn settings(&self, statement_timeout: Duration) -> String {
        let timeout = statement_timeout.as_millis().to_string();
        let fixed = self.batch_settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        settings::set_all(&fixed.chain([("statement_timeout", timeout.as_str())]).collect::<Vec<_>>())
    }
}

impl Part {
    /// A batch that takes longer is too large.
    pub(super) fn statement_timeout(&self) -> Duration {
        plan::statement_timeout(self.facts.limits, self.team.batch_time().as_millis() as u32)
    }

    /// Rows that this process may still change, if that is limited.
    pub(super) fn rows_left(&self) -> Option<u64> {
        self.facts.max_rows.map(|max| max.get().saturating_sub(self.counters.rows_changed()))
    }

    /// Rows that each worker may still change, so that together they do not change many more than the process
    /// may.
    pub(super) fn rows_left_each(&self) -> Option<u64> {
        self.rows_left().map(|left| left.div_ceil(self.team.here().max(1).into()))
    }

    /// How long a worker would like to keep its range after a batch: the next batch and what it will have to
    /// wait for the ceilings.
    pub(super) fn hint(&self, worker: u32, rows: u32) -> Hint {
        let live = f64::from(self.team.here().max(1));
        let paid_s = self.team.share().rows_per_s.map_or(0.0, |per_s| f64::from(rows) * live / per_s);
        let for_s = 0.5 + 3.0 * self.team.batch_time().as_secs_f64() + 2.0 * paid_s;
        Hint { worker: format!("{}/{worker}", self.facts.process), for_s }
    }

    /// Waits for `time`, less if the run asks something else or all are to leave.
    pub(super) async fn pause(&self, time: Duration) {
        let mut changed = self.team.subscribe();
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            _ = changed.changed() => {}
            () = self.exit.token().cancelled() => {}
        }
    }

    /// A pause of a worker that a person can see.
    pub(super) async fn wait(&self, worker: u32, reason: Reason, time: Duration) {
        self.account.waits(worker, reason);
        self.pause(time).await;
        self.account.works(worker);
    }

    /// The worker has left.
    pub(super) fn gone(&self, worker: u32) {
        self.inflight.remove(worker);
        self.account.gone(worker);
    }
}
