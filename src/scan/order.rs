//! In which order a leaf is walked.
//!
//! Must not know: which order is the better one.

use super::heap::Blocks;

/// The order of one leaf, and what its scan has to know besides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LeafOrder {
    /// By key.
    Keys,
    /// By block.
    Heap(Blocks),
}

/// The name of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ScanOrder {
    /// By a unique key.
    Keys,
    /// By block: as the rows lie on disk.
    Heap,
}

impl ScanOrder {
    /// As it is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Keys => "keys",
            Self::Heap => "heap",
        }
    }

    /// From what is stored.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Keys, Self::Heap].into_iter().find(|order| order.as_str() == text)
    }
}

impl LeafOrder {
    /// Whether it only looks for rows that were missed.
    #[must_use]
    pub const fn is_sweep(self) -> bool {
        matches!(self, Self::Heap(Blocks { are_swept: true, .. }))
    }

    /// As how many rows a sweep of a leaf with so many blocks counts.
    #[must_use]
    pub fn rows_of_sweep(self, blocks: i64) -> i64 {
        match self {
            Self::Keys => 0,
            Self::Heap(of) => (Blocks { are_swept: true, ..of }.weight() * blocks as f64).round() as i64,
        }
    }

    /// Which it is.
    #[must_use]
    pub const fn order(self) -> ScanOrder {
        match self {
            Self::Keys => ScanOrder::Keys,
            Self::Heap(_) => ScanOrder::Heap,
        }
    }
}
