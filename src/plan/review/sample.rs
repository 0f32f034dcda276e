//! What a sample of the rows tells: whether any matches, and whether some could not be changed.
//!
//! Must not know: how the sample was read.

use super::Subject;
use crate::plan::{Code, Finding};

pub(super) fn judge(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let Some(sample) = &subject.facts.sample else { return };
    if sample.rows > 0 && sample.matching == 0 {
        let among =
            if sample.whole { "all rows".to_owned() } else { format!("{} rows of a sample", sample.rows) };
        found.push(Finding::new(
            Code::NothingMatches,
            format!("none of {among} is one that the job would change"),
            "was it run already, or is where not what you mean?",
        ));
    }
    let unchecked = subject.facts.table.iter().flat_map(|table| &table.unchecked);
    for (check, violations) in unchecked.zip(&sample.violations).filter(|(_, violations)| **violations > 0) {
        found.push(Finding::new(
            Code::UncheckedConstraint,
            format!(
                "{violations} of {} rows that would be changed violate constraint \"{}\" ({}), which is NOT VALID",
                sample.matching, check.name, check.expression
            ),
            "any update of such a row fails: mend the rows first, leave them out with where, or allow for them with max_bad_rows",
        ));
    }
}
