//! SIGKILL at any instant: the same command again ends in the same catalog.
//!
//! Must not know: where the instants are.

use std::time::Duration;

use tokio::time::sleep;

use super::{catalog, contract, expand, filled, orders, text, verify};
use crate::support::{Database, JobFile, Pgbackfill, random};

const STEPS: &str = "
[expand]
column.status_v2 = 'text'
column.note = 'text COLLATE \"C\" DEFAULT $$none$$'
index.by_lower = '(lower(status))'
[contract]
not_null = ['status_v2']
check.known = \"status_v2 IN ('NEW', 'PAID')\"
unique.by_id_status = '(id, status_v2)'
";

/// Kills the command again and again, each time a little later, until it ends before it is killed.
async fn killed_until_done(command: impl Fn() -> Pgbackfill, rng: &mut fastrand::Rng) -> u32 {
    for kills in 0.. {
        let running = command().spawn();
        sleep(Duration::from_millis(rng.u64(0..60) + 12 * u64::from(kills))).await;
        let finished = running.kill().await;
        match (finished.signal, finished.code) {
            (Some(_), _) => {}
            // The session of the one that was killed is still at work.
            (None, Some(5)) => sleep(Duration::from_millis(100)).await,
            (None, code) => {
                assert_eq!(code, Some(0), "{}", finished.stderr);
                return kills;
            }
        }
    }
    unreachable!()
}

async fn undisturbed() -> (Database, JobFile, String) {
    let (db, job) = orders(300, STEPS).await;
    filled(&db, &job).await;
    contract(&db, &job).run().await.expect_code(0);
    let catalog = catalog(&db.client().await, "orders").await;
    (db, job, catalog)
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_instant_it_ends_in_the_same_catalog() {
    let mut rng = random::seeded();
    let (_, _, wanted) = undisturbed().await;
    let (db, job) = orders(300, STEPS).await;
    let mut kills = killed_until_done(|| expand(&db, &job), &mut rng).await;
    job.run(&db).run().await.expect_code(0);
    verify(&db, &job).run().await.expect_code(0);
    kills += killed_until_done(|| contract(&db, &job), &mut rng).await;
    let client = db.client().await;
    assert!(kills > 5, "it was killed {kills} times only");
    assert_eq!(catalog(&client, "orders").await, wanted);
    let helpers = "SELECT count(*) FROM pg_constraint WHERE conname LIKE 'pgbackfill%'";
    assert_eq!(text(&client, helpers).await, "0");
    assert_eq!(text(&client, "SELECT count(*) FROM pgbackfill.step WHERE state <> 'done'").await, "0");
}
