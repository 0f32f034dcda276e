//! A set of rows as a statement needs it: where they come from, the condition that selects them, and its
//! parameters.
//!
//! Must not know: what is done to the rows, how the scan walks.

use tokio_postgres::types::Type;

use crate::db::{Error, Param, Session, TextParam};
use crate::sql::{Ident, as_text};

/// What a statement needs to find the rows that it is about.
#[derive(Clone, Debug)]
pub struct Rows {
    /// The table that is walked, as a FROM item: `ONLY "public"."orders" AS "orders"`.
    pub walked: String,
    /// What the job's expressions call that table.
    pub alias: Ident,
    /// One more FROM item, where the condition needs it.
    pub beside: Option<String>,
    /// What selects the rows, with parameters from `$1` on.
    pub condition: String,
    /// Whether such a row may be met again, or not at all: then the change has to be one that can be
    /// repeated.
    pub may_come_again: bool,
    /// The columns of a row's key, as its index has them; of a table without one the place of a row.
    pub key: Vec<String>,
    /// What holds for these rows, and perhaps for others near them; it needs no other FROM item.
    pub around: String,
    /// What has to be set in the transaction before the statement; empty: nothing.
    pub settings: &'static str,
    /// A value for each parameter; none where the rows are only shown or planned for.
    pub(super) values: Vec<(Option<TextParam<String>>, Type)>,
}

impl Rows {
    /// The key as texts.
    #[must_use]
    pub fn key_texts(&self) -> Vec<String> {
        self.key.iter().map(|column| as_text(column)).collect()
    }

    /// The parameters, in their order.
    #[must_use]
    pub fn params(&self) -> Vec<Param<'_>> {
        self.values.iter().map(|(value, ty)| (value as _, ty.clone())).collect()
    }

    /// Whether there is any such row.
    pub async fn exist_in_txn(&self, session: &Session) -> Result<bool, Error> {
        let query = format!("SELECT EXISTS (SELECT FROM {} WHERE {})", self.walked, self.condition);
        Ok(session.query_one(&query, &self.params()).await?.get(0))
    }
}
