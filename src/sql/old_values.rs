//! The table that keeps the values that a run replaces: a row for a part of a batch, with an array for each
//! column. Its columns have types of their own, because a text need not read back as the value that it was.
//!
//! Must not know: how the rows of a batch are found, what is done with old values.

use super::{Ident, Qualified, as_text, literal};

/// A column of the key, or one that is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptColumn {
    /// Its name.
    pub name: Ident,
    /// Its type, as SQL.
    pub type_name: String,
    /// Kept as text: an array of arrays needs all of them to be of one length, and an array of rows falls
    /// into its columns when it is taken apart.
    pub as_text: bool,
    /// All values take as many bytes.
    pub is_fixed: bool,
    /// What tells whether a value is another one.
    pub hashed: Hashed,
}

/// What tells whether a value is another one: its own hash where equal values are the same byte by byte, else
/// that of its text, because not every type has a hash, nor an equality.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hashed {
    /// A whole number.
    Integer,
    /// A text.
    Text,
    /// A `uuid`.
    Uuid,
    /// Anything else, by its text.
    Other,
}

impl Hashed {
    fn hash(self, value: &str, seed: &str) -> String {
        match self {
            Self::Integer => format!("hashint8extended({value}::bigint, {seed})"),
            Self::Text => format!("hashtextextended({value} COLLATE pg_catalog.\"C\", {seed})"),
            Self::Uuid => format!("uuid_hash_extended({value}, {seed})"),
            Self::Other => format!("hashtextextended({value}::text COLLATE pg_catalog.\"C\", {seed})"),
        }
    }
}

/// The table of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldValues {
    /// Its name.
    pub table: Qualified,
    /// The key's columns.
    pub key: Vec<KeptColumn>,
    /// The columns that are set.
    pub columns: Vec<KeptColumn>,
    /// Whether RETURNING can tell what was there before: from PostgreSQL 18 on. Up to 17 the rows are locked
    /// and read first.
    pub returning_old: bool,
}

/// The column that orders the rows of such a table.
pub const NUMBER: &str = "pgbackfill_number";
/// The array of what was written.
pub const WRITTEN: &str = "pgbackfill_written";
/// The column that says for how many rows it stands.
pub const ROWS: &str = "pgbackfill_rows";

impl KeptColumn {
    fn kept_type(&self) -> &str {
        if self.as_text { "text" } else { &self.type_name }
    }

    /// The value as it is kept.
    #[must_use]
    pub fn kept(&self, of: &str) -> String {
        let value = format!("{of}.{}", self.name);
        if self.as_text { format!("{value}::text") } else { value }
    }

    /// A kept value as the column takes it.
    #[must_use]
    pub fn restored(&self, kept: &str) -> String {
        if self.as_text { format!("CAST({kept} AS {})", self.type_name) } else { kept.to_owned() }
    }
}

impl OldValues {
    /// The table of the run with this number.
    #[must_use]
    pub fn table_of(run: i64) -> Qualified {
        Qualified::new("pgbackfill", format!("undo_{run}"))
    }

    /// The names of its arrays: keys, old values, and what was written in their place. They stand beside the
    /// job's own expressions, so no column may be called so.
    #[must_use]
    pub fn arrays(&self) -> Vec<String> {
        let (keys, values) = (1..=self.key.len(), 1..=self.columns.len());
        let keys = keys.map(|number| format!("pgbackfill_k{number}"));
        let values = values.map(|number| format!("pgbackfill_o{number}"));
        keys.chain(values).chain([WRITTEN.to_owned()]).collect()
    }

    /// Those of the key.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.arrays().into_iter().take(self.key.len()).collect()
    }

    /// Those of the old values.
    #[must_use]
    pub fn values(&self) -> Vec<String> {
        self.arrays().into_iter().skip(self.key.len()).take(self.columns.len()).collect()
    }

    /// Makes the table. `compression`: of its arrays, where the server has a better one than its default.
    #[must_use]
    pub fn create(&self, compression: Option<&str>) -> String {
        let compression = compression.map(|name| format!(" COMPRESSION {name}")).unwrap_or_default();
        let types = self.key.iter().chain(&self.columns).map(KeptColumn::kept_type).chain(["bigint"]);
        let arrays = self.arrays().into_iter().zip(types);
        let arrays = arrays.map(|(name, ty)| format!(",\n    {name} {ty}[]{compression} NOT NULL"));
        format!(
            "CREATE TABLE {} (\n    {NUMBER} bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,\n    {ROWS} int NOT NULL{}\n)",
            self.table,
            arrays.collect::<String>()
        )
    }

    /// What tells whether these columns are as they were written: a single whole number itself, else 64 bits.
    #[must_use]
    pub fn fingerprint(&self, of: &str) -> String {
        if let [KeptColumn { name, hashed: Hashed::Integer, .. }] = &self.columns[..] {
            return format!("{of}.{name}::bigint");
        }
        self.columns.iter().fold("0".to_owned(), |seed, KeptColumn { name, hashed, .. }| {
            format!("coalesce({}, 1)", hashed.hash(&format!("{of}.{name}"), &seed))
        })
    }

    /// The rows of such a table taken apart, as a FROM item beside it; a row for each key.
    #[must_use]
    pub fn taken_apart(&self, alias: &str) -> String {
        let arrays = self.arrays();
        let of: Vec<_> = arrays.iter().map(|array| format!("{alias}.{array}")).collect();
        format!("LATERAL unnest({}) AS pgbackfill_kept ({})", of.join(", "), arrays.join(", "))
    }

    /// Takes one row out of the parts of such a table; gives in how many it was. The arrays of the key come
    /// first.
    #[must_use]
    pub fn forget(table: &Qualified, arrays: &[String], key: &[String]) -> String {
        let is_it = arrays.iter().zip(key);
        let is_it = is_it.map(|(array, value)| format!("kept.{array} = {}", literal(value)));
        let is_it = is_it.collect::<Vec<_>>().join(" AND ");
        let of: Vec<_> = arrays.iter().map(|array| format!("u.{array}")).collect();
        let apart = format!("LATERAL unnest({}) AS kept ({})", of.join(", "), arrays.join(", "));
        let aggregates: Vec<_> =
            arrays.iter().map(|array| format!("array_agg(kept.{array}) AS {array}")).collect();
        let set: Vec<_> = arrays.iter().map(|array| format!("{array} = rest.{array}")).collect();
        format!(
            "WITH parts AS (\nSELECT DISTINCT u.{NUMBER} FROM {table} AS u, {apart} WHERE {is_it}\n), rest AS (\n\
             SELECT u.{NUMBER}, count(*)::int AS {ROWS}, {aggregates} FROM {table} AS u, {apart}\n\
             WHERE u.{NUMBER} IN (SELECT {NUMBER} FROM parts) AND NOT ({is_it})\nGROUP BY u.{NUMBER}\n), shorter AS (\n\
             UPDATE {table} AS u SET {ROWS} = rest.{ROWS}, {set} FROM rest WHERE u.{NUMBER} = rest.{NUMBER}\n), empty AS (\n\
             DELETE FROM {table} AS u WHERE u.{NUMBER} IN (SELECT {NUMBER} FROM parts EXCEPT SELECT {NUMBER} FROM rest)\n)\n\
             SELECT count(*) FROM parts",
            aggregates = aggregates.join(", "),
            set = set.join(", "),
        )
    }

    /// A key in the spellings that it may be kept in, as JSON: as it was given, as JSON has it, and as text.
    #[must_use]
    pub fn spellings(types: &[&str], key: &[String]) -> String {
        let each = |form: fn(&str) -> String| {
            let typed = types.iter().zip(key).map(|(ty, value)| format!("CAST({} AS {ty})", literal(value)));
            let all: Vec<_> = typed.map(|value| form(&value)).collect();
            format!("jsonb_build_array({})", all.join(", "))
        };
        let given: Vec<_> = key.iter().map(|value| format!("{}::text", literal(value))).collect();
        format!(
            "SELECT jsonb_build_array(jsonb_build_array({}), {}, {})::text",
            given.join(", "),
            each(as_text),
            each(|value| format!("({value})::text"))
        )
    }

    /// Lets another role write to it.
    #[must_use]
    pub fn grant(&self, quoted_role: &str) -> String {
        format!("GRANT SELECT, INSERT, UPDATE, DELETE ON {} TO {quoted_role}", self.table)
    }

    /// Drops it.
    #[must_use]
    pub fn drop(table: &Qualified) -> String {
        format!("DROP TABLE IF EXISTS {table}")
    }
}
