//! Installs the control schema and brings an older one up to date, by appending steps.
//!
//! Must not know: runs.

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::db::{Error, Session, sqlstate};
use crate::sql::{fixed, settings};

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
    /// It was made by an earlier program, and a command that only looks does not change it.
    #[error(
        "the control schema \"pgbackfill\" has version {found}, this program needs version {needed}\nhint: pgbackfill run of any job brings it up to date, without stopping who is at work"
    )]
    Older {
        /// In the database.
        found: i32,
        /// In this program.
        needed: i32,
    },
    /// It has to be made, upgraded, written to or read, and the role may not.
    #[error("{what}: role \"{user}\" may not ({message})\nhint: {remedy}")]
    NotAllowed {
        /// What was to be done.
        what: String,
        /// The role.
        user: String,
        /// Why: the server's words, or what it lacks.
        message: String,
        /// What to ask a DBA for.
        remedy: String,
    },
    /// A schema of that name holds something else.
    #[error(
        "the schema \"pgbackfill\" is there, but not as a control schema: it holds \"{0}\"\n\
         hint: rename or drop that schema, or use another database"
    )]
    Foreign(String),
    /// The server or the connection failed.
    #[error(transparent)]
    Database(#[from] Error),
}

/// What a process wants of the control schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Want {
    Look,
    Work,
}

/// The version found; 0 if there is none and the name is free.
async fn version(session: &Session, want: Want) -> Result<i32, SchemaError> {
    let found = session.query_one(fixed::VERSION_FOUND, &[]).await?;
    if want == Want::Work && found.get("read_only") {
        return Err(read_only(found.get("user")));
    }
    let something: Option<String> = found.get("something");
    match (found.get("installed"), something) {
        (true, _) => {
            check_privileges(&found, want)?;
            Ok(session.query_one(fixed::VERSION_MAX, &[]).await?.get(0))
        }
        (false, Some(something)) => Err(SchemaError::Foreign(something)),
        (false, None) => Ok(0),
    }
}

fn read_only(user: String) -> SchemaError {
    let remedy = format!(
        "somebody wants it so, for this role, database or server; if not: ALTER ROLE \"{user}\" SET default_transaction_read_only = off"
    );
    let what = "cannot write to this database".into();
    SchemaError::NotAllowed { what, user, message: "default_transaction_read_only is on".into(), remedy }
}

fn check_privileges(found: &Row, want: Want) -> Result<(), SchemaError> {
    let (may_read, may_write): (bool, bool) = (found.get("may_read"), found.get("may_write"));
    match want {
        Want::Look if !may_read => Err(no_privileges(found.get("user"), "read", "SELECT")),
        Want::Work if !(may_read && may_write) => {
            Err(no_privileges(found.get("user"), "write to", "SELECT, INSERT, UPDATE, DELETE"))
        }
        Want::Look | Want::Work => Ok(()),
    }
}

fn no_privileges(user: String, what: &str, privileges: &str) -> SchemaError {
    let remedy = format!(
        "its owner runs GRANT USAGE ON SCHEMA pgbackfill TO \"{user}\"; GRANT {privileges} ON ALL TABLES IN SCHEMA pgbackfill TO \"{user}\""
    );
    let message = format!("it needs {privileges} on the tables in it");
    SchemaError::NotAllowed {
        what: format!("cannot {what} the control schema \"pgbackfill\""),
        user,
        message,
        remedy,
    }
}

/// Whether anything was ever run in this database; changes nothing. An older schema will do for most of
/// looking, and for giving orders.
pub async fn installed(session: &Session) -> Result<bool, SchemaError> {
    let found = version(session, Want::Look).await?;
    check(found)?;
    Ok(found > 0)
}

/// Whether anything was ever run in this database, for what can be seen in our version of the schema only.
pub async fn up_to_date(session: &Session) -> Result<bool, SchemaError> {
    let found = version(session, Want::Look).await?;
    if !check(found)? && found > 0 {
        return Err(SchemaError::Older { found, needed: SCHEMA_VERSION });
    }
    Ok(found > 0)
}

/// Makes sure that the control schema is there in our version. Idempotent, and safe when several processes
/// come at once.
pub async fn ensure(session: &mut Session, user: &str, database: &str) -> Result<(), SchemaError> {
    if check(version(session, Want::Work).await?)? {
        return Ok(());
    }
    session.begin(settings::INSTALLING).await?;
    let installed = install_in_txn(session, user).await;
    session.commit_or_rollback(installed).await.map_err(|error| explain(error, user, database))
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
    let found = version(session, Want::Work).await?;
    if check(found)? {
        return Ok(());
    }
    if found == 0 {
        session.batch_execute(fixed::SCHEMA_CREATE).await?;
    }
    for (step, number) in fixed::SCHEMA_STEPS.iter().zip(1..).skip(found as usize) {
        session.batch_execute(step).await?;
        session.execute(fixed::VERSION_ADD, &[(&number, Type::INT4), (&user, Type::TEXT)]).await?;
    }
    Ok(())
}

fn explain(error: SchemaError, user: &str, database: &str) -> SchemaError {
    let SchemaError::Database(Error::Server(server)) = &error else {
        return error;
    };
    if server.sqlstate != sqlstate::INSUFFICIENT_PRIVILEGE {
        return error;
    }
    SchemaError::NotAllowed {
        what: format!("cannot install the control schema \"pgbackfill\" in database \"{database}\""),
        user: user.to_owned(),
        message: server.message.clone(),
        remedy: format!(
            "GRANT CREATE ON DATABASE \"{database}\" TO \"{user}\", or CREATE SCHEMA pgbackfill AUTHORIZATION \"{user}\""
        ),
    }
}
