//! `[expand]` and `[contract]` of a job file.
//!
//! Must not know: the rules between the keys.

use toml::Spanned;
use toml::de::DeValue;

use super::{Reader, entries};
use crate::job::draft::Draft;
use crate::job::steps::{Phase, StepKind, WrittenStep};
use crate::job::written::Written;

impl Reader<'_> {
    pub(super) fn steps(&mut self, draft: &mut Draft, phase: Phase, value: &Spanned<DeValue<'_>>) {
        let DeValue::Table(table) = value.get_ref() else {
            self.wrong_type(&format!("`{}`", phase.as_str()), "a table of steps", value);
            return;
        };
        for (key, span, value) in entries(table) {
            match phase.keys().iter().find(|(known, _)| *known == key) {
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
            draft.steps.push(WrittenStep { phase, kind, name, definition });
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
            draft.steps.push(WrittenStep { phase, kind: StepKind::NotNull, name, definition });
        }
    }
}
