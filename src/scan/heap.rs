//! The scan by block: a leaf is walked as its rows lie on disk. A mark is a `ctid`.
//!
//! Rows that lie together are changed together, whatever their key: a page is read, logged as a whole and
//! written once for all of its rows. Only for changes that can be repeated: a row that another session
//! updates meanwhile moves, before or behind the cursor.
//!
//! Must not know: when it is walked, how far it has got, whether a change can be repeated.

use std::fmt;

use tokio_postgres::types::Type;

use super::{Cell, KeyScan, Layout, Mark, Rows, Span, Stripe};
use crate::db::{Error, Param, Session, TextParam};
use crate::key::{Key, KeyColumn};
use crate::scan::Choice;
use crate::sql::{Ident, Qualified, literal, settings};
use crate::stripe::{Striping, hashed};

/// The last offset that a `ctid` can name: a mark with it is the end of its block.
const LAST_OFFSET: u16 = u16::MAX;
/// No leaf has fewer rows on a block, as far as the size of batches is concerned.
const ROWS_PER_BLOCK_MIN: f64 = 0.125;
/// A cell of blocks counts as so many rows at least: what is said to have one is taken for a single row.
const ROWS_OF_BLOCKS_MIN: u32 = 2;
/// Reading a row that does not match takes this part of the time that changing one takes, and a sweep counts
/// its rows so. Measured on 2 cores: 1 to 3 M rows/s read, 250 to 450 k rows/s changed.
const SWEEP_WEIGHT: f64 = 0.125;
/// What has to hold where only the walked table is read: an index on what `where` tests would be read from
/// its beginning for each batch, with all entries that are dead. All kinds of scans but those of blocks are
/// equally undesired, so that what triggers read is planned as before.
const BY_BLOCK: &str = "SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = off; \
     SET LOCAL enable_indexonlyscan = off; SET LOCAL enable_bitmapscan = off";

/// A leaf, and what is on its blocks.
#[derive(Clone, Debug)]
pub struct HeapScan {
    /// The leaf.
    pub table: Qualified,
    /// What the job's expressions call it.
    pub alias: Ident,
    /// The key's columns, by which a row is named to a person; none: its `ctid` names it.
    pub key: Vec<KeyColumn>,
    /// Whether the job's texts read the walked table and no other.
    pub reads_alone: bool,
    /// Rows on a block, as far as the statistics know.
    pub blocks: Blocks,
}

/// How many rows a block of a leaf counts as.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Blocks {
    /// Rows on a block, on average.
    pub rows: f64,
    /// Whether most of the rows have been changed, so that they are only read.
    pub are_swept: bool,
}

impl Blocks {
    /// As how many rows a block counts.
    #[must_use]
    pub fn weight(self) -> f64 {
        let part = if self.are_swept { SWEEP_WEIGHT } else { 1.0 };
        (self.rows * part).max(ROWS_PER_BLOCK_MIN)
    }
}

/// A place in a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Tid {
    block: u32,
    offset: u16,
}

impl Tid {
    const fn end_of(block: u32) -> Self {
        Self { block, offset: LAST_OFFSET }
    }

    fn parse(mark: &Mark) -> Option<Self> {
        let (block, offset) = mark.0.first()?.strip_prefix('(')?.strip_suffix(')')?.split_once(',')?;
        Some(Self { block: block.parse().ok()?, offset: offset.parse().ok()? })
    }

    fn mark(self) -> Mark {
        Mark(vec![self.to_string()])
    }
}

impl fmt::Display for Tid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({},{})", self.block, self.offset)
    }
}

/// The first block of a span that has places left, and its last place.
fn bounds(span: &Span) -> Result<(u32, Tid), Error> {
    let broken = || Error::Protocol(format!("{} is no place in a table", span.through));
    let through = Tid::parse(&span.through).ok_or_else(broken)?;
    let first = match &span.after {
        None => 0,
        Some(mark) => {
            let after = Tid::parse(mark).ok_or_else(broken)?;
            if after.offset == LAST_OFFSET { after.block.saturating_add(1) } else { after.block }
        }
    };
    Ok((first, through))
}

/// Cells of whole blocks from the start of a span, of about `step` rows each and at least a block. Once they
/// reach its end, the last one ends with the span.
fn cells_of_blocks(first: u32, through: Tid, weight: f64, step: u32, cells_max: u32) -> Vec<Cell> {
    let blocks = ((f64::from(step) / weight) as u32).max(1);
    let rows_before = |block: u32| (f64::from(block - first) * weight).round() as u32;
    let mut cells = Vec::new();
    let mut next = first;
    while next <= through.block && (cells.len() as u32) < cells_max {
        let last = next.saturating_add(blocks - 1).min(through.block);
        let end = if last == through.block { through } else { Tid::end_of(last) };
        let rows = rows_before(last.saturating_add(1)) - rows_before(next);
        cells.push(Cell { through: end.mark(), rows: rows.max(ROWS_OF_BLOCKS_MIN) });
        let Some(following) = last.checked_add(1) else { break };
        next = following;
    }
    cells
}

impl HeapScan {
    /// `ONLY` because a leaf has no children of its own, and a child that is added must not be touched.
    pub(super) fn source(&self) -> String {
        format!("ONLY {} AS {}", self.table, self.alias)
    }

    /// The scan by the key that the table has, for what is known by key.
    fn by_key(&self) -> Option<KeyScan> {
        let Self { table, alias, key, .. } = self.clone();
        (!key.is_empty()).then_some(KeyScan { table, alias, key, joins_bands: false })
    }

    fn within(&self, has_start: bool) -> String {
        let ctid = self.ctid();
        let after = if has_start { format!("\nAND {ctid} > $2") } else { String::new() };
        format!("{ctid} <= $1{after}")
    }

    fn ctid(&self) -> String {
        format!("{}.ctid", self.alias)
    }

    /// The low byte of a row's offset on its block, the last of the six that the server sends a `ctid` as.
    fn offset(&self) -> String {
        format!("pg_catalog.get_byte(pg_catalog.tidsend({}), 5)", self.ctid())
    }

    /// Rows are told apart by their offset, so that each block has as many of one stripe as of the next. Of a
    /// hash some stripe always has more, which then do not find room on their page. Measured with 8 stripes
    /// and 2 million rows, two runs each: 80 and 81 % of the updates were HOT, 76 and 76 % with a hash.
    fn stripe(&self, stripe: Stripe) -> Option<String> {
        let mask = stripe.striping.stripes().get() - 1;
        (mask > 0).then(|| format!("({} & {mask}) = {}", self.offset(), stripe.number))
    }

    fn found(&self, conditions: impl IntoIterator<Item = String>, places: Vec<Option<String>>) -> Rows {
        let (walked, alias) = (self.source(), self.alias.clone());
        let condition = conditions.into_iter().collect::<Vec<_>>().join("\nAND ");
        let settings = if self.reads_alone { BY_BLOCK } else { "" };
        let values = places.into_iter().map(|place| (place.map(TextParam), Type::TID)).collect();
        let key = self.by_key().map_or_else(|| vec![self.ctid()], |keys| keys.columns());
        let around = condition.clone();
        Rows { walked, alias, beside: None, condition, may_come_again: true, key, around, settings, values }
    }

    pub(super) fn rows(&self, span: &Span, stripe: Stripe) -> Rows {
        let place = |mark: &Mark| mark.0.first().cloned();
        let places = std::iter::once(&span.through).chain(&span.after).map(place).collect();
        self.found(std::iter::once(self.within(span.after.is_some())).chain(self.stripe(stripe)), places)
    }

    pub(super) fn rows_shown(&self, striping: Striping) -> Rows {
        let stripe = Stripe { striping, number: 0 };
        self.found(std::iter::once(self.within(true)).chain(self.stripe(stripe)), Vec::new())
    }

    pub(super) fn rows_planned(&self) -> Rows {
        self.found([self.within(false)], vec![None])
    }

    /// The row at a mark, if it belongs to this stripe.
    pub(super) fn row_at(&self, mark: &Mark, stripe: Stripe) -> Rows {
        let at = format!("{} = $1", self.ctid());
        self.found(std::iter::once(at).chain(self.stripe(stripe)), vec![mark.0.first().cloned()])
    }

    /// The row with this key; without one in the table a key is a place.
    pub(super) fn row(&self, key: &Key) -> Rows {
        match self.by_key() {
            Some(keys) => keys.row_in(key, Stripe::ALL),
            None => self.row_at(&Mark(key.0.clone()), Stripe::ALL),
        }
    }

    pub(super) fn key_at_ctid(&self) -> String {
        match self.by_key() {
            Some(keys) => keys.key_at_ctid(),
            None => format!(
                "SELECT ARRAY[{ctid}::text]\nFROM {}\nWHERE {ctid} = $1::tid",
                self.source(),
                ctid = self.ctid()
            ),
        }
    }

    pub(super) fn read_at(&self, mark: &Mark) -> String {
        let place = mark.0.first().map(String::as_str).unwrap_or_default();
        format!("SELECT FROM {} WHERE {} = {}::tid", self.source(), self.ctid(), literal(place))
    }

    pub(super) fn last_statement(&self) -> String {
        // What the server counts as the table's pages; the lock that comes with it hardly waits.
        format!(
            "SELECT pg_relation_size({}::regclass) / current_setting('block_size')::bigint AS blocks",
            literal(&self.table.to_string())
        )
    }

    pub(super) async fn last(&self, session: &Session) -> Result<Option<Mark>, Error> {
        let row = session.query_one(&self.last_statement(), &[]).await?;
        Ok(last(row.get(0)))
    }

    pub(super) async fn last_now(&self, session: &mut Session) -> Result<Option<Mark>, Error> {
        let profile = format!("{}; {}", settings::PLANNING, settings::IMPATIENT);
        let rows = session.query_and_rollback(&profile, &self.last_statement(), &[]).await?;
        Ok(rows.first().and_then(|row| last(row.get(0))))
    }

    /// Where fewer rows than a block has are wanted, the rows of the first block, one place at a time, and
    /// then block by block.
    pub(super) async fn cells_in_txn(
        &self,
        session: &Session,
        span: &Span,
        step: u32,
        cells_max: u32,
    ) -> Result<Vec<Cell>, Error> {
        let ((first, through), weight) = (bounds(span)?, self.blocks.weight());
        // How many rows a block really has is not known, so that a single one is always looked for.
        if step > 1 && f64::from(step) >= self.blocks.rows {
            return Ok(cells_of_blocks(first, through, weight, step, cells_max));
        }
        let end = through.min(Tid::end_of(first));
        let mut cells = self.cells_of_rows(session, span, end, step).await?;
        cells.truncate(cells_max as usize);
        if end < through && (cells.len() as u32) < cells_max {
            let rest = cells_max - cells.len() as u32;
            cells.extend(cells_of_blocks(first + 1, through, weight, step, rest));
        }
        Ok(cells)
    }

    async fn cells_of_rows(
        &self,
        session: &Session,
        span: &Span,
        end: Tid,
        step: u32,
    ) -> Result<Vec<Cell>, Error> {
        let of_block = Span { after: span.after.clone(), through: end.mark() };
        let rows = self.rows(&of_block, Stripe::ALL);
        let asked = self.places_statement(span.after.is_some());
        let params: Vec<Param<'_>> = rows.params();
        let places: Vec<Mark> =
            session.query(&asked, &params).await?.iter().map(|row| Mark(vec![row.get(0)])).collect();
        let mut cells: Vec<_> = places
            .chunks(step as usize)
            .filter_map(|rows| Some(Cell { through: rows.last()?.clone(), rows: rows.len() as u32 }))
            .collect();
        if cells.last().is_none_or(|last| last.through != end.mark()) {
            // Rows may come to lie behind the last one, which must be alone in its cell.
            cells.push(Cell { through: end.mark(), rows: 0 });
        }
        Ok(cells)
    }

    /// The places of the rows of a span. Parameters: its bounds.
    pub(super) fn places_statement(&self, has_start: bool) -> String {
        format!(
            "SELECT {ctid}::text\nFROM {}\nWHERE {}\nORDER BY {ctid}",
            self.source(),
            self.within(has_start),
            ctid = self.ctid()
        )
    }

    /// In a sweep hardly any row is changed, so that it needs no stripes.
    pub(super) fn layout(&self, choice: &Choice) -> Layout {
        if self.blocks.are_swept {
            let why = "a sweep: it looks for rows that have come to match meanwhile".to_owned();
            return Layout { striping: Striping::WHOLE, why };
        }
        Layout { striping: hashed(choice.wanted, self.blocks.rows), why: choice.why.clone() }
    }
}

/// The end of the last of so many blocks.
fn last(blocks: i64) -> Option<Mark> {
    let last = u32::try_from(blocks.checked_sub(1)?).ok()?;
    Some(Tid::end_of(last).mark())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyType;
    use crate::stripe::StripeBy;
    use proptest::prelude::*;

    fn orders() -> HeapScan {
        HeapScan {
            table: Qualified::new("public", "orders_2024"),
            alias: Ident("orders".into()),
            key: vec![KeyColumn { name: "id".into(), ty: KeyType::Uuid, collate: None }],
            reads_alone: true,
            blocks: Blocks { rows: 60.0, are_swept: false },
        }
    }

    fn span(after: Option<Tid>, through: Tid) -> Span {
        Span { after: after.map(Tid::mark), through: through.mark() }
    }

    #[test]
    fn a_batch_is_a_stretch_of_blocks_and_a_stripe_a_part_of_each_blocks_offsets() {
        let stripe = Stripe { striping: Striping::new(8, StripeBy::Hash).unwrap(), number: 3 };
        let rows = orders().rows(&span(Some(Tid::end_of(9)), Tid::end_of(19)), stripe);
        insta::assert_snapshot!(format!("FROM {}\nWHERE {}", rows.walked, rows.condition), @r#"
        FROM ONLY "public"."orders_2024" AS "orders"
        WHERE "orders".ctid <= $1
        AND "orders".ctid > $2
        AND (pg_catalog.get_byte(pg_catalog.tidsend("orders".ctid), 5) & 7) = 3
        "#);
        assert_eq!(rows.params().len(), 2);
    }

    #[test]
    fn a_row_is_found_by_its_key_and_without_one_by_its_place() {
        let key = Key(vec!["7".into()]);
        assert_eq!(orders().row(&key).condition, r#""orders"."id" = $1"#);
        let without = HeapScan { key: Vec::new(), ..orders() };
        assert_eq!(without.row(&Key(vec!["(0,7)".into()])).condition, r#""orders".ctid = $1"#);
        insta::assert_snapshot!(without.key_at_ctid(), @r#"
        SELECT ARRAY["orders".ctid::text]
        FROM ONLY "public"."orders_2024" AS "orders"
        WHERE "orders".ctid = $1::tid
        "#);
    }

    #[test]
    fn an_empty_table_has_no_last_place() {
        assert_eq!(last(0), None);
        assert_eq!(last(1), Some(Mark(vec!["(0,65535)".into()])));
    }

    #[test]
    fn what_is_no_place_is_refused() {
        let broken = Span { after: None, through: Mark(vec!["42".into()]) };
        assert!(bounds(&broken).is_err());
    }

    proptest! {
        #[test]
        fn cells_follow_each_other_from_the_start_to_the_end(
            first in 0_u32..1000, blocks in 1_u32..500, offset in 1_u16..=LAST_OFFSET,
            weight in 0.125_f64..300.0, step in 1_u32..10_000, cells_max in 1_u32..200,
        ) {
                let through = Tid { block: first + blocks - 1, offset };
            let cells = cells_of_blocks(first, through, weight, step, cells_max);
            let ends: Vec<_> = cells.iter().map(|cell| Tid::parse(&cell.through).unwrap()).collect();
            prop_assert!(ends.is_sorted_by(|one, next| one < next));
            prop_assert!(ends[0].block >= first && cells.len() as u32 <= cells_max);
            prop_assert!(ends.iter().all(|end| *end == through || end.offset == LAST_OFFSET));
            // None is left out: each cell ends where it has room for no further block, or with the span.
            let whole = cells.len() as u32 == cells_max || ends.last() == Some(&through);
            prop_assert!(whole);
        }
    }
}
