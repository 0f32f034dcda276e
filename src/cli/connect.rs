//! From flags and environment to a session.
//!
//! Must not know: what is asked of the database.

use std::env;

use pgbackfill::connect::ConnectParams;
use pgbackfill::db::{Pool, Session};
use pgbackfill::store;

use super::exit::Failure;
use super::globals::Globals;
use super::out;

/// Parameters: flag, else `DATABASE_URL`, else `PG*`.
pub(crate) fn params(globals: &Globals, application: &str) -> Result<ConnectParams, Failure> {
    let lookup = |name: &str| env::var(name).ok();
    let text = globals.database.clone().or_else(|| lookup("DATABASE_URL")).unwrap_or_default();
    let mut params =
        ConnectParams::resolve(&text, &lookup).map_err(|error| Failure::usage(error.to_string()))?;
    if globals.database.as_deref().is_some_and(ConnectParams::names_password) {
        out::aside(
            "warning: a password on the command line can be seen by everybody on this host\nhint: use PGPASSWORD or ~/.pgpass",
        );
    }
    if let Some(warning) = params.warning() {
        out::aside(&format!("warning: {warning}"));
    }
    params.application_name(application);
    Ok(params)
}

/// A pool of `size` connections; none is made yet.
pub(crate) fn pool(params: &ConnectParams, size: usize) -> Result<Pool, Failure> {
    Pool::new(params, size).map_err(|error| Failure::error(error.to_string()))
}

/// A pool for looking and asking: one connection.
pub(crate) fn single(globals: &Globals) -> Result<Pool, Failure> {
    pool(&params(globals, "pgbackfill")?, 1)
}

/// One session on a database in which something was run.
pub(crate) async fn session(globals: &Globals) -> anyhow::Result<Session> {
    session_of(&single(globals)?).await
}

/// One session of a pool on a database in which something was run.
pub(crate) async fn session_of(pool: &Pool) -> anyhow::Result<Session> {
    let session = pool.session().await?;
    if store::installed(&session).await? { Ok(session) } else { Err(nothing_run(pool)) }
}

/// One session on a database whose control schema has our version.
pub(crate) async fn session_up_to_date(globals: &Globals) -> anyhow::Result<Session> {
    let pool = single(globals)?;
    let session = pool.session().await?;
    if store::up_to_date(&session).await? { Ok(session) } else { Err(nothing_run(&pool)) }
}

fn nothing_run(pool: &Pool) -> anyhow::Error {
    Failure::error(format!(
        "nothing has been run in this database yet ({})\nhint: is it the right database? pgbackfill run starts a job",
        pool.address()
    ))
    .into()
}
