//! What cannot be verified, and what is not built without a verification.
//!
//! Must not know: which rows differ.

use super::{JOB, ORDERS, SYNC, behind_its_back, filled, verify};
use crate::support::{JobFile, Pgbackfill, database};

const CONTRACT: &str = "[contract]\nnot_null = ['status_v2']\n";

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_verified_says_why_and_what_to_do() {
    let db = database().await;
    let client = db.client().await;
    let orders = format!("{ORDERS}; INSERT INTO orders SELECT i, 'a' FROM generate_series(1, 100) AS i");
    client.batch_execute(&orders).await.unwrap();
    let job = JobFile::new(JOB);
    let never = verify(&db, &job).run().await.expect_code(1).stderr;
    assert!(never.contains("nothing has been run in this database yet"), "{never}");
    job.run_with(&db, ["--max-rows", "10", "--max-rows-per-batch", "10", "--workers", "1"])
        .run()
        .await
        .expect_code(3);
    let early = verify(&db, &job).run().await.expect_code(1).stderr;
    assert!(
        early.contains("run 1 of job \"job\" is running: its rows can be verified once it is complete"),
        "{early}"
    );
    job.run(&db).run().await.expect_code(0);
    for (more, message) in [
        ("[verify]\ncheck.known = \"status_v3 = 'a'\"\n", "column \"status_v3\" does not exist"),
        ("[verify]\nrows = \"id >\"\n", "something is missing"),
        ("[verify]\nwithin = 'soon'\n", "`soon` is not a duration such as `14d` or `12h`"),
        ("[verify]\nchek.known = 'true'\n", "unknown key `chek`"),
    ] {
        job.rewrite(&format!("{JOB}{more}"));
        let said = verify(&db, &job).run().await.expect_code(2).stderr;
        assert!(said.contains(message) && said.contains("job.toml:"), "{said}");
    }
    job.rewrite(&JOB.replace("upper", "lower"));
    let other = verify(&db, &job).run().await.expect_code(5).stderr;
    assert!(other.contains("is not the one that run 1 was started with"), "{other}");
    let no = Pgbackfill::new(["verify", "job", "--repair"]).on(&db).run().await.expect_code(1).stderr;
    assert!(no.contains("there is no verification of job \"job\" that has ended"), "{no}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_gives_nothing_to_compare_is_refused() {
    let db = database().await;
    let client = db.client().await;
    let tables = format!(
        "{ORDERS}; INSERT INTO orders SELECT i, 'a' FROM generate_series(1, 100) AS i;
         CREATE TABLE heap (n int, m int); INSERT INTO heap SELECT i FROM generate_series(1, 100) AS i"
    );
    client.batch_execute(&tables).await.unwrap();
    for (name, toml, message) in [
        (
            "mixed",
            "table = 'orders'\nset.status_v2 = 'upper(status)'\nwhere = \"status_v2 IS NULL AND status = 'a'\"\n",
            "it is not known which rows the job is about",
        ),
        (
            "place",
            "table = 'orders'\nset.status_v2 = \"status_v2 || '.'\"\nundo.values = 'off'\n",
            "there is nothing to compare: \"status_v2\" is made of what the change sets",
        ),
        (
            "heap",
            "table = 'heap'\nset.m = 'n'\nwhere = 'm IS NULL'\n",
            "its rows cannot be verified one by one",
        ),
    ] {
        // Version 13 cannot walk a table without a key.
        let version = "SELECT current_setting('server_version_num')::int";
        if name == "heap" && client.query_one(version, &[]).await.unwrap().get::<_, i32>(0) < 140_000 {
            continue;
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(format!("{name}.toml"));
        std::fs::write(&path, toml).unwrap();
        Pgbackfill::new(["run"]).arg(&path).on(&db).run().await.expect_code(0);
        let said = Pgbackfill::new(["verify"]).arg(&path).on(&db).run().await.expect_code(2).stderr;
        assert!(said.contains(message) && said.contains("hint:"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_the_job_alone_are_judged_where_it_says_which_they_are() {
    let db = database().await;
    let client = db.client().await;
    let table = format!(
        "{ORDERS}; INSERT INTO orders SELECT i, CASE i % 2 WHEN 0 THEN 'a' ELSE 'b' END FROM generate_series(1, 100) AS i"
    );
    client.batch_execute(&table).await.unwrap();
    let mixed = "table = 'orders'\nset.status_v2 = 'upper(status)'\nwhere = \"status_v2 IS NULL AND status = 'a'\"\nverify.rows = \"status = 'a'\"\n";
    let job = JobFile::new(mixed);
    job.run(&db).run().await.expect_code(0);
    let said = verify(&db, &job).run().await.expect_code(0).stdout;
    assert!(said.contains("50 rows compared"), "{said}");
    // Where the predicate reads nothing that is set, it says so itself.
    let job = JobFile::new("table = 'orders'\nset.status_v2 = 'upper(status)'\nwhere = \"status = 'a'\"\n");
    job.run_with(&db, ["--new-run"]).run().await.expect_code(0);
    let said = verify(&db, &job).run().await.expect_code(0).stdout;
    assert!(said.contains("50 rows compared") && said.contains("compared: column \"status_v2\"\n"), "{said}");
}

async fn contract(db: &crate::support::Database, job: &JobFile, code: i32) -> String {
    Pgbackfill::new(["contract"]).arg(job.path()).on(db).run().await.expect_code(code).stderr
}

#[tokio::test(flavor = "multi_thread")]
async fn contract_and_gate_build_upon_a_verification_that_still_holds() {
    let (db, job, client) = filled(100, &format!("{SYNC}{CONTRACT}")).await;
    let assert_verified = "SELECT pgbackfill.assert_complete('job', verified => true)";
    let gate = Pgbackfill::new(["gate", "--verified", "--within", "2d"])
        .arg(job.path())
        .run()
        .await
        .expect_code(0)
        .stdout;
    assert!(
        gate.contains("verified => true, within => '172800 s'") && gate.contains("pgbackfill.verification"),
        "{gate}"
    );
    let refused = async |why: &str| {
        let said = contract(&db, &job, 1).await;
        assert!(said.contains("complete, but not verified") && said.contains(why), "{said}");
        let error = client.query(assert_verified, &[]).await.unwrap_err();
        let error = error.as_db_error().unwrap();
        assert!(
            error.message().contains(why)
                && error.hint().is_some_and(|hint| hint.contains("pgbackfill verify job")),
            "{error:?}"
        );
        assert!(client.batch_execute(&gate).await.is_err());
    };
    refused("it was not verified").await;
    behind_its_back(&client, "UPDATE orders SET status_v2 = 'x' WHERE id = 7").await;
    verify(&db, &job).run().await.expect_code(4);
    refused("its latest verification, run 2, has failed").await;
    super::repair(&db, &job).run().await.expect_code(0);
    verify(&db, &job).run().await.expect_code(0);
    client.query(assert_verified, &[]).await.unwrap();
    client.batch_execute(&gate).await.unwrap();
    // Disabled for a moment is not the same as never.
    client
        .batch_execute("ALTER TABLE orders DISABLE TRIGGER USER; ALTER TABLE orders ENABLE TRIGGER USER")
        .await
        .unwrap();
    refused("its sync trigger was changed or disabled since it was verified").await;
    verify(&db, &job).run().await.expect_code(0);
    // With a trigger that keeps it true it counts for ever, unless the gate wants otherwise.
    client.batch_execute("UPDATE pgbackfill.verification SET began_at = began_at - interval '9 days', ended_at = ended_at - interval '9 days'").await.unwrap();
    client.query(assert_verified, &[]).await.unwrap();
    assert!(client.batch_execute(&gate).await.unwrap_err().to_string().contains("db error"));
    job.rewrite(&format!("{JOB}{SYNC}[verify]\ncheck.a = 'true'\n{CONTRACT}"));
    let said = contract(&db, &job, 1).await;
    assert!(said.contains("its [verify] has changed since it was verified"), "{said}");
    job.rewrite(&format!("{JOB}{SYNC}{CONTRACT}"));
    contract(&db, &job, 0).await;
    contract(&db, &job, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_trigger_a_verification_counts_for_a_time() {
    let (db, job, client) = filled(100, CONTRACT).await;
    verify(&db, &job).run().await.expect_code(0);
    let older = |days: i32| {
        format!(
            "UPDATE pgbackfill.verification SET began_at = began_at - interval '{days} days', ended_at = ended_at - interval '{days} days'"
        )
    };
    client.batch_execute(&older(2)).await.unwrap();
    let said = contract(&db, &job, 1).await;
    assert!(said.contains("which was more than") && said.contains("ago"), "{said}");
    job.rewrite(&format!("{JOB}[verify]\nwithin = '3d'\n{CONTRACT}"));
    contract(&db, &job, 0).await;
    // What is done is there already, whatever was verified when.
    client.batch_execute(&older(30)).await.unwrap();
    let said = contract(&db, &job, 0).await;
    assert!(said.contains("is there already"), "{said}");
    // Another backfill begins anew.
    job.run_with(&db, ["--new-run"]).run().await.expect_code(0);
    let why = client.query_one("SELECT pgbackfill.unverified('job')", &[]).await.unwrap();
    assert_eq!(why.get::<_, Option<String>>(0).as_deref(), Some("it was not verified"));
}
