//! How the change is made.
//!
//! Must not know: what is measured.

use pgbackfill::sandbox::Server;
use tokio_postgres::Client;

use crate::case::Case;
use crate::support::{Anything, Part, backfill, job, unheard};

/// One way to change every row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// One statement.
    OneUpdate,
    /// What tutorials show: take 10,000 rows that are not done yet, again and again.
    Loop,
    /// Key ranges one after the other, as every other tool does it.
    KeyOrder,
    /// As `pgbackfill` would do it without stripes.
    Unstriped,
    /// As `pgbackfill` would do it by key, where it does not.
    ByKey,
    /// `pgbackfill` with its defaults and no ceilings.
    Pgbackfill,
    /// ALTER TABLE … USING: the table is written anew, and locked all along. The limit.
    Rewrite,
}

impl Way {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OneUpdate => "one UPDATE",
            Self::Loop => "LIMIT 10000 … SKIP LOCKED in a loop",
            Self::KeyOrder => "key ranges in order, 1 worker",
            Self::Unstriped => "pgbackfill without stripes",
            Self::ByKey => "pgbackfill in key order",
            Self::Pgbackfill => "pgbackfill, defaults",
            Self::Rewrite => "ALTER TABLE … USING (table locked)",
        }
    }

    /// Whether the rows are still in the table that was updated: a rewrite makes another.
    pub(crate) fn updates(self) -> bool {
        self != Self::Rewrite
    }

    pub(crate) async fn go(
        self,
        server: &Server,
        client: &Client,
        database: &str,
        case: Case,
    ) -> Anything<()> {
        let (column, expression) = (case.column(), case.expression());
        let run = async |order: &str, part: Part| {
            let filter =
                if case.has_where() { format!("where = \"{}\"\n", case.pending()) } else { String::new() };
            let job = job(&format!("set.{column} = \"{expression}\"\n{filter}{order}"))?;
            backfill(server, database, &job, part, &unheard()).await.map(drop)
        };
        match self {
            Self::OneUpdate => {
                Ok(client.batch_execute(&format!("UPDATE orders SET {column} = {expression}")).await?)
            }
            Self::Loop => tutorial(client, case).await,
            Self::KeyOrder => run("[order]\nstripes = 1\nquiet = false\n", Part::one_worker()).await,
            Self::Unstriped => run("[order]\nstripes = 1\n", Part::default()).await,
            Self::ByKey => run("[scan]\norder = \"keys\"\n", Part::default()).await,
            Self::Pgbackfill => run(&stripes(), Part::default()).await,
            Self::Rewrite => {
                let alter = format!("ALTER TABLE orders ALTER {column} TYPE text USING {expression}");
                Ok(client.batch_execute(&alter).await?)
            }
        }
    }
}

/// `STRIPES` in the environment: what would be with another number.
fn stripes() -> String {
    let asked = std::env::var("STRIPES").map(|stripes| format!("[order]\nstripes = {stripes}\n"));
    asked.unwrap_or_default()
}

async fn tutorial(client: &Client, case: Case) -> Anything<()> {
    let (column, expression, pending) = (case.column(), case.expression(), case.pending());
    let sql = format!(
        "UPDATE orders SET {column} = {expression}
         WHERE id IN (SELECT id FROM orders WHERE {pending} LIMIT 10000 FOR UPDATE SKIP LOCKED)"
    );
    while client.execute(&sql, &[]).await? > 0 {}
    Ok(())
}
