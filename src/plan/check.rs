//! Lets the server plan what it will be asked to run, and shows what it says under the user's own text.
//!
//! Must not know: what makes an expression right; the server decides.

use super::{Code, Plan, Refusal};
use crate::change::{Check, Clause, Needs, signal_checks};
use crate::db::{Error, NextAct, ServerError, Session, sqlstate};
use crate::job::{Diagnostic, Job, Part};
use crate::sql::settings;

/// What the server says about one of the user's texts.
struct Fault<'a> {
    clause: Clause<'a>,
    aim: Aim,
    diagnostic: Diagnostic,
}

/// Where the server points, seen from the user's text; a later one helps more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Aim {
    /// Nowhere, or at our own text around it.
    Elsewhere,
    /// Behind its last character: something is missing.
    AtItsEnd,
    /// At one of its characters, counted from 0.
    At(usize),
}

/// Every fault that the server finds in the job's expressions, one for each of them.
pub async fn check(session: &mut Session, job: &Job, plan: &Plan) -> Result<(), Refusal> {
    let scan = plan.scan(plan.walked());
    let mut found: Vec<Fault<'_>> = Vec::new();
    let signals = job.signals.iter().enumerate();
    let signals = signals.flat_map(|(number, signal)| signal_checks(number, &signal.query));
    for check in plan.change.checks(&scan).into_iter().chain(signals) {
        if is_told(&found, check.clause) {
            continue;
        }
        match planned(session, plan, &check).await {
            Ok(()) => {}
            Err(Error::Server(error)) if is_about_the_job(&error) => {
                keep_the_clearer(&mut found, diagnose(job, plan, &check, &error));
            }
            Err(lost) => return Err(lost.into()),
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    Err(found.into_iter().map(|fault| fault.diagnostic).collect::<Vec<_>>().into())
}

/// A text of which the server has shown the place, or a whole of which a part failed, would only be told
/// again.
fn is_told(found: &[Fault<'_>], clause: Clause<'_>) -> bool {
    found
        .iter()
        .any(|fault| clause == Clause::Whole || (fault.clause == clause && matches!(fault.aim, Aim::At(_))))
}

/// One text is checked in several forms. The first that fails is told, unless another shows better where.
fn keep_the_clearer<'a>(found: &mut Vec<Fault<'a>>, fault: Fault<'a>) {
    match found.iter_mut().find(|known| known.clause == fault.clause) {
        None => found.push(fault),
        Some(known) if known.aim < fault.aim => *known = fault,
        Some(_) => {}
    }
}

/// A server that shuts down or has no time says nothing about the job. The one protocol violation that a text
/// can bring about is a parameter that we do not send.
fn is_about_the_job(error: &ServerError) -> bool {
    let act = crate::db::next_act(Some(&error.sqlstate));
    matches!(act, NextAct::Block | NextAct::Bisect) || is_parameter(error)
}

fn is_parameter(error: &ServerError) -> bool {
    matches!(error.sqlstate.as_str(), "08P01" | "42P02" | "42P18") && error.message.contains("parameter")
}

async fn planned(session: &mut Session, plan: &Plan, check: &Check<'_>) -> Result<(), Error> {
    let rows = plan.scan(plan.walked()).rows_planned();
    let params = match check.clause {
        // The rows of a batch have parameters.
        Clause::Whole => rows.params(),
        _ => Vec::new(),
    };
    session.query_and_rollback(settings::CHECKING, &check.sql, &params).await.map(drop)
}

fn diagnose<'a>(job: &Job, plan: &Plan, check: &Check<'a>, error: &ServerError) -> Fault<'a> {
    let (part, text) = match check.clause {
        Clause::From => (Part::From, job.lookup.as_ref().map(|lookup| lookup.from.as_str())),
        Clause::On => (Part::On, job.lookup.as_ref().map(|lookup| lookup.on.as_str())),
        Clause::Where => (Part::Where, job.filter.as_deref()),
        Clause::Set(column) => (Part::Set(column), expression(job, column)),
        Clause::Signal(number) => {
            (Part::Signal(number), job.signals.get(number).map(|own| own.query.as_str()))
        }
        Clause::VerifyRows => (Part::VerifyRows, job.verify.rows.as_deref()),
        Clause::RowCheck(number) => {
            let check = job.verify.checks.get(number);
            (Part::RowCheck(number), check.map(|check| check.condition.as_str()))
        }
        Clause::Whole => (whole_part(job, error), None),
    };
    let text = text.unwrap_or_default();
    let aim = error.position.map_or(Aim::Elsewhere, |position| aim(text, position, check.offset));
    let advice = [error.detail.clone(), advice(check.clause, error, plan.change.needs()), pointed(text, aim)];
    let advice = advice.into_iter().flatten().collect::<Vec<_>>().join("\n");
    let message = message(check.clause, aim, error);
    let advice = Some(advice).filter(|text| !text.is_empty());
    let diagnostic = job.diagnose(part, message, advice).coded(code(error).as_str());
    Fault { clause: check.clause, aim, diagnostic }
}

fn code(error: &ServerError) -> Code {
    match error.sqlstate.as_str() {
        sqlstate::INSUFFICIENT_PRIVILEGE => Code::MissingRight,
        "55000" if error.message.contains("replica identity") => Code::NoReplicaIdentity,
        _ => Code::BadExpression,
    }
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

/// The server's words, unless they speak of the statement that we made around the user's text.
fn message(clause: Clause<'_>, aim: Aim, error: &ServerError) -> String {
    let said = error.message.as_str();
    if is_parameter(error) {
        return "a parameter such as $1, and nothing to put there".into();
    }
    if error.sqlstate == "42601" {
        if said.contains("multiple commands") || said.ends_with("near \";\"") {
            return "more than one statement".into();
        }
        if said.contains("only one column") {
            return "more than one value for one column".into();
        }
        if aim == Aim::AtItsEnd {
            return "syntax error at its end: something is missing".into();
        }
        // What is never closed is quoted to the end of our statement.
        return said
            .split_once(" at or near")
            .filter(|_| said.contains('\n'))
            .map_or(said, |(what, _)| what)
            .into();
    }
    match clause {
        Clause::Set(_) => said.replace("not allowed in WHERE", "not allowed in SET"),
        Clause::On => said.replace("not allowed in WHERE", "not allowed in the condition of a join"),
        Clause::From
        | Clause::Where
        | Clause::Signal(_)
        | Clause::VerifyRows
        | Clause::RowCheck(_)
        | Clause::Whole => said.to_owned(),
    }
}

fn advice(clause: Clause<'_>, error: &ServerError, needs: Needs) -> Option<String> {
    let privileges = needs.privileges.join(" and ");
    let lacking = format!("the role needs {privileges} on the table: ask its owner for a GRANT");
    let ours = match error.sqlstate.as_str() {
        sqlstate::INSUFFICIENT_PRIVILEGE if matches!(clause, Clause::Signal(_)) => None,
        _ if matches!(clause, Clause::Signal(_)) => Some("a signal is one query of one row with one number"),
        sqlstate::INSUFFICIENT_PRIVILEGE => Some(lacking.as_str()),
        "42803" | "42P20" | "0A000" => Some(
            "an expression sees one row at a time: use from and on to read another table, or a subquery in parentheses",
        ),
        "42601" if error.message.contains("only one column") => {
            Some("write one SQL expression for each column, each behind a set.<column> of its own")
        }
        "42601" => Some("write one SQL expression, with all its parentheses closed and without a semicolon"),
        _ if is_parameter(error) => Some("a job has no parameters: write the value itself"),
        _ => None,
    };
    error.hint.clone().or_else(|| ours.map(str::to_owned))
}

/// From the server's position in the statement (from 1) to ours in the user's text, before which `offset`
/// characters stand.
fn aim(text: &str, position: u32, offset: usize) -> Aim {
    let Some(at) = (position as usize).checked_sub(offset + 1) else { return Aim::Elsewhere };
    let length = text.chars().count();
    if at < length {
        Aim::At(at)
    } else if at <= length + 1 && length > 0 {
        // Behind it stands a line break of ours.
        Aim::AtItsEnd
    } else {
        Aim::Elsewhere
    }
}

/// The line of the user's text that the server points at, with a caret below; none if it points elsewhere.
fn pointed(text: &str, aim: Aim) -> Option<String> {
    let at = match aim {
        Aim::Elsewhere => return None,
        Aim::AtItsEnd => text.chars().count(),
        Aim::At(at) => at,
    };
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
        insta::assert_snapshot!(pointed(text, aim(text, at + 1 + 7, 7)).unwrap(), @r#"
        the server points here:
              WHEN größe > x
                           ^
        "#);
    }

    #[test]
    fn an_error_at_the_end_of_the_text_points_behind_it() {
        // At the text's end, or behind the line break that follows it.
        for position in [7, 8] {
            assert_eq!(aim("(a = 1", position, 0), Aim::AtItsEnd);
        }
        insta::assert_snapshot!(pointed("(a = 1", Aim::AtItsEnd).unwrap(), @r#"
        the server points here:
            (a = 1
                  ^
        "#);
    }

    #[test]
    fn a_position_outside_of_the_users_text_points_nowhere() {
        assert_eq!(aim("a", 3, 7), Aim::Elsewhere);
        assert_eq!(aim("a", 30, 7), Aim::Elsewhere);
        assert_eq!(pointed("a", Aim::Elsewhere), None);
    }

    fn server(sqlstate: &str, message: &str) -> ServerError {
        let (sqlstate, message) = (sqlstate.to_owned(), message.to_owned());
        ServerError { sqlstate, message, detail: None, hint: None, position: None, context: None }
    }

    #[test]
    fn a_text_that_is_never_closed_is_not_quoted_with_ours_behind_it() {
        let said = server("42601", "unterminated quoted string at or near \"'x\nFROM ONLY t\"");
        assert_eq!(message(Clause::Set("a"), Aim::At(0), &said), "unterminated quoted string");
    }

    #[test]
    fn a_server_that_goes_away_says_nothing_about_the_job() {
        assert!(!is_about_the_job(&server("57P01", "terminating connection")));
        assert!(!is_about_the_job(&server("08P01", "invalid message format")));
        assert!(is_about_the_job(&server("08P01", "bind message supplies 0 parameters")));
        assert!(is_about_the_job(&server("42703", "column \"a\" does not exist")));
        assert!(is_about_the_job(&server("22012", "division by zero")));
    }
}
