//! The names of findings: a contract with scripts and with people who look one up, in one place.
//!
//! Must not know: what makes a finding true.

use serde::Serialize;

use crate::job::Diagnostic;

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The job cannot run like this.
    Error,
    /// A person should decide whether it may.
    Warning,
    /// Good to know.
    Note,
}

impl Severity {
    /// In a line of text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

macro_rules! codes {
    ($($name:ident $severity:ident $text:literal $means:literal)*) => {
        /// What was found.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code {
            $(#[doc = $means] $name,)*
        }

        impl Code {
            /// All of them, errors first.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The stable name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// How much it weighs.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)* }
            }

            /// What it means, for the table of codes.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => $means,)* }
            }
        }
    };
}

codes! {
    UnknownTable Error "unknown-table" "there is no such table"
    UnusableTable Error "unusable-table" "a view, a foreign or temporary table, or one that others inherit from"
    NoUsableIndex Error "no-usable-index" "no unique index can order the table, and it cannot be walked by block"
    NotRepeatable Error "not-repeatable" "the job asks for heap order, and its change cannot be repeated"
    UnknownColumn Error "unknown-column" "a column is missing"
    KeyInSet Error "key-in-set" "a key column is set"
    PartitionKeyInSet Error "partition-key-in-set" "a column of a partition key is set"
    GeneratedInSet Error "generated-in-set" "a generated column is set, or one that is always an identity"
    RowSecurity Error "row-security" "row security would hide rows"
    MissingRight Error "missing-right" "the role lacks a right"
    BadExpression Error "bad-expression" "the server does not take an expression"
    NoReplicaIdentity Error "no-replica-identity" "a published table has no replica identity, so that no row of it can be updated"
    ScatteredKey Warning "scattered-key" "rows that follow each other by key lie on different pages, and they are walked by key"
    SetColumnIndexed Warning "set-column-indexed" "an index uses a column that is set, so no update can be HOT"
    RowTrigger Warning "row-trigger" "a trigger fires for each row"
    ForeignKeyInSet Warning "foreign-key-in-set" "a column that is set is a foreign key, or one points to it"
    UniqueColumnInSet Warning "unique-column-in-set" "a unique index uses a column that is set"
    FullReplicaIdentity Warning "full-replica-identity" "the whole old row is published for each change"
    LogicalSlot Warning "logical-slot" "a logical slot has to carry all changes"
    AbandonedSlot Warning "abandoned-slot" "a slot that nobody reads keeps WAL"
    StandbyLag Warning "standby-lag" "a standby is behind already"
    UncheckedConstraint Warning "unchecked-constraint" "rows violate a constraint that is NOT VALID, and cannot be updated"
    VolatileSet Warning "volatile-set" "an expression has another value each time"
    StaleLookup Warning "stale-lookup" "values read from another table may be stale"
    NothingMatches Warning "nothing-matches" "no row of a sample matches `where`"
    OldSnapshot Warning "old-snapshot" "a session keeps dead rows from being removed"
    PreparedTransaction Warning "prepared-transaction" "so does a prepared transaction"
    AutovacuumOff Warning "autovacuum-off" "nobody will remove the dead rows"
    AutovacuumBehind Warning "autovacuum-behind" "there are many dead rows already"
    Wraparound Warning "wraparound" "transaction ids are close to an emergency vacuum"
    SmallMaxWalSize Warning "small-max-wal-size" "checkpoints will be made one after the other at this pace"
    BlindStatistics Warning "blind-statistics" "the role does not see others' sessions"
    FailedTrial Warning "failed-trial" "the batch that was tried failed"
    Incomplete Warning "incomplete" "something could not be looked at"
    Superuser Note "superuser" "the role may do anything"
    RowSecurityBypassed Note "row-security-bypassed" "the table has row security, which does not hold for the role"
    GeneratedColumn Note "generated-column" "a stored column is computed again for each row"
    StatementTrigger Note "statement-trigger" "a trigger fires for each batch"
    ForcedTimeout Note "forced-timeout" "a timeout of the server or the role, which batches override"
    Pooler Note "pooler" "a pooler stands before the server"
    OlderServer Note "older-server" "this version of PostgreSQL lacks something that newer ones have for us"
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its stable name.
    pub code: &'static str,
    /// How much it weighs.
    pub severity: Severity,
    /// What was seen, in a sentence.
    pub fact: String,
    /// What may be done about it.
    pub remedy: String,
}

impl Finding {
    pub(super) fn new(code: Code, fact: String, remedy: &str) -> Self {
        Self { code: code.as_str(), severity: code.severity(), fact, remedy: remedy.to_owned() }
    }
}

/// What is refused before anything is looked at is found, too.
impl From<&Diagnostic> for Finding {
    fn from(refused: &Diagnostic) -> Self {
        Self {
            code: refused.code().unwrap_or(Code::BadExpression.as_str()),
            severity: Severity::Error,
            fact: refused.message().to_owned(),
            remedy: refused.hint().unwrap_or_default().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_kebab_case_unique_and_the_heaviest_come_first() {
        let texts: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        for text in &texts {
            assert!(text.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{text}");
            assert_eq!(texts.iter().filter(|other| *other == text).count(), 1, "{text}");
        }
        assert!(Code::ALL.is_sorted_by_key(|code| code.severity()));
    }
}
