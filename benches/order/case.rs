//! What the table is like and which change is made to it.
//!
//! Must not know: how the change is made.

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
}

impl Case {
    pub(crate) const ALL: [Self; 8] = [
        Self::OneIndex,
        Self::ThreeIndexes,
        Self::NoIndex,
        Self::FixedWidth,
        Self::HalfEmpty,
        Self::IndexedSet,
        Self::OldSnapshot,
        Self::Scale,
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
        }
    }

    /// How many times the rows it is watched with; the first is what the others are compared with.
    pub(crate) fn scales(self) -> &'static [i64] {
        if self == Self::Scale { &[1, 5] } else { &[1] }
    }

    /// So little that neither size fits, where sizes are compared.
    pub(crate) fn shared_buffers(self) -> &'static str {
        if self == Self::Scale { "256MB" } else { "2GB" }
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
