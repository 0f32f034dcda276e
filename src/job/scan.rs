//! The settings of `[scan]`: in which order the rows are walked, and how it is proven that none was missed.
//! None of them decides the result of a job.
//!
//! Must not know: which order is the better one; by default that is found out.

use std::num::NonZeroU32;

use super::settings::{Kind, Settings, unknown_setting};
use super::units::{format_duration_ms, parse_duration_ms};

/// How long the proof may take, in milliseconds.
const PROOF_MS: std::ops::RangeInclusive<u32> = 1..=86_400_000;
/// One minute: a snapshot that is held for longer keeps dead rows from being removed where others work.
const PROOF_DEFAULT_MS: NonZeroU32 = NonZeroU32::new(60_000).unwrap();
const OFF: &str = "off";

/// The order that a job asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AskedOrder {
    /// Whichever is better.
    #[default]
    Auto,
    /// By key.
    Keys,
    /// By block.
    Heap,
}

/// How the rows are walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanSettings {
    /// In which order.
    pub order: AskedOrder,
    /// How long one pass under one snapshot may take that proves that no row was missed; none: no proof.
    pub proof_ms: Option<NonZeroU32>,
    /// Rows are changed for what a trigger or a replica makes of it, also those that are right already.
    pub touch: bool,
}

impl Default for ScanSettings {
    fn default() -> Self {
        Self { order: AskedOrder::Auto, proof_ms: Some(PROOF_DEFAULT_MS), touch: false }
    }
}

impl AskedOrder {
    const ALL: [(&'static str, Self); 3] = [("auto", Self::Auto), ("keys", Self::Keys), ("heap", Self::Heap)];

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(name, _)| *name == text).map(|(_, order)| *order)
    }

    fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, order)| *order == self).map_or("auto", |(name, _)| name)
    }
}

impl Settings for ScanSettings {
    const ALL: &'static [(&'static str, Kind)] =
        &[("order", Kind::Word), ("proof", Kind::Duration), ("touch", Kind::Flag)];

    fn set(&mut self, setting: &str, value: &str) -> Result<(), String> {
        match setting {
            "order" => {
                self.order = AskedOrder::parse(value)
                    .ok_or_else(|| format!("`{}` is not `auto`, `keys` or `heap`", value.escape_debug()))?;
            }
            "proof" if value == OFF => self.proof_ms = None,
            "proof" => self.proof_ms = Some(parse_duration_ms(value, &PROOF_MS)?),
            "touch" => {
                self.touch = value.parse().map_err(|_| format!("`{value}` is neither true nor false"))?;
            }
            unknown => return Err(unknown_setting(unknown, Self::names())),
        }
        Ok(())
    }

    fn written(&self) -> Vec<(&'static str, String)> {
        vec![
            ("order", self.order.as_str().to_owned()),
            ("proof", self.proof_ms.map_or_else(|| OFF.to_owned(), format_duration_ms)),
            ("touch", self.touch.to_string()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_what_is_none_of_them_is_refused() {
        let mut settings = ScanSettings::default();
        for (setting, value) in [("order", "heap"), ("proof", "off"), ("touch", "true")] {
            settings.set(setting, value).unwrap();
        }
        let mut again = ScanSettings::default();
        for (setting, value) in settings.written() {
            again.set(setting, &value).unwrap();
        }
        assert_eq!(again, settings);
        insta::assert_snapshot!(settings.set("order", "blocks").unwrap_err(), @"`blocks` is not `auto`, `keys` or `heap`");
        assert!(settings.set("proof", "0s").is_err() && settings.set("touch", "yes").is_err());
    }
}
