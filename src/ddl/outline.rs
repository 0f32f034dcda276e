//! What the steps of a phase will do, for people who want to know it beforehand.
//!
//! Must not know: the server; what is there already is told elsewhere.

use serde::Serialize;

use super::next::not_null_helper;
use super::target::NOT_NULL_NOT_VALID_FROM;
use crate::job::{Job, Phase, Step, StepKind, kept_name};
use crate::sql::ddl::{self, Building};
use crate::sql::{Ident, Qualified};

/// One statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OutlinedStatement {
    /// As it will be sent.
    pub sql: String,
    /// The lock that it takes on the table.
    pub lock: &'static str,
    /// What the application feels of it.
    pub effect: &'static str,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OutlinedStep {
    /// What it makes.
    pub step: String,
    /// Its statements, each in a transaction of its own.
    pub statements: Vec<OutlinedStatement>,
    /// What takes it back.
    pub way_back: String,
}

const IN_FRONT: (&str, &str) = ("ACCESS EXCLUSIVE", "in front of everybody for milliseconds, reads no row");
const WRITERS: (&str, &str) = ("SHARE ROW EXCLUSIVE", "in front of writers for milliseconds, reads no row");
const BOTH: (&str, &str) =
    ("SHARE ROW EXCLUSIVE on both tables", "in front of writers for milliseconds, reads no row");
const BESIDE: (&str, &str) = ("SHARE UPDATE EXCLUSIVE", "beside readers and writers, reads all rows");

fn statement(sql: String, (lock, effect): (&'static str, &'static str)) -> OutlinedStatement {
    OutlinedStatement { sql, lock, effect }
}

/// The steps of a phase.
#[must_use]
pub fn outline(job: &Job, phase: Phase, table: &Qualified, server_version: i32) -> Vec<OutlinedStep> {
    let dropped = if phase == Phase::Contract { &job.steps.drop[..] } else { &[] };
    job.steps.of(phase).iter().chain(dropped).map(|step| outlined(step, table, server_version)).collect()
}

fn outlined(step: &Step, table: &Qualified, server_version: i32) -> OutlinedStep {
    let (name, on) = (Ident(step.name.clone()), table.to_string());
    let (statements, way_back) = match step.kind {
        StepKind::Type => {
            let labels: Vec<&str> = step.definition.lines().collect();
            let name = Qualified { schema: table.schema.clone(), name };
            let back = format!("DROP TYPE {name}; a label that was added to one stays");
            (vec![statement(ddl::create_enum(&name, &labels), ("none", "locks no table"))], back)
        }
        StepKind::ForeignKey => {
            let back = format!("ALTER TABLE {table} DROP CONSTRAINT …, which locks both tables");
            (foreign_key(table, step), back)
        }
        StepKind::Replace => (vec![swap(table, step)], "pgbackfill undo --contract".to_owned()),
        StepKind::Drop => (vec![statement(ddl::drop_column(table, &name), IN_FRONT)], "none".to_owned()),
        StepKind::Free => {
            let undo = step.free.as_ref().and_then(|free| free.undo.clone());
            let own = ("its own", "what it does is the job's own");
            (vec![statement(step.definition.clone(), own)], undo.unwrap_or_else(|| "none".to_owned()))
        }
        StepKind::Column => (
            vec![statement(ddl::add_column(&on, &name, &step.definition), IN_FRONT)],
            format!("ALTER TABLE {table} DROP COLUMN {name}"),
        ),
        StepKind::Sync => (
            vec![statement(format!("CREATE TRIGGER … BEFORE INSERT, BEFORE UPDATE ON {table}"), WRITERS)],
            "DROP TRIGGER of both".to_owned(),
        ),
        StepKind::NotNull => {
            let back = format!("ALTER TABLE {table} ALTER COLUMN {name} DROP NOT NULL");
            (not_null(table, step, server_version), back)
        }
        StepKind::Check => (
            vec![
                statement(ddl::add_check(&on, &name, &step.definition), IN_FRONT),
                statement(ddl::validate(table, &name), BESIDE),
            ],
            ddl::drop_constraint(table, &name),
        ),
        StepKind::Index | StepKind::UniqueIndex => {
            let is_unique = step.kind == StepKind::UniqueIndex;
            let sql = ddl::create_index(&on, &name, &step.definition, is_unique, Building::Concurrently);
            let index = Qualified { schema: table.schema.clone(), name };
            (vec![statement(sql, BESIDE)], ddl::drop_index(&index))
        }
    };
    let line = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let statements =
        statements.into_iter().map(|one| OutlinedStatement { sql: line(one.sql), ..one }).collect();
    OutlinedStep { step: step.key(), statements, way_back }
}

fn foreign_key(table: &Qualified, step: &Step) -> Vec<OutlinedStatement> {
    let Step { name, definition, .. } = step;
    let add = format!(
        "ALTER TABLE {table} ADD FOREIGN KEY ({}) REFERENCES {definition} NOT VALID",
        Ident(name.clone())
    );
    vec![statement(add, BOTH), statement(format!("ALTER TABLE {table} VALIDATE CONSTRAINT …"), BESIDE)]
}

/// Both names in one transaction.
fn swap(table: &Qualified, step: &Step) -> OutlinedStatement {
    let (on, old) = (table.to_string(), Ident(step.name.clone()));
    let (new, kept) = (Ident(step.definition.clone()), Ident(kept_name(&step.name)));
    let swap = [ddl::rename_column(&on, &old, &kept), ddl::rename_column(&on, &new, &old)].join("; ");
    statement(swap, IN_FRONT)
}

/// In two or three steps, so that the rows are read beside the application.
fn not_null(table: &Qualified, step: &Step, server_version: i32) -> Vec<OutlinedStatement> {
    let name = Ident(step.name.clone());
    if server_version >= NOT_NULL_NOT_VALID_FROM {
        let added = Ident(format!("{}_not_null", step.name));
        return vec![
            statement(ddl::add_not_null(table, &added, &name), IN_FRONT),
            statement(ddl::validate(table, &added), BESIDE),
        ];
    }
    let helper = not_null_helper(step);
    let (set, drop) = (ddl::set_not_null(table, &name), ddl::drop_constraint(table, &helper));
    vec![
        statement(ddl::add_check(&table.to_string(), &helper, &ddl::is_not_null(&name)), IN_FRONT),
        statement(ddl::validate(table, &helper), BESIDE),
        statement(format!("{set}; {drop}"), IN_FRONT),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::JobName;

    fn of(phase: Phase, server_version: i32) -> String {
        let text = "table = 'orders'\nset.a = 'b'\nexpand.column.a = 'text'\nexpand.sync.forward = true\n\
                    contract.not_null = ['a']\ncontract.unique.one_a = '(a)'\n";
        let job = Job::from_toml(JobName::new("job").unwrap(), "job.toml", text).unwrap();
        let steps = outline(&job, phase, &Qualified::new("public", "orders"), server_version);
        let lines = steps.iter().flat_map(|step| {
            step.statements.iter().map(|one| format!("{}: {} [{}]", step.step, one.sql, one.lock))
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn each_statement_is_told_with_its_lock() {
        insta::assert_snapshot!(of(Phase::Expand, 150_000), @r#"
        column a: ALTER TABLE "public"."orders" ADD COLUMN "a" text [ACCESS EXCLUSIVE]
        sync: CREATE TRIGGER … BEFORE INSERT, BEFORE UPDATE ON "public"."orders" [SHARE ROW EXCLUSIVE]
        "#);
        insta::assert_snapshot!(of(Phase::Contract, 150_000), @r#"
        not_null a: ALTER TABLE "public"."orders" ADD CONSTRAINT "pgbackfill_a_not_null" CHECK ( "a" IS NOT NULL ) NOT VALID [ACCESS EXCLUSIVE]
        not_null a: ALTER TABLE "public"."orders" VALIDATE CONSTRAINT "pgbackfill_a_not_null" [SHARE UPDATE EXCLUSIVE]
        not_null a: ALTER TABLE "public"."orders" ALTER COLUMN "a" SET NOT NULL; ALTER TABLE "public"."orders" DROP CONSTRAINT "pgbackfill_a_not_null" [ACCESS EXCLUSIVE]
        unique one_a: CREATE UNIQUE INDEX CONCURRENTLY "one_a" ON "public"."orders" (a) [SHARE UPDATE EXCLUSIVE]
        "#);
        insta::assert_snapshot!(of(Phase::Contract, 180_000).lines().next().unwrap(), @r#"not_null a: ALTER TABLE "public"."orders" ADD CONSTRAINT "a_not_null" NOT NULL "a" NOT VALID [ACCESS EXCLUSIVE]"#);
    }
}
