//! How far a run is, read from the control schema: what tests wait for, and what must hold in the end.
//!
//! Must not know: who runs it.

use super::oracle::{assert_once, assert_tiled};
use super::{Database, until};

const ROWS_CHANGED: &str = "SELECT coalesce(sum(rows_changed), 0)::bigint FROM pgbackfill.range";

impl Database {
    /// Waits until the first batch is committed.
    pub(crate) async fn until_first_batch(&self) {
        self.until_changed(1).await;
    }

    /// Waits until so many rows are changed.
    pub(crate) async fn until_changed(&self, rows: i64) {
        self.until(&format!("({ROWS_CHANGED}) >= {rows}")).await;
    }

    /// Waits until more rows are changed than now.
    pub(crate) async fn until_progress(&self) {
        self.until("EXISTS (SELECT FROM pgbackfill.range)").await;
        let before = self.rows_changed().await;
        self.until_changed(before + 1).await;
    }

    /// Waits until so many workers have committed a batch in the range that each of them had last.
    pub(crate) async fn until_claimed_by(&self, workers: usize) {
        let claimed = "SELECT count(DISTINCT hint_worker) FROM pgbackfill.range WHERE rows_passed > 0";
        self.until(&format!("({claimed}) = {workers}")).await;
    }

    /// Waits until so many processes have come, those that have left among them.
    pub(crate) async fn until_processes(&self, count: usize) {
        self.until(&format!("(SELECT count(*) FROM pgbackfill.process) = {count}")).await;
    }

    /// By the counters of the ranges.
    pub(crate) async fn rows_changed(&self) -> i64 {
        self.client().await.query_one(ROWS_CHANGED, &[]).await.unwrap().get(0)
    }

    pub(crate) async fn is_complete(&self) -> bool {
        let sql = "SELECT EXISTS (SELECT FROM pgbackfill.run WHERE state = 'complete')";
        self.client().await.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// Each of `rows` rows of `t` was changed once by the only run, and its ranges tile the key domain.
    pub(crate) async fn assert_exact(&self, rows: i64) {
        let client = self.client().await;
        assert_once(&client, "t", rows).await;
        assert_tiled(&client, rows).await;
    }

    /// Waits until the standbys have replayed all that was written up to now.
    pub(crate) async fn until_replayed(&self) {
        let replayed = "(SELECT bool_and(replay_lsn >= pg_current_wal_lsn()) FROM pg_stat_replication)";
        until(&self.client().await, replayed).await;
    }
}
