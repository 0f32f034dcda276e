//! A key range as parameters of a statement.
//!
//! Must not know: which statement.

use tokio_postgres::types::Type;

use super::session::{TextParam, Param};
use crate::key::{KeyColumn, KeyRange};
use crate::sql::Bounds;

/// The bounds of a range in the order that every built statement expects: `through`, then `after`.
#[derive(Debug)]
pub struct Bound<'a> {
    texts: Vec<TextParam<'a>>,
    bounds: Bounds,
}

impl<'a> Bound<'a> {
    /// Of this range.
    #[must_use]
    pub fn of(range: &'a KeyRange) -> Self {
        let keys = std::iter::once(&range.through).chain(&range.after);
        let texts = keys.flat_map(|key| key.0.iter()).map(|text| TextParam(text)).collect();
        let bounds = if range.after.is_some() { Bounds::AfterAndThrough } else { Bounds::Through };
        Self { texts, bounds }
    }

    /// Which bounds there are.
    #[must_use]
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// The parameters, each with the type of its key column.
    #[must_use]
    pub fn params(&self, key: &[KeyColumn]) -> Vec<Param<'_>> {
        let types = key.iter().map(column_type).cycle();
        self.texts.iter().zip(types).map(|(text, ty)| (text as _, ty)).collect()
    }
}

/// The protocol's type of a key column.
#[must_use]
pub fn column_type(column: &KeyColumn) -> Type {
    // Every key type is built in, so it is always found.
    Type::from_oid(column.ty.oid()).expect("key types are built in")
}
