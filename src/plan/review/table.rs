//! What hangs on the table: triggers, constraints, indexes, and who removes its dead rows.
//!
//! Must not know: how the facts were read.

use super::Subject;
use super::queries::{ForeignKey, TableFacts, Trigger};
use crate::plan::{Code, Finding};
use crate::scan::ScanOrder;
use crate::sql::sync_triggers;

/// Dead rows are removed when they are more than a threshold; with so many times as many, autovacuum does not
/// keep up.
const BEHIND: f64 = 2.0;
/// Fewer are no problem.
const DEAD_ROWS_MIN: i64 = 10_000;

pub(super) fn judge(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    found.extend(set_column_indexed(subject));
    found.extend(scattered_key(subject));
    let Some(table) = &subject.facts.table else { return };
    // The trigger that keeps the job's own columns in step lets its run pass.
    let own = sync_triggers(subject.job.name.as_str());
    let is_own = |trigger: &&Trigger| own.iter().any(|name| name.0 == trigger.name);
    found.extend(
        table.triggers.iter().filter(|trigger| !is_own(trigger)).map(|trigger| fires(subject, trigger)),
    );
    foreign_keys(subject, table, found);
    found.extend(unique_columns(table));
    found.extend(generated_columns(table));
    found.extend(row_security(subject, table));
    found.extend(autovacuum_off(subject, table));
    found.extend(autovacuum_behind(subject, table));
}

fn set_column_indexed(subject: &Subject<'_>) -> Option<Finding> {
    let index = subject.plan.order.set_index.as_ref()?;
    Some(Finding::new(
        Code::SetColumnIndexed,
        format!(
            "index \"{index}\" uses a column that is set, so each changed row costs every index an entry"
        ),
        "drop the index and make it again after the run (CONCURRENTLY), or accept that the run is slower and leaves bloat in the indexes",
    ))
}

fn scattered_key(subject: &Subject<'_>) -> Option<Finding> {
    let ordering = &subject.plan.ordering;
    let is_meant = ordering.order == ScanOrder::Keys && ordering.is_scattered;
    let fact = "rows that follow each other by key lie on different pages, so that each changed row costs a page, and a full-page image after each checkpoint";
    let remedy = match &ordering.unrepeatable {
        Some(why) => format!("walking by block would spare most of that, but {why}"),
        None => "leave order = \"keys\" out: walking by block spares most of that".to_owned(),
    };
    is_meant.then(|| Finding::new(Code::ScatteredKey, fact.to_owned(), &remedy))
}

fn fires(subject: &Subject<'_>, trigger: &Trigger) -> Finding {
    let Trigger { name, table, timing, function, .. } = trigger;
    if !trigger.each_row {
        return Finding::new(
            Code::StatementTrigger,
            format!("trigger \"{name}\" on {table} calls {function} for each batch"),
            "does it expect to be called so often?",
        );
    }
    let cost = subject.trigger_us(name).map(|us| format!(", at {us:.1} µs a row")).unwrap_or_default();
    Finding::new(
        Code::RowTrigger,
        format!("trigger \"{name}\" on {table} calls {function} {timing} each row is updated{cost}"),
        "should it do that for a backfill? If not, let its function return early, for example where current_setting('application_name') begins with pgbackfill",
    )
}

fn foreign_keys(subject: &Subject<'_>, table: &TableFacts, found: &mut Vec<Finding>) {
    let cost = |key: &ForeignKey| {
        let us = subject.trigger_us(&key.name);
        us.map(|us| format!(" (at {us:.1} µs a row)")).unwrap_or_default()
    };
    found.extend(table.references.iter().map(|key| {
        Finding::new(
            Code::ForeignKeyInSet,
            format!("foreign key \"{}\" uses a column that is set: each row is looked up in {}, and locked there{}", key.name, key.table, cost(key)),
            "values that are not there stop the run; allow for them with max_bad_rows, or check them first",
        )
    }));
    found.extend(table.referenced_by.iter().map(|key| {
        Finding::new(
            Code::ForeignKeyInSet,
            format!(
                "foreign key \"{}\" of {} points to a column that is set{}",
                key.name,
                key.table,
                cost(key)
            ),
            "each change is checked there or carried over: is the referencing column indexed?",
        )
    }));
}

fn unique_columns(table: &TableFacts) -> impl Iterator<Item = Finding> {
    table.unique_indexes.iter().map(|index| {
        Finding::new(
            Code::UniqueColumnInSet,
            format!("unique index \"{index}\" uses a column that is set"),
            "a value that is there already stops the run; check the new values for duplicates first, also against the old ones",
        )
    })
}

fn generated_columns(table: &TableFacts) -> impl Iterator<Item = Finding> {
    table.generated.iter().map(|generated| {
        let index = generated.index.as_ref();
        let index = index.map(|index| format!(", and index \"{index}\" uses it, so no update can be HOT"));
        Finding::new(
            Code::GeneratedColumn,
            format!(
                "generated column \"{}\" is computed again for each row{}",
                generated.column,
                index.unwrap_or_default()
            ),
            "nothing to do, if its expression is right for the new values",
        )
    })
}

/// Row security that hides rows is refused before.
fn row_security(subject: &Subject<'_>, table: &TableFacts) -> Option<Finding> {
    table.row_security.then(|| {
        Finding::new(
            Code::RowSecurityBypassed,
            format!(
                "{} has row security, which does not hold for role \"{}\"",
                subject.plan.table.name, subject.server.user
            ),
            "all rows are changed, whoever may see them: is that meant?",
        )
    })
}

fn autovacuum_off(subject: &Subject<'_>, table: &TableFacts) -> Option<Finding> {
    let whole_server = subject.facts.server.as_ref().is_some_and(|server| !server.settings.autovacuum);
    let (fact, remedy) = if whole_server {
        let remedy = "SET autovacuum = on in postgresql.conf, or VACUUM the table during and after the run";
        ("autovacuum is off on this server".to_owned(), remedy)
    } else if table.autovacuum_off.is_empty() {
        return None;
    } else {
        let remedy = "ALTER TABLE … RESET (autovacuum_enabled), or VACUUM the table during and after the run";
        (format!("autovacuum is off for {}", table.autovacuum_off.join(", ")), remedy)
    };
    Some(Finding::new(Code::AutovacuumOff, format!("{fact}: nobody removes the dead rows"), remedy))
}

fn autovacuum_behind(subject: &Subject<'_>, table: &TableFacts) -> Option<Finding> {
    let settings = &subject.facts.server.as_ref()?.settings;
    let threshold = settings.autovacuum_vacuum_threshold as f64
        + settings.autovacuum_vacuum_scale_factor * table.rows_live as f64;
    let behind = table.rows_dead >= DEAD_ROWS_MIN && table.rows_dead as f64 > threshold * BEHIND;
    behind.then(|| {
        Finding::new(
            Code::AutovacuumBehind,
            format!(
                "{} of {} row versions are dead, and autovacuum should have come at {threshold:.0}",
                table.rows_dead,
                table.rows_dead + table.rows_live
            ),
            "VACUUM the table first, and find out what keeps autovacuum from it",
        )
    })
}
