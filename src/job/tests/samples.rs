//! Claims about the sample jobs in `jobs/`.

use super::*;

const SAMPLES: [(&str, &str); 6] = [
    ("orders_status_v2", include_str!("../../../jobs/orders_status_v2.toml")),
    ("orders_total_cents", include_str!("../../../jobs/orders_total_cents.toml")),
    ("orders_user_id", include_str!("../../../jobs/orders_user_id.toml")),
    ("users_email_new", include_str!("../../../jobs/users_email_new.toml")),
    ("users_split_name", include_str!("../../../jobs/users_split_name.toml")),
    ("users_verified", include_str!("../../../jobs/users_verified.toml")),
];

fn samples() -> impl Iterator<Item = (Job, &'static str)> {
    SAMPLES.into_iter().map(|(name, text)| {
        let job = Job::from_toml(JobName::new(name).unwrap(), &format!("jobs/{name}.toml"), text);
        (job.unwrap_or_else(|errors| panic!("{errors}")), text)
    })
}

#[test]
fn every_sample_is_listed_here() {
    let mut files: Vec<_> = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/jobs"))
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(files, SAMPLES.map(|(name, _)| format!("{name}.toml")));
}

#[test]
fn every_sample_is_a_job_with_a_description() {
    assert!(samples().all(|(job, _)| job.description.is_some()));
}

#[test]
fn every_sample_shows_the_expand_step_for_each_column_it_sets() {
    for (job, text) in samples() {
        for assignment in &job.set {
            let expand = format!("#   ALTER TABLE {} ADD COLUMN {} ", job.table, assignment.column);
            assert!(text.contains(&expand), "{}: {expand}", job.name);
        }
    }
}

#[test]
fn every_sample_guards_its_contract_step() {
    for (job, text) in samples() {
        let guard = format!("#   SELECT pgbackfill.assert_complete('{}');", job.name);
        assert!(text.contains(&guard), "{}: {guard}", job.name);
    }
}

#[test]
fn the_job_of_the_demo_counts_each_row_and_passes_over_none() {
    let (job, _) = samples().find(|(job, _)| job.name.as_str() == "orders_status_v2").unwrap();
    assert!(job.filter.is_none());
    assert!(job.set.iter().any(|a| a.column == "backfilled" && a.expression == "backfilled + 1"));
}
