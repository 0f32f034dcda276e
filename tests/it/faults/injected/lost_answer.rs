//! An answer that does not come although the line stands: the kernel sees nothing wrong, so the session has
//! to notice.
//!
//! Must not know: batches.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use pgbackfill::connect::ConnectParams;
use pgbackfill::db::{NextAct, Pool, Session};
use pgbackfill::engine::Options;
use pgbackfill::run::RunId;
use pgbackfill::store::{self, Hint};
use tokio_postgres::types::Type;

use super::proxy::{Direction, Fault, Proxy, Spot};
use crate::support::in_process::{job, options, run_with};
use crate::support::{Database, counted_table, database, shared_server};

/// Enough for an answer that comes, on a busy machine, too.
const SOON: Duration = Duration::from_secs(5);
const LATER: Duration = Duration::from_secs(30);
const ROW: &str = "SELECT n FROM t WHERE id = $1 FOR UPDATE";

/// A table behind a proxy that swallows from this message of the first connection on.
async fn scene(direction: Direction, message: usize) -> (Database, Proxy, Pool) {
    let db = database().await;
    counted_table(&db, 1).await;
    let (proxy, pool) = swallowing(&db, direction, message).await;
    (db, proxy, pool)
}

/// Such a proxy before a database.
async fn swallowing(db: &Database, direction: Direction, message: usize) -> (Proxy, Pool) {
    let spot = Spot { connection: 0, direction, message };
    let server = ([127, 0, 0, 1], shared_server().port()).into();
    let proxy = Proxy::before(server, &[(spot, Fault::Swallow)]).await;
    let url = format!("postgresql://postgres@127.0.0.1:{}/{}?sslmode=disable", proxy.port(), db.name);
    let pool = Pool::new(&ConnectParams::resolve(&url, &|_| None).unwrap(), 1).unwrap();
    (proxy, pool)
}

/// Locks the row in a transaction.
async fn lock_row(session: &mut Session, answers_within: Duration) -> Result<(), pgbackfill::db::Error> {
    session.answers_within(answers_within);
    session.begin("SET LOCAL lock_timeout = '10s'").await?;
    session.query_one(ROW, &[(&1, Type::INT4)]).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_does_not_come_in_time_is_a_lost_connection() {
    // The startup is message 0, BEGIN 1.
    let (_db, proxy, pool) = scene(Direction::ToServer, 1).await;
    let mut session = pool.session().await.unwrap();
    let error = lock_row(&mut session, SOON).await.unwrap_err();
    assert_eq!(error.to_string(), "no answer within 5s");
    assert!(proxy.fired() && !session.is_usable());
    // Nobody waits a second time.
    session.answers_within(LATER);
    let began = Instant::now();
    assert!(session.rollback().await.is_err() && began.elapsed() < LATER);
    drop(session);
    // The pool has room again, and the second connection is not faulty.
    lock_row(&mut pool.session().await.unwrap(), LATER).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_whose_answer_was_lost_is_ended_by_the_next_session() {
    // BEGIN is 1, then Parse, Bind, Describe, Execute, and the Sync that the server goes on waiting for, with
    // the row locked.
    let (db, proxy, pool) = scene(Direction::ToServer, 6).await;
    let mut session = pool.session().await.unwrap();
    assert!(lock_row(&mut session, SOON).await.is_err() && proxy.fired());
    drop(session);
    let locked = "SELECT count(*) FROM pg_locks
                  WHERE database = (SELECT oid FROM pg_database WHERE datname = current_database())
                  AND relation = 't'::regclass AND mode = 'RowShareLock'";
    let held: i64 = db.client().await.query_one(locked, &[]).await.unwrap().get(0);
    assert_eq!(held, 1, "the server let go of the row by itself");
    let mut session = pool.session().await.unwrap();
    session.answers_within(LATER);
    session.begin("SET LOCAL lock_timeout = '5s'").await.unwrap();
    session.query_one(ROW, &[(&1, Type::INT4)]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_very_transaction_is_ended() {
    let db = database().await;
    let client = db.client().await;
    client.batch_execute("BEGIN").await.unwrap();
    let row = client.query_one(pgbackfill::sql::fixed::TRANSACTION_MARK, &[]).await.unwrap();
    let (backend, began): (i32, String) = (row.get(0), row.get(1));
    let other = db.client().await;
    let end = pgbackfill::sql::fixed::TRANSACTION_END;
    assert!(other.query(end, &[&backend, &format!("{began}1")]).await.unwrap().is_empty());
    client.batch_execute("COMMIT; BEGIN").await.unwrap();
    assert!(other.query(end, &[&backend, &began]).await.unwrap().is_empty(), "another one was ended");
    client.batch_execute("COMMIT").await.unwrap();
}

/// A claim is swallowed from this message on, and somebody else wants the range.
async fn lose_a_claim(message: usize) {
    let db = database().await;
    counted_table(&db, 100).await;
    let some = Options { max_rows: NonZeroU64::new(1), ..options() };
    run_with(&db, &job("table = 't'\nset.n = 'n + 1'\npace.max_rows_per_batch = 1\n"), &some).await.unwrap();
    let (proxy, pool) = swallowing(&db, Direction::ToServer, message).await;
    let hint = |worker: &str| Hint { worker: worker.into(), for_s: 1.0 };
    let began = Instant::now();
    let mut session = pool.session().await.unwrap();
    let error = store::claim(&mut session, RunId(1), &hint("lost")).await.unwrap_err();
    // Where the server waits for the next statement, not for the rest of one, it says first that this took
    // too long.
    assert!(proxy.fired() && error.next_act() == NextAct::Reconnect, "message {message}: {error}");
    drop(session);
    let mut session = pool.session().await.unwrap();
    // The lost transaction has been told to end, which takes a busy machine its time.
    while store::claim(&mut session, RunId(1), &hint("next")).await.unwrap().is_none() {
        // Without an end of its own it is over a minute.
        assert!(began.elapsed() < Duration::from_secs(60), "message {message}: nobody can have the range");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_whose_claim_was_lost_is_the_next_ones_within_the_time_of_an_answer() {
    // BEGIN, the claim's five messages, COMMIT.
    join_all((1..=7).map(lose_a_claim)).await;
}
