//! Key values, and the columns that they are of.
//!
//! A key value is kept as PostgreSQL's own text form of each column (`ISO` dates), one text a column. The
//! server alone compares keys: its collations and numerics are not ours to imitate, so nothing here is
//! ordered.
//!
//! Must not know: tokio, PostgreSQL's protocol, any statement.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The most columns a key may have.
pub const KEY_COLUMNS_MAX: usize = 4;

/// The types whose order is total, whose text form is exact, and which a btree sorts by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyType {
    /// `smallint`
    SmallInt,
    /// `integer`
    Integer,
    /// `bigint`
    BigInt,
    /// `numeric`
    Numeric,
    /// `uuid`
    Uuid,
    /// `text`
    Text,
    /// `character varying`
    Varchar,
    /// `date`
    Date,
    /// `timestamp without time zone`
    Timestamp,
    /// `timestamp with time zone`
    TimestampTz,
}

impl KeyType {
    /// Every type a key column may have.
    pub const ALL: [Self; 10] = [
        Self::SmallInt,
        Self::Integer,
        Self::BigInt,
        Self::Numeric,
        Self::Uuid,
        Self::Text,
        Self::Varchar,
        Self::Date,
        Self::Timestamp,
        Self::TimestampTz,
    ];

    /// The type's object id in `pg_type`; fixed for built-in types (`src/include/catalog/pg_type.dat`).
    #[must_use]
    pub const fn oid(self) -> u32 {
        match self {
            Self::SmallInt => 21,
            Self::Integer => 23,
            Self::BigInt => 20,
            Self::Numeric => 1700,
            Self::Uuid => 2950,
            Self::Text => 25,
            Self::Varchar => 1043,
            Self::Date => 1082,
            Self::Timestamp => 1114,
            Self::TimestampTz => 1184,
        }
    }

    /// The type with this object id, if a key may have it.
    #[must_use]
    pub fn from_oid(oid: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|ty| ty.oid() == oid)
    }

    /// Whether its values are integers of at most 64 bits.
    #[must_use]
    pub const fn is_integer(self) -> bool {
        matches!(self, Self::SmallInt | Self::Integer | Self::BigInt)
    }

    /// PostgreSQL's name of the type.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SmallInt => "smallint",
            Self::Integer => "integer",
            Self::BigInt => "bigint",
            Self::Numeric => "numeric",
            Self::Uuid => "uuid",
            Self::Text => "text",
            Self::Varchar => "character varying",
            Self::Date => "date",
            Self::Timestamp => "timestamp without time zone",
            Self::TimestampTz => "timestamp with time zone",
        }
    }
}

/// One column of the key, as the catalog described it when the run began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyColumn {
    /// The column's name, unquoted.
    pub name: String,
    /// Its type; a domain counts as its base type.
    #[serde(rename = "type")]
    pub ty: KeyType,
    /// Schema and name of the index's collation where it is not the column's own.
    pub collate: Option<(String, String)>,
}

/// One key value: a text for each key column.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(pub Vec<String>);

/// A row that differs from what it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mismatch {
    /// Its key.
    pub key: Key,
    /// In what it differs, in words.
    pub what: String,
    /// Which version of the row it is: its `xmin`.
    pub version: String,
}

impl fmt::Display for Key {
    /// `42`, or `(42, 2024-01-01)` for several columns.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => f.write_str(one),
            many => write!(f, "({})", many.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_type_is_found_again_by_its_oid() {
        for ty in KeyType::ALL {
            assert_eq!(KeyType::from_oid(ty.oid()), Some(ty));
        }
        assert_eq!(KeyType::from_oid(701), None, "double precision is no key type");
    }

    #[test]
    fn a_key_reads_as_one_value_or_as_a_row() {
        assert_eq!(Key(vec!["42".into()]).to_string(), "42");
        assert_eq!(Key(vec!["42".into(), "x".into()]).to_string(), "(42, x)");
    }
}
