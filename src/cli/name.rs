//! A job as it is named on the command line: by its name, or by the path of its file.
//!
//! Must not know: what the file holds.

use std::path::Path;

use pgbackfill::db::Session;
use pgbackfill::status;
use pgbackfill::store::Run;

use super::exit::Failure;

/// `jobs/orders.toml` and `orders` are the same job.
pub(crate) fn of(text: &str) -> String {
    let path = Path::new(text);
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    match (path.extension().and_then(|extension| extension.to_str()), stem) {
        (Some("toml"), Some(stem)) => stem.to_owned(),
        _ => text.to_owned(),
    }
}

/// The latest run of a job.
pub(crate) async fn latest(session: &Session, text: &str) -> anyhow::Result<Run> {
    Ok(status::latest(session, &of(text)).await.map_err(Failure::from)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_and_its_name_are_the_same_job() {
        assert_eq!(of("jobs/orders_v2.toml"), "orders_v2");
        assert_eq!(of("orders_v2"), "orders_v2");
        assert_eq!(of("orders.v2"), "orders.v2");
    }
}
