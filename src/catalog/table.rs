//! A table, its columns, and the tables that hold its rows.
//!
//! Must not know: its indexes.

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::db::{Error, Session};
use crate::sql::{Ident, Qualified, fixed};

/// A table as the job names it.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its object id.
    pub relation: u32,
    /// Its name, resolved.
    pub name: Qualified,
    /// `relkind`: `r` table, `p` partitioned, `v` view, `m` materialized view, `f` foreign.
    pub kind: String,
    /// `relpersistence`: `t` is temporary.
    pub persistence: String,
    /// Whether row security hides rows from this role.
    pub row_security: bool,
    /// False if other tables inherit from it in the old way.
    pub inheritance_free: bool,
    /// Columns of the partition keys of all levels.
    pub partition_columns: Vec<String>,
}

/// A column.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// The object id of its type; of the base type for a domain.
    pub base_type: u32,
    /// The type as a person writes it.
    pub type_name: String,
    /// The same with its schema, where that is not the server's own.
    pub full_type: String,
    /// `typcategory` of the base type: `A` an array, `C` a row type.
    pub type_category: String,
    /// Bytes of a value; below 0 where they vary.
    pub type_length: i16,
    /// Declared NOT NULL.
    pub not_null: bool,
    /// GENERATED ALWAYS AS (…) STORED or VIRTUAL.
    pub generated: bool,
    /// GENERATED ALWAYS AS IDENTITY.
    pub identity_always: bool,
}

/// A table that holds rows itself.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// Its object id.
    pub relation: u32,
    /// Its name.
    pub name: Qualified,
    /// `relkind`.
    pub kind: String,
    /// From the statistics.
    pub rows_estimated: i64,
    /// Blocks of its file.
    pub blocks: i64,
    /// Whether the role has the privileges that were asked for: those on a partitioned table do not reach its
    /// partitions.
    pub may_change: bool,
    /// Types and collations of the key's columns; none if a column is missing.
    pub shape: Option<String>,
}

/// The table with this name (quoted where needed), if there is one on the search path.
pub async fn table(session: &Session, quoted: &str) -> Result<Option<Table>, Error> {
    let row = session.query_opt(fixed::TABLE_FIND, &[(&quoted, Type::TEXT)]).await?;
    Ok(row.map(|row| Table {
        relation: row.get("relation"),
        name: qualified(&row),
        kind: row.get("kind"),
        persistence: row.get("persistence"),
        row_security: row.get("row_security"),
        inheritance_free: row.get("childless_or_partitioned"),
        partition_columns: row.get::<_, Option<Vec<String>>>("partition_columns").unwrap_or_default(),
    }))
}

fn qualified(row: &Row) -> Qualified {
    Qualified { schema: Ident(row.get("schema")), name: Ident(row.get("name")) }
}

/// The tables that this role can see, as one would write them.
pub async fn table_names(session: &Session) -> Result<Vec<String>, Error> {
    let rows = session.query(fixed::TABLE_NAMES, &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// The table's columns.
pub async fn columns(session: &Session, relation: u32) -> Result<Vec<Column>, Error> {
    let rows = session.query(fixed::TABLE_COLUMNS, &[(&relation, Type::OID)]).await?;
    Ok(rows
        .iter()
        .map(|row| Column {
            name: row.get("name"),
            base_type: row.get("base_type"),
            type_name: row.get("type_name"),
            full_type: row.get("full_type"),
            type_category: row.get("type_category"),
            type_length: row.get("type_length"),
            not_null: row.get("not_null"),
            generated: row.get("generated"),
            identity_always: row.get("identity_always"),
        })
        .collect())
}

/// How many rows of a relation this transaction has inserted, updated and deleted.
pub async fn row_changes_in_txn(session: &Session, relation: u32) -> Result<i64, Error> {
    Ok(session.query_one(fixed::ROW_CHANGES, &[(&relation, Type::OID)]).await?.get(0))
}

/// The leaves below a table as they are now. To measure them the server opens them, so it waits for the
/// session that has locked one; the transaction's `lock_timeout` ends that.
pub async fn leaves_in_txn(session: &Session, relation: u32, key: &[String]) -> Result<Vec<Leaf>, Error> {
    let none: [&str; 0] = [];
    let params =
        [(&relation as _, Type::OID), (&key as _, Type::TEXT_ARRAY), (&&none[..] as _, Type::TEXT_ARRAY)];
    let rows = session.query(fixed::LEAVES, &params).await?;
    Ok(rows.iter().map(leaf).collect())
}

/// [`leaves_in_txn`] in a transaction of its own, with these settings, and whether the role has these
/// privileges on each.
pub async fn leaves(
    session: &mut Session,
    settings: &str,
    relation: u32,
    key: &[String],
    privileges: &[&str],
) -> Result<Vec<Leaf>, Error> {
    let params =
        [(&relation as _, Type::OID), (&key as _, Type::TEXT_ARRAY), (&privileges as _, Type::TEXT_ARRAY)];
    Ok(session.query_and_rollback(settings, fixed::LEAVES, &params).await?.iter().map(leaf).collect())
}

fn leaf(row: &Row) -> Leaf {
    Leaf {
        relation: row.get("relation"),
        name: qualified(row),
        kind: row.get("kind"),
        rows_estimated: row.get("rows_estimated"),
        blocks: row.get("blocks"),
        may_change: row.get("may_change"),
        shape: row.get("shape"),
    }
}
