//! `[expand]` and `[contract]` of a job file.
//!
//! Must not know: the rules between the keys.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Reader, entries};
use crate::job::draft::Draft;
use crate::job::steps::{FreeStep, Phase, StepKind, WrittenStep};
use crate::job::sync::WrittenSync;
use crate::job::verify::VerifySettings;
use crate::job::written::Written;

impl Reader<'_> {
    pub(super) fn steps(&mut self, draft: &mut Draft, phase: Phase, value: &Spanned<DeValue<'_>>) {
        let DeValue::Table(table) = value.get_ref() else {
            self.wrong_type(&format!("`{}`", phase.as_str()), "a table of steps", value);
            return;
        };
        for (key, span, value) in entries(table) {
            if (phase, key) == (Phase::Contract, "keep") {
                draft.end.keep = Some(self.text("`keep`", value));
                continue;
            }
            match phase.keys().iter().find(|(known, _)| *known == key) {
                Some((_, StepKind::Drop)) => self.dropped(draft, value),
                Some((_, StepKind::Sync)) => self.sync(draft, &span, value),
                Some((_, StepKind::Type)) => self.types(draft, phase, value),
                Some((_, StepKind::Free)) => self.free_steps(draft, phase, value),
                Some((_, StepKind::NotNull)) => self.not_null(draft, phase, value),
                Some((_, kind)) => self.named_steps(draft, phase, *kind, value),
                None => {
                    let known = phase.keys().iter().map(|(known, _)| *known);
                    self.unknown_key(key, &span, phase.as_str(), known);
                }
            }
        }
    }

    /// `column.<name> = "…"`, one or several.
    fn named_steps(&mut self, draft: &mut Draft, phase: Phase, kind: StepKind, value: &Spanned<DeValue<'_>>) {
        let key = kind.as_str();
        let DeValue::Table(table) = value.get_ref() else {
            self.wrong_type(&format!("`{key}`"), &format!("a name and its SQL, {key}.<name> = \"…\""), value);
            return;
        };
        for (name, span, value) in entries(table) {
            let at = self.spot(&span);
            let what = format!("the SQL of {key} `{}`", name.escape_debug());
            let name = Written::new("the name of a step", name, at, &mut self.faults);
            let definition = self.text(&what, value);
            draft.steps.push(WrittenStep { phase, kind, name, definition, free: None });
        }
    }

    /// `drop = ["status_old"]`.
    fn dropped(&mut self, draft: &mut Draft, value: &Spanned<DeValue<'_>>) {
        let DeValue::Array(columns) = value.get_ref() else {
            self.wrong_type("`drop`", "an array of columns such as [\"status_old\"]", value);
            return;
        };
        let columns: Vec<_> = columns.iter().map(|column| self.text("a column of `drop`", column)).collect();
        draft.end.drop.extend(columns);
    }

    /// `type.<name> = ["a", "b"]`: a label a line, because a label may hold anything but a line's end.
    fn types(&mut self, draft: &mut Draft, phase: Phase, value: &Spanned<DeValue<'_>>) {
        let DeValue::Table(table) = value.get_ref() else {
            self.wrong_type("`type`", "a name and its labels, type.<name> = [\"a\", \"b\"]", value);
            return;
        };
        for (name, span, value) in entries(table) {
            let at = self.spot(&span);
            let what = format!("a label of type `{}`", name.escape_debug());
            let name = Written::new("the name of a type", name, at, &mut self.faults);
            let DeValue::Array(labels) = value.get_ref() else {
                self.wrong_type(
                    &format!("type `{}`", name.text),
                    "an array of labels such as [\"a\", \"b\"]",
                    value,
                );
                continue;
            };
            let labels: Vec<_> = labels.iter().map(|label| self.text(&what, label)).collect();
            for label in labels.iter().filter(|label| label.text.contains('\n')) {
                self.faults.add(&label.at, format!("{what} has more than one line"), None);
            }
            let text = labels.iter().map(|label| label.text.as_str()).collect::<Vec<_>>().join("\n");
            let definition =
                Written::new("the list of labels", &text, self.spot(&value.span()), &mut self.faults);
            draft.steps.push(WrittenStep { phase, kind: StepKind::Type, name, definition, free: None });
        }
    }

    /// `[[expand.step]]`: SQL of the job's own.
    fn free_steps(&mut self, draft: &mut Draft, phase: Phase, value: &Spanned<DeValue<'_>>) {
        let DeValue::Array(steps) = value.get_ref() else {
            let header = format!("steps of its own, each headed [[{}.step]]", phase.as_str());
            self.wrong_type("`step`", &header, value);
            return;
        };
        for step in steps {
            let DeValue::Table(table) = step.get_ref() else {
                self.wrong_type("an entry of `step`", "a table with `name` and `do`", step);
                continue;
            };
            self.free_step(draft, phase, (table, &step.span()));
        }
    }

    fn free_step(&mut self, draft: &mut Draft, phase: Phase, (table, span): (&DeTable<'_>, &Range<usize>)) {
        let (mut name, mut sql) = (None, None);
        let mut free = FreeStep { statements: Vec::new(), undo: None, done: None, concurrently: false };
        for (key, span, value) in entries(table) {
            match (key, value.get_ref()) {
                ("name", _) => name = Some(self.text("`name`", value)),
                ("do", DeValue::Array(all)) => {
                    free.statements =
                        all.iter().map(|one| self.text("a statement of `do`", one).text).collect();
                    let text = free.statements.join(";\n");
                    sql = Some(Written::new("`do`", &text, self.spot(&value.span()), &mut self.faults));
                }
                ("do", _) => {
                    let written = self.text("`do`", value);
                    free.statements = vec![written.text.clone()];
                    sql = Some(written);
                }
                ("undo", _) => {
                    free.undo = Some(self.text("`undo`", value).text).filter(|undo| undo != "none");
                }
                ("done", _) => free.done = Some(self.text("`done`", value).text),
                ("concurrently", DeValue::Boolean(truth)) => free.concurrently = *truth,
                ("concurrently", _) => {
                    self.wrong_type("`concurrently`", "true or false without quotes", value);
                }
                (unknown, _) => {
                    let known = ["name", "do", "undo", "done", "concurrently"];
                    self.unknown_key(unknown, &span, "step", known.into_iter());
                }
            }
        }
        let at = self.spot(span);
        for (key, is_missing) in [("name", name.is_none()), ("do", sql.is_none())] {
            if is_missing {
                self.faults.add(&at, format!("`{key}` is missing in [[{}.step]]", phase.as_str()), None);
            }
        }
        if let (Some(name), Some(definition)) = (name, sql) {
            draft.steps.push(WrittenStep { phase, kind: StepKind::Free, name, definition, free: Some(free) });
        }
    }

    fn sync(&mut self, draft: &mut Draft, span: &Range<usize>, value: &Spanned<DeValue<'_>>) {
        draft.sync.at = Some(self.spot(span));
        let DeValue::Table(table) = value.get_ref() else {
            self.wrong_type("`sync`", "a table such as sync.forward = true", value);
            return;
        };
        for (key, span, value) in entries(table) {
            match (key, value.get_ref()) {
                ("forward", DeValue::Boolean(truth)) => draft.sync.forward = *truth,
                ("forward", _) => self.wrong_type("`forward`", "true or false without quotes", value),
                ("back", DeValue::Table(columns)) => {
                    for (column, span, value) in entries(columns) {
                        let at = self.spot(&span);
                        let name = Written::new("the name of a column", column, at, &mut self.faults);
                        let expression = self.expression(column, value);
                        draft.sync.back.push((name, expression));
                    }
                }
                ("back", _) => {
                    self.wrong_type("`back`", "a column and its SQL, sync.back.<column> = \"…\"", value);
                }
                ("conflict", _) => draft.sync.conflict = Some(self.text("`conflict`", value)),
                ("on_error", _) => draft.sync.on_error = Some(self.text("`on_error`", value)),
                (unknown, _) => self.unknown_key(unknown, &span, "expand", WrittenSync::KEYS.into_iter()),
            }
        }
    }

    /// `[verify]`: which rows the job is about, and what has to hold for them.
    pub(super) fn verify(&mut self, draft: &mut Draft, value: &Spanned<DeValue<'_>>) {
        let DeValue::Table(table) = value.get_ref() else {
            self.wrong_type("`verify`", "a table such as verify.rows = \"kind = 'a'\"", value);
            return;
        };
        for (key, span, value) in entries(table) {
            match key {
                "rows" => draft.verify.rows = Some(self.text("`rows`", value)),
                "columns" => self.compared_columns(draft, value),
                "check" => self.row_checks(draft, value),
                "within" => draft.verify.within = Some(self.text("`within`", value)),
                unknown => self.unknown_key(unknown, &span, "verify", VerifySettings::KEYS.into_iter()),
            }
        }
    }

    /// `columns = ["status_v2"]`.
    fn compared_columns(&mut self, draft: &mut Draft, value: &Spanned<DeValue<'_>>) {
        let DeValue::Array(columns) = value.get_ref() else {
            self.wrong_type("`columns`", "an array of columns such as [\"status_v2\"]", value);
            return;
        };
        let columns = columns.iter().map(|column| self.text("a column of `columns`", column));
        draft.verify.columns = Some(columns.collect());
    }

    /// `check.<name> = "…"`, one or several.
    fn row_checks(&mut self, draft: &mut Draft, value: &Spanned<DeValue<'_>>) {
        let DeValue::Table(table) = value.get_ref() else {
            self.wrong_type("`check`", "a name and its condition, check.<name> = \"…\"", value);
            return;
        };
        for (name, span, value) in entries(table) {
            let at = self.spot(&span);
            let what = format!("the condition of check `{}`", name.escape_debug());
            let name = Written::new("the name of a check", name, at, &mut self.faults);
            let condition = self.text(&what, value);
            draft.verify.checks.push((name, condition));
        }
    }

    fn not_null(&mut self, draft: &mut Draft, phase: Phase, value: &Spanned<DeValue<'_>>) {
        let DeValue::Array(columns) = value.get_ref() else {
            self.wrong_type("`not_null`", "an array of columns such as [\"status_v2\"]", value);
            return;
        };
        for column in columns {
            let name = self.text("a column of `not_null`", column);
            let definition = Written::broken(name.at.clone());
            draft.steps.push(WrittenStep { phase, kind: StepKind::NotNull, name, definition, free: None });
        }
    }
}
