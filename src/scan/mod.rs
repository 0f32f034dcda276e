//! Which rows: how a table is walked, and how a statement finds the rows of one batch.
//!
//! It alone knows what a mark means. Everything else carries marks as they are, and puts [`Rows`] into a
//! statement.
//!
//! Must not know: what is done to the rows, who walks, what is written down of it.

mod bands;
mod boundaries;
mod cycle;
mod keys;
mod layout;
mod mark;
mod rows;
mod strategy;

pub use bands::{BAND, Stripe, is_name_of_bands};
pub use boundaries::CELLS_MAX;
pub use cycle::cycle_max;
pub use keys::KeyScan;
pub use layout::Layout;
pub use mark::{Cell, Mark, Span};
pub use rows::Rows;
pub use strategy::{Choice, Observed, SLICES, Strategy};

use crate::db::{Error, Session};
use crate::key::{Key, KeyColumn};
use crate::sql::{Ident, Qualified};
use crate::stripe::Striping;

/// How the rows of a job's table are walked, whatever leaf they are in.
#[derive(Clone, Debug)]
pub struct Walk {
    /// What the job's expressions call the table: the name that the job gives, so that `orders.status` means
    /// the same in every partition.
    pub alias: Ident,
    /// The key's columns, in the order of its index.
    pub key: Vec<KeyColumn>,
    /// Whether bands of keys can stand beside the table in one statement.
    pub joins_bands: bool,
}

impl Walk {
    /// The scan of one of the leaves.
    #[must_use]
    pub fn leaf(&self, table: Qualified) -> Scan {
        let Self { alias, key, joins_bands } = self.clone();
        Scan::Keys(KeyScan { table, alias, key, joins_bands })
    }

    /// The key's column names.
    #[must_use]
    pub fn key_names(&self) -> Vec<String> {
        self.key.iter().map(|column| column.name.clone()).collect()
    }
}

/// How one leaf is walked.
#[derive(Clone, Debug)]
pub enum Scan {
    /// In the order of a unique key.
    Keys(KeyScan),
}

impl Scan {
    /// The leaf.
    #[must_use]
    pub fn table(&self) -> &Qualified {
        let Self::Keys(keys) = self;
        &keys.table
    }

    /// What the job's expressions call it.
    #[must_use]
    pub fn alias(&self) -> &Ident {
        let Self::Keys(keys) = self;
        &keys.alias
    }

    /// The leaf as a FROM item, under the name that the job's expressions use.
    #[must_use]
    pub fn source(&self) -> String {
        let Self::Keys(keys) = self;
        keys.source()
    }

    /// The rows of one stripe of a span in which about `rows` rows of that stripe are expected.
    #[must_use]
    pub fn rows(&self, span: &Span, stripe: Stripe, rows: u32) -> Rows {
        let Self::Keys(keys) = self;
        keys.rows(span, stripe, rows)
    }

    /// The rows of any batch of a range with this striping, to be shown: which they are is in the parameters.
    #[must_use]
    pub fn rows_shown(&self, striping: Striping) -> Rows {
        let Self::Keys(keys) = self;
        keys.rows_shown(striping)
    }

    /// The rows of a batch, for a statement that is planned and not run.
    #[must_use]
    pub fn rows_planned(&self) -> Rows {
        let Self::Keys(keys) = self;
        keys.rows_planned()
    }

    /// One row by its key.
    #[must_use]
    pub fn row(&self, key: &Key) -> Rows {
        self.row_in(key, Stripe::ALL)
    }

    /// One row by its key, if it belongs to this stripe.
    #[must_use]
    pub fn row_in(&self, key: &Key, stripe: Stripe) -> Rows {
        let Self::Keys(keys) = self;
        keys.row_in(key, stripe)
    }

    /// The key of the row at a mark.
    #[must_use]
    pub fn key_at(&self, mark: &Mark) -> Key {
        let Self::Keys(_) = self;
        // A mark of this scan is a key.
        Key(mark.0.clone())
    }

    /// The mark at a row with this key.
    #[must_use]
    pub fn mark_at(&self, key: &Key) -> Mark {
        let Self::Keys(_) = self;
        Mark(key.0.clone())
    }

    /// A query for the key of the row at a `ctid`, its parameter, as one `text[]`; no row if it is gone.
    #[must_use]
    pub fn key_at_ctid(&self) -> String {
        let Self::Keys(keys) = self;
        keys.key_at_ctid()
    }

    /// A query that reads the row at a mark and gives nothing.
    #[must_use]
    pub fn read_at(&self, mark: &Mark) -> String {
        let Self::Keys(keys) = self;
        keys.read_at(mark)
    }

    /// A query for the number of the range that has a row. Parameters: those of [`Scan::row`] for its key,
    /// then the run, then the number of the leaf.
    #[must_use]
    pub fn range_of_row(&self) -> String {
        let Self::Keys(keys) = self;
        keys.range_of_row()
    }

    /// The last mark of the leaf; none if it is empty.
    pub async fn last(&self, session: &Session) -> Result<Option<Mark>, Error> {
        let Self::Keys(keys) = self;
        boundaries::last(session, keys).await
    }

    /// The last mark of the leaf, in a transaction of its own that hardly waits for a lock.
    ///
    /// # Errors
    /// What the server says: that the table is locked, or gone.
    pub async fn last_now(&self, session: &mut Session) -> Result<Option<Mark>, Error> {
        let Self::Keys(keys) = self;
        boundaries::last_now(session, keys).await
    }

    /// At most `cells_max` cells of `step` rows each from the start of `span`. Once they reach its end, the
    /// last one is cut to end with the span and counts the rows that it has.
    pub async fn cells_in_txn(
        &self,
        session: &Session,
        span: &Span,
        step: u32,
        cells_max: u32,
    ) -> Result<Vec<Cell>, Error> {
        let Self::Keys(keys) = self;
        boundaries::cells_in_txn(session, keys, span, step, cells_max).await
    }

    /// [`Scan::cells_in_txn`] in a transaction of its own.
    pub async fn cells(
        &self,
        session: &mut Session,
        span: &Span,
        step: u32,
        cells_max: u32,
    ) -> Result<Vec<Cell>, Error> {
        session.begin(crate::sql::settings::PLANNING).await?;
        let read = self.cells_in_txn(session, span, step, cells_max).await;
        session.commit_or_rollback(read).await
    }

    /// The statement behind [`Scan::cells`]. Parameters: the bounds of the span, then the step less one, then
    /// the most cells.
    #[must_use]
    pub fn cells_statement(&self, span: &Span) -> String {
        let Self::Keys(keys) = self;
        boundaries::boundaries(keys, keys::Bounds::of(span))
    }

    /// The statement that counts the rows of the last cell. Parameters: the bounds of the span.
    #[must_use]
    pub fn count_statement(&self, span: &Span) -> String {
        let Self::Keys(keys) = self;
        boundaries::count(keys, keys::Bounds::of(span))
    }

    /// The statement behind [`Scan::last`].
    #[must_use]
    pub fn last_statement(&self) -> String {
        let Self::Keys(keys) = self;
        boundaries::last_key(keys)
    }

    /// How a range is striped: as it was chosen, as far as its pages allow.
    pub async fn layout(&self, session: &Session, span: &Span, choice: &Choice) -> Result<Layout, Error> {
        let Self::Keys(keys) = self;
        layout::layout(session, keys, span, choice).await
    }
}
