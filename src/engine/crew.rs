//! The workers of a process: as many as wanted, until the first has a reason for all to leave.
//!
//! Must not know: what a worker does.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};

use super::brakeman::{self, Brakeman};
use super::control::{BEAT, Control};
use super::shared::{Shared, changed};
use super::worker::{self, End};
use super::{EngineError, Stop, guardian, own};
use crate::db::Session;
use crate::event::{Event, Outcome};
use crate::run::RunState;
use crate::store::Orders;

/// Whoever has taken the connections may be gone after so long.
const ROOM_AGAIN: Duration = Duration::from_secs(60);
/// After a wish to stop, batches have this long to end by themselves before they are cancelled.
const GRACE: Duration = Duration::from_secs(1);

/// Why the crew left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) outcome: Outcome,
    pub(super) reason: Option<String>,
    /// The run goes on, on another server: what has happened.
    pub(super) moved: Option<String>,
}

/// Keeps workers at the run until it ends or they must leave.
pub(super) async fn work(shared: &Arc<Shared>, session: Session) -> Result<Verdict, EngineError> {
    let (may_lead, leading) = watch::channel(false);
    let brakeman = Arc::new(Mutex::new(Brakeman::new(Instant::now())));
    let mut control = Control::new(shared.clone(), session, may_lead, brakeman.clone());
    shared.live.store(shared.wanted(), Ordering::Relaxed);
    own::read(shared, &mut None).await;
    control.beat().await;
    let guarding = if *leading.borrow() { guardian::begin(shared).await } else { None };
    if guarding.is_some() {
        // What was read holds from the first batch on.
        control.beat().await;
    }
    if !shared.share().is_unlimited() && shared.orders.borrow().other_workers > 0 {
        // The others hear of us with their next beat; until then their shares leave no room for ours.
        shared.pause(BEAT + BEAT / 2).await;
    }
    let mut aside = JoinSet::new();
    aside.spawn(control.steer());
    aside.spawn(guardian::guard(shared.clone(), leading, guarding));
    aside.spawn(brakeman::watch(shared.clone(), brakeman));
    aside.spawn(own::watch(shared.clone()));
    let verdict = tokio::select! {
        biased;
        error = panicked(&mut aside) => Err(error),
        verdict = Crew::new(shared.clone()).work() => verdict,
    };
    aside.shutdown().await;
    verdict
}

/// Waits until one of the tasks beside the workers has panicked: without any of them nobody would steer, brake or guard.
async fn panicked(aside: &mut JoinSet<()>) -> EngineError {
    while let Some(ended) = aside.join_next().await {
        if let Err(error) = ended {
            return EngineError::Panic(error.to_string());
        }
    }
    std::future::pending().await
}

/// Never, if there is no such time.
async fn reached(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}

struct Crew {
    shared: Arc<Shared>,
    tasks: JoinSet<(u32, End)>,
    live: BTreeSet<u32>,
    /// Kept from the start, so that no change between two looks is missed.
    orders: watch::Receiver<Orders>,
    /// The reason for all to leave, once there is one.
    ended: Option<End>,
    /// Once the server had too few connections.
    room: Option<Room>,
    /// What was said of it last.
    told: Option<usize>,
    lacking: watch::Receiver<u64>,
}

/// How many workers the server had connections for.
#[derive(Clone, Copy, Debug)]
struct Room {
    workers: usize,
    /// Then, or with the next orders, more are tried.
    until: Instant,
}

/// One thing that happened.
enum Fact {
    Ended(Result<(u32, End), JoinError>),
    Orders,
    Stopping,
    GraceOver,
    /// Something beside the workers has no connection.
    Lacking,
    RoomAgain,
}

impl Crew {
    fn new(shared: Arc<Shared>) -> Self {
        let (orders, lacking) = (shared.orders.subscribe(), shared.lacking.subscribe());
        Self {
            shared,
            tasks: JoinSet::new(),
            live: BTreeSet::new(),
            orders,
            ended: None,
            lacking,
            room: None,
            told: None,
        }
    }

    async fn work(mut self) -> Result<Verdict, EngineError> {
        loop {
            self.muster();
            if self.tasks.is_empty() {
                return self.verdict();
            }
            let fact = self.next_fact().await;
            self.handle(fact).await?;
        }
    }

    /// Starts the workers that are missing. Those that are too many see it themselves.
    fn muster(&mut self) {
        let leaving = self.ended.is_some() || self.shared.is_stopping() || self.shared.is_leaving();
        let wanted = if leaving { 0 } else { self.shared.wanted() };
        let room = self.room.map_or(u32::MAX, |room| room.workers as u32);
        self.shared.room.store(room, Ordering::Relaxed);
        for index in 0..wanted {
            let no_room = self.live.len() >= room as usize;
            if !no_room && self.live.insert(index) {
                let shared = self.shared.clone();
                self.tasks.spawn(async move { (index, worker::work(shared, index).await) });
            }
        }
        self.shared.live.store(self.live.len() as u32, Ordering::Relaxed);
    }

    async fn next_fact(&mut self) -> Fact {
        let mut stop = self.shared.stop.clone();
        let stopping = *stop.borrow_and_update() == Stop::Drain;
        let again = self.room.map(|room| room.until);
        tokio::select! {
            _ = self.lacking.changed() => Fact::Lacking,
            () = reached(again) => Fact::RoomAgain,
            Some(ended) = self.tasks.join_next() => Fact::Ended(ended),
            _ = self.orders.changed() => Fact::Orders,
            () = changed(&mut stop) => Fact::Stopping,
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
            Fact::Orders | Fact::RoomAgain => self.room = None,
            Fact::Lacking => {
                self.make_room("the server has no connection left for what is done beside the workers");
            }
            Fact::Stopping => {}
            Fact::GraceOver => {
                for canceller in self.shared.hands.cancellers() {
                    // A batch that has just ended has nothing to cancel, and a server that does not answer must not hold us up.
                    let _ = tokio::time::timeout(GRACE, canceller.cancel()).await;
                }
            }
        }
        Ok(())
    }

    fn note(&mut self, end: End) {
        match end {
            End::Surplus => {}
            End::NoRoom(why) => self.room_for(self.live.len(), &why),
            // Those who still have their connections go, too: a part of a process is worse than none.
            End::Unreachable(_) => self.shared.leave(end),
            // What a worker found out itself says more than what the others were told.
            end @ End::Blocked(_) => self.ended = Some(end),
            end => {
                self.ended.get_or_insert(end);
            }
        }
    }

    /// A worker gives up its connection, unless one does already, or is the last.
    fn make_room(&mut self, why: &str) {
        let is_full = self.room.is_none_or(|room| self.live.len() <= room.workers);
        if is_full && self.live.len() > 1 {
            self.room_for(self.live.len() - 1, why);
        }
    }

    /// The last worker is to go on trying.
    fn room_for(&mut self, workers: usize, why: &str) {
        let workers = workers.max(1);
        self.room = Some(Room { workers, until: Instant::now() + ROOM_AGAIN });
        if self.told != Some(workers) {
            let message = format!("{why}\nworkers of this process for the next minute: {workers}");
            self.shared.emit(Event::Notice { message });
            self.told = Some(workers);
        }
    }

    fn verdict(self) -> Result<Verdict, EngineError> {
        let reason = self.shared.orders.borrow().reason.clone();
        let mut moved = None;
        let ended = match (self.shared.leaving.borrow().clone(), self.ended) {
            // Whatever they met on their way out: who has moved asks again where he goes.
            (Some(elsewhere @ (End::Moved(_) | End::Foreign(_))), _) => Some(elsewhere),
            // What became of the run says more than that one of them has lost it.
            (_, Some(run @ (End::Complete | End::Blocked(_) | End::Halted(_)))) => Some(run),
            (leaving, ended) => leaving.or(ended),
        };
        let (outcome, reason) = match ended {
            Some(End::Complete) => (Outcome::Complete, None),
            Some(End::Blocked(why)) => (Outcome::Blocked, Some(why)),
            Some(End::Halted(RunState::Cancelled)) => (Outcome::Cancelled, reason),
            Some(End::Halted(_)) => (Outcome::Blocked, reason),
            Some(End::MaxRows) => (Outcome::MaxRows, None),
            Some(End::Foreign(why)) => return Err(EngineError::Foreign(why)),
            Some(End::Unreachable(why)) => return Err(EngineError::Unreachable(why)),
            Some(End::Moved(what)) => {
                moved = Some(what);
                (Outcome::Stopped, None)
            }
            Some(End::Stopped | End::Surplus | End::NoRoom(_)) | None => (Outcome::Stopped, None),
        };
        Ok(Verdict { outcome, reason, moved })
    }
}
