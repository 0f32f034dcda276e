//! What the role needs on the tables that are changed.
//!
//! Must not know: who has it.

/// Privileges on each table, or on columns of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// As `GRANT` spells them.
    pub privileges: &'static [&'static str],
    /// What they allow: `read and update`.
    pub words: &'static str,
}
