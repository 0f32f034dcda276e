//! Who has to carry the changes elsewhere: publications, slots, standbys.
//!
//! Must not know: how the facts were read.

use bytesize::ByteSize;

use super::Subject;
use super::queries::{ServerFacts, Slot, Standby};
use crate::plan::{Code, Finding};

/// A standby that is this much behind before the run begins will not keep up with it, in seconds.
const LAG_S_MAX: f64 = 0.5;
/// One segment of WAL.
const LAG_BYTES_MAX: i64 = 16 << 20;

pub(super) fn judge(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for published in subject.facts.table.iter().flat_map(|table| &table.published) {
        let (table, publications) = (&published.table, &published.publications);
        if !published.identified {
            found.push(Finding::new(
                Code::NoReplicaIdentity,
                format!("{table} is published ({publications}) and has no replica identity, so that no row of it can be updated"),
                "ALTER TABLE … REPLICA IDENTITY USING INDEX, with a unique index on NOT NULL columns",
            ));
        } else if published.full {
            found.push(Finding::new(
                Code::FullReplicaIdentity,
                format!("{table} is published ({publications}) with REPLICA IDENTITY FULL: each change carries the whole old row"),
                "subscribers may read their whole table for each row: use an index as identity, or make the change on both sides",
            ));
        }
    }
    let Some(server) = &subject.facts.server else { return };
    slots(server, found);
    found.extend(server.standbys.iter().filter_map(lag));
}

fn slots(server: &ServerFacts, found: &mut Vec<Finding>) {
    for slot in &server.slots {
        if !slot.active {
            found.push(abandoned(slot, server.settings.max_slot_wal_keep_size_mb));
        } else if slot.logical && slot.here {
            found.push(Finding::new(
                Code::LogicalSlot,
                format!("logical slot \"{}\" reads this database: all changes go through it", slot.name),
                "ask whoever reads it whether so many are welcome; a ceiling (max_rows_per_second) spares them",
            ));
        }
    }
}

fn abandoned(slot: &Slot, keep_mb: i64) -> Finding {
    let limit = if keep_mb < 0 { "without a limit".to_owned() } else { format!("up to {keep_mb} MB") };
    let kept = ByteSize(u64::try_from(slot.retained_bytes).unwrap_or(0));
    Finding::new(
        Code::AbandonedSlot,
        format!(
            "nobody reads replication slot \"{}\", which keeps {kept} of WAL and all that is written from now on, {limit}",
            slot.name
        ),
        "bring its reader back, or pg_drop_replication_slot; else the disk may run full",
    )
}

fn lag(standby: &Standby) -> Option<Finding> {
    let (bytes, s) = (standby.lag_bytes.unwrap_or(0), standby.lag_s.unwrap_or(0.0));
    (s > LAG_S_MAX || bytes > LAG_BYTES_MAX).then(|| {
        let behind = ByteSize(u64::try_from(bytes).unwrap_or(0));
        let time = if s > 0.0 { format!(" and {s:.1} s") } else { String::new() };
        Finding::new(
            Code::StandbyLag,
            format!("standby \"{}\" is {behind}{time} behind before the run has begun", standby.name),
            "wait until it has caught up, and set a ceiling that it can follow (max_wal_per_second)",
        )
    })
}
