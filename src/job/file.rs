//! The job file: from TOML to a draft, every fault of its grammar with its place.
//!
//! Must not know: the rules between the keys (see `draft`), the server.

use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue, Error};

use super::diagnostic::Faults;
use super::draft::{Draft, Origin};
use super::guard::CustomSignal;
use super::order::Order;
use super::pace::{Limits, Pace};
use super::scan::ScanSettings;
use super::settings::{Kind, Settings};
use super::source::{Source, Spot};
use super::steps::Phase;
use super::suggest::did_you_mean;
use super::written::Written;
use crate::signal::Guard;

mod steps;

const KEYS: [&str; 16] = [
    "description",
    "table",
    "key",
    "where",
    "from",
    "on",
    "set",
    "expand",
    "verify",
    "contract",
    "undo",
    "pace",
    "limits",
    "order",
    "scan",
    "guard",
];

type Entry<'a> = (&'a str, Range<usize>, &'a Spanned<DeValue<'a>>);

/// Reads the file as far as it can be read. Faults of the syntax come first: what was found behind them may
/// be their consequence, so the caller keeps the two apart.
pub(super) fn read(path: &str, text: &str) -> (Draft, Faults, Faults) {
    let source = Arc::new(Source::File { path: path.to_owned(), text: text.to_owned() });
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut syntax = Faults::default();
    for error in &errors {
        add_syntax_fault(error, &source, text, &mut syntax);
    }
    let mut reader = Reader { source: &source, faults: Faults::default() };
    let mut draft = Draft::new(Origin::File(Arc::clone(&source)));
    for entry in entries(table.get_ref()) {
        reader.top(&mut draft, entry);
    }
    (draft, syntax, reader.faults)
}

fn add_syntax_fault(error: &Error, source: &Arc<Source>, text: &str, faults: &mut Faults) {
    let span = error.span().unwrap_or(0..0);
    let seen = text.get(span.clone()).unwrap_or_default();
    let (message, hint) = match error.message() {
        "duplicate key" => (format!("`{}` is there twice", seen.escape_debug()), None),
        message if message.starts_with("string values must be quoted") && !seen.is_empty() => {
            let hint = format!("write \"{}\"", seen.escape_debug());
            ("a text must be in quotes".to_owned(), Some(hint))
        }
        "invalid basic string, expected `\"`" | "invalid literal string, expected `'`" => {
            let hint = "close it on its line, or write a text of several lines between \"\"\" and \"\"\"";
            ("the quotes of this text are not closed".to_owned(), Some(hint.to_owned()))
        }
        message => (message.to_owned(), None),
    };
    faults.add(&Spot::at(source, &span), message, hint);
}

/// The entries in the order of the file: a TOML table does not keep it, but `set` is shown and stored in it.
fn entries<'a>(table: &'a DeTable<'a>) -> Vec<Entry<'a>> {
    let mut entries: Vec<Entry<'a>> =
        table.iter().map(|(key, value)| (key.get_ref().as_ref(), key.span(), value)).collect();
    entries.sort_by_key(|(_, span, _)| span.start);
    entries
}

struct Reader<'a> {
    source: &'a Arc<Source>,
    faults: Faults,
}

impl Reader<'_> {
    fn spot(&self, span: &Range<usize>) -> Spot {
        Spot::at(self.source, span)
    }

    fn top(&mut self, draft: &mut Draft, (key, span, value): Entry<'_>) {
        match key {
            "description" => draft.description = Some(self.text("`description`", value)),
            "table" => draft.table = Some(self.text("`table`", value)),
            "where" => draft.filter = Some(self.text("`where`", value)),
            "from" => draft.from = Some(self.text("`from`", value)),
            "on" => draft.on = Some(self.text("`on`", value)),
            "key" => self.key(draft, value),
            "set" => self.set(draft, &span, value),
            "expand" => self.steps(draft, Phase::Expand, value),
            "verify" => self.verify(draft, value),
            "contract" => self.steps(draft, Phase::Contract, value),
            "pace" => self.settings(draft, |draft| &mut draft.pace, key, value),
            "limits" => self.settings(draft, |draft| &mut draft.limits, key, value),
            "order" => self.settings(draft, |draft| &mut draft.order, key, value),
            "undo" => self.settings(draft, |draft| &mut draft.undo, key, value),
            "scan" => self.settings(draft, |draft| &mut draft.scan, key, value),
            "guard" => self.settings(draft, |draft| &mut draft.guard, key, value),
            unknown => self.unknown_key(unknown, &span, "", KEYS.into_iter()),
        }
    }

    fn text(&mut self, what: &str, value: &Spanned<DeValue<'_>>) -> Written {
        let at = self.spot(&value.span());
        if let DeValue::String(text) = value.get_ref() {
            return Written::new(what, text, at, &mut self.faults);
        }
        self.wrong_type(what, "a text in quotes", value);
        Written::broken(at)
    }

    fn key(&mut self, draft: &mut Draft, value: &Spanned<DeValue<'_>>) {
        draft.key_at = Some(self.spot(&value.span()));
        draft.key = match value.get_ref() {
            DeValue::Array(columns) => {
                columns.iter().map(|column| self.text("a column of `key`", column)).collect()
            }
            DeValue::String(_) => vec![self.text("`key`", value)],
            _ => {
                self.wrong_type("`key`", "a column such as \"id\" or an array of columns", value);
                vec![Written::broken(self.spot(&value.span()))]
            }
        };
    }

    fn set(&mut self, draft: &mut Draft, span: &Range<usize>, value: &Spanned<DeValue<'_>>) {
        draft.set_at = Some(self.spot(span));
        let DeValue::Table(columns) = value.get_ref() else {
            self.wrong_type("`set`", "a table of columns and their SQL expressions", value);
            draft.set = vec![(Written::broken(self.spot(span)), Written::broken(self.spot(span)))];
            return;
        };
        for (column, span, value) in entries(columns) {
            let at = self.spot(&span);
            let name = Written::new("the name of a column", column, at, &mut self.faults);
            let expression = self.expression(column, value);
            draft.set.push((name, expression));
        }
    }

    fn expression(&mut self, column: &str, value: &Spanned<DeValue<'_>>) -> Written {
        let what = format!("the expression for `{}`", column.escape_debug());
        let at = self.spot(&value.span());
        let hint = match value.get_ref() {
            DeValue::String(_) => return self.text(&what, value),
            DeValue::Integer(number) => Some(format!("an expression is SQL text: write \"{number}\"")),
            DeValue::Float(number) => Some(format!("an expression is SQL text: write \"{number}\"")),
            DeValue::Boolean(truth) => Some(format!("an expression is SQL text: write \"{truth}\"")),
            DeValue::Table(_) => Some("a name with a dot needs quotes: set.\"a.b\" = \"…\"".to_owned()),
            DeValue::Datetime(_) | DeValue::Array(_) => None,
        };
        let message = format!("{what} is {}, not a text in quotes", with_article(value.get_ref()));
        self.faults.add(&at, message, hint);
        Written::broken(at)
    }

    fn settings<S: Settings>(
        &mut self,
        draft: &mut Draft,
        group: fn(&mut Draft) -> &mut S,
        name: &str,
        value: &Spanned<DeValue<'_>>,
    ) {
        let DeValue::Table(table) = value.get_ref() else {
            self.wrong_type(&format!("`{name}`"), "a table of settings", value);
            return;
        };
        for (key, span, value) in entries(table) {
            if (name, key) == ("guard", "sql") {
                self.signals(draft, value);
                continue;
            }
            let Some((known, kind)) = S::ALL.iter().find(|(known, _)| *known == key) else {
                self.unknown_key(key, &span, name, S::names());
                continue;
            };
            draft.settings_at.insert(known, self.spot(&value.span()));
            if let Some(text) = self.setting_text(known, *kind, value)
                && let Err(why) = group(draft).set(known, &text)
            {
                let at = self.spot(&value.span());
                self.faults.add(&at, format!("`{known}`: {why}"), None);
            }
        }
    }

    /// `[[guard.sql]]`: signals of the job's own.
    fn signals(&mut self, draft: &mut Draft, value: &Spanned<DeValue<'_>>) {
        let DeValue::Array(signals) = value.get_ref() else {
            self.wrong_type("`sql`", "a signal of its own, headed [[guard.sql]]", value);
            return;
        };
        for signal in signals {
            let number = draft.signals.len() + 1;
            if let Some(signal) = self.signal(number, signal) {
                draft.signals.push(signal);
            }
        }
    }

    fn signal(&mut self, number: usize, value: &Spanned<DeValue<'_>>) -> Option<(CustomSignal, Spot)> {
        let DeValue::Table(table) = value.get_ref() else {
            self.wrong_type("an entry of `sql`", "a table with `query` and `limit`", value);
            return None;
        };
        let (mut name, mut query, mut limit) = (format!("signal {number}"), None, None);
        for (key, span, value) in entries(table) {
            match key {
                "name" => name = self.text("`name`", value).text,
                "query" => query = Some(self.text("`query`", value)),
                "limit" => limit = Some(self.number("`limit`", value)),
                unknown => {
                    self.unknown_key(unknown, &span, "guard.sql", ["name", "query", "limit"].into_iter());
                }
            }
        }
        let at = self.spot(&value.span());
        for (key, is_missing) in [("query", query.is_none()), ("limit", limit.is_none())] {
            if is_missing {
                let hint = "a signal is a query of one number and the limit above which the run waits";
                self.faults.add(&at, format!("`{key}` is missing in [[guard.sql]]"), Some(hint.to_owned()));
            }
        }
        let Written { text: query, at } = query?;
        Some((CustomSignal { name, query, limit: limit?? }, at))
    }

    fn number(&mut self, what: &str, value: &Spanned<DeValue<'_>>) -> Option<f64> {
        let number = match value.get_ref() {
            DeValue::Integer(number) => decimal(number).parse().ok(),
            DeValue::Float(number) => number.as_str().replace('_', "").parse().ok(),
            _ => None,
        };
        let number = number.filter(|number: &f64| number.is_finite());
        if number.is_none() {
            self.wrong_type(what, "a number without quotes", value);
        }
        number
    }

    /// The value as `Settings::set` takes it, if its TOML type is right.
    fn setting_text(&mut self, setting: &str, kind: Kind, value: &Spanned<DeValue<'_>>) -> Option<String> {
        match (kind, value.get_ref()) {
            (Kind::Word | Kind::Duration | Kind::Bytes | Kind::CountOrOff, DeValue::String(text)) => {
                return Some(text.to_string());
            }
            (Kind::Count | Kind::CountOrOff | Kind::Bytes, DeValue::Integer(number)) => {
                return Some(decimal(number));
            }
            (Kind::Names, DeValue::Array(names)) => {
                let what = format!("a name in `{setting}`");
                let names: Vec<_> = names.iter().map(|name| self.text(&what, name).text).collect();
                return Some(names.join(", "));
            }
            (Kind::Flag, DeValue::Boolean(truth)) => return Some(truth.to_string()),
            _ => {}
        }
        let wanted = match kind {
            Kind::Word => "a text in quotes",
            Kind::Count => "a whole number without quotes",
            Kind::CountOrOff => "a whole number without quotes or \"off\"",
            Kind::Names => "an array of names such as [\"r1\", \"r2\"]",
            Kind::Duration => "a duration such as \"200ms\"",
            Kind::Bytes => "an amount of bytes such as \"16MiB\"",
            Kind::Flag => "true or false without quotes",
        };
        self.wrong_type(&format!("`{setting}`"), wanted, value);
        None
    }

    fn wrong_type(&mut self, what: &str, wanted: &str, value: &Spanned<DeValue<'_>>) {
        let found = with_article(value.get_ref());
        let at = self.spot(&value.span());
        self.faults.add(&at, format!("{what} is {found}, not {wanted}"), None);
    }

    fn unknown_key(
        &mut self,
        key: &str,
        span: &Range<usize>,
        section: &str,
        known: impl Iterator<Item = &'static str>,
    ) {
        let hint = match (elsewhere(key, section), did_you_mean(key, known)) {
            (Some(place), _) => Some(format!("`{key}` belongs {place}")),
            (None, Some(word)) => Some(format!("did you mean `{word}`?")),
            (None, None) => None,
        };
        let at = self.spot(span);
        self.faults.add(&at, format!("unknown key `{}`", key.escape_debug()), hint);
    }
}

/// Where a key that is right in another part of the file belongs.
fn elsewhere(key: &str, section: &str) -> Option<&'static str> {
    match key {
        key if Pace::kind(key).is_some() => Some("under [pace]"),
        key if Limits::kind(key).is_some() => Some("under [limits]"),
        key if Order::kind(key).is_some() => Some("under [order]"),
        key if ScanSettings::kind(key).is_some() => Some("under [scan]"),
        key if Guard::kind(key).is_some() => Some("under [guard]"),
        key if !section.is_empty() && KEYS.contains(&key) => Some("above the first [section]"),
        key if section != "contract" && has_step(Phase::Contract, key) => Some("under [contract]"),
        key if section != "expand" && has_step(Phase::Expand, key) => Some("under [expand]"),
        _ => None,
    }
}

fn has_step(phase: Phase, key: &str) -> bool {
    phase.keys().iter().any(|(known, _)| *known == key)
}

fn with_article(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(_) => "a text".to_owned(),
        DeValue::Integer(number) => format!("the number {}", number.as_str()),
        DeValue::Float(number) => format!("the number {}", number.as_str()),
        DeValue::Boolean(truth) => format!("the word {truth}"),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "an array".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// The number in base 10. One that needs more than 128 bits stays as it was written and is then out of any
/// range.
fn decimal(number: &DeInteger<'_>) -> String {
    i128::from_str_radix(number.as_str(), number.radix())
        .map_or_else(|_| number.as_str().to_owned(), |n| n.to_string())
}
