//! How each tool is told a statement.
//!
//! Must not know: which statement.

use std::fmt::Write as _;

/// A tool that runs migrations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Tool {
    Sql,
    Alembic,
    Django,
    Rails,
    Flyway,
    Liquibase,
}

impl Tool {
    /// The statement as it stands in a migration, with what a person should know about it.
    pub(super) fn wrap(self, job: &str, sql: &str) -> String {
        match self {
            Self::Sql => format!("-- First in the migration that needs it.\n{sql}"),
            Self::Flyway => format!(
                "-- First in the script, or in one of its own before it. Not with executeInTransaction=false, where\n\
                 -- what comes before it stays.\n{sql}"
            ),
            Self::Liquibase => format!(
                "--liquibase formatted sql\n\n--changeset pgbackfill:gate_{job} splitStatements:false\n{sql}"
            ),
            Self::Alembic => format!(
                "# First in upgrade(), best in a revision of its own with transaction_per_migration=True, so that a\n\
                 # refusal takes nothing else back. Before any autocommit_block(), which commits what came before.\n\
                 from sqlalchemy import DDL\n\nop.execute(DDL({}))\n",
                // A DDL's text is a format; unlike text() it takes no colon for a parameter.
                python(&sql.replace('%', "%%"))
            ),
            Self::Django => format!(
                "# In a migration of its own before the one that needs it, so that another try starts there.\n\
                 migrations.RunSQL({}, reverse_sql=migrations.RunSQL.noop)\n",
                python(sql)
            ),
            Self::Rails => ruby(sql),
        }
    }
}

/// A string of Python, over several lines.
fn python(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace("\"\"\"", "\\\"\\\"\\\"");
    format!("\"\"\"\\\n{escaped}\"\"\"")
}

/// The first lines of `up`; the heredoc takes nothing for its own but the line that ends it.
fn ruby(sql: &str) -> String {
    let ends = std::iter::once("SQL".to_owned()).chain((1..).map(|number| format!("SQL_{number}")));
    let end = ends.into_iter().find(|end| sql.lines().all(|line| line.trim() != end)).unwrap_or_default();
    let mut out = String::from("# First in `def up`; `def down` has nothing to do for it.\n");
    // Writing to a String cannot fail.
    let _ = write!(out, "execute <<-'{end}'\n{sql}{end}\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQL: &str = "DO $gate$ a %I \\ \"\"\" $gate$;\n";

    #[test]
    fn each_tool_gets_the_statement_in_its_language() {
        insta::assert_snapshot!(Tool::Alembic.wrap("j", SQL), @r##"
        # First in upgrade(), best in a revision of its own with transaction_per_migration=True, so that a
        # refusal takes nothing else back. Before any autocommit_block(), which commits what came before.
        from sqlalchemy import DDL

        op.execute(DDL("""\
        DO $gate$ a %%I \\ \"\"\" $gate$;
        """))
        "##);
        insta::assert_snapshot!(Tool::Django.wrap("j", SQL), @r##"
        # In a migration of its own before the one that needs it, so that another try starts there.
        migrations.RunSQL("""\
        DO $gate$ a %I \\ \"\"\" $gate$;
        """, reverse_sql=migrations.RunSQL.noop)
        "##);
        insta::assert_snapshot!(Tool::Rails.wrap("j", SQL), @r##"
        # First in `def up`; `def down` has nothing to do for it.
        execute <<-'SQL'
        DO $gate$ a %I \ """ $gate$;
        SQL
        "##);
        insta::assert_snapshot!(Tool::Liquibase.wrap("j", SQL), @r##"
        --liquibase formatted sql

        --changeset pgbackfill:gate_j splitStatements:false
        DO $gate$ a %I \ """ $gate$;
        "##);
    }

    #[test]
    fn a_line_of_the_text_does_not_end_the_heredoc() {
        assert!(Tool::Rails.wrap("j", "SELECT\n  SQL\n").contains("<<-'SQL_1'"));
    }
}
