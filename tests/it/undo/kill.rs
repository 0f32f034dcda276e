//! SIGKILL at any instant, of the run and of its undo: each row is changed once, and put back once.
//!
//! Must not know: where the instants are.

use std::time::Duration;

use tokio::time::sleep;

use super::{DIFFER, RAISE, count, prices, undo};
use crate::support::{JobFile, Pgbackfill, random};

/// Kills the command again and again until it ends before it is killed.
async fn killed_until_done(command: impl Fn() -> Pgbackfill, rng: &mut fastrand::Rng) -> u32 {
    for kills in 0.. {
        let running = command().spawn();
        sleep(Duration::from_millis(rng.u64(100..500) + 40 * u64::from(kills))).await;
        let finished = running.kill().await;
        if finished.signal.is_none() {
            assert_eq!(finished.code, Some(0), "{}", finished.stderr);
            return kills;
        }
    }
    unreachable!()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_instant_each_row_is_changed_once_and_put_back_once() {
    let mut rng = random::seeded();
    let (db, client) = prices(12_000).await;
    let job = JobFile::new(RAISE);
    let slow = ["--mode", "full", "--max-rows-per-second", "12000", "--max-rows-per-batch", "300"];
    let mut kills = killed_until_done(|| job.run_with(&db, slow), &mut rng).await;
    let once = "price JOIN before USING (id) WHERE price.cents IS DISTINCT FROM before.cents * 2 + 1";
    assert_eq!(count(&client, once).await, 0);
    // A run whose making was killed has left its number behind.
    let run: i64 = client.query_one("SELECT max(id) FROM pgbackfill.run", &[]).await.unwrap().get(0);
    let kept = format!("SELECT sum(pgbackfill_rows) FROM pgbackfill.undo_{run}");
    let kept: i64 = client.query_one(&kept, &[]).await.unwrap().get(0);
    assert_eq!(kept, 12_000);
    kills += killed_until_done(|| undo(&db, &job).args(["--max-rows-per-second", "12000"]), &mut rng).await;
    assert!(kills > 3, "it was killed {kills} times only");
    assert_eq!(count(&client, DIFFER).await, 0);
    assert_eq!(count(&client, "pgbackfill.undo_left").await, 0);
}
