//! The job that the demo runs: the sample file, and what it says a row should look like.
//!
//! Must not know: who runs it.

use anyhow::Context;
use toml::de::{DeTable, DeValue};

/// The sample job as it is in the repository.
pub(super) const TEXT: &str = include_str!("../../../jobs/orders_status_v2.toml");

/// The job's expression for `status_v2`. The proof computes it anew for each row, so the file stays the only
/// place where it is written.
pub(super) fn status_v2() -> anyhow::Result<String> {
    let table = DeTable::parse(TEXT)?;
    let set = table.get_ref().get("set").and_then(|set| set.get_ref().as_table());
    let expression = set.and_then(|set| set.get("status_v2")).map(toml::Spanned::get_ref);
    let text = expression.and_then(DeValue::as_str).context("the sample job does not set status_v2")?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_job_says_what_status_v2_should_be() {
        let expression = status_v2().unwrap();
        assert!(expression.contains("CASE"), "{expression}");
    }
}
