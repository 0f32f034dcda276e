//! What the role may do, and the script for one that may do no more than the job.

use super::{JOB, NONE, execute, facts, facts_as, planned, with_table};
use crate::refuse::role;
use crate::support::{JobFile, Pgbackfill};

#[tokio::test(flavor = "multi_thread")]
async fn a_superuser_is_told_and_another_role_is_not() {
    let db = with_table().await;
    assert_eq!(facts(&db, "superuser").await, ["role \"postgres\" is a superuser"]);
    let role = role(&db, "GRANT SELECT, UPDATE ON t TO $role").await;
    assert_eq!(facts_as(&db.url_of(&role), JOB, "superuser").await, NONE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_does_not_see_others_is_told_what_stays_hidden() {
    let db = with_table().await;
    let role = role(&db, "GRANT SELECT, UPDATE ON t TO $role").await;
    let told = facts_as(&db.url_of(&role), JOB, "blind-statistics").await;
    let fact = format!(
        "role \"{role}\" does not see others' sessions: old snapshots and the lag of standbys stay hidden"
    );
    assert_eq!(told, [fact]);
    execute(&db, &format!("GRANT pg_read_all_stats TO {role}")).await;
    assert_eq!(facts_as(&db.url_of(&role), JOB, "blind-statistics").await, NONE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_not_make_the_control_schema_is_told() {
    let db = with_table().await;
    let role = role(&db, "GRANT SELECT, UPDATE ON t TO $role").await;
    let told = facts_as(&db.url_of(&role), JOB, "missing-right").await;
    assert_eq!(
        told,
        [format!("role \"{role}\" may not make the schema pgbackfill in database \"{}\"", db.name)]
    );
    execute(&db, &format!("GRANT CREATE ON DATABASE {} TO {role}", db.name)).await;
    assert_eq!(facts_as(&db.url_of(&role), JOB, "missing-right").await, NONE);
}

#[tokio::test(flavor = "multi_thread")]
async fn row_security_that_hides_rows_is_an_error() {
    let db = with_table().await;
    let role = role(&db, "GRANT SELECT, UPDATE ON t TO $role").await;
    assert_eq!(facts_as(&db.url_of(&role), JOB, "row-security").await, NONE);
    execute(&db, "ALTER TABLE t ENABLE ROW LEVEL SECURITY").await;
    let told = facts_as(&db.url_of(&role), JOB, "row-security").await;
    assert_eq!(told, [format!("row security hides rows of \"public\".\"t\" from role \"{role}\"")]);
}

/// The script of `plan` for [`JOB`], for another role than its own, because roles belong to the server.
async fn script(url: &str, toml: &str, role: &str) -> String {
    let (told, _) = planned(url, toml).await;
    told["grants"].as_str().unwrap().replace("backfill_job", role)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_role_of_the_script_can_run_the_job_and_change_nothing_else() {
    let db = with_table().await;
    let others = "
        CREATE TABLE u (id int PRIMARY KEY, n int);
        INSERT INTO u SELECT i, i FROM generate_series(1, 1000) AS i;
        CREATE VIEW v AS SELECT * FROM u;
        CREATE TABLE p (id int PRIMARY KEY, n int) PARTITION BY RANGE (id);
        CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
        CREATE INDEX ON t (b)";
    execute(&db, others).await;
    let toml = "table = 't'\nset.a = 'v.n + 1 + (SELECT count(*) FROM p)'\nfrom = 'v'\non = 'v.id = t.b'\n";
    let (first, second) = (format!("first_of_{}", db.name), format!("second_of_{}", db.name));
    execute(&db, &script(db.url(), toml, &first).await).await;
    let job = JobFile::new(toml);
    let run = |role: &str, more: &'static str| {
        Pgbackfill::new(["run", more]).arg(job.path()).env("DATABASE_URL", db.url_of(role)).run()
    };
    let (told, code) = planned(&db.url_of(&first), toml).await;
    assert_eq!(code, 0, "{told}");
    run(&first, "--yes").await.expect_code(0);
    db.until("SELECT bool_and(a = b + 1) FROM t").await;
    // The schema is there now, so that the next role needs rights in it.
    execute(&db, &script(db.url(), toml, &second).await).await;
    run(&second, "--new-run").await.expect_code(0);
    for (denied, what) in [
        ("UPDATE t SET c = 'd'", "table t"),
        ("DELETE FROM t", "table t"),
        ("SELECT FROM u", "table u"),
        ("SELECT FROM p1", "table p1"),
        ("DELETE FROM v", "view v"),
        ("CREATE SCHEMA x", "database"),
    ] {
        let refused =
            db.client().await.batch_execute(&format!("SET ROLE {second}; {denied}")).await.unwrap_err();
        let said = refused.as_db_error().unwrap().message();
        assert!(said.starts_with(&format!("permission denied for {what}")), "{denied}: {said}");
    }
}
