//! Claims about the sample jobs in `jobs/`.

use super::*;

const SAMPLES: [(&str, &str); 10] = [
    ("events_day", include_str!("../../../jobs/events_day.toml")),
    ("orders_kind", include_str!("../../../jobs/orders_kind.toml")),
    ("orders_state_text", include_str!("../../../jobs/orders_state_text.toml")),
    ("orders_status_v2", include_str!("../../../jobs/orders_status_v2.toml")),
    ("orders_total_cents", include_str!("../../../jobs/orders_total_cents.toml")),
    ("orders_user_id", include_str!("../../../jobs/orders_user_id.toml")),
    ("users_email_new", include_str!("../../../jobs/users_email_new.toml")),
    ("users_split_name", include_str!("../../../jobs/users_split_name.toml")),
    ("users_username_to_email", include_str!("../../../jobs/users_username_to_email.toml")),
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
fn every_sample_has_steps_before_and_after_and_makes_the_columns_that_it_sets() {
    for (job, text) in samples() {
        assert!(!job.steps.expand.is_empty() && !job.steps.contract.is_empty(), "{}", job.name);
        for NewValue { column, .. } in &job.set {
            let is_made =
                job.steps.expand.iter().any(|step| step.kind == StepKind::Column && step.name == *column);
            // Or it was there before.
            let was_there = text
                .lines()
                .any(|line| line.starts_with("#   CREATE TABLE") && line.contains(&format!("{column} ")));
            assert!(is_made || was_there, "{}: {column}", job.name);
        }
    }
}

#[test]
fn every_sample_is_read_again_from_what_is_stored() {
    for (job, _) in samples() {
        let again = Job::from_toml(job.name.clone(), "stored", &job.text())
            .unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(again, job, "{}", job.text());
    }
}

#[test]
fn the_job_of_the_demo_counts_each_row_and_passes_over_none() {
    let (job, _) = samples().find(|(job, _)| job.name.as_str() == "orders_status_v2").unwrap();
    assert!(job.filter.is_none());
    assert!(job.set.iter().any(|a| a.column == "backfilled" && a.expression == "backfilled + 1"));
}
