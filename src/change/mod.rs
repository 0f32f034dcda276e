//! What is done to the rows of a batch: one statement over them that answers with one count.
//!
//! Must not know: which rows, who runs the statement and when, what is written down of it.

mod check;
mod explain;
mod grant;
mod keep;
mod kept;
mod needs;
mod statement;
mod survey;
mod undo;
mod update;
mod verify;

pub use check::{Check, Clause, signal_checks};
pub use explain::Explained;
pub use grant::{Grants, grants};
pub use kept::KeptRows;
pub use needs::Needs;
pub use statement::{Answer, Measure, Statement};
pub use survey::{VALUE, nodes};
pub use undo::Undo;
pub use update::{Lookup, Update};
pub use verify::{Verify, WRITTEN_BY_THE_RUN};

use self::statement::Counts;
use crate::key::Key;
use crate::scan::{Rows, Scan};
use crate::sql::{Ident, OldValues};

/// What a job does to its rows. Each kind is a file of this room.
#[derive(Clone, Debug)]
pub enum Change {
    /// Columns get new values.
    Update(Update),
    /// None: they are compared with the values that they should have.
    Verify(Box<Verify>),
    /// Columns get back the values that they had.
    Undo(Box<Undo>),
}

impl Change {
    /// The change that is made, or that was.
    fn update(&self) -> &Update {
        match self {
            Self::Update(update) => update,
            Self::Verify(verify) => &verify.of,
            Self::Undo(undo) => &undo.of,
        }
    }

    /// Lets the change keep the values that it replaces in this table.
    pub fn keep(&mut self, old: OldValues) {
        if let Self::Update(update) = self {
            update.keeps = Some(Box::new(old));
        }
    }

    /// The statement that compares the one row with this key among these.
    #[must_use]
    pub fn compare_one<'a>(&self, rows: &'a Rows, key: &Key) -> Option<Statement<'a>> {
        match self {
            Self::Verify(verify) => Some(Statement::comparing(verify.text_of(rows, Some(key)), rows)),
            Self::Update(_) | Self::Undo(_) => None,
        }
    }

    /// A query for the key of the row at a place of one part, as one `text[]`.
    #[must_use]
    pub fn undo_key_at(&self, rows: &Rows, place: u32) -> Option<String> {
        match self {
            Self::Undo(undo) => Some(undo.key_at(rows, place)),
            Self::Update(_) | Self::Verify(_) => None,
        }
    }

    /// A query for the number of rows that would be put back, of those that were changed since, and of those
    /// that are gone.
    #[must_use]
    pub fn undo_preview(&self, rows: &Rows) -> Option<String> {
        match self {
            Self::Undo(undo) => Some(undo.preview(rows)),
            Self::Update(_) | Self::Verify(_) => None,
        }
    }

    /// The run that lists what an undo leaves as it is.
    pub fn list_in(&mut self, run: i64) {
        if let Self::Undo(undo) = self {
            undo.run = run;
        }
    }

    /// The statement that puts back what one part has from one place to another.
    #[must_use]
    pub fn undo_among<'a>(&self, rows: &'a Rows, places: (u32, u32)) -> Option<Statement<'a>> {
        match self {
            Self::Undo(undo) => Some(Statement::counting(undo.text(rows, Some(places)), rows)),
            Self::Update(_) | Self::Verify(_) => None,
        }
    }

    /// The statement that makes the change in these rows.
    #[must_use]
    pub fn statement<'a>(&self, rows: &'a Rows) -> Statement<'a> {
        match self {
            Self::Update(update @ Update { keeps: Some(old), .. }) => {
                Statement::counting((keep::keeping(update, old, rows), Counts::OF_CHANGED), rows)
            }
            Self::Update(update) if rows.may_come_again => Statement::counting(update.counting(rows), rows),
            Self::Update(update) => Statement::new(update.text(rows), rows),
            Self::Verify(verify) => Statement::comparing(verify.text(rows), rows),
            Self::Undo(undo) => Statement::counting(undo.text(rows, None), rows),
        }
    }

    /// What has to be set in the transaction before the statement.
    #[must_use]
    pub fn settings(&self, rows: &Rows) -> String {
        match self {
            Self::Update(Update { keeps: Some(old), .. }) if rows.beside.is_some() && !old.returning_old => {
                format!("{}; {}", rows.settings, keep::ONE_BY_ONE)
            }
            _ => rows.settings.to_owned(),
        }
    }

    /// The columns that an index must not use for an update to be HOT.
    #[must_use]
    pub fn columns(&self) -> Vec<String> {
        let update = self.update();
        update.set.iter().map(|(column, _)| column.0.clone()).collect()
    }

    /// Columns that are assigned their own value.
    #[must_use]
    pub fn quiet(&self) -> &[Ident] {
        let update = self.update();
        &update.quiet
    }

    /// Each column that is written, with the expression for its value.
    #[must_use]
    pub fn values(&self) -> &[(Ident, String)] {
        let update = self.update();
        &update.set
    }

    /// What the role needs on each table that is changed, or on columns of it.
    #[must_use]
    pub fn needs(&self) -> Needs {
        match self {
            Self::Update(_) => Update::NEEDS,
            Self::Verify(_) => Verify::NEEDS,
            Self::Undo(_) => Undo::NEEDS,
        }
    }

    /// The same as `GRANT` says it: `SELECT, UPDATE ("total")`.
    #[must_use]
    pub fn privileges(&self) -> String {
        match self {
            Self::Update(update) => update.privileges(),
            Self::Verify(_) | Self::Undo(_) => self.needs().privileges.join(", "),
        }
    }

    /// The statements that the server plans before the first batch, in the order in which their errors help
    /// most: the narrowest first.
    #[must_use]
    pub fn checks(&self, scan: &Scan) -> Vec<Check<'_>> {
        match self {
            Self::Update(update) => update.checks(scan),
            Self::Verify(verify) => verify.checks(scan),
            Self::Undo(undo) => undo.checks(scan),
        }
    }

    /// A plan in JSON that has a subquery scan named [`VALUE`] if the expression is volatile. The planner
    /// merges a subquery into the query around it unless its values may differ from one evaluation to the
    /// next; this asks for no more privileges than planning does.
    #[must_use]
    pub fn volatile(&self, scan: &Scan, expression: &str) -> String {
        let update = self.update();
        survey::volatile(&update.reads(), scan, expression)
    }

    /// Planned and no more; it names every table and view that the job's expressions read, the walked one
    /// among them.
    #[must_use]
    pub fn reads(&self, scan: &Scan) -> String {
        let update = self.update();
        survey::reads(&update.reads(), scan)
    }

    /// A plan in JSON that names every table that the job's expressions read, as often as they read it.
    #[must_use]
    pub fn tables(&self, scan: &Scan) -> String {
        let update = self.update();
        survey::tables(&update.reads(), scan)
    }

    /// Planned and no more; fails with an undefined column if the expression reads one that the change sets.
    #[must_use]
    pub fn without_targets(&self, scan: &Scan, expression: &str, columns: &[String]) -> String {
        let update = self.update();
        let is_set = |name: &&String| update.set.iter().any(|(column, _)| column.0 == **name);
        let others: Vec<_> = columns.iter().filter(|name| !is_set(name)).cloned().map(Ident).collect();
        survey::of_columns(&update.reads(), scan, expression, &others)
    }

    /// Planned and no more; fails with an undefined column if the expression reads one of these.
    #[must_use]
    pub fn without(&self, scan: &Scan, expression: &str, columns: &[String], without: &[Ident]) -> String {
        let others = columns.iter().cloned().map(Ident).filter(|column| !without.contains(column));
        survey::of_columns(&self.update().reads(), scan, expression, &others.collect::<Vec<_>>())
    }

    /// Planned and no more; fails with an undefined column if the expression reads anything but columns that
    /// the change sets.
    #[must_use]
    pub fn of_targets(&self, scan: &Scan, expression: &str) -> String {
        let update = self.update();
        let targets: Vec<_> = update.set.iter().map(|(column, _)| column.clone()).collect();
        survey::of_columns(&survey::Reads { from: None, ..update.reads() }, scan, expression, &targets)
    }

    /// Planned and no more; fails with an undefined column if the expression reads anything of the row, or of
    /// another relation.
    #[must_use]
    pub fn constant(&self, scan: &Scan, expression: &str) -> String {
        survey::of_columns(&survey::Reads { from: None, ..self.update().reads() }, scan, expression, &[])
    }

    /// A query for the `ctid` of each row that the change would select.
    #[must_use]
    pub fn selected(&self, scan: &Scan) -> String {
        let update = self.update();
        survey::selected(&update.reads(), update.differs.as_deref(), scan)
    }

    /// A query for the number of rows that the change would select, in all partitions of a table.
    #[must_use]
    pub fn remaining(&self, scan: &Scan) -> String {
        let update = self.update();
        survey::remaining(&update.reads(), update.differs.as_deref(), scan)
    }

    /// Looks at the rows of about `percent` of the pages of a table and all its partitions: how many there
    /// are (`rows`), how many of them the job would change (`matching`), one of these (`found`, its table and
    /// `ctid`), and how many of these violate each of the `checks`, which are conditions and the tables that
    /// they hold for.
    #[must_use]
    pub fn sample(&self, scan: &Scan, percent: f64, checks: &[(String, Vec<i64>)]) -> String {
        let update = self.update();
        survey::sample(&update.reads(), scan, percent, checks)
    }
}
