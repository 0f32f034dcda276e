//! A text of a job as it was written, with its place.
//!
//! Must not know: what it is for.

use super::diagnostic::Faults;
use super::source::Spot;

/// A text and where it was written. The text is empty where a fault about it was already found.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) text: String,
    pub(super) at: Spot,
}

impl Written {
    /// Takes a text; one that is empty or that PostgreSQL cannot hold is a fault.
    pub(super) fn new(what: &str, text: &str, at: Spot, faults: &mut Faults) -> Self {
        let fault = match text {
            text if text.trim().is_empty() => Some("is empty"),
            text if text.contains('\0') => Some("has a zero byte, which PostgreSQL cannot hold"),
            _ => None,
        };
        if let Some(fault) = fault {
            faults.add(&at, format!("{what} {fault}"), None);
            return Self::broken(at);
        }
        Self { text: text.to_owned(), at }
    }

    /// Something was written here, and a fault about it was found.
    pub(super) fn broken(at: Spot) -> Self {
        Self { text: String::new(), at }
    }
}
