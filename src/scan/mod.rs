//! Which rows: how a table is walked, and how a statement finds the rows of one batch.
//!
//! It alone knows what a mark means. Everything else carries marks as they are, and puts [`Rows`] into a
//! statement.
//!
//! Must not know: what is done to the rows, who walks, what is written down of it.

mod bands;
mod boundaries;
mod cycle;
mod heap;
mod keys;
mod layout;
mod mark;
mod order;
mod rows;
mod strategy;

pub use bands::{BAND, Stripe, is_name_of_bands};
pub use boundaries::CELLS_MAX;
pub use cycle::cycle_max;
pub use heap::{Blocks, HeapScan};
pub use keys::KeyScan;
pub use layout::Layout;
pub use mark::{Cell, Mark, Span};
pub use order::{LeafOrder, ScanOrder};
pub use rows::Rows;
pub use strategy::{Choice, Observed, SLICES, Strategy};

use tokio_postgres::types::Type;

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
    /// The key's columns, in the order of its index; empty: the table has none, and is walked by block.
    pub key: Vec<KeyColumn>,
    /// Whether the job's texts read the walked table and no other, and nothing in it is called as bands are:
    /// then bands of keys can stand beside it in one statement.
    pub joins_bands: bool,
    /// Whether the job's texts read the walked table and no other.
    pub reads_alone: bool,
}

impl Walk {
    /// The scan of one of the leaves.
    #[must_use]
    pub fn leaf(&self, table: Qualified, order: LeafOrder) -> Scan {
        let Self { alias, key, joins_bands, reads_alone } = self.clone();
        match order {
            LeafOrder::Keys => Scan::Keys(KeyScan { table, alias, key, joins_bands }),
            LeafOrder::Heap(blocks) => Scan::Heap(HeapScan { table, alias, key, reads_alone, blocks }),
        }
    }

    /// Whether there is a key to walk by.
    #[must_use]
    pub fn has_key(&self) -> bool {
        !self.key.is_empty()
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
    /// As its rows lie on disk.
    Heap(HeapScan),
}

impl Scan {
    /// The leaf.
    #[must_use]
    pub fn table(&self) -> &Qualified {
        match self {
            Self::Keys(keys) => &keys.table,
            Self::Heap(heap) => &heap.table,
        }
    }

    /// What the job's expressions call it.
    #[must_use]
    pub fn alias(&self) -> &Ident {
        match self {
            Self::Keys(keys) => &keys.alias,
            Self::Heap(heap) => &heap.alias,
        }
    }

    /// Whether a row may be met twice, or not at all, so that a change has to be such as can be repeated.
    #[must_use]
    pub fn is_repeated(&self) -> bool {
        matches!(self, Self::Heap(_))
    }

    /// The leaf as a FROM item, under the name that the job's expressions use.
    #[must_use]
    pub fn source(&self) -> String {
        match self {
            Self::Keys(keys) => keys.source(),
            Self::Heap(heap) => heap.source(),
        }
    }

    /// The rows of one stripe of a span in which about `rows` rows of that stripe are expected.
    #[must_use]
    pub fn rows(&self, span: &Span, stripe: Stripe, rows: u32) -> Rows {
        match self {
            Self::Keys(keys) => keys.rows(span, stripe, rows),
            Self::Heap(heap) => heap.rows(span, stripe),
        }
    }

    /// The rows of any batch of a range with this striping, to be shown: which they are is in the parameters.
    #[must_use]
    pub fn rows_shown(&self, striping: Striping) -> Rows {
        match self {
            Self::Keys(keys) => keys.rows_shown(striping),
            Self::Heap(heap) => heap.rows_shown(striping),
        }
    }

    /// The rows of a batch, for a statement that is planned and not run.
    #[must_use]
    pub fn rows_planned(&self) -> Rows {
        match self {
            Self::Keys(keys) => keys.rows_planned(),
            Self::Heap(heap) => heap.rows_planned(),
        }
    }

    /// One row by its key.
    #[must_use]
    pub fn row(&self, key: &Key) -> Rows {
        match self {
            Self::Keys(keys) => keys.row_in(key, Stripe::ALL),
            Self::Heap(heap) => heap.row(key),
        }
    }

    /// The row at a mark, if it belongs to this stripe.
    #[must_use]
    pub fn row_at(&self, mark: &Mark, stripe: Stripe) -> Rows {
        match self {
            // A mark of this scan is a key.
            Self::Keys(keys) => keys.row_in(&Key(mark.0.clone()), stripe),
            Self::Heap(heap) => heap.row_at(mark, stripe),
        }
    }

    /// The key of the row at a mark, as a person knows the row; none if there is no row.
    pub async fn key_at_in_txn(&self, session: &Session, mark: &Mark) -> Result<Option<Key>, Error> {
        match self {
            Self::Keys(_) => Ok(Some(Key(mark.0.clone()))),
            Self::Heap(heap) => {
                let place = mark.0.first();
                let row = session.query_opt(&heap.key_at_ctid(), &[(&place, Type::TEXT)]).await?;
                Ok(row.map(|row| Key(row.get(0))))
            }
        }
    }

    /// The mark of a row of which key and `ctid` are known; none if it has to be known by a key that it has
    /// not.
    #[must_use]
    pub fn mark_of(&self, key: Option<&Key>, ctid: &str) -> Option<Mark> {
        match self {
            Self::Keys(_) => key.map(|key| Mark(key.0.clone())),
            Self::Heap(_) => Some(Mark(vec![ctid.to_owned()])),
        }
    }

    /// A query for the key of the row at a `ctid`, its parameter, as one `text[]`; no row if it is gone.
    #[must_use]
    pub fn key_at_ctid(&self) -> String {
        match self {
            Self::Keys(keys) => keys.key_at_ctid(),
            Self::Heap(heap) => heap.key_at_ctid(),
        }
    }

    /// A query that reads the row at a mark and gives nothing.
    #[must_use]
    pub fn read_at(&self, mark: &Mark) -> String {
        match self {
            Self::Keys(keys) => keys.read_at(mark),
            Self::Heap(heap) => heap.read_at(mark),
        }
    }

    /// A query for the number of the range that has a row. Parameters: those of [`Scan::row`] for its key,
    /// then the run, then the number of the leaf. None: a row of this scan may be in another range by now.
    #[must_use]
    pub fn range_of_row(&self) -> Option<String> {
        match self {
            Self::Keys(keys) => Some(keys.range_of_row()),
            Self::Heap(_) => None,
        }
    }

    /// The last mark of the leaf; none if it is empty.
    pub async fn last(&self, session: &Session) -> Result<Option<Mark>, Error> {
        match self {
            Self::Keys(keys) => boundaries::last(session, keys).await,
            Self::Heap(heap) => heap.last(session).await,
        }
    }

    /// The last mark of the leaf, in a transaction of its own that hardly waits for a lock.
    ///
    /// # Errors
    /// What the server says: that the table is locked, or gone.
    pub async fn last_now(&self, session: &mut Session) -> Result<Option<Mark>, Error> {
        match self {
            Self::Keys(keys) => boundaries::last_now(session, keys).await,
            Self::Heap(heap) => heap.last_now(session).await,
        }
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
        match self {
            Self::Keys(keys) => boundaries::cells_in_txn(session, keys, span, step, cells_max).await,
            Self::Heap(heap) => heap.cells_in_txn(session, span, step, cells_max).await,
        }
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

    /// The statements that a scan reads by, each with a word for what it asks: of a key its boundaries
    /// (parameters: the bounds of the span, then the step less one, then the most cells) and the rows of the
    /// last cell (the bounds), of blocks the places of rows (the bounds), of both where they end.
    #[must_use]
    pub fn statements(&self, span: &Span) -> Vec<(&'static str, String)> {
        match self {
            Self::Keys(keys) => {
                let bounds = keys::Bounds::of(span);
                vec![
                    ("cells", boundaries::boundaries(keys, bounds)),
                    ("count", boundaries::count(keys, bounds)),
                    ("last", boundaries::last_key(keys)),
                ]
            }
            Self::Heap(heap) => {
                vec![("places", heap.places_statement(span.after.is_some())), ("last", heap.last_statement())]
            }
        }
    }

    /// How many rows of a page follow each other in the order of the scan, near the start of a span; none if
    /// that does not depend on a key.
    pub async fn rows_together(&self, session: &Session, span: &Span) -> Result<Option<f64>, Error> {
        match self {
            Self::Keys(keys) => layout::rows_together_there(session, keys, span).await.map(Some),
            Self::Heap(_) => Ok(None),
        }
    }

    /// How a range is striped: as it was chosen, as far as its pages allow.
    pub async fn layout(&self, session: &Session, span: &Span, choice: &Choice) -> Result<Layout, Error> {
        match self {
            Self::Keys(keys) => layout::layout(session, keys, span, choice).await,
            Self::Heap(heap) => Ok(heap.layout(choice)),
        }
    }
}
