//! The trigger that keeps what a job sets in step with what it is made of, for every write.
//!
//! It goes by values, not by what a statement mentions: an application that sends all columns changes only
//! those whose value differs. Values are compared byte by byte, because not every type has an equality.
//!
//! Must not know: whether it is there, how its lock is got.

use std::fmt::Write as _;

use super::settings::set_all;
use super::sync_name::{ours, sync_function, sync_triggers};
use super::sync_parts::{SyncSource, SyncTarget, Wins};
use super::{Ident, Qualified, dollar_quote, enclosed, literal};

/// Set to the job's name in batches of its run: what they change is no change of the application's.
pub const QUIET: &str = "pgbackfill.quiet";

/// What the trigger is made of.
#[derive(Clone, Debug)]
pub struct SyncTrigger {
    /// The job.
    pub job: String,
    /// The table.
    pub table: Qualified,
    /// How expressions call it.
    pub alias: Ident,
    /// What is set.
    pub targets: Vec<SyncTarget>,
    /// The columns that the expressions read.
    pub sources: Vec<SyncSource>,
    /// All that any expression reads or sets, by the names that the job knows.
    pub known: Vec<Ident>,
    /// Columns that follow what is set, each with its expression.
    pub back: Vec<(Ident, String)>,
    /// Which rows it is about; all of them if there is none.
    pub rows: Option<String>,
    /// Another relation that the expressions read, and how it is joined.
    pub lookup: Option<(String, String)>,
    /// In a conflict.
    pub wins: Wins,
    /// Whether an expression that fails makes the write fail.
    pub raises: bool,
    /// Settings that decide what an expression means.
    pub settings: Vec<(String, String)>,
    /// Its table has partitions.
    pub is_partitioned: bool,
    /// Who owns the table: the function runs as this role, if another one makes it.
    pub owner: Option<Ident>,
    /// The table is fed by a subscription, whose rows are to be synced, too.
    pub is_subscribed: bool,
    /// Once columns were replaced: every column, by the name that the job knows, and by that of today.
    pub renamed: Vec<(Ident, Ident)>,
}

impl SyncTrigger {
    fn conflicts(&self) -> Qualified {
        ours("sync_conflicts_", &self.job)
    }

    fn failures(&self) -> Qualified {
        ours("sync_failures_", &self.job)
    }

    /// All that makes it, for one transaction. `replaces`: triggers of it are there.
    #[must_use]
    pub fn create(&self, replaces: bool) -> Vec<String> {
        let [insert, update] = sync_triggers(&self.job);
        let (table, function) = (&self.table, sync_function(&self.job));
        let mut all = Vec::new();
        for sequence in [self.conflicts(), self.failures()] {
            all.push(format!("CREATE SEQUENCE IF NOT EXISTS {sequence}"));
            // One that another role has left behind would fail the application's write.
            all.push(format!("ALTER SEQUENCE {sequence} OWNER TO {}", self.owned_by()));
        }
        all.extend(self.replace_function());
        if replaces {
            all.extend([&insert, &update].map(|name| format!("DROP TRIGGER IF EXISTS {name} ON {table}")));
        }
        let changed = Self::changed(&self.sources().chain(self.columns()).collect::<Vec<_>>());
        all.push(format!(
            "CREATE TRIGGER {insert} BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION {function}()"
        ));
        all.push(format!(
            "CREATE TRIGGER {update} BEFORE UPDATE ON {table} FOR EACH ROW WHEN ({changed}) EXECUTE FUNCTION {function}()"
        ));
        if self.is_subscribed {
            all.extend(
                [insert, update].map(|name| format!("ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}")),
            );
        }
        all
    }

    fn columns(&self) -> impl Iterator<Item = Ident> {
        self.targets.iter().map(|target| self.now(&target.column))
    }

    fn sources(&self) -> impl Iterator<Item = Ident> {
        self.sources.iter().map(|source| self.now(&source.column))
    }

    /// The name of a column today.
    fn now(&self, known: &Ident) -> Ident {
        self.renamed
            .iter()
            .find(|(name, _)| name == known)
            .map_or_else(|| known.clone(), |(_, now)| now.clone())
    }

    /// The statement that makes the function, and the settings before it.
    #[must_use]
    pub fn replace_function(&self) -> Vec<String> {
        let pairs: Vec<_> =
            self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let kept: Vec<_> =
            self.settings.iter().map(|(name, _)| format!(" SET {name} FROM CURRENT")).collect();
        let (body, function) = (self.body(), sync_function(&self.job));
        let quote = dollar_quote("sync", &body);
        vec![
            set_all(&pairs),
            format!(
                "CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER{} AS {quote}{body}{quote}",
                kept.concat()
            ),
            format!("ALTER FUNCTION {function}() OWNER TO {}", self.owned_by()),
        ]
    }

    fn owned_by(&self) -> String {
        self.owner.as_ref().map_or_else(|| "CURRENT_USER".to_owned(), Ident::to_string)
    }

    /// All of it goes; what was counted stays.
    #[must_use]
    pub fn remove(table: &Qualified, job: &str) -> Vec<String> {
        let mut all: Vec<_> = sync_triggers(job)
            .iter()
            .map(|name| format!("DROP TRIGGER IF EXISTS {name} ON {table}"))
            .collect();
        all.push(format!("DROP FUNCTION IF EXISTS {}()", sync_function(job)));
        all
    }

    /// Whether any of these columns has another value than before.
    fn changed(columns: &[Ident]) -> String {
        let of =
            |row: &str| columns.iter().map(|column| format!("{row}.{column}")).collect::<Vec<_>>().join(", ");
        if columns.is_empty() {
            return "false".to_owned();
        }
        format!("pg_catalog.record_image_ne(ROW({}), ROW({}))", of("OLD"), of("NEW"))
    }

    /// The body of the function.
    #[must_use]
    pub fn body(&self) -> String {
        let targets: Vec<_> = self.columns().collect();
        let declared: Vec<_> = self
            .targets
            .iter()
            .enumerate()
            .map(|(number, target)| format!("    pgbackfill_value_{number} {};\n", target.type_name))
            .collect();
        let assigned: Vec<_> = targets
            .iter()
            .enumerate()
            .map(|(number, column)| format!("    NEW.{column} := pgbackfill_value_{number};\n"))
            .collect();
        let values =
            (0..targets.len()).map(|number| format!("pgbackfill_value_{number}")).collect::<Vec<_>>();
        let news = targets.iter().map(|column| format!("NEW.{column}")).collect::<Vec<_>>();
        format!(
            "
#variable_conflict use_column
DECLARE
    pgbackfill_source boolean;
    pgbackfill_target boolean;
{declared}BEGIN
    IF current_setting('{QUIET}', true) = {job} THEN
        RETURN NEW;
    END IF;
{rows}    IF TG_OP = 'INSERT' THEN
        pgbackfill_target := {given};
{moves}        pgbackfill_source := NOT pgbackfill_target OR {has_source};
    ELSE
        pgbackfill_target := {target_changed};
        pgbackfill_source := {source_changed};
    END IF;
    IF NOT pgbackfill_source THEN
{back}        RETURN NEW;
    END IF;
{computes}    IF pg_catalog.record_image_eq(ROW({values}), ROW({news})) THEN
        RETURN NEW;
    END IF;
    IF pgbackfill_target THEN
{conflict}    END IF;
{assigned}    RETURN NEW;
END
",
            job = literal(&self.job),
            declared = declared.concat(),
            rows = self.domain(),
            given = self.given(),
            moves = self.moves(),
            has_source = self.has_source(),
            target_changed = Self::changed(&targets),
            source_changed = Self::changed(&self.sources().collect::<Vec<_>>()),
            back = self.assign_back(),
            computes = self.computes(),
            values = values.join(", "),
            news = news.join(", "),
            conflict = self.conflict(),
            assigned = assigned.concat(),
        )
    }

    /// The row as the expressions know it.
    fn from(&self) -> String {
        if self.renamed.is_empty() {
            return format!("(SELECT NEW.*) AS {}", self.alias);
        }
        let columns: Vec<_> =
            self.renamed.iter().map(|(known, now)| format!("NEW.{now} AS {known}")).collect();
        format!("(SELECT {}) AS {}", columns.join(", "), self.alias)
    }

    fn domain(&self) -> String {
        let Some(rows) = &self.rows else { return String::new() };
        format!(
            "    IF (SELECT {} FROM {}) IS NOT TRUE THEN\n        RETURN NEW;\n    END IF;\n",
            enclosed(rows),
            self.from()
        )
    }

    /// A row that moves to another partition is inserted there, with all that it has.
    fn moves(&self) -> String {
        if !self.is_partitioned {
            return String::new();
        }
        let all: Vec<_> = self.columns().map(|column| format!("NEW.{column} IS NOT NULL")).collect();
        let (all, has_source) = (all.join(" AND "), self.has_source());
        format!("        IF {all} AND {has_source} THEN\n            RETURN NEW;\n        END IF;\n")
    }

    /// Whether an INSERT brings a value of its own along.
    fn given(&self) -> String {
        let all = self.targets.iter().map(|SyncTarget { column, default, type_name, .. }| {
            given(&self.now(column), default.as_ref(), type_name)
        });
        all.collect::<Vec<_>>().join(" OR ")
    }

    /// Whether an INSERT brings something along of which the new columns are made.
    fn has_source(&self) -> String {
        let has = self.sources.iter().map(|SyncSource { column, default, type_name }| {
            given(&self.now(column), default.as_ref(), type_name)
        });
        let has: Vec<_> = has.collect();
        if has.is_empty() { "false".to_owned() } else { format!("({})", has.join(" OR ")) }
    }

    /// The values; one that fails is not the application's fault.
    fn computes(&self) -> String {
        let mut selected = String::new();
        for (number, target) in self.targets.iter().enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            // Writing to a String cannot fail.
            let _ = write!(selected, "{comma}{}", enclosed(&target.expression));
        }
        let into =
            (0..self.targets.len()).map(|number| format!("pgbackfill_value_{number}")).collect::<Vec<_>>();
        let (from, on) = match &self.lookup {
            None => (self.from(), String::new()),
            Some((from, on)) => (format!("{}, {from}", self.from()), format!("\nWHERE {}", enclosed(on))),
        };
        let select = format!("SELECT {selected}\nINTO {}\nFROM {from}{on}", into.join(", "));
        // A row that is joined to nothing is not changed by the job either.
        let found = if self.lookup.is_some() { "IF NOT FOUND THEN\n    RETURN NEW;\nEND IF;\n" } else { "" };
        if self.raises {
            return format!("{select};\n{found}");
        }
        let columns = self.columns().map(|column| literal(&column.0)).collect::<Vec<_>>().join(", ");
        let each = |value: &dyn Fn(usize, &SyncTarget) -> String| {
            let lines = self.targets.iter().enumerate();
            lines
                .map(|(number, target)| {
                    format!("        pgbackfill_value_{number} := {};\n", value(number, target))
                })
                .collect::<Vec<_>>()
                .concat()
        };
        let handled = format!(
            "BEGIN
{}EXCEPTION WHEN OTHERS THEN
    PERFORM pg_catalog.nextval({});
    -- Where NULL is not allowed any more the value stays as it was.
    IF TG_OP = 'INSERT' OR pgbackfill_target THEN
        -- What the application brought along.
{}    ELSIF EXISTS (
        SELECT
        FROM pg_catalog.pg_attribute
        WHERE attrelid = TG_RELID AND attnotnull AND attname IN ({columns})
    ) OR EXISTS (
        SELECT
        FROM pg_catalog.pg_constraint
        WHERE conrelid = TG_RELID AND contype = 'c' AND conname ~ '^pgbackfill_.*_not_null$'
    ) THEN
{}    ELSE
{}    END IF;
END;
",
            format_args!("{select};\n{found}"),
            literal(&self.failures().to_string()),
            each(&|_, target| format!("NEW.{}", self.now(&target.column))),
            each(&|_, target| format!("OLD.{}", self.now(&target.column))),
            each(&|_, _| "NULL".to_owned()),
        );
        handled
    }

    fn conflict(&self) -> String {
        let count = format!("PERFORM pg_catalog.nextval({});\n", literal(&self.conflicts().to_string()));
        match self.wins {
            Wins::Old => count,
            Wins::New => format!("{count}{}RETURN NEW;\n", self.assign_back()),
            Wins::Nobody => {
                let message = literal(&format!(
                    "backfill \"{}\": both the old and the new columns were changed, and they disagree",
                    self.job
                ));
                format!(
                    "RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation', MESSAGE = {message};\n"
                )
            }
        }
    }

    /// What was written to the new columns goes to the old ones, as far as it can.
    fn assign_back(&self) -> String {
        if self.back.is_empty() {
            return String::new();
        }
        let values: Vec<_> = self.back.iter().map(|(_, expression)| enclosed(expression)).collect();
        let columns: Vec<_> =
            self.back.iter().map(|(column, _)| format!("NEW.{}", self.now(column))).collect();
        let select =
            format!("SELECT {}\nINTO {}\nFROM {};\n", values.join(", "), columns.join(", "), self.from());
        if self.raises {
            return select;
        }
        format!(
            "BEGIN\n{}EXCEPTION WHEN OTHERS THEN\n    PERFORM pg_catalog.nextval({});\nEND;\n",
            &select,
            literal(&self.failures().to_string())
        )
    }
}

/// Whether an INSERT brings a value of its own for this column.
fn given(column: &Ident, default: Option<&String>, type_name: &str) -> String {
    match default {
        None => format!("(NEW.{column} IS NOT NULL)"),
        Some(default) => format!(
            "(NEW.{column} IS NOT NULL AND pg_catalog.record_image_ne(ROW(NEW.{column}), ROW({}::{type_name})))",
            enclosed(default)
        ),
    }
}
