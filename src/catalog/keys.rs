//! The indexes of a table: which of them can be its key, and what the others say about the order in which
//! rows are best changed.
//!
//! Must not know: which key a job takes.

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::db::{Error, Session};
use crate::sql::fixed;

/// A unique btree index that orders the table by whole columns.
#[derive(Clone, Debug)]
pub struct KeyIndex {
    /// The primary key's index.
    pub primary: bool,
    /// Its name.
    pub name: String,
    /// Its columns, in order.
    pub columns: Vec<String>,
    /// For each column, the index's collation where it is not the column's own.
    pub collations: Vec<Option<(String, String)>>,
}

/// What the catalog says about the order in which rows are best changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OrderFacts {
    /// An index that uses a SET column.
    pub set_index: Option<String>,
    /// The table's fillfactor, in percent.
    pub fillfactor: i32,
    /// Indexes besides the key's to which an update that is not HOT adds an entry.
    pub other_indexes: i64,
    /// Whether all its indexes together are larger than the server's buffers.
    pub large_indexes: bool,
}

/// The table's possible keys, the primary key first.
pub async fn keys(session: &Session, relation: u32) -> Result<Vec<KeyIndex>, Error> {
    let rows = session.query(fixed::TABLE_KEYS, &[(&relation, Type::OID)]).await?;
    Ok(rows.iter().map(key_index).collect())
}

fn key_index(row: &Row) -> KeyIndex {
    let schemas: Vec<Option<String>> = row.get("collation_schemas");
    let names: Vec<Option<String>> = row.get("collations");
    KeyIndex {
        primary: row.get("is_primary"),
        name: row.get("index_name"),
        columns: row.get("columns"),
        collations: schemas.into_iter().zip(names).map(|(schema, name)| schema.zip(name)).collect(),
    }
}

/// What decides the order, and the columns that can be assigned their own value.
pub async fn order(
    session: &Session,
    relation: u32,
    set: &[String],
    key: &[String],
) -> Result<(OrderFacts, Vec<String>), Error> {
    let params = [(&relation as _, Type::OID), (&set as _, Type::TEXT_ARRAY), (&key as _, Type::TEXT_ARRAY)];
    let row = session.query_one(fixed::ORDER_FACTS, &params).await?;
    let facts = OrderFacts {
        set_index: row.get("set_index"),
        fillfactor: row.get("fillfactor"),
        other_indexes: row.get("other_indexes"),
        large_indexes: row.get("large_indexes"),
    };
    Ok((facts, row.get("quiet")))
}
