//! What the table is like and which change is made to it.
//!
//! Must not know: how the change is made.

use crate::table::{Key, Table};
use crate::way::Way;

/// One table and one change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    /// Full pages, one random secondary index, a row that grows by 13 %.
    OneIndex,
    /// The same with three of them.
    ThreeIndexes,
    /// The same with none but the primary key.
    NoIndex,
    /// A SET that changes a number, so that no row grows.
    FixedWidth,
    /// Pages that are half empty: every update is HOT whatever the order.
    HalfEmpty,
    /// An index on the column that is set: no update is HOT whatever the order.
    IndexedSet,
    /// A snapshot held open all along: no page can be pruned.
    OldSnapshot,
    /// The same beside five times the rows, and little memory.
    Scale,
    /// A random key, and everything in memory; beside it a key in order, and none.
    UuidInMemory,
    /// A random key, four times the rows, and little memory.
    UuidAtSize,
}

impl Case {
    pub(crate) const ALL: [Self; 10] = [
        Self::OneIndex,
        Self::ThreeIndexes,
        Self::NoIndex,
        Self::FixedWidth,
        Self::HalfEmpty,
        Self::IndexedSet,
        Self::OldSnapshot,
        Self::Scale,
        Self::UuidInMemory,
        Self::UuidAtSize,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OneIndex => "one-index",
            Self::ThreeIndexes => "three-indexes",
            Self::NoIndex => "no-index",
            Self::FixedWidth => "fixed-width",
            Self::HalfEmpty => "half-empty",
            Self::IndexedSet => "indexed-set",
            Self::OldSnapshot => "old-snapshot",
            Self::Scale => "scale",
            Self::UuidInMemory => "uuid-in-memory",
            Self::UuidAtSize => "uuid-at-size",
        }
    }

    pub(crate) fn says(self) -> &'static str {
        match self {
            Self::OneIndex => "full pages, one random secondary index, the row grows by 13 %",
            Self::ThreeIndexes => "full pages, three random secondary indexes",
            Self::NoIndex => "full pages, primary key only",
            Self::FixedWidth => "full pages, one random secondary index, the row does not grow",
            Self::HalfEmpty => "fillfactor 50",
            Self::IndexedSet => "an index on the column that is set",
            Self::OldSnapshot => "a snapshot held open all along",
            Self::Scale => "and five times the rows, with 256 MB of shared buffers",
            Self::UuidInMemory => "a random uuid as key; a bigint; no key",
            Self::UuidAtSize => "a random uuid as key, four times the rows, with 256 MB of shared buffers",
        }
    }

    /// The ways that say something here; the first is what the others are compared with.
    pub(crate) fn ways(self) -> &'static [Way] {
        match self {
            Self::OneIndex => &[Way::OneUpdate, Way::Loop, Way::KeyOrder, Way::Pgbackfill, Way::Rewrite],
            Self::ThreeIndexes | Self::NoIndex | Self::FixedWidth => {
                &[Way::OneUpdate, Way::KeyOrder, Way::Pgbackfill]
            }
            // Stripes cannot help here; they must not harm either.
            Self::HalfEmpty | Self::IndexedSet | Self::OldSnapshot => &[Way::Unstriped, Way::Pgbackfill],
            Self::Scale => &[Way::Pgbackfill],
            Self::UuidInMemory | Self::UuidAtSize => &[Way::OneUpdate, Way::ByKey, Way::Pgbackfill],
        }
    }

    /// The tables that it is watched with, each with its ways; the first is what the others are compared
    /// with.
    pub(crate) fn tables(self) -> Vec<(Table, &'static [Way])> {
        let (bigint, uuid) = (Table::of(Key::Bigint), Table::of(Key::Uuid));
        match self {
            Self::Scale => [1, 5].map(|scale| (Table { scale, ..bigint }, self.ways())).into(),
            Self::UuidInMemory => vec![
                (uuid, self.ways()),
                (bigint, &[Way::Pgbackfill]),
                (Table::of(Key::None), &[Way::OneUpdate, Way::Pgbackfill]),
            ],
            Self::UuidAtSize => vec![(Table { scale: 4, ..uuid }, self.ways())],
            _ => vec![(bigint, self.ways())],
        }
    }

    /// Whether the job says which rows are left, as most do.
    pub(crate) fn has_where(self) -> bool {
        matches!(self, Self::UuidInMemory | Self::UuidAtSize)
    }

    /// So little that no size fits, where sizes are compared.
    pub(crate) fn shared_buffers(self) -> &'static str {
        if matches!(self, Self::Scale | Self::UuidAtSize) { "256MB" } else { "2GB" }
    }

    pub(crate) fn max_wal_size(self) -> &'static str {
        if self == Self::UuidAtSize { "1GB" } else { "8GB" }
    }

    pub(crate) fn column(self) -> &'static str {
        if self == Self::FixedWidth { "status" } else { "status_v2" }
    }

    pub(crate) fn expression(self) -> &'static str {
        match self {
            Self::FixedWidth => "status + 1",
            _ => "CASE status WHEN 0 THEN 'new' WHEN 1 THEN 'paid' ELSE 'shipped' END",
        }
    }

    /// True of a row that is still to be changed.
    pub(crate) fn pending(self) -> &'static str {
        if self == Self::FixedWidth { "status < 10" } else { "status_v2 IS NULL" }
    }

    pub(crate) fn storage(self) -> &'static str {
        if self == Self::HalfEmpty { "WITH (fillfactor = 50)" } else { "" }
    }

    /// The secondary indexes. Those of three are as random as the first: a hash decides where an entry goes.
    pub(crate) fn indexes(self) -> &'static [&'static str] {
        match self {
            Self::NoIndex => &[],
            Self::ThreeIndexes => {
                &["(customer_id)", "(hashint8(id * 31 + 10), created_at)", "(hashint8(id * 31 + 5), total)"]
            }
            Self::IndexedSet => &["(customer_id)", "(status_v2)"],
            _ => &["(customer_id)"],
        }
    }

    /// True of a row that has its new value, and had it once.
    pub(crate) fn done(self) -> &'static str {
        match self {
            Self::FixedWidth => "status = id % 3 + 1",
            _ => "status_v2 = CASE status WHEN 0 THEN 'new' WHEN 1 THEN 'paid' ELSE 'shipped' END",
        }
    }
}
