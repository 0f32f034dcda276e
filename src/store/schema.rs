//! Installs the control schema and brings an older one up to date, by appending steps.
//!
//! Must not know: runs.

use tokio_postgres::types::Type;

use crate::db::{Error, Session};
use crate::sql::fixed;

/// The version that this program works with.
pub const SCHEMA_VERSION: i32 = fixed::SCHEMA_STEPS.len() as i32;

/// Why there is no control schema to work with.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// It was made by a later program.
    #[error(
        "the control schema \"pgbackfill\" has version {found}, this program knows versions up to {known}\nhint: install the pgbackfill that made it, or a later one"
    )]
    Newer {
        /// In the database.
        found: i32,
        /// In this program.
        known: i32,
    },
    /// It has to be made or upgraded, and the role may not.
    #[error("{what}: role \"{user}\" may not ({message})\nhint: {remedy}")]
    NotAllowed {
        /// What was to be done.
        what: String,
        /// The role.
        user: String,
        /// The server's words.
        message: String,
        /// What to ask a DBA for.
        remedy: String,
    },
    /// A schema of that name holds something else.
    #[error(
        "the schema \"pgbackfill\" is there, but not as a control schema: {0}\nhint: rename or drop that schema, or use another database"
    )]
    Foreign(String),
    /// The server or the connection failed.
    #[error(transparent)]
    Database(#[from] Error),
}

/// The version found; 0 if there is none.
pub(super) async fn version(session: &Session) -> Result<i32, Error> {
    let exists: bool = session.query_one(fixed::VERSION_EXISTS, &[]).await?.get(0);
    if !exists {
        return Ok(0);
    }
    Ok(session.query_one(fixed::VERSION_MAX, &[]).await?.get(0))
}

/// Whether anything was ever run in this database; changes nothing. An older schema will do for looking.
pub async fn installed(session: &Session) -> Result<bool, SchemaError> {
    let found = version(session).await?;
    check(found)?;
    Ok(found > 0)
}

/// Makes sure that the control schema is there in our version. Idempotent, and safe when several processes come at once.
pub async fn ensure(session: &mut Session, user: &str, database: &str) -> Result<(), SchemaError> {
    if check(version(session).await?)? {
        return Ok(());
    }
    session.begin("SET LOCAL lock_timeout = '10s'").await?;
    match install_in_txn(session, user).await {
        Ok(()) => Ok(session.commit().await?),
        Err(error) => {
            session.rollback().await?;
            Err(explain(error, user, database))
        }
    }
}

/// True if there is nothing to do.
fn check(found: i32) -> Result<bool, SchemaError> {
    if found > SCHEMA_VERSION {
        return Err(SchemaError::Newer { found, known: SCHEMA_VERSION });
    }
    Ok(found == SCHEMA_VERSION)
}

async fn install_in_txn(session: &Session, user: &str) -> Result<(), SchemaError> {
    session.query(fixed::VERSION_LOCK, &[]).await?;
    // Another process may have done it while we waited for the lock.
    let found = version(session).await?;
    if check(found)? {
        return Ok(());
    }
    if found == 0 {
        session.batch("CREATE SCHEMA IF NOT EXISTS pgbackfill").await?;
    }
    for (step, number) in fixed::SCHEMA_STEPS.iter().zip(1..).skip(found as usize) {
        session.batch(step).await?;
        session.execute(fixed::VERSION_ADD, &[(&number, Type::INT4), (&user, Type::TEXT)]).await?;
    }
    Ok(())
}

fn explain(error: SchemaError, user: &str, database: &str) -> SchemaError {
    let SchemaError::Database(Error::Server(server)) = &error else {
        return error;
    };
    match server.sqlstate.as_str() {
        "42501" => SchemaError::NotAllowed {
            what: format!("cannot install the control schema \"pgbackfill\" in database \"{database}\""),
            user: user.to_owned(),
            message: server.message.clone(),
            remedy: format!(
                "GRANT CREATE ON DATABASE \"{database}\" TO \"{user}\"; or let the schema's owner run this once, and grant the role \
                 USAGE on schema pgbackfill and SELECT, INSERT, UPDATE, DELETE on its tables"
            ),
        },
        // A table or function of ours that is already there, in a schema without our version table.
        "42P07" | "42723" | "42710" => SchemaError::Foreign(server.message.clone()),
        _ => error,
    }
}
