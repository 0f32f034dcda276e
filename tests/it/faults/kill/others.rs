//! Processes are killed while the application goes on writing, and while the number of stripes changes from
//! range to range.

use std::time::Duration;

use tokio::time;

use super::{KILLS, KILLS_MAX, PROCESSES, SLOW, SLOW_PACE, all_complete, hurry, replace};
use crate::support::oracle::assert_nothing_left;
use crate::support::{
    Application, COUNT_FILLS, FILL_UP, JobFile, Running, assert_exact_beside_others, database, machine,
    random, walks_by_block,
};

#[tokio::test(flavor = "multi_thread")]
async fn processes_killed_while_others_write_and_stripes_change_change_every_row_once() {
    assert!(killed_while_others_write(SLOW, "").await >= 3, "the number of stripes has not changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_killed_by_block_while_others_move_rows_change_every_row_once() {
    if walks_by_block().await {
        killed_while_others_write(&format!("{FILL_UP}{SLOW_PACE}"), COUNT_FILLS).await;
    }
}

/// With how many different numbers of stripes.
async fn killed_while_others_write(job: &str, more: &str) -> i64 {
    let _machine = machine::loaded().await;
    let (db, mut rng) = (database().await, random::seeded());
    // The order does not decide the result, so processes of one run may differ in it.
    let jobs = [1, 8, 32].map(|stripes| JobFile::new(&format!("{job}order.stripes = {stripes}\n")));
    let application = Application::start(&db, more, rng.fork()).await;
    let mut processes: Vec<Running> = jobs.iter().map(|job| job.run(&db).spawn()).collect();
    db.until_progress().await;
    let mut kills = 0;
    while !db.is_complete().await {
        // The fault that is injected, not a wait for anything.
        time::sleep(random::time_up_to(Duration::from_millis(200), &mut rng)).await;
        let one = rng.usize(..PROCESSES);
        if kills < KILLS_MAX {
            kills += u32::from(replace(&mut processes[one], &jobs[one], &db).await);
        }
        if kills == KILLS {
            hurry(&db, 2000).await;
        }
    }
    let transactions = application.stop().await;
    println!("{kills} kills beside {transactions} transactions");
    all_complete(processes).await;
    assert!(kills >= KILLS, "the run was complete after {kills} kills");
    assert!(transactions > 100, "the application hardly wrote");
    assert_exact_beside_others(&db).await;
    let stripes = "SELECT count(DISTINCT stripes) FROM pgbackfill.range";
    let stripes: i64 = db.client().await.query_one(stripes, &[]).await.unwrap().get(0);
    assert_nothing_left(&db).await;
    stripes
}
