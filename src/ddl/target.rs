//! The table of a job with its partitions, and what can be the next thing to do for a step.
//!
//! Must not know: which it is.

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::door::Opening;
use crate::db::{Error, Session};
use crate::job::{Step, kept_name};
use crate::sql::{Ident, LockMode, Qualified, SyncTrigger, fixed};

/// NOT NULL can be added without a look at the rows from this version on.
pub(super) const NOT_NULL_NOT_VALID_FROM: i32 = 180_000;

/// A table, or a table below a partitioned one.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) relation: u32,
    pub(super) name: Qualified,
    pub(super) parent: u32,
    pub(super) is_partitioned: bool,
}

/// The table of a job.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// It, and what is below it, parents first.
    pub(super) nodes: Vec<Node>,
    pub(super) server_version: i32,
    /// The backend that works.
    pub(super) backend: i32,
    /// A pooler stands before the server.
    pub(super) is_pooled: bool,
    /// What keeps the new columns in step, if the job wants it.
    pub(super) sync: Option<SyncTrigger>,
    /// Where its foreign keys are to point to.
    pub(super) references: Vec<Reference>,
    /// Columns that were replaced, each with the one that took its place, by the names that the job knows.
    pub(super) replaced: Vec<(String, String)>,
    /// One of them was dropped since.
    pub(super) is_old_gone: bool,
    /// The swaps of names that the job asks for.
    pub(super) swaps: Vec<Step>,
    /// The names of the columns as they are.
    pub(super) columns: Vec<String>,
}

/// Where a foreign key points to.
#[derive(Clone, Debug)]
pub(super) struct Reference {
    pub(super) column: String,
    pub(super) relation: u32,
    pub(super) name: Qualified,
    /// What stands behind the name: columns, and what happens to them.
    pub(super) rest: String,
}

/// The next thing to do.
#[derive(Debug)]
pub(super) enum Next {
    /// Nothing: it is there.
    Done,
    /// A change of the catalog, in front of the application.
    Open { opening: Opening, what: String },
    /// An index is built beside writers; it has this name then.
    Build { index: Qualified, sql: String },
    /// An index that was left behind goes, beside writers.
    Remove { index: Qualified },
    /// The rows are looked at, beside writers; what to do where they do not hold what they are to hold.
    Validate { sql: String, undo: Opening },
    /// SQL of the job's own, which cannot run in a transaction.
    Run { sql: String },
    /// Another session builds it.
    Wait { builder: i32, index: Qualified },
}

/// Why there is no next thing: the message, and what to do.
pub(super) type Refused = (String, Option<String>);

impl Target {
    pub(super) fn top(&self) -> &Node {
        &self.nodes[0]
    }

    /// The name today of a column that the job knows by this one.
    pub(super) fn now(&self, known: &str) -> String {
        self.replaced
            .iter()
            .find_map(|(old, new)| match known {
                known if known == new => Some(old.clone()),
                known if known == old => Some(kept_name(old)),
                _ => None,
            })
            .unwrap_or_else(|| known.to_owned())
    }

    /// The columns that the trigger reads or sets, by the name that the job knows and by that of today; empty
    /// if none was replaced.
    pub(super) fn renamed(&self, sync: &SyncTrigger) -> Vec<(Ident, Ident)> {
        if self.replaced.is_empty() {
            return Vec::new();
        }
        let known = |now: &String| {
            let pair = self.replaced.iter().find_map(|(old, new)| match now {
                now if now == old => Some(new.clone()),
                now if *now == kept_name(old) => Some(old.clone()),
                _ => None,
            });
            Ident(pair.unwrap_or_else(|| now.clone()))
        };
        let all = self.columns.iter().map(|now| (known(now), Ident(now.clone())));
        all.filter(|(known, _)| sync.known.contains(known)).collect()
    }

    /// Locks on all of it.
    pub(super) fn open_all(&self, statements: Vec<String>, is_last: bool) -> Opening {
        Opening {
            tables: self.nodes.iter().map(|node| node.name.clone()).collect(),
            relations: self.nodes.iter().map(|node| node.relation).collect(),
            mode: LockMode::AccessExclusive,
            statements,
            is_last,
        }
    }
}

/// The table and its partitions.
pub(super) async fn target(session: &Session, relation: u32, server_version: i32) -> Result<Target, Error> {
    let rows = session.query(fixed::STEP_TREE, &[(&relation, Type::OID)]).await?;
    let nodes = rows.iter().filter(|row| !row.get::<_, bool>("elsewhere")).map(|row| Node {
        relation: row.get("relation"),
        name: Qualified::new(row.get::<_, String>("schema"), row.get::<_, String>("name")),
        parent: row.get("parent"),
        is_partitioned: row.get("partitioned"),
    });
    Ok(Target {
        nodes: nodes.collect(),
        server_version,
        backend: 0,
        is_pooled: false,
        sync: None,
        references: Vec::new(),
        replaced: Vec::new(),
        is_old_gone: false,
        swaps: Vec::new(),
        columns: Vec::new(),
    })
}

/// Two things of one name.
pub(super) fn differs(what: &str, found: &str, expected: &str) -> Refused {
    let message =
        format!("{what} is there already and is not the same: it is `{found}`, this says `{expected}`");
    (message, Some("give it another name, or write what is there".to_owned()))
}

/// What a column is, in words. A default and NOT NULL of its own it may have where none is asked for.
pub(super) fn column_words(row: &Row, asked: &str) -> String {
    let mut words: String = row.get("definition");
    let default = row.get::<_, Option<String>>("default_value").map(|default| format!(" DEFAULT {default}"));
    words.push_str(&default.filter(|_| asked.is_empty() || asked.contains(" DEFAULT ")).unwrap_or_default());
    if row.get("not_null") && (asked.is_empty() || asked.ends_with(" NOT NULL")) {
        words.push_str(" NOT NULL");
    }
    words
}
