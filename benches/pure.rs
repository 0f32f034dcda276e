//! What the client itself computes, without a server: a batch's statement and bands, a range's striping, a job file.
//!
//! `cargo bench --bench pure`. A batch takes a tenth of a second; what is measured here should not be seen beside it.

use divan::{Bencher, black_box};
use pgbackfill::change::{Change, Update};
use pgbackfill::job::{Job, JobName};
use pgbackfill::key::{KeyColumn, KeyType};
use pgbackfill::scan::{LeafOrder, Mark, Span, Stripe, Walk};
use pgbackfill::sql::{Ident, Qualified};
use pgbackfill::stripe::{Neighbour, StripeBy, Striping, Wanted, fit};

fn main() {
    divan::main();
}

fn striping() -> Striping {
    Striping::new(8, StripeBy::Bits { shift: 3 }).expect("eight stripes from the fourth bit on")
}

/// Once a range.
#[divan::bench(args = [1, 1000, 1 << 22])]
fn fit_a_striping_to_512_rows(bencher: Bencher<'_, '_>, gap: i64) {
    let sample: Vec<_> = (0..512).map(|i| Neighbour { key: Some(i * gap), page: i / 69 }).collect();
    bencher.bench(|| fit(black_box(&sample), Wanted::AtMost(8)));
}

/// Once a batch.
#[divan::bench]
fn find_the_bands_of_a_batch() -> Option<pgbackfill::stripe::Bands> {
    striping().bands(black_box(5), black_box(1_000_000), black_box(1_080_000))
}

/// Once a batch.
#[divan::bench]
fn build_the_update_of_a_batch(bencher: Bencher<'_, '_>) {
    let key = vec![KeyColumn { name: "id".into(), ty: KeyType::BigInt, collate: None }];
    let walk = Walk { alias: Ident("orders".into()), key, joins_bands: true, reads_alone: true };
    let scan = walk.leaf(Qualified::new("public", "orders"), LeafOrder::Keys);
    let change = Change::Update(Update {
        set: vec![(Ident("status_v2".into()), "upper(status)".into())],
        quiet: vec![Ident("customer_id".into())],
        filter: Some("status_v2 IS NULL".into()),
        differs: None,
        lookup: None,
        keeps: None,
    });
    let mark = |key: u32| Mark(vec![key.to_string()]);
    let span = Span { after: Some(mark(1_000_000)), through: mark(1_080_000) };
    let stripe = Stripe { striping: striping(), number: 5 };
    bencher.bench(|| {
        let rows = scan.rows(black_box(&span), stripe, 10_000);
        change.statement(&rows).text().len()
    });
}

/// Once a process.
#[divan::bench]
fn read_a_job_file(bencher: Bencher<'_, '_>) {
    let toml =
        "table = 'orders'\nwhere = 'status_v2 IS NULL'\nset.status_v2 = 'upper(status)'\npace.workers = 4\n";
    let name = JobName::new("orders_status_v2").expect("a good name");
    bencher.bench(|| Job::from_toml(name.clone(), "orders.toml", black_box(toml)).expect("a good job"));
}
