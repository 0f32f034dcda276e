//! What cannot be undone, and why.
//!
//! Must not know: which rows are put back.

use super::{RAISE, count, prices, undo, version};
use crate::support::{JobFile, Pgbackfill};

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_undone_says_why_and_what_to_do() {
    let (db, client) = prices(200).await;
    client.batch_execute("ALTER TABLE price ADD euros numeric").await.unwrap();
    let job = JobFile::new(RAISE);
    let never = undo(&db, &job).run().await.expect_code(1).stderr;
    assert!(never.contains("nothing has been run in this database yet"), "{never}");
    job.run_with(&db, ["--max-rows", "10", "--max-rows-per-batch", "10", "--workers", "1"])
        .run()
        .await
        .expect_code(3);
    let running = undo(&db, &job).run().await.expect_code(1).stderr;
    assert!(
        running.contains("run 1 of job \"job\" is running") && running.contains("pgbackfill cancel job"),
        "{running}"
    );
    // What was done of a run that was cancelled can be undone.
    Pgbackfill::new(["cancel", "job"]).on(&db).run().await.expect_code(0);
    let no = Pgbackfill::new(["undo", "job"]).on(&db).run().await.expect_code(2).stderr;
    assert!(no.contains("values are not put back without a yes") && no.contains("--dry-run"), "{no}");
    undo(&db, &job).run().await.expect_code(0);
    assert_eq!(count(&client, super::DIFFER).await, 0);
    job.run_with(&db, ["--new-run"]).run().await.expect_code(0);
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, toml: &str| {
        let path = dir.path().join(format!("{name}.toml"));
        std::fs::write(&path, toml).unwrap();
        path
    };
    let euros = file("euros", "table = 'price'\nset.euros = 'cents / 100.0'\nwhere = 'euros IS NULL'\n");
    Pgbackfill::new(["run"]).arg(&euros).on(&db).run().await.expect_code(0);
    let later = undo(&db, &job).run().await.expect_code(1).stderr;
    assert!(later.contains("of job \"euros\" came after run 3 and uses what it has written"), "{later}");
    let new = Pgbackfill::new(["undo", "--yes"]).arg(&euros).on(&db).run().await.expect_code(2).stderr;
    assert!(
        new.contains("has kept no values that could be put back") && new.contains("values = \"on\""),
        "{new}"
    );
    let keyless = file(
        "keyless",
        "table = 'keyless'\nset.note = \"'y'\"\nwhere = \"note <> 'y'\"\nundo.values = 'on'\n",
    );
    client.batch_execute("CREATE TABLE keyless AS SELECT * FROM price").await.unwrap();
    let refused = Pgbackfill::new(["run"]).arg(&keyless).on(&db).run().await.expect_code(2).stderr;
    let message = if version(&client).await < 140_000 {
        "has no primary key"
    } else {
        "are kept by the key of their row, and there is none"
    };
    assert!(refused.contains(message), "{refused}");
    let odd = file("odd", "table = 'price'\nset.cents = '1'\nundo.values = 'yes'\n");
    let refused = Pgbackfill::new(["run"]).arg(&odd).on(&db).run().await.expect_code(2).stderr;
    assert!(refused.contains("`yes` is not `auto`, `on` or `off`"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_not_make_a_table_runs_without_or_says_so() {
    let (db, client) = prices(100).await;
    JobFile::new("table = 'price'\nset.note = \"'z'\"\nwhere = 'id = 1'\n")
        .run(&db)
        .run()
        .await
        .expect_code(0);
    let role = format!("runner_{}", db.name);
    client
        .batch_execute(&format!(
            "CREATE ROLE {role} LOGIN; GRANT SELECT, UPDATE ON price TO {role}; GRANT USAGE ON SCHEMA pgbackfill TO {role};
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA pgbackfill TO {role}"
        ))
        .await
        .unwrap();
    let job = JobFile::new(RAISE);
    let as_role = |command: Pgbackfill| command.env("DATABASE_URL", db.url_of(&role));
    let said = as_role(job.run_with(&db, ["--new-run"])).run().await.expect_code(0).stdout;
    assert!(
        said.contains("so that it could not be undone") && said.contains("GRANT CREATE ON SCHEMA pgbackfill"),
        "{said}"
    );
    job.rewrite(&format!("{RAISE}undo.values = 'on'\n"));
    let refused = as_role(job.run_with(&db, ["--new-run"])).run().await.expect_code(1).stderr;
    assert!(refused.contains("cannot be kept") && refused.contains("values = \"off\""), "{refused}");
    // Made by its owner, another role takes part in the run.
    job.run_with(&db, ["--new-run", "--max-rows", "10", "--max-rows-per-batch", "10"])
        .run()
        .await
        .expect_code(3);
    as_role(job.run(&db)).run().await.expect_code(0);
    let run: i64 = client.query_one("SELECT max(id) FROM pgbackfill.run", &[]).await.unwrap().get(0);
    let kept = format!("SELECT sum(pgbackfill_rows) FROM pgbackfill.undo_{run}");
    assert_eq!(client.query_one(&kept, &[]).await.unwrap().get::<_, i64>(0), 100);
    client.batch_execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_built_upon_a_run_is_taken_back_first() {
    let (db, client) = prices(100).await;
    client.batch_execute("UPDATE price SET cents = 0 WHERE cents IS NULL").await.unwrap();
    let job = JobFile::new(&format!(
        "{RAISE}[verify]\ncheck.odd = 'cents % 2 = 1'\n[contract]\ncheck.odd = 'cents % 2 = 1'\n"
    ));
    job.run(&db).run().await.expect_code(0);
    Pgbackfill::new(["verify"]).arg(job.path()).on(&db).run().await.expect_code(0);
    Pgbackfill::new(["contract"]).arg(job.path()).on(&db).run().await.expect_code(0);
    let refused = undo(&db, &job).run().await.expect_code(1).stderr;
    assert!(refused.contains("pgbackfill undo --contract job comes first"), "{refused}");
    Pgbackfill::new(["undo", "--contract"]).arg(job.path()).on(&db).run().await.expect_code(0);
    undo(&db, &job).run().await.expect_code(0);
    let said = Pgbackfill::new(["contract"]).arg(job.path()).on(&db).run().await.expect_code(1).stderr;
    assert!(said.contains("was undone") && said.contains("--new-run"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_undone_does_not_go_on() {
    let (db, client) = prices(300).await;
    let job = JobFile::new(RAISE);
    let few = ["--max-rows", "50", "--max-rows-per-batch", "50", "--workers", "1"];
    job.run_with(&db, few).run().await.expect_code(3);
    Pgbackfill::new(["cancel", "job"]).on(&db).run().await.expect_code(0);
    undo(&db, &job).run().await.expect_code(0);
    let refused = Pgbackfill::new(["resume", "job"]).on(&db).run().await.expect_code(1).stderr;
    assert!(
        refused.contains("was undone, so that it cannot go on") && refused.contains("--new-run"),
        "{refused}"
    );
    assert_eq!(count(&client, super::DIFFER).await, 0);
}
