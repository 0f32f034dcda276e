//! The script that makes a role which may run one job and nothing else.
//!
//! Must not know: who runs it, and whether such a role is there.

use super::Change;
use crate::sql::{Ident, Qualified};

/// What the role is to work on.
#[derive(Clone, Debug)]
pub struct Grants<'a> {
    /// The role's name.
    pub role: &'a str,
    /// The database.
    pub database: &'a str,
    /// The table, and its partitions: privileges on a partitioned table do not reach them.
    pub tables: Vec<&'a Qualified>,
    /// What is changed in them.
    pub change: &'a Change,
    /// Tables and views that the expressions read besides.
    pub reads: &'a [Qualified],
    /// Whether the control schema is there already, so that others have runs in it.
    pub installed: bool,
    /// Whether its runs keep what they replace, in a table of their own.
    pub keeps_old: bool,
}

/// Grants for one job, a statement a line.
#[must_use]
pub fn grants(wanted: &Grants<'_>) -> String {
    let role = Ident(wanted.role.to_owned());
    let privileges = wanted.change.privileges();
    let mut lines = vec![
        format!("CREATE ROLE {role} LOGIN;"),
        format!("GRANT CONNECT ON DATABASE {} TO {role};", Ident(wanted.database.to_owned())),
    ];
    let mut schemas: Vec<&Ident> = Vec::new();
    for table in wanted.tables.iter().copied().chain(wanted.reads) {
        if !schemas.contains(&&table.schema) {
            schemas.push(&table.schema);
        }
    }
    lines.extend(schemas.iter().map(|schema| format!("GRANT USAGE ON SCHEMA {schema} TO {role};")));
    lines.extend(wanted.tables.iter().map(|table| format!("GRANT {privileges} ON {table} TO {role};")));
    lines.extend(wanted.reads.iter().map(|table| format!("GRANT SELECT ON {table} TO {role};")));
    lines.extend(control_schema(&role, wanted));
    lines.push(format!("GRANT pg_read_all_stats TO {role};"));
    lines.join("\n")
}

fn control_schema(role: &Ident, wanted: &Grants<'_>) -> Vec<String> {
    if !wanted.installed {
        return vec![format!("CREATE SCHEMA pgbackfill AUTHORIZATION {role};")];
    }
    let may = if wanted.keeps_old { "USAGE, CREATE" } else { "USAGE" };
    vec![
        format!("GRANT {may} ON SCHEMA pgbackfill TO {role};"),
        format!("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA pgbackfill TO {role};"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::Update;

    #[test]
    fn a_role_may_change_the_columns_of_the_job_and_no_others() {
        let change = Change::Update(Update {
            set: vec![(Ident("total".into()), "1".into())],
            quiet: vec![Ident("customer_id".into())],
            filter: None,
            differs: None,
            lookup: None,
            keeps: None,
        });
        let (table, leaf) = (Qualified::new("public", "orders"), Qualified::new("parts", "orders_1"));
        let wanted = Grants {
            role: "backfill",
            database: "shop",
            tables: vec![&table, &leaf],
            change: &change,
            reads: &[Qualified::new("public", "users")],
            installed: false,
            keeps_old: false,
        };
        insta::assert_snapshot!(grants(&wanted), @r#"
        CREATE ROLE "backfill" LOGIN;
        GRANT CONNECT ON DATABASE "shop" TO "backfill";
        GRANT USAGE ON SCHEMA "public" TO "backfill";
        GRANT USAGE ON SCHEMA "parts" TO "backfill";
        GRANT SELECT, UPDATE ("total", "customer_id") ON "public"."orders" TO "backfill";
        GRANT SELECT, UPDATE ("total", "customer_id") ON "parts"."orders_1" TO "backfill";
        GRANT SELECT ON "public"."users" TO "backfill";
        CREATE SCHEMA pgbackfill AUTHORIZATION "backfill";
        GRANT pg_read_all_stats TO "backfill";
        "#);
        let later = grants(&Grants { installed: true, ..wanted });
        assert!(
            later.contains(
                "\nGRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA pgbackfill TO \"backfill\";\n"
            ),
            "{later}"
        );
    }
}
