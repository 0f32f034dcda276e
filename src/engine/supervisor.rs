//! The workers of a process: as many as wanted, until the first has a reason for all to leave.
//!
//! Must not know: what a worker does.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};

use super::EngineError;
use super::exit::End;
use super::part::Part;
use super::worker;
use crate::db::{Canceller, Elsewhere};
use crate::event::Outcome;
use crate::run::RunState;
use crate::store::Assignment;

/// What has taken the server's connections may be gone after so long.
const TRY_MORE_AFTER: Duration = Duration::from_secs(60);
/// After a wish to stop, batches have this long to end by themselves before they are cancelled.
const GRACE: Duration = Duration::from_secs(1);

/// Why the workers left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) outcome: Outcome,
    pub(super) reason: Option<String>,
    /// The run goes on, on another server: what has happened.
    pub(super) moved: Option<String>,
}

/// Never, if there is no such time.
async fn reached(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}

/// Keeps the workers of a process.
pub(super) struct Supervisor {
    part: Arc<Part>,
    tasks: JoinSet<(u32, End)>,
    live: BTreeSet<u32>,
    /// Kept from the start, so that no change between two looks is missed.
    assignment: watch::Receiver<Assignment>,
    /// The reason for all to leave, once there is one.
    ended: Option<End>,
    /// Once the server had too few connections.
    limit: Option<ConnectionLimit>,
    /// What was said of it last.
    limit_told: Option<usize>,
    refused: watch::Receiver<u64>,
}

/// How many workers the server had connections for.
#[derive(Clone, Copy, Debug)]
struct ConnectionLimit {
    workers: usize,
    /// Then, or when the run asks something else, more are tried.
    until: Instant,
}

/// One thing that happened.
enum Fact {
    Ended(Result<(u32, End), JoinError>),
    Assignment,
    Stopping,
    GraceOver,
    /// A task beside the workers has no connection.
    ConnectionRefused,
    TryMore,
}

impl Supervisor {
    pub(super) fn new(part: Arc<Part>) -> Self {
        let (assignment, refused) = (part.team.subscribe(), part.primary.refused());
        Self {
            part,
            tasks: JoinSet::new(),
            live: BTreeSet::new(),
            assignment,
            ended: None,
            limit: None,
            limit_told: None,
            refused,
        }
    }

    pub(super) async fn run(mut self) -> Result<Left, EngineError> {
        loop {
            self.spawn_missing();
            if self.tasks.is_empty() {
                return self.left();
            }
            let fact = self.next_fact().await;
            self.handle(fact).await?;
        }
    }

    /// Starts the workers that are missing. Those that are too many see it themselves.
    fn spawn_missing(&mut self) {
        let leaving = self.ended.is_some() || self.part.exit.is_leaving();
        let wanted = if leaving { 0 } else { self.part.team.wanted() };
        let limit = self.limit.map_or(u32::MAX, |limit| limit.workers as u32);
        // The workers that are started below look at it.
        self.part.team.count(self.live.len() as u32, limit);
        for index in 0..wanted {
            let has_connection = self.live.len() < limit as usize;
            if has_connection && self.live.insert(index) {
                let part = self.part.clone();
                self.tasks.spawn(async move { (index, worker::work(part, index).await) });
            }
        }
        self.part.team.count(self.live.len() as u32, limit);
    }

    async fn next_fact(&mut self) -> Fact {
        let exit = &self.part.exit;
        let stopping = exit.is_stopping();
        let try_more = self.limit.map(|limit| limit.until);
        tokio::select! {
            _ = self.refused.changed() => Fact::ConnectionRefused,
            () = reached(try_more) => Fact::TryMore,
            Some(ended) = self.tasks.join_next() => Fact::Ended(ended),
            _ = self.assignment.changed() => Fact::Assignment,
            () = exit.stopping(), if !stopping => Fact::Stopping,
            () = tokio::time::sleep(GRACE), if stopping => Fact::GraceOver,
        }
    }

    async fn handle(&mut self, fact: Fact) -> Result<(), EngineError> {
        match fact {
            Fact::Ended(Ok((index, end))) => {
                self.live.remove(&index);
                self.note(end);
            }
            Fact::Ended(Err(error)) => return Err(EngineError::Panic(error.to_string())),
            Fact::Assignment | Fact::TryMore => self.limit = None,
            Fact::ConnectionRefused => {
                self.give_up_one("the server has no connection left for what is done beside the workers");
            }
            Fact::Stopping => {}
            Fact::GraceOver => self.cancel_batches().await,
        }
        Ok(())
    }

    /// All at once, so that a server that does not answer holds up the supervisor for a second; and waited
    /// for, so that no request meets what its connection is used for next.
    async fn cancel_batches(&self) {
        // A batch that has just ended has nothing to cancel.
        let cancel = async |canceller: Canceller| drop(tokio::time::timeout(GRACE, canceller.cancel()).await);
        join_all(self.part.inflight.cancellers().into_iter().map(cancel)).await;
    }

    fn note(&mut self, end: End) {
        match end {
            End::Surplus => {}
            End::NoConnectionLeft(why) => self.limit_to(self.live.len(), &why),
            // Workers that still have their connections go, too: a part of a process is worse than none.
            End::Unreachable(_) => self.part.exit.leave(end),
            // What a worker found out itself says more than what the others were told.
            end @ End::Blocked(_) => self.ended = Some(end),
            end => {
                self.ended.get_or_insert(end);
            }
        }
    }

    /// A worker gives up its connection, unless one does already, or is the last.
    fn give_up_one(&mut self, why: &str) {
        let is_full = self.limit.is_none_or(|limit| self.live.len() <= limit.workers);
        if is_full && self.live.len() > 1 {
            self.limit_to(self.live.len() - 1, why);
        }
    }

    /// The last worker is to go on trying.
    fn limit_to(&mut self, workers: usize, why: &str) {
        let workers = workers.max(1);
        self.limit = Some(ConnectionLimit { workers, until: Instant::now() + TRY_MORE_AFTER });
        if self.limit_told != Some(workers) {
            self.part.events.notice(format!("{why}\nworkers of this process for the next minute: {workers}"));
            self.limit_told = Some(workers);
        }
    }

    fn left(self) -> Result<Left, EngineError> {
        match self.part.primary.elsewhere() {
            // A promotion outranks any error met while leaving: the run is joined again on the new primary.
            Some(Elsewhere::Promoted(what)) => {
                return Ok(Left { outcome: Outcome::Stopped, reason: None, moved: Some(what) });
            }
            Some(Elsewhere::Other(why)) => return Err(EngineError::Foreign(why)),
            None => {}
        }
        let ended = match (self.part.exit.reason(), self.ended) {
            // What became of the run says more than that one worker has lost it.
            (_, Some(run @ (End::Complete | End::Blocked(_) | End::Halted(_)))) => Some(run),
            (leaving, ended) => leaving.or(ended),
        };
        let asked = self.part.team.assignment().reason;
        let (outcome, reason) = match ended {
            Some(End::Complete) => (Outcome::Complete, None),
            Some(End::Blocked(why)) => (Outcome::Blocked, Some(why)),
            Some(End::Halted(RunState::Cancelled)) => (Outcome::Cancelled, asked),
            Some(End::Halted(_)) => (Outcome::Blocked, asked),
            Some(End::MaxRows) => (Outcome::MaxRows, None),
            Some(End::Unreachable(why)) => return Err(EngineError::Unreachable(why)),
            Some(End::Stopped | End::Surplus | End::NoConnectionLeft(_)) | None => (Outcome::Stopped, None),
        };
        Ok(Left { outcome, reason, moved: None })
    }
}
