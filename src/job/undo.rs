//! `[undo]`: whether the values that a run replaces are kept.
//!
//! Must not know: where they are kept.

use super::settings::{Kind, Settings, unknown_setting};

/// What a job asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AskedValues {
    /// Where a value would be lost.
    #[default]
    Auto,
    /// Yes.
    On,
    /// No.
    Off,
}

/// Whether the values that a run replaces are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UndoSettings {
    /// What the job asks for.
    pub values: AskedValues,
}

impl AskedValues {
    const ALL: [(&'static str, Self); 3] = [("auto", Self::Auto), ("on", Self::On), ("off", Self::Off)];

    fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, values)| *values == self).map_or("auto", |(name, _)| name)
    }
}

impl Settings for UndoSettings {
    const ALL: &'static [(&'static str, Kind)] = &[("values", Kind::Word)];

    fn set(&mut self, setting: &str, value: &str) -> Result<(), String> {
        match setting {
            "values" => {
                let known = AskedValues::ALL.iter().find(|(name, _)| *name == value);
                let known = known.map(|(_, values)| *values);
                self.values = known
                    .ok_or_else(|| format!("`{}` is not `auto`, `on` or `off`", value.escape_debug()))?;
                Ok(())
            }
            unknown => Err(unknown_setting(unknown, Self::names())),
        }
    }

    fn written(&self) -> Vec<(&'static str, String)> {
        vec![("values", self.values.as_str().to_owned())]
    }
}
