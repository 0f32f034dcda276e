//! The table: which key, and how many times the rows.
//!
//! Must not know: how it is changed.

/// The key of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// In the order in which the rows came.
    Bigint,
    /// In no order at all.
    Uuid,
    None,
}

/// One table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) key: Key,
    pub(crate) scale: i64,
}

impl Key {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bigint => "bigint",
            Self::Uuid => "uuid",
            Self::None => "none",
        }
    }

    /// The definition of the column `id`.
    pub(crate) fn column(self) -> &'static str {
        match self {
            Self::Bigint => "id bigint PRIMARY KEY",
            Self::Uuid => "id uuid PRIMARY KEY",
            Self::None => "id uuid",
        }
    }

    /// Its value in the row of number `i`.
    pub(crate) fn value(self) -> &'static str {
        match self {
            Self::Bigint => "i",
            Self::Uuid | Self::None => "md5(i::text)::uuid",
        }
    }
}

impl Table {
    pub(crate) const fn of(key: Key) -> Self {
        Self { key, scale: 1 }
    }
}
