//! SQLSTATE → the caller's next act: one total function, the table of which is below.
//!
//! | act | codes |
//! |---|---|
//! | [`NextAct::Reconnect`] | 08*, 57P01, 57P02, 57P03, 57P05, 25P03, 25006, 53300, and a connection without an answer |
//! | [`NextAct::Retry`] | 40001, 40P01, 55P03 |
//! | [`NextAct::Halve`] | 57014, 53200 |
//! | [`NextAct::Bisect`] | 22*, 23*, 44000, P0001 |
//! | [`NextAct::AwaitPerson`] | 53100, 58030 |
//! | [`NextAct::Block`] | everything else, known or not; XX* among it |
//!
//! Must not know: batches, how often something was tried.

/// What the caller should do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextAct {
    /// The connection or the server is gone for now: a new connection, then the whole batch again.
    Reconnect,
    /// Somebody else was in the way: the whole batch again, smaller after two.
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
        // query_canceled: our own statement_timeout, or somebody's pg_cancel_backend; out_of_memory.
        "57014" | "53200" => NextAct::Halve,
        // serialization_failure (a row moved between partitions, too), deadlock_detected, lock_not_available.
        "40001" | "40P01" | "55P03" => NextAct::Retry,
        // Shutdowns, crash recovery, idle timeouts, a primary that became a standby, too many connections.
        "57P01" | "57P02" | "57P03" | "57P05" | "25P03" | "25006" | "53300" => NextAct::Reconnect,
        // disk_full, io_error.
        "53100" | "58030" => NextAct::AwaitPerson,
        // with_check_option_violation, raise_exception.
        "44000" | "P0001" => NextAct::Bisect,
        _ => match code.get(..2) {
            // connection_exception
            Some("08") => NextAct::Reconnect,
            // data_exception, integrity_constraint_violation
            Some("22" | "23") => NextAct::Bisect,
            // 42 and 0A (the job's text), 28 (rights), 55 and 3F (its objects), XX (corruption), and all that nobody foresaw.
            _ => NextAct::Block,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_asks_for_its_own_act() {
        let table = [
            (None, NextAct::Reconnect),
            (Some("08006"), NextAct::Reconnect),
            (Some("57P01"), NextAct::Reconnect),
            (Some("40P01"), NextAct::Retry),
            (Some("55P03"), NextAct::Retry),
            (Some("57014"), NextAct::Halve),
            (Some("22012"), NextAct::Bisect),
            (Some("23514"), NextAct::Bisect),
            (Some("53100"), NextAct::AwaitPerson),
            (Some("42703"), NextAct::Block),
            (Some("XX001"), NextAct::Block),
        ];
        for (code, act) in table {
            assert_eq!(next_act(code), act, "{code:?}");
        }
    }

    #[test]
    fn an_unknown_code_never_loops() {
        for code in ["", "9", "ZZ999", "é"] {
            assert_eq!(next_act(Some(code)), NextAct::Block, "{code}");
        }
    }
}
