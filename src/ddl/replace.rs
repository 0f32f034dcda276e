//! Two columns swap their names, so that readers of the old name read the new values; and at last a column
//! goes.
//!
//! Must not know: how a lock is got, who asks for it.

use tokio_postgres::types::Type;

use super::door::Opening;
use super::target::{Next, Refused, Target};
use crate::catalog;
use crate::db::{Error, Session};
use crate::job::{Step, kept_name};
use crate::sql::{Ident, SyncTrigger, ddl, fixed, sync_triggers};
use crate::store::StoredStep;

/// Which of the columns of a swap are there.
struct Columns {
    old: bool,
    new: bool,
    kept: bool,
}

async fn has(session: &Session, relation: u32, column: &str) -> Result<bool, Error> {
    let params = [(&relation as _, Type::OID), (&column as _, Type::TEXT)];
    Ok(session.query_opt(fixed::STEP_COLUMNS, &params).await?.is_some())
}

async fn columns(session: &Session, relation: u32, (old, new): (&str, &str)) -> Result<Columns, Error> {
    Ok(Columns {
        old: has(session, relation, old).await?,
        new: has(session, relation, new).await?,
        kept: has(session, relation, &kept_name(old)).await?,
    })
}

/// The swap of the job, if it was made; and whether the old column is gone since. That its row is there
/// tells it from columns that have such names by chance.
pub(super) async fn replaced(
    session: &Session,
    relation: u32,
    (steps, rows): (&[Step], &[StoredStep]),
) -> Result<(Vec<(String, String)>, bool), Error> {
    for step in steps {
        let row = rows.iter().find(|row| row.kind == "replace" && row.name == step.name && !row.is_undone);
        let pair = (step.name.as_str(), step.definition.as_str());
        let found = columns(session, relation, pair).await?;
        let made = || vec![(step.name.clone(), step.definition.clone())];
        match (row, found) {
            (Some(_), Columns { old: true, new: false, kept: true }) => return Ok((made(), false)),
            (Some(row), Columns { old: true, new: false, kept: false }) if row.done_s_ago.is_some() => {
                return Ok((made(), true));
            }
            _ => {}
        }
    }
    Ok((Vec::new(), false))
}

/// The next thing to do for a swap.
pub(super) async fn next(
    session: &Session,
    target: &Target,
    (step, job, is_recorded): (&Step, &str, bool),
) -> Result<Result<Next, Refused>, Error> {
    let (old, new) = (&step.name, &step.definition);
    if target.replaced.iter().any(|(replaced, _)| replaced == old) {
        return Ok(Ok(Next::Done));
    }
    let relation = target.top().relation;
    let kept = kept_name(old);
    match columns(session, relation, (old, new)).await? {
        // A moment ago.
        Columns { old: true, new: false, kept: true } if is_recorded => return Ok(Ok(Next::Done)),
        Columns { old: true, new: true, kept: false } => {}
        Columns { old: false, .. } => return Ok(Err((format!("column `{old}` does not exist"), None))),
        Columns { new: false, .. } => return Ok(Err((format!("column `{new}` does not exist"), None))),
        Columns { .. } => {
            let hint =
                "drop it, or rename it: the column that is replaced is kept under that name".to_owned();
            return Ok(Err((format!("column `{kept}` is there already"), Some(hint))));
        }
    }
    for column in [old, new] {
        let shown = dependants(session, target, (column, job)).await?;
        if !shown.others.is_empty() {
            let message = format!(
                "what depends on column `{column}` would go on showing the same values: {}",
                shown.others.join(", ")
            );
            let hint = "drop it before, and make it again afterwards".to_owned();
            return Ok(Err((message, Some(hint))));
        }
    }
    if let Some(why) = stays_behind(session, target, (old, new)).await? {
        return Ok(Err(why));
    }
    let table = target.top().name.to_string();
    let (old, new, kept) = (Ident(old.clone()), Ident(new.clone()), Ident(kept));
    let mut statements =
        vec![ddl::rename_column(&table, &old, &kept), ddl::rename_column(&table, &new, &old)];
    statements.extend(after_swap(session, target, (step, job)).await?);
    if !has_back(target, &old.0) {
        // Who writes the new values knows nothing of it any more.
        statements.push(ddl::drop_not_null(&target.top().name, &kept));
    }
    let what = format!("swaps the names; the old column is {kept} from then on");
    Ok(Ok(Next::Open { opening: target.open_all(statements, true), what }))
}

/// What belongs to the old column and would stay with it, although the application expects it under the name.
async fn stays_behind(
    session: &Session,
    target: &Target,
    (old, new): (&str, &str),
) -> Result<Option<Refused>, Error> {
    let params = [(&target.top().relation as _, Type::OID), (&old as _, Type::TEXT), (&new as _, Type::TEXT)];
    let row = session.query_one(fixed::STEP_SWAP, &params).await?;
    let refused = |message: String, hint: &str| Ok(Some((message, Some(hint.to_owned()))));
    if let Some(what) = row.get::<_, Option<String>>("special") {
        let hint = "such a column cannot change places with another one";
        return refused(format!("column `{old}` or `{new}` is {what}"), hint);
    }
    if let Some(constraints) = row.get::<_, Option<String>>("constraints") {
        let hint = "drop it before, and make it for the new column under [contract]";
        return refused(format!("a constraint would stay with the old column: {constraints}"), hint);
    }
    if row.get::<_, bool>("privileges_differ") {
        let hint = format!("GRANT on column {new} what is granted on column {old}");
        return refused(format!("the privileges on column `{old}` are not those on `{new}`"), &hint);
    }
    if row.get::<_, bool>("lacks_default") && !has_back(target, old) {
        let hint =
            format!("ALTER TABLE … ALTER COLUMN {new} SET DEFAULT …, so that an INSERT may leave it out");
        return refused(format!("column `{old}` has a default, and `{new}` has none"), &hint);
    }
    Ok(None)
}

fn has_back(target: &Target, old: &str) -> bool {
    target.sync.as_ref().is_some_and(|sync| sync.back.iter().any(|(column, _)| column.0 == old))
}

/// What becomes of the trigger: it keeps the old column in step if the job says how, else it has done its
/// part.
async fn after_swap(
    session: &Session,
    target: &Target,
    (step, job): (&Step, &str),
) -> Result<Vec<String>, Error> {
    let Some(sync) = &target.sync else { return Ok(Vec::new()) };
    if sync.back.is_empty() {
        return Ok(SyncTrigger::remove(&target.top().name, job));
    }
    let relation = target.top().relation;
    let mut after = target.clone();
    after.columns =
        catalog::columns(session, relation).await?.into_iter().map(|column| column.name).collect();
    for column in &mut after.columns {
        if *column == step.name {
            *column = kept_name(&step.name);
        } else if *column == step.definition {
            column.clone_from(&step.name);
        }
    }
    after.replaced.push((step.name.clone(), step.definition.clone()));
    Ok(SyncTrigger { renamed: after.renamed(sync), ..sync.clone() }.replace_function())
}

/// What depends on a column.
pub(super) struct Dependants {
    /// What goes with it.
    pub(super) vanish: Vec<String>,
    /// What keeps it, or goes on reading it under whatever name.
    pub(super) others: Vec<String>,
}

pub(super) async fn dependants(
    session: &Session,
    target: &Target,
    (column, job): (&str, &str),
) -> Result<Dependants, Error> {
    let names = sync_triggers(job).map(|name| name.0);
    let params = [
        (&target.top().relation as _, Type::OID),
        (&column as _, Type::TEXT),
        (&&names[..] as _, Type::TEXT_ARRAY),
    ];
    let rows = session.query(fixed::STEP_DEPENDANTS, &params).await?;
    let of = |vanishes: bool| {
        let rows = rows.iter().filter(|row| row.get::<_, bool>("vanishes") == vanishes);
        rows.map(|row| row.get("dependant")).collect()
    };
    Ok(Dependants { vanish: of(true), others: of(false) })
}

/// What drops columns at last, all at once, with the trigger if one of them is its own.
pub(super) fn drop_opening(target: &Target, columns: &[&str], job: &str) -> Opening {
    let table = &target.top().name;
    let is_read = |column: &&&str| {
        let knows = |sync: &SyncTrigger| sync.known.iter().any(|known| target.now(&known.0) == **column);
        target.sync.as_ref().is_some_and(knows)
            || target.replaced.iter().any(|(old, _)| kept_name(old) == **column)
    };
    let mut statements = Vec::new();
    if columns.iter().any(|column| is_read(&column)) {
        statements.extend(SyncTrigger::remove(table, job));
    }
    statements.extend(columns.iter().map(|column| ddl::drop_column(table, &Ident((*column).to_owned()))));
    target.open_all(statements, false)
}

/// What swaps the names back.
pub(super) fn swap_back(target: &Target, step: &Step) -> Opening {
    let table = target.top().name.to_string();
    let (old, new) = (Ident(step.name.clone()), Ident(step.definition.clone()));
    let kept = Ident(kept_name(&step.name));
    let mut statements =
        vec![ddl::rename_column(&table, &old, &new), ddl::rename_column(&table, &kept, &old)];
    if let Some(sync) = &target.sync {
        let before = SyncTrigger { renamed: Vec::new(), ..sync.clone() };
        statements.extend(before.replace_function());
    }
    target.open_all(statements, false)
}
