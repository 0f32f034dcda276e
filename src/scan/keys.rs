//! The scan by key: a leaf is walked in the order of a unique index. A mark is a key.
//!
//! Must not know: when it is walked, and how far it has got.

use tokio_postgres::types::Type;

use super::{Mark, Rows, Span, Stripe, bands};
use crate::db::TextParam;
use crate::key::{Key, KeyColumn};
use crate::sql::{Ident, Qualified, literal, parameters, row};
use crate::stripe::{Bands, Striping};

/// A leaf with its key.
#[derive(Clone, Debug)]
pub struct KeyScan {
    /// The leaf.
    pub table: Qualified,
    /// What the job's expressions call it.
    pub alias: Ident,
    /// The key's columns, in the order of its index.
    pub key: Vec<KeyColumn>,
    /// Whether bands of keys can stand beside the table in one statement.
    pub joins_bands: bool,
}

/// What has to hold where bands are looked up. A table of which only single bands are asked for can be read
/// as a whole or by the index, band by band; the server takes a band for half a percent of the table, so on a
/// large one it might choose wrongly.
const LOOKING_UP: &str = "SET LOCAL enable_seqscan = off";

/// Which bounds of `(after, through]` a statement has parameters for.
///
/// Parameters come in this order: the columns of `through`, then those of `after`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bounds {
    /// From the first key on: there is no `after`.
    Through,
    /// Both ends.
    AfterAndThrough,
}

impl Bounds {
    pub(super) fn of(span: &Span) -> Self {
        if span.after.is_some() { Self::AfterAndThrough } else { Self::Through }
    }

    /// How many parameters they are for a key of `columns` columns.
    pub(super) fn parameters(self, columns: usize) -> usize {
        match self {
            Self::Through => columns,
            Self::AfterAndThrough => 2 * columns,
        }
    }
}

impl KeyScan {
    /// The scan under a name that none of our own can be mistaken for, where the user's expressions have no
    /// say.
    pub(super) fn under_our_name(&self) -> Self {
        Self { alias: Ident("pgbackfill_row".into()), ..self.clone() }
    }

    /// One key column, with the collation of its index where the column's own would not use the index.
    fn column(&self, column: &KeyColumn) -> String {
        let name = format!("{}.{}", self.alias, Ident(column.name.clone()));
        match &column.collate {
            Some((schema, collation)) => {
                format!("({name} COLLATE {})", Qualified::new(schema, collation))
            }
            None => name,
        }
    }

    pub(super) fn columns(&self) -> Vec<String> {
        self.key.iter().map(|column| self.column(column)).collect()
    }

    /// `ONLY` because a leaf has no children of its own, and a child that is added must not be touched.
    pub(super) fn source(&self) -> String {
        format!("ONLY {} AS {}", self.table, self.alias)
    }

    /// `key <= through [AND key > after]`, with parameters from `$1` on.
    ///
    /// The planner guesses a comparison of rows by the first column, each side on its own: 1,000 rows from
    /// the middle of the table count as a quarter of it, and a lookup is joined by reading the other table as
    /// a whole (456 ms a batch against 13 ms). What follows for the first column alone is true of the same
    /// rows, and there both sides are estimated together.
    pub(super) fn between(&self, bounds: Bounds) -> String {
        let (columns, n) = (self.columns(), self.key.len());
        let mut all = vec![format!("{} <= {}", row(&columns), row(&parameters(1, n)))];
        if bounds == Bounds::AfterAndThrough {
            all.push(format!("{} > {}", row(&columns), row(&parameters(n + 1, n))));
            if n > 1 {
                all.push(format!("{first} <= $1\nAND {first} >= ${}", n + 1, first = columns[0]));
            }
        }
        all.join("\nAND ")
    }

    /// `key = …`, with parameters from `$1` on.
    fn is_at(&self) -> String {
        format!("{} = {}", row(&self.columns()), row(&parameters(1, self.key.len())))
    }

    /// The bounds of a span as parameters, each with the type of its key column.
    pub(super) fn bounds(&self, span: &Span) -> Vec<(Option<TextParam<String>>, Type)> {
        let marks = std::iter::once(&span.through).chain(&span.after);
        self.typed(marks.flat_map(|mark| mark.0.iter().cloned().map(Some)))
    }

    fn typed(&self, values: impl Iterator<Item = Option<String>>) -> Vec<(Option<TextParam<String>>, Type)> {
        let types = self.key.iter().map(column_type).cycle();
        values.map(|value| value.map(TextParam)).zip(types).collect()
    }

    fn found(&self, condition: String, values: Vec<(Option<TextParam<String>>, Type)>) -> Rows {
        let (walked, alias) = (self.source(), self.alias.clone());
        let (key, around) = (self.columns(), condition.clone());
        Rows {
            walked,
            alias,
            beside: None,
            condition,
            may_come_again: false,
            key,
            around,
            settings: "",
            values,
        }
    }

    pub(super) fn rows(&self, span: &Span, stripe: Stripe, rows: u32) -> Rows {
        let values = self.bounds(span);
        match self.bands(span, stripe, rows) {
            Some(bands) => self.rows_of_bands(bands, values),
            None => self.found(self.rows_condition(Bounds::of(span), stripe), values),
        }
    }

    /// The bands of a stripe, if they are so few that looking each up is less work than reading all rows.
    /// Beside a lookup of the job's the server would have to join three sources, and a batch must not depend
    /// on how it goes about that.
    fn bands(&self, span: &Span, stripe: Stripe, rows: u32) -> Option<Bands> {
        if !self.joins_bands || stripe.striping.stripes().get() == 1 {
            return None;
        }
        let integer = |mark: &Mark| mark.0.first()?.parse().ok();
        let (after, through) = (integer(span.after.as_ref()?)?, integer(&span.through)?);
        stripe.striping.bands(stripe.number, after, through).filter(|bands| bands.pay(rows))
    }

    fn rows_of_bands(&self, bands: Bands, mut values: Vec<(Option<TextParam<String>>, Type)>) -> Rows {
        values.extend([bands.first, bands.last].map(|key| (Some(TextParam(key.to_string())), Type::INT8)));
        Rows {
            beside: Some(bands::from_item(bands)),
            settings: LOOKING_UP,
            around: self.between(Bounds::AfterAndThrough),
            ..self.found(bands::within(&self.columns().concat()), values)
        }
    }

    fn rows_condition(&self, bounds: Bounds, stripe: Stripe) -> String {
        let all = [Some(self.between(bounds)), bands::condition(&self.columns(), &self.key, stripe)];
        all.into_iter().flatten().collect::<Vec<_>>().join("\nAND ")
    }

    pub(super) fn rows_shown(&self, striping: Striping) -> Rows {
        let stripe = Stripe { striping, number: 0 };
        // The length of a band and the distance to the next are all that the text has of them.
        let bands =
            striping.bands(0, 0, i64::MAX).filter(|_| striping.stripes().get() > 1 && self.joins_bands);
        match bands {
            Some(bands) => self.rows_of_bands(bands, Vec::new()),
            None => self.found(self.rows_condition(Bounds::AfterAndThrough, stripe), Vec::new()),
        }
    }

    pub(super) fn rows_planned(&self) -> Rows {
        // Planning needs the types of the parameters, not their values.
        let values = self.typed(self.key.iter().map(|_| None));
        self.found(self.between(Bounds::Through), values)
    }

    pub(super) fn row_in(&self, key: &Key, stripe: Stripe) -> Rows {
        let all = [Some(self.is_at()), bands::condition(&self.columns(), &self.key, stripe)];
        let condition = all.into_iter().flatten().collect::<Vec<_>>().join("\nAND ");
        self.found(condition, self.typed(key.0.iter().cloned().map(Some)))
    }

    pub(super) fn key_at_ctid(&self) -> String {
        let text: Vec<_> = self.columns().iter().map(|column| format!("{column}::text")).collect();
        format!(
            "SELECT ARRAY[{}]\nFROM {}\nWHERE {}.ctid = $1::tid",
            text.join(", "),
            self.source(),
            self.alias
        )
    }

    pub(super) fn read_at(&self, mark: &Mark) -> String {
        let same: Vec<_> = self
            .columns()
            .iter()
            .zip(&mark.0)
            .map(|(column, text)| format!("{column} = {}", literal(text)))
            .collect();
        format!("SELECT FROM {} WHERE {}", self.source(), same.join(" AND "))
    }

    /// The table is read for that: its columns alone know in which order their values are.
    pub(super) fn range_of_row(&self) -> String {
        // The table may be called `r`.
        let scan = self.under_our_name();
        let (columns, n) = (row(&scan.columns()), scan.key.len());
        let bound = |name: &str| {
            let values = scan.key.iter().enumerate();
            row(&values
                .map(|(i, column)| format!("r.{name}[{}]::{}", i + 1, column.ty.name()))
                .collect::<Vec<_>>())
        };
        format!(
            "SELECT r.number\nFROM pgbackfill.range AS r, {from}\nWHERE {at}\nAND r.run = ${run}\nAND r.leaf = ${leaf}\n\
             AND (r.lo IS NULL OR {columns} > {lo})\nAND {columns} <= {hi}",
            run = n + 1,
            leaf = n + 2,
            from = scan.source(),
            at = scan.is_at(),
            lo = bound("lo"),
            hi = bound("hi"),
        )
    }
}

/// The protocol's type of a key column.
fn column_type(column: &KeyColumn) -> Type {
    // Every key type is built in, so it is always found.
    Type::from_oid(column.ty.oid()).expect("key types are built in")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyType;
    use crate::stripe::StripeBy;

    fn orders() -> KeyScan {
        KeyScan {
            table: Qualified::new("public", "orders_2024"),
            alias: Ident("orders".into()),
            key: vec![KeyColumn { name: "id".into(), ty: KeyType::BigInt, collate: None }],
            joins_bands: true,
        }
    }

    fn mark(n: u32) -> Mark {
        Mark(vec![n.to_string()])
    }

    fn span(after: Option<u32>, through: u32) -> Span {
        Span { after: after.map(mark), through: mark(through) }
    }

    #[test]
    fn a_span_is_a_closed_key_range_of_one_leaf() {
        let rows = orders().rows(&span(Some(1), 9), Stripe::ALL, 8);
        insta::assert_snapshot!(format!("FROM {}\nWHERE {}", rows.walked, rows.condition), @r#"
        FROM ONLY "public"."orders_2024" AS "orders"
        WHERE "orders"."id" <= $1
        AND "orders"."id" > $2
        "#);
        assert_eq!(rows.params().len(), 2);
    }

    #[test]
    fn a_composite_key_is_compared_as_a_row_in_the_collation_of_its_index() {
        let mut scan = orders();
        scan.key.push(KeyColumn {
            name: "Name".into(),
            ty: KeyType::Text,
            collate: Some(("pg_catalog".into(), "C".into())),
        });
        assert_eq!(
            scan.between(Bounds::Through),
            r#"("orders"."id", ("orders"."Name" COLLATE "pg_catalog"."C")) <= ($1, $2)"#
        );
        insta::assert_snapshot!(scan.between(Bounds::AfterAndThrough), @r#"
        ("orders"."id", ("orders"."Name" COLLATE "pg_catalog"."C")) <= ($1, $2)
        AND ("orders"."id", ("orders"."Name" COLLATE "pg_catalog"."C")) > ($3, $4)
        AND "orders"."id" <= $1
        AND "orders"."id" >= $3
        "#);
    }

    #[test]
    fn bands_are_looked_up_only_where_keys_are_dense() {
        let stripe = Stripe { striping: Striping::new(8, StripeBy::Bits { shift: 3 }).unwrap(), number: 0 };
        let bands = |keys: u32, rows: u32| {
            let found = orders().bands(&span(Some(1000), 1000 + keys), stripe, rows / 8);
            found.map(Bands::count)
        };
        assert_eq!(bands(6400, 6400), Some(100));
        assert_eq!(bands(64_000, 6400), None);
        assert_eq!(orders().bands(&span(None, 6400), stripe, 800), None);
    }

    #[test]
    fn a_stripe_is_one_more_condition_or_bands_that_are_looked_up() {
        let striping = Striping::new(8, StripeBy::Bits { shift: 3 }).unwrap();
        let stripe = Stripe { striping, number: 3 };
        let filtered = orders().rows(&span(Some(0), 1000), stripe, 1);
        assert!(filtered.condition.ends_with("\nAND ((\"orders\".\"id\"::bigint >> 3) & 7) = 3"));
        assert_eq!((filtered.beside, filtered.settings), (None, ""));
        let found = orders().rows(&span(Some(0), 1000), stripe, 125);
        insta::assert_snapshot!(
            format!("FROM {}\nWHERE {}", found.beside.as_deref().unwrap(), found.condition),
            @r#"
        FROM (SELECT greatest(lo, $2 + 1), least(lo + 7, $1)
              FROM generate_series($3::bigint, $4::bigint, 64) AS band (lo)
             ) AS pgbackfill_band (pgbackfill_first, pgbackfill_last)
        WHERE "orders"."id" >= pgbackfill_first
        AND "orders"."id" <= pgbackfill_last
        "#
        );
        assert_eq!((found.settings, found.params().len()), (LOOKING_UP, 4));
    }

    #[test]
    fn the_range_of_a_row_is_found_by_its_bounds() {
        insta::assert_snapshot!(orders().range_of_row(), @r#"
        SELECT r.number
        FROM pgbackfill.range AS r, ONLY "public"."orders_2024" AS "pgbackfill_row"
        WHERE "pgbackfill_row"."id" = $1
        AND r.run = $2
        AND r.leaf = $3
        AND (r.lo IS NULL OR "pgbackfill_row"."id" > r.lo[1]::bigint)
        AND "pgbackfill_row"."id" <= r.hi[1]::bigint
        "#);
    }

    #[test]
    fn a_row_is_read_by_its_key_as_a_literal() {
        let mut scan = orders();
        scan.key.insert(0, KeyColumn { name: "name".into(), ty: KeyType::Text, collate: None });
        insta::assert_snapshot!(
            scan.read_at(&Mark(vec!["O'Hara".into(), "7".into()])),
            @r#"SELECT FROM ONLY "public"."orders_2024" AS "orders" WHERE "orders"."name" = 'O''Hara' AND "orders"."id" = '7'"#
        );
    }
}
