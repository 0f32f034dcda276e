//! Databases that cannot be reached, entered or written to, and what stands under the name of the control
//! schema.
//!
//! Must not know: the text of the job.

use std::fs;

use pgbackfill::sandbox::Fsync;

use super::{GOOD, ORDERS, anonymous, database_with, job_dir, refused, refused_as, role};
use crate::support::{Pgbackfill, database_on, own_server};

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_be_reached_is_code_75() {
    let db = database_with(ORDERS).await;
    let dir = job_dir(GOOD);
    // Port 1 is nobody's, and a name with an empty label is refused without asking the network.
    for (url, words) in [
        (
            "postgresql://127.0.0.1:1/shop",
            "cannot connect to 127.0.0.1:1, database \"shop\": Connection refused",
        ),
        (
            "postgresql://db..invalid/shop",
            "cannot connect to db..invalid:5432, database \"shop\": failed to lookup",
        ),
        (
            "host=/nowhere dbname=shop",
            "cannot connect to /nowhere/.s.PGSQL.5432, database \"shop\": No such file",
        ),
    ] {
        for command in [["run", "job.toml"], ["status", "job"]] {
            let said =
                Pgbackfill::new(command).in_dir(&dir).env("DATABASE_URL", url).run().await.expect_code(75);
            assert!(said.stderr.contains(words) && said.stderr.contains("\nhint: "), "{}", said.stderr);
        }
    }
    let nowhere = format!("{}/nowhere", db.direct_url().rsplit_once('/').unwrap().0);
    let run = Pgbackfill::new(["run", "job.toml"]).in_dir(&dir).env("DATABASE_URL", nowhere);
    let said = run.run().await.expect_code(75).stderr;
    let said = said.split_once(", database").unwrap().1;
    insta::assert_snapshot!(said, @r#"
     "nowhere": database "nowhere" does not exist [SQLSTATE 3D000]
    hint: psql -l lists the databases of a server; name one in the connection string or in PGDATABASE
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_string_that_nobody_can_read_is_a_matter_of_usage() {
    let dir = job_dir(GOOD);
    let said = |url: &'static str| Pgbackfill::new(["run", "job.toml", "--database", url]).in_dir(&dir).run();
    insta::assert_snapshot!(said("postgres:/shop").await.expect_code(2).stderr, @r#"
    error: connection string cannot be read: it begins neither with postgresql:// nor with a parameter's name
    hint: write postgresql://user@host:5432/database or host=… dbname=…
    "#);
    insta::assert_snapshot!(said("host=h hots=x").await.expect_code(2).stderr, @r#"
    error: unknown connection parameter "hots"
    hint: did you mean "host"?
    "#);
    insta::assert_snapshot!(said("host=h port=many").await.expect_code(2).stderr, @r#"
    error: connection parameter port cannot be "many"
    hint: it takes a number from 1 to 65535
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_rights_are_told_with_the_grant_that_gives_them() {
    let db = database_with(ORDERS).await;
    let role = role(&db, "GRANT SELECT ON orders TO $role").await;
    insta::assert_snapshot!(refused_as(&db, &role, GOOD, 2).await, @r#"
    error[missing-right]: role "app" may not read and update "public"."orders"
     --> job.toml:1:9
      |
    1 | table = 'orders'
      |         ^^^^^^^^
      hint: GRANT SELECT, UPDATE ON "public"."orders" TO "app"
    "#);
    let admin = db.client().await;
    admin.batch_execute(&format!("GRANT UPDATE (status) ON orders TO {role}")).await.unwrap();
    insta::assert_snapshot!(refused_as(&db, &role, GOOD, 2).await, @r#"
    error[missing-right]: permission denied for table orders
     --> job.toml:1:9
      |
    1 | table = 'orders'
      |         ^^^^^^^^
      hint: the role needs SELECT and UPDATE on the table: ask its owner for a GRANT
    "#);
    admin.batch_execute(&format!("GRANT UPDATE ON orders TO {role}")).await.unwrap();
    insta::assert_snapshot!(refused_as(&db, &role, GOOD, 1).await, @r#"
    warning[blind-statistics]: role "app" does not see others' sessions: old snapshots and the lag of standbys stay hidden
      hint: GRANT pg_read_all_stats TO "app"
    error: cannot install the control schema "pgbackfill" in database "shop": role "app" may not (permission denied for database shop)
    hint: GRANT CREATE ON DATABASE "shop" TO "app", or CREATE SCHEMA pgbackfill AUTHORIZATION "app"
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_on_the_control_schema_are_asked_for_before_anything_is_written() {
    let db = database_with(ORDERS).await;
    let role = role(&db, "GRANT SELECT, UPDATE ON orders TO $role").await;
    let dir = job_dir(GOOD);
    Pgbackfill::new(["run", "job.toml"]).in_dir(&dir).on(&db).run().await.expect_code(0);
    insta::assert_snapshot!(refused_as(&db, &role, GOOD, 1).await, @r#"
    error: cannot write to the control schema "pgbackfill": role "app" may not (it needs SELECT, INSERT, UPDATE, DELETE on the tables in it)
    hint: its owner runs GRANT USAGE ON SCHEMA pgbackfill TO "app"; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA pgbackfill TO "app"
    "#);
    let list = || Pgbackfill::new(["list"]).env("DATABASE_URL", db.url_of(&role)).run();
    insta::assert_snapshot!(anonymous(&db, &role, &list().await.expect_code(1).stderr), @r#"
    error: cannot read the control schema "pgbackfill": role "app" may not (it needs SELECT on the tables in it)
    hint: its owner runs GRANT USAGE ON SCHEMA pgbackfill TO "app"; GRANT SELECT ON ALL TABLES IN SCHEMA pgbackfill TO "app"
    "#);
    let grant = format!(
        "GRANT USAGE ON SCHEMA pgbackfill TO {role}; GRANT SELECT ON ALL TABLES IN SCHEMA pgbackfill TO {role}"
    );
    db.client().await.batch_execute(&grant).await.unwrap();
    list().await.expect_code(0);
    insta::assert_snapshot!(refused_as(&db, &role, GOOD, 1).await, @r#"
    error: cannot write to the control schema "pgbackfill": role "app" may not (it needs SELECT, INSERT, UPDATE, DELETE on the tables in it)
    hint: its owner runs GRANT USAGE ON SCHEMA pgbackfill TO "app"; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA pgbackfill TO "app"
    "#);
    let grant = format!("GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA pgbackfill TO {role}");
    db.client().await.batch_execute(&grant).await.unwrap();
    let again = Pgbackfill::new(["run", "job.toml", "--new-run"]).in_dir(&dir);
    again.env("DATABASE_URL", db.url_of(&role)).run().await.expect_code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_is_read_only_is_refused() {
    let db = database_with(ORDERS).await;
    let role = role(&db, "ALTER ROLE $role SET default_transaction_read_only = on").await;
    let grants =
        format!("GRANT SELECT, UPDATE ON orders TO {role}; GRANT CREATE ON DATABASE {} TO {role}", db.name);
    db.client().await.batch_execute(&grants).await.unwrap();
    insta::assert_snapshot!(refused_as(&db, &role, GOOD, 1).await, @r#"
    warning[blind-statistics]: role "app" does not see others' sessions: old snapshots and the lag of standbys stay hidden
      hint: GRANT pg_read_all_stats TO "app"
    error: cannot write to this database: role "app" may not (default_transaction_read_only is on)
    hint: somebody wants it so, for this role, database or server; if not: ALTER ROLE "app" SET default_transaction_read_only = off
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_refused() {
    let mut server = own_server(Fsync::Off);
    let db = database_on(&server).await;
    db.client().await.batch_execute(ORDERS).await.unwrap();
    // A server that recovers without a primary is as read-only as one that has one.
    fs::write(server.dir().join("data/standby.signal"), "").unwrap();
    server.restart().unwrap();
    let said = refused(&db, GOOD, 1).await;
    // Before it stands the address.
    let said = said.split_once(", database").unwrap().1;
    insta::assert_snapshot!(said, @r#"
     "shop" is a standby and cannot be written to
    hint: connect to the primary
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_control_schema_upgrades_itself() {
    let db = database_with(ORDERS).await;
    let client = db.client().await;
    client.batch_execute("CREATE SCHEMA pgbackfill").await.unwrap();
    client.batch_execute(pgbackfill::sql::fixed::SCHEMA_STEPS[0]).await.unwrap();
    client.batch_execute("INSERT INTO pgbackfill.version VALUES (1, now(), 'somebody')").await.unwrap();
    // Looking needs no upgrade, except at what was not written down then.
    Pgbackfill::new(["list"]).on(&db).run().await.expect_code(0);
    let said = Pgbackfill::new(["status", "job"]).on(&db).run().await.expect_code(1).stderr;
    let latest = pgbackfill::store::SCHEMA_VERSION;
    assert_eq!(
        said,
        format!(
            "error: the control schema \"pgbackfill\" has version 1, this program needs version {latest}\n\
             hint: pgbackfill run of any job brings it up to date, without stopping who is at work\n"
        )
    );
    let dir = job_dir(GOOD);
    Pgbackfill::new(["run", "job.toml"]).in_dir(&dir).on(&db).run().await.expect_code(0);
    client.batch_execute("SELECT pgbackfill.assert_complete('job')").await.unwrap();
    let version = "SELECT max(number), count(*) FROM pgbackfill.version";
    let row = client.query_one(version, &[]).await.unwrap();
    assert_eq!((row.get::<_, i32>(0), row.get::<_, i64>(1)), (latest, latest.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_an_older_control_schema_is_paused_and_resumed() {
    let db = database_with(ORDERS).await;
    let dir = job_dir(GOOD);
    let run = || Pgbackfill::new(["run", "job.toml"]).in_dir(&dir).on(&db);
    run().arg("--max-rows").arg("1").run().await.expect_code(3);
    let version_7 = "
        ALTER TABLE pgbackfill.process DROP COLUMN rows_passed_per_s;
        ALTER TABLE pgbackfill.bad_row DROP COLUMN range;
        DELETE FROM pgbackfill.version WHERE number = 8";
    db.client().await.batch_execute(version_7).await.unwrap();
    for (order, state) in [("pause", "paused"), ("resume", "running")] {
        let said = Pgbackfill::new([order, "job"]).on(&db).run().await.expect_code(0);
        assert!(said.stdout.starts_with(&format!("run 1 of job \"job\" is {state}")), "{}", said.stdout);
    }
    run().run().await.expect_code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_control_schema_is_left_alone_even_by_those_who_only_look() {
    let db = database_with(ORDERS).await;
    let dir = job_dir(GOOD);
    Pgbackfill::new(["run", "job.toml"]).in_dir(&dir).on(&db).run().await.expect_code(0);
    let newer = "INSERT INTO pgbackfill.version VALUES (99, now(), 'somebody')";
    db.client().await.batch_execute(newer).await.unwrap();
    let known = format!("up to {}", pgbackfill::store::SCHEMA_VERSION);
    insta::assert_snapshot!(refused(&db, GOOD, 1).await.replace(&known, "up to N"), @r#"
    error: the control schema "pgbackfill" has version 99, this program knows versions up to N
    hint: install the pgbackfill that made it, or a later one
    "#);
    for command in [["status", "job"], ["list", "--output=json"], ["pause", "job"], ["history", "job"]] {
        let said = Pgbackfill::new(command).on(&db).run().await.expect_code(1);
        assert!(said.stderr.contains("has version 99"), "{}", said.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_of_our_name_that_is_somebody_elses_is_left_alone() {
    for theirs in ["CREATE TABLE pgbackfill.progress (n int)", "CREATE TABLE pgbackfill.version (major int)"]
    {
        let db = database_with(&format!("{ORDERS}; CREATE SCHEMA pgbackfill; {theirs}")).await;
        let said = refused(&db, GOOD, 1).await;
        let list = Pgbackfill::new(["list"]).on(&db).run().await.expect_code(1);
        assert_eq!(said, list.stderr.trim_end());
        assert!(said.contains("is there, but not as a control schema: it holds \""), "{said}");
        assert!(said.contains("\nhint: rename or drop that schema, or use another database"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_schema_of_our_name_is_taken_as_prepared_for_us() {
    let db = database_with(ORDERS).await;
    let role =
        role(&db, "GRANT SELECT, UPDATE ON orders TO $role; CREATE SCHEMA pgbackfill AUTHORIZATION $role")
            .await;
    let dir = job_dir(GOOD);
    let run = Pgbackfill::new(["run", "job.toml"]).in_dir(&dir).env("DATABASE_URL", db.url_of(&role));
    run.run().await.expect_code(0);
}
