//! How the rows of a range lie on their pages, asked before it is striped.
//!
//! Must not know: why stripes are wanted.

use tokio_postgres::types::Type;

use super::Choice;
use crate::db::{Bound, Error, Session};
use crate::key::KeyRange;
use crate::sql::{self, Target};
use crate::stripe::{Neighbour, Striping, Wanted, fit, rows_together};

/// Rows that are looked at, from the start of the range: some pages of narrow rows, and read in less than a millisecond.
const SAMPLE_ROWS: i64 = 512;

/// A range's striping and the reason for it.
pub(super) struct Laid {
    pub(super) striping: Striping,
    pub(super) why: String,
}

/// Stripes a range as it was chosen, as far as its pages allow.
pub(super) async fn lay(
    session: &Session,
    target: &Target,
    range: &KeyRange,
    choice: &Choice,
) -> Result<Laid, Error> {
    if choice.wanted.most() == 1 {
        return Ok(Laid { striping: Striping::WHOLE, why: choice.why.clone() });
    }
    let sample = neighbours(session, target, range).await?;
    let striping = fit(&sample, choice.wanted);
    Ok(Laid { striping, why: why(choice, striping, rows_together(&sample)) })
}

async fn neighbours(session: &Session, target: &Target, range: &KeyRange) -> Result<Vec<Neighbour>, Error> {
    let bound = Bound::of(range);
    let mut params = bound.params(&target.key);
    params.push((&SAMPLE_ROWS, Type::INT8));
    let rows = session.query(&sql::neighbours(target, bound.bounds()), &params).await?;
    Ok(rows.iter().map(|row| Neighbour { key: row.get("key"), page: row.get("page") }).collect())
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
