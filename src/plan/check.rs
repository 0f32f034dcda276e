//! Lets the server plan what it will be asked to run, and shows what it says under the user's own text.
//!
//! Must not know: what makes an expression right; the server decides.

use super::{Plan, Refusal};
use crate::db::{Error, KeyText, Param, ServerError, Session, column_type};
use crate::job::{Diagnostic, Job, Part};
use crate::sql::{self, Check, Clause};

/// Every fault that the server finds in the job's expressions, one for each of them.
pub async fn check(session: &Session, job: &Job, plan: &Plan) -> Result<(), Refusal> {
    let target = plan.target(plan.table.name.clone());
    let mut found: Vec<(Clause<'_>, Diagnostic)> = Vec::new();
    for check in sql::checks(&target, &plan.change) {
        // An expression that failed in one form, or a whole of which a part failed, would only say it again.
        if found.iter().any(|(clause, _)| *clause == check.clause || check.clause == Clause::Whole) {
            continue;
        }
        match planned(session, plan, &check).await {
            Ok(()) => {}
            Err(Error::Server(error)) => found.push((check.clause, diagnose(job, &check, &error))),
            Err(lost) => return Err(lost.into()),
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    Err(found.into_iter().map(|(_, diagnostic)| diagnostic).collect::<Vec<_>>().into())
}

async fn planned(session: &Session, plan: &Plan, check: &Check<'_>) -> Result<(), Error> {
    let nothing: Option<KeyText<'_>> = None;
    let params: Vec<Param<'_>> = match check.clause {
        // Its bounds have parameters; planning needs their types, not their values.
        Clause::Whole => plan.key.iter().map(|column| (&nothing as _, column_type(column))).collect(),
        _ => Vec::new(),
    };
    session.query(&check.sql, &params).await.map(drop)
}

fn diagnose(job: &Job, check: &Check<'_>, error: &ServerError) -> Diagnostic {
    let (part, text) = match check.clause {
        Clause::From => (Part::From, job.lookup.as_ref().map(|lookup| lookup.from.as_str())),
        Clause::On => (Part::On, job.lookup.as_ref().map(|lookup| lookup.on.as_str())),
        Clause::Where => (Part::Where, job.filter.as_deref()),
        Clause::Set(column) => (Part::Set(column), expression(job, column)),
        Clause::Whole => (whole_part(job, error), None),
    };
    let pointed = text.zip(error.position).and_then(|(text, at)| pointed(text, at, check.offset));
    let advice =
        [error.detail.clone(), advice(error), pointed].into_iter().flatten().collect::<Vec<_>>().join("\n");
    let message = match error.sqlstate.as_str() {
        "42601" if error.message.contains("multiple commands") => {
            "it holds more than one statement".to_owned()
        }
        _ => error.message.clone(),
    };
    job.diagnose(part, message, Some(advice).filter(|text| !text.is_empty()))
}

fn expression<'a>(job: &'a Job, column: &str) -> Option<&'a str> {
    job.set.iter().find(|a| a.column == column).map(|a| a.expression.as_str())
}

/// An error of the whole UPDATE most often names the column whose type does not fit.
fn whole_part<'a>(job: &'a Job, error: &ServerError) -> Part<'a> {
    job.set
        .iter()
        .find(|a| error.message.contains(&format!("\"{}\"", a.column)))
        .map_or(Part::Table, |a| Part::Set(&a.column))
}

fn advice(error: &ServerError) -> Option<String> {
    let ours = match error.sqlstate.as_str() {
        "42501" => Some("the role needs SELECT and UPDATE on the table: ask its owner for a GRANT"),
        "42803" | "42P20" | "0A000" => Some(
            "an expression sees one row at a time: use from and on to read another table, or a subquery in parentheses",
        ),
        "42P02" => Some("there are no parameters in a job: write the value itself"),
        "42601" => Some("write one SQL expression, with all its parentheses closed and without a semicolon"),
        _ => None,
    };
    error.hint.clone().or_else(|| ours.map(str::to_owned))
}

/// The line of the user's text that the server points at, with a caret below; none if it points outside of it.
fn pointed(text: &str, position: u32, offset: usize) -> Option<String> {
    let at = (position as usize).checked_sub(offset + 1)?;
    if at > text.chars().count() {
        return None;
    }
    let before: String = text.chars().take(at).collect();
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count();
    let line = text.lines().nth(before.matches('\n').count()).unwrap_or_default();
    Some(format!("the server points here:\n    {line}\n    {}^", " ".repeat(column)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_under_the_character_the_server_means() {
        let text = "CASE\n  WHEN größe > x";
        let at = text.chars().position(|c| c == 'x').unwrap() as u32;
        insta::assert_snapshot!(pointed(text, at + 1 + 7, 7).unwrap(), @r#"
        the server points here:
              WHEN größe > x
                           ^
        "#);
    }

    #[test]
    fn an_error_at_the_end_of_the_text_points_behind_it() {
        insta::assert_snapshot!(pointed("(a = 1", 7, 0).unwrap(), @r#"
        the server points here:
            (a = 1
                  ^
        "#);
    }

    #[test]
    fn a_position_outside_of_the_users_text_points_nowhere() {
        assert_eq!(pointed("a", 3, 7), None);
        assert_eq!(pointed("a", 30, 7), None);
    }
}
