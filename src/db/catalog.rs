//! What the catalog says: of the server, of a table, its columns, its possible keys and its leaves. Facts only.
//!
//! Must not know: which of the facts is a problem.

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::{Error, Session};
use crate::sql::{Ident, Qualified, fixed};

/// The server and our place in it.
#[derive(Clone, Debug)]
pub struct Server {
    /// `server_version_num`, for example 150018.
    pub version: i32,
    /// True on a standby: nothing can be written.
    pub standby: bool,
    /// The database.
    pub database: String,
    /// The role.
    pub user: String,
    /// Whether the role may create a schema.
    pub may_create: bool,
    /// Which cluster this is; a restored copy has the same, a dump loaded elsewhere another.
    pub system_identifier: String,
    /// The timeline; a promoted standby has another.
    pub timeline: i32,
    /// In milliseconds.
    pub deadlock_timeout_ms: i32,
    /// When it makes checkpoints.
    pub checkpoints: Checkpoints,
    /// The settings that decide what an expression means, as JSON.
    pub settings: String,
}

/// When a server makes a checkpoint: whichever comes first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Checkpoints {
    /// After this time, in seconds (`checkpoint_timeout`).
    pub timeout_s: f64,
    /// After this much WAL, in bytes (from `max_wal_size` and `checkpoint_completion_target`).
    pub wal_bytes: f64,
}

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
    /// Declared NOT NULL.
    pub not_null: bool,
    /// GENERATED ALWAYS AS (…) STORED or VIRTUAL.
    pub generated: bool,
    /// GENERATED ALWAYS AS IDENTITY.
    pub identity_always: bool,
}

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
}

/// Who keeps dead rows from being removed.
#[derive(Clone, Debug, PartialEq)]
pub struct Holder {
    /// A session, a prepared transaction or a replication slot, with its name.
    pub who: String,
    /// For how long, in seconds; none if the server does not tell.
    pub held_s: Option<f64>,
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
    /// Whether the role may read and update it: rights on a partitioned table do not reach its partitions.
    pub may_change: bool,
    /// Types and collations of the key's columns; none if a column is missing.
    pub shape: Option<String>,
}

/// What the server is.
pub async fn server(session: &Session) -> Result<Server, Error> {
    let row = session.query_one(fixed::SERVER, &[]).await?;
    Ok(Server {
        version: row.get("version"),
        standby: row.get("standby"),
        database: row.get("database"),
        user: row.get("user"),
        may_create: row.get("may_create"),
        system_identifier: row.get("system_identifier"),
        timeline: row.get("timeline"),
        deadlock_timeout_ms: row.get("deadlock_timeout_ms"),
        checkpoints: Checkpoints {
            timeout_s: row.get("checkpoint_timeout_s"),
            wal_bytes: row.get("checkpoint_wal_bytes"),
        },
        settings: row.get("settings"),
    })
}

/// Which server it is, and which history of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Which cluster this is; a restored copy has the same, a dump loaded elsewhere another.
    pub system_identifier: String,
    /// A promoted standby has a later one; none on a standby.
    pub timeline: Option<i32>,
}

impl Server {
    /// Which one it is.
    #[must_use]
    pub fn identity(&self) -> Identity {
        let timeline = (!self.standby).then_some(self.timeline);
        Identity { system_identifier: self.system_identifier.clone(), timeline }
    }
}

/// Which server this session leads to.
pub async fn identity(session: &Session) -> Result<Identity, Error> {
    let row = session.query_one(fixed::IDENTITY, &[]).await?;
    Ok(Identity { system_identifier: row.get("system_identifier"), timeline: row.get("timeline") })
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
            not_null: row.get("not_null"),
            generated: row.get("generated"),
            identity_always: row.get("identity_always"),
        })
        .collect())
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
    };
    Ok((facts, row.get("quiet")))
}

/// What has kept dead rows of this database from being removed for more than two seconds, the oldest of all.
pub async fn horizon(session: &Session) -> Result<Option<Holder>, Error> {
    let row = session.query_opt(fixed::HORIZON, &[]).await?;
    Ok(row.map(|row| Holder { who: row.get("who"), held_s: row.get("held_s") }))
}

/// The leaves below a table as they are now. To measure them the server opens them, so it waits for whoever has locked one;
/// the transaction's `lock_timeout` ends that.
pub async fn leaves_in_txn(session: &Session, relation: u32, key: &[String]) -> Result<Vec<Leaf>, Error> {
    let rows = session.query(fixed::LEAVES, &[(&relation, Type::OID), (&key, Type::TEXT_ARRAY)]).await?;
    Ok(rows.iter().map(leaf).collect())
}

/// The same in a transaction of its own, with these settings.
pub async fn leaves(
    session: &mut Session,
    settings: &str,
    relation: u32,
    key: &[String],
) -> Result<Vec<Leaf>, Error> {
    let params = [(&relation as _, Type::OID), (&key as _, Type::TEXT_ARRAY)];
    Ok(session.probe(settings, fixed::LEAVES, &params).await?.iter().map(leaf).collect())
}

fn leaf(row: &Row) -> Leaf {
    Leaf {
        relation: row.get("relation"),
        name: qualified(row),
        kind: row.get("kind"),
        rows_estimated: row.get("rows_estimated"),
        may_change: row.get("may_change"),
        shape: row.get("shape"),
    }
}
