//! The gate of a migration: a DO block that passes or raises, and needs nothing of ours to be there.
//!
//! Must not know: which tool runs it.

use std::fmt::Write as _;

use super::{dollar_quote, enclosed, literal};

/// Asks whether a job is complete, or whether there is nothing for it to do.
#[derive(Clone, Debug)]
pub struct Gate<'a> {
    /// The job's name.
    pub job: &'a str,
    /// What is to be typed where it was never run.
    pub command: &'a str,
    /// The table, and what else is read beside it, as FROM items.
    pub from: Vec<String>,
    /// Which rows the job would change.
    pub conditions: Vec<&'a str>,
    /// Whether it has to be verified, too, within so many seconds if it says so.
    pub verified: Option<Option<u64>>,
}

impl Gate<'_> {
    /// The block. It asks each thing only where the one before says that it can be asked: a name that is not
    /// there would be an error.
    #[must_use]
    pub fn block(&self) -> String {
        let body = self.body();
        let quote = dollar_quote("gate", &body);
        let what = format!(
            "-- Raises unless the backfill \"{}\" is complete, or there is nothing to fill.",
            self.job
        );
        format!("{what}\nDO {quote}\n{body}{quote};\n")
    }

    fn body(&self) -> String {
        let Self { job, command, verified, .. } = self;
        let tables = match verified {
            None => ["run", "bad_row"].as_slice(),
            Some(_) => ["run", "bad_row", "verification"].as_slice(),
        };
        let tables: Vec<_> = tables.iter().map(|table| format!("pgbackfill.{table}")).collect();
        let may = |table: &String| format!("has_table_privilege('{table}', 'SELECT')");
        let may = tables.iter().map(may).collect::<Vec<_>>().join(" AND ");
        let more = match verified {
            None => String::new(),
            Some(None) => ", verified => true".to_owned(),
            Some(Some(s)) => format!(", verified => true, within => '{s} s'"),
        };
        let rights = format!(" may not ask whether backfill \"{job}\" is complete");
        let never =
            format!("backfill \"{job}\" has never been run in this database, and there are rows to fill");
        format!(
            "BEGIN
    IF EXISTS (
        SELECT
        FROM pg_catalog.pg_class
        JOIN pg_catalog.pg_namespace ON pg_namespace.oid = relnamespace
        WHERE nspname = 'pgbackfill' AND relname = 'run'
    ) THEN
        IF (CASE WHEN has_schema_privilege('pgbackfill', 'USAGE')
                 THEN NOT ({may})
                 ELSE true
            END)
        THEN
            RAISE EXCEPTION USING
                ERRCODE = 'insufficient_privilege',
                MESSAGE = 'role ' || quote_ident(current_user) || {rights},
                HINT = 'GRANT USAGE ON SCHEMA pgbackfill TO ' || quote_ident(current_user)
                    || '; GRANT SELECT ON {tables} TO ' || quote_ident(current_user);
        END IF;
        IF EXISTS (SELECT FROM pgbackfill.run WHERE job = {job}) THEN
            PERFORM pgbackfill.assert_complete({job}{more});
            RETURN;
        END IF;
    END IF;
    -- It has never been run here, as in the database of a test: there must be nothing to fill.
    IF EXISTS (
{rows}
    ) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = {never},
            HINT = {hint};
    END IF;
END
",
            tables = tables.join(", "),
            rights = literal(&rights),
            job = literal(job),
            rows = self.rows(),
            never = literal(&never),
            hint = literal(&format!("run it first: {command}")),
        )
    }

    /// The rows that the job would change.
    fn rows(&self) -> String {
        let mut sql = format!("SELECT FROM {}", self.from.join(", "));
        for (number, condition) in self.conditions.iter().enumerate() {
            let word = if number == 0 { "WHERE" } else { "AND" };
            // Writing to a String cannot fail.
            let _ = write!(sql, "\n{word} {}", enclosed(condition));
        }
        sql
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(condition: &str) -> String {
        let from = vec!["\"app\".\"orders\"".to_owned(), "users AS u".to_owned()];
        let conditions = vec!["u.id = orders.user_id", condition];
        Gate { job: "status", command: "pgbackfill run jobs/status.toml", from, conditions, verified: None }
            .block()
    }

    #[test]
    fn the_block_asks_for_the_jobs_own_rows() {
        insta::assert_snapshot!(block("a IS NULL -- still"), @r#"
        -- Raises unless the backfill "status" is complete, or there is nothing to fill.
        DO $gate$
        BEGIN
            IF EXISTS (
                SELECT
                FROM pg_catalog.pg_class
                JOIN pg_catalog.pg_namespace ON pg_namespace.oid = relnamespace
                WHERE nspname = 'pgbackfill' AND relname = 'run'
            ) THEN
                IF (CASE WHEN has_schema_privilege('pgbackfill', 'USAGE')
                         THEN NOT (has_table_privilege('pgbackfill.run', 'SELECT') AND has_table_privilege('pgbackfill.bad_row', 'SELECT'))
                         ELSE true
                    END)
                THEN
                    RAISE EXCEPTION USING
                        ERRCODE = 'insufficient_privilege',
                        MESSAGE = 'role ' || quote_ident(current_user) || ' may not ask whether backfill "status" is complete',
                        HINT = 'GRANT USAGE ON SCHEMA pgbackfill TO ' || quote_ident(current_user)
                            || '; GRANT SELECT ON pgbackfill.run, pgbackfill.bad_row TO ' || quote_ident(current_user);
                END IF;
                IF EXISTS (SELECT FROM pgbackfill.run WHERE job = 'status') THEN
                    PERFORM pgbackfill.assert_complete('status');
                    RETURN;
                END IF;
            END IF;
            -- It has never been run here, as in the database of a test: there must be nothing to fill.
            IF EXISTS (
        SELECT FROM "app"."orders", users AS u
        WHERE (
        u.id = orders.user_id
        )
        AND (
        a IS NULL -- still
        )
            ) THEN
                RAISE EXCEPTION USING
                    ERRCODE = 'object_not_in_prerequisite_state',
                    MESSAGE = 'backfill "status" has never been run in this database, and there are rows to fill',
                    HINT = 'run it first: pgbackfill run jobs/status.toml';
            END IF;
        END
        $gate$;
        "#);
    }

    #[test]
    fn a_text_with_the_quote_in_it_gets_another() {
        assert!(block("a <> $gate$x$gate$").contains("DO $gate_1$\n"));
    }
}
