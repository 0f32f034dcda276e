//! How the rows of a range lie on their pages, asked before it is striped.
//!
//! Must not know: why stripes are wanted.

use tokio_postgres::types::Type;

use super::keys::Bounds;
use super::{Choice, KeyScan, Span};
use crate::db::{Error, Param, Session};
use crate::stripe::{Neighbour, Striping, Wanted, fit, rows_together};

/// Rows that are looked at, from the start of the range: some pages of narrow rows, and read in less than a
/// millisecond.
const SAMPLE_ROWS: i64 = 512;

/// A range's striping and the reason for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Its striping.
    pub striping: Striping,
    /// Why, in words.
    pub why: String,
}

pub(super) async fn layout(
    session: &Session,
    scan: &KeyScan,
    span: &Span,
    choice: &Choice,
) -> Result<Layout, Error> {
    if choice.wanted.most() == 1 {
        return Ok(Layout { striping: Striping::WHOLE, why: choice.why.clone() });
    }
    let sample = neighbours(session, scan, span).await?;
    let striping = fit(&sample, choice.wanted);
    Ok(Layout { striping, why: why(choice, striping, rows_together(&sample)) })
}

pub(super) async fn rows_together_there(
    session: &Session,
    scan: &KeyScan,
    span: &Span,
) -> Result<f64, Error> {
    Ok(rows_together(&neighbours(session, scan, span).await?))
}

async fn neighbours(session: &Session, scan: &KeyScan, span: &Span) -> Result<Vec<Neighbour>, Error> {
    let bounds = scan.bounds(span);
    let mut params: Vec<Param<'_>> = bounds.iter().map(|(value, ty)| (value as _, ty.clone())).collect();
    params.push((&SAMPLE_ROWS, Type::INT8));
    let rows = session.query(&neighbours_sql(scan, Bounds::of(span)), &params).await?;
    Ok(rows.iter().map(|row| Neighbour { key: row.get("key"), page: row.get("page") }).collect())
}

/// The first keys of `(after, through]`, at most as many as the parameter after the bounds says: `key`, if it
/// is one integer, and the `page` its row is on.
fn neighbours_sql(scan: &KeyScan, bounds: Bounds) -> String {
    let columns = scan.columns();
    let key = match scan.key.as_slice() {
        [one] if one.ty.is_integer() => format!("{}::bigint", columns[0]),
        _ => "NULL::bigint".to_owned(),
    };
    format!(
        "SELECT {key} AS key, (ctid::text::point)[0]::bigint AS page\nFROM {}\nWHERE {}\nORDER BY {}\nLIMIT ${}",
        scan.source(),
        scan.between(bounds),
        columns.join(", "),
        bounds.parameters(columns.len()) + 1
    )
}

fn why(choice: &Choice, striping: Striping, rows_together: f64) -> String {
    match (choice.wanted, striping.stripes().get()) {
        (Wanted::AtMost(_), 1) => {
            "rows that follow each other by key lie on different pages, so key order changes a page's rows in turns by itself"
                .to_owned()
        }
        (Wanted::AtMost(most), stripes) if stripes < most => {
            format!("{} (at most {most}, but only {rows_together:.0} rows of a page follow each other by key)", choice.why)
        }
        _ => choice.why.clone(),
    }
}
