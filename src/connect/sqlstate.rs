//! SQLSTATE → the caller's next act: one total function, the table of which is below.
//!
//! | act | codes |
//! |---|---|
//! | [`NextAct::Reconnect`] | 08*, 57000, 57P01–57P05, 25P03, 25P04, 25006, 53300, 40003, HV00N, and a connection without an answer |
//! | [`NextAct::Retry`] | 40000, 40001, 40P01, 55P03, 72000 |
//! | [`NextAct::Halve`] | 57014, 53200, 53400, HV001 |
//! | [`NextAct::Bisect`] | 10*, 20*, 21*, 22*, 23*, 40002, 44000, 54000, 54001; of triggers and functions: 09*, 27*, 2F005, 38000, 39004, P0* |
//! | [`NextAct::AwaitPerson`] | 53000, 53100, 58030 |
//! | [`NextAct::Block`] | everything else, known or not; XX* among it |
//!
//! Each code of the manual's appendix A, up to version 18, was decided by what the server raises it for; the
//! test below lists them.
//!
//! Must not know: batches, how often something was tried.

/// A statement was cancelled: by a timeout, by another session, or by ourselves.
pub const QUERY_CANCELED: &str = "57014";
/// A lock could not be had within `lock_timeout`.
pub const LOCK_NOT_AVAILABLE: &str = "55P03";
/// The server, the database or the role has no connection left.
pub const TOO_MANY_CONNECTIONS: &str = "53300";
/// A table is not there.
pub const UNDEFINED_TABLE: &str = "42P01";
/// The role lacks a privilege.
pub const INSUFFICIENT_PRIVILEGE: &str = "42501";
/// A unique index has the key already.
pub const UNIQUE_VIOLATION: &str = "23505";
/// The password is wrong.
pub const INVALID_PASSWORD: &str = "28P01";
/// The server starts, stops or recovers.
pub const CANNOT_CONNECT_NOW: &str = "57P03";

/// What the caller should do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextAct {
    /// The connection or the server is gone for now: a new connection, then the whole batch again, smaller
    /// after two.
    Reconnect,
    /// Another session was in the way: the whole batch again, smaller after two.
    Retry,
    /// Too slow or too large: half of it.
    Halve,
    /// A row's own data is at fault: find it.
    Bisect,
    /// The machine needs a person (a full disk): wait, probe each minute, go on alone.
    AwaitPerson,
    /// It would fail again: stop the run and say why.
    Block,
}

/// The next act after an error with this code; `None` is a connection that ended without an answer.
#[must_use]
pub fn next_act(sqlstate: Option<&str>) -> NextAct {
    let Some(code) = sqlstate else {
        return NextAct::Reconnect;
    };
    match code {
        // query_canceled: our own statement_timeout, or another session's pg_cancel_backend. out_of_memory,
        // of a foreign server's, too. configuration_limit_exceeded: temp_file_limit, which fewer rows stay
        // below.
        "57014" | "53200" | "53400" | "HV001" => NextAct::Halve,
        // transaction_rollback, serialization_failure (a row moved between partitions, too),
        // deadlock_detected, lock_not_available, snapshot_too_old.
        "40000" | "40001" | "40P01" | "55P03" | "72000" => NextAct::Retry,
        // An operator, shutdowns, crash recovery, a database that goes, timeouts that end the session, a
        // primary that became a standby, too many connections, statement_completion_unknown, a foreign server
        // that cannot be reached.
        "57000" | "57P01" | "57P02" | "57P03" | "57P04" | "57P05" | "25P03" | "25P04" | "25006" | "53300"
        | "40003" | "HV00N" => NextAct::Reconnect,
        // insufficient_resources (no file descriptor left), disk_full, io_error.
        "53000" | "53100" | "58030" => NextAct::AwaitPerson,
        // A constraint that was deferred to COMMIT; with_check_option_violation; a value that is too large
        // for its index, its page or its type, or nested too deep: neither shrinks with the batch. What a
        // function makes of a row: it ends without RETURN, it fails in Perl, Python or Tcl, it is given NULL.
        "40002" | "44000" | "54000" | "54001" | "2F005" | "38000" | "39004" => NextAct::Bisect,
        _ => by_class(code),
    }
}

fn by_class(code: &str) -> NextAct {
    match code.get(..2) {
        // connection_exception; a pooler says protocol_violation for much that passes.
        Some("08") => NextAct::Reconnect,
        // XQuery's arguments, CASE without a branch, more rows than one from a subquery, data_exception,
        // integrity_constraint_violation; a trigger's action, a row that its own trigger has changed already,
        // PL/pgSQL: RAISE, STRICT, ASSERT.
        Some("10" | "20" | "21" | "22" | "23" | "09" | "27" | "P0") => NextAct::Bisect,
        // 42 and 0A (the job's text), 28 (privileges), 55 and 3F (its objects), XX (corruption), and all that
        // was not foreseen.
        _ => NextAct::Block,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Every code of the appendix, versions 13 to 18.
    const ALL: [(NextAct, &str); 6] = [
        (
            NextAct::Reconnect,
            "08000 08001 08003 08004 08006 08007 08P01 25006 25P03 25P04 40003 53300 57000 57P01 57P02 57P03 \
                 57P04 57P05 HV00N",
        ),
        (NextAct::Retry, "40000 40001 40P01 55P03 72000"),
        (NextAct::Halve, "53200 53400 57014 HV001"),
        (
            NextAct::Bisect,
            "09000 10608 20000 21000 22000 22001 22002 22003 22004 22005 22007 22008 22009 2200B 2200C 2200D \
                 2200F 2200G 2200H 2200L 2200M 2200N 2200S 2200T 22010 22011 22012 22013 22014 22015 22016 22018 \
                 22019 2201B 2201E 2201F 2201G 2201W 2201X 22021 22022 22023 22024 22025 22026 22027 2202E 2202G \
                 2202H 22030 22031 22032 22033 22034 22035 22036 22037 22038 22039 2203A 2203B 2203C 2203D 2203E \
                 2203F 2203G 22P01 22P02 22P03 22P04 22P05 22P06 23000 23001 23502 23503 23505 23514 23P01 27000 \
                 2F005 38000 39004 40002 44000 54000 54001 P0000 P0001 P0002 P0003 P0004",
        ),
        (NextAct::AwaitPerson, "53000 53100 58030"),
        (
            NextAct::Block,
            "00000 01000 01003 01004 01006 01007 01008 0100C 01P01 02000 02001 03000 0A000 0B000 0F000 0F001 \
                 0L000 0LP01 0P000 0Z000 0Z002 24000 25000 25001 25002 25003 25004 25005 25007 25008 25P01 25P02 \
                 26000 28000 28P01 2B000 2BP01 2D000 2F000 2F002 2F003 2F004 34000 38001 38002 38003 38004 39000 \
                 39001 39P01 39P02 39P03 3B000 3B001 3D000 3F000 42000 42501 42601 42602 42611 42622 42701 42702 \
                 42703 42704 42710 42712 42723 42725 42803 42804 42809 42830 42846 42883 428C9 42939 42P01 42P02 \
                 42P03 42P04 42P05 42P06 42P07 42P08 42P09 42P10 42P11 42P12 42P13 42P14 42P15 42P16 42P17 42P18 \
                 42P19 42P20 42P21 42P22 54011 54023 55000 55006 55P02 55P04 58000 58P01 58P02 58P03 F0000 F0001 \
                 HV000 HV002 HV004 HV005 HV006 HV007 HV008 HV009 HV00A HV00B HV00C HV00D HV00J HV00K HV00L HV00M \
                 HV00P HV00Q HV00R HV010 HV014 HV021 HV024 HV090 HV091 XX000 XX001 XX002",
        ),
    ];

    fn all() -> impl Iterator<Item = (NextAct, &'static str)> {
        ALL.into_iter().flat_map(|(act, codes)| codes.split_whitespace().map(move |code| (act, code)))
    }

    #[test]
    fn each_code_of_the_manual_asks_for_the_act_that_was_decided() {
        for (act, code) in all() {
            assert_eq!(next_act(Some(code)), act, "{code}");
        }
        assert_eq!(next_act(None), NextAct::Reconnect);
    }

    #[test]
    fn each_code_of_the_manual_was_decided_once() {
        let codes: BTreeSet<_> = all().map(|(_, code)| code).collect();
        assert_eq!((codes.len(), all().count()), (263, 263));
    }

    #[test]
    fn an_unknown_code_never_loops() {
        for code in ["", "9", "ZZ999", "é"] {
            assert_eq!(next_act(Some(code)), NextAct::Block, "{code}");
        }
    }
}
