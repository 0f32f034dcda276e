//! Batched backfills for PostgreSQL: every row changed exactly once, whatever is killed.
//!
//! A [`job::Job`] says which table, which SET expressions, which rows. [`engine::run`] takes part in its run:
//! it claims key ranges with `FOR UPDATE SKIP LOCKED`, changes them in short batches, and commits each batch
//! together with its checkpoint. Any number of processes can call it at the same time, on any hosts; each
//! helps, and each can leave or be killed at any instant.
//!
//! ```text
//!  job file ──► Job ──► preflight ──► join the run ───► workers ──────────────► complete
//!  (TOML)       job      plan          engine, store     engine   ▲        │
//!                        asks the      makes it, joins   │        │        └─ events ──► observe: bar, lines, JSON
//!                        catalog and   it, or goes on    │        └─ what the run asks: state, knobs, shares (a heartbeat)
//!                        the server                      ▼
//!                          ┌──────────────── one batch, one transaction ────────────────┐
//!                          │ BEGIN → lock the range's row → UPDATE → move cursor → COMMIT │ ◄─ throttle: may I go?
//!                          └─────────────────────────────────────────────────────────────┘
//! ```
//!
//! The whole path in code:
//!
//! ```no_run
//! use pgbackfill::connect::ConnectParams;
//! use pgbackfill::db::Pool;
//! use pgbackfill::engine::{self, Options, Which};
//! use pgbackfill::event::{self, Event};
//! use pgbackfill::job::{Job, JobName};
//! use pgbackfill::run::RunKind;
//! use tokio_util::sync::CancellationToken;
//!
//! # async fn backfill() -> Result<(), Box<dyn std::error::Error>> {
//! let job = Job::from_toml(
//!     JobName::new("orders_status_v2")?,
//!     "orders_status_v2.toml",
//!     "table = 'orders'\n\
//!      set.status_v2 = 'upper(status)'\n\
//!      where = 'status_v2 IS NULL'",
//! )?;
//! // The library reads no environment: to use PGHOST and the like pass std::env::var here.
//! let params = ConnectParams::resolve("postgresql://app@localhost/shop", &|_| None)?;
//! let pool = Pool::new(&params, 3)?;
//! let options = Options {
//!     kind: RunKind::Backfill,
//!     which: Which::Current,
//!     workers: None,
//!     max_rows: None,
//!     set: vec![],
//!     host: "app1".into(),
//!     by: "deploy@app1".into(),
//! };
//! let (events, mut received) = event::channel(pool.database());
//! // Cancelling it finishes the batches in flight and leaves.
//! let stop = CancellationToken::new();
//! let watching = tokio::spawn(async move {
//!     while let Some(told) = received.recv().await {
//!         if let Event::BatchCommitted { rows_changed, .. } = told.event {
//!             println!("{rows_changed} rows");
//!         }
//!     }
//! });
//! let summary = engine::run(&pool, &job, &options, &events, &stop).await?;
//! drop(events);
//! watching.await?;
//! println!("{:?}", summary.outcome);
//! # Ok(())
//! # }
//! ```
//!
//! The library never prints, never exits and reads no environment; the command line in the same package does.

#[doc(hidden)]
pub mod catalog;
#[doc(hidden)]
pub mod change;
pub mod connect;
pub mod db;
pub mod ddl;
pub mod engine;
pub mod event;
#[doc(hidden)]
pub mod human;
pub mod job;
#[doc(hidden)]
pub mod key;
#[doc(hidden)]
pub mod monitor;
pub mod observe;
pub mod operate;
pub mod plan;
pub mod run;
#[doc(hidden)]
pub mod sandbox;
#[doc(hidden)]
pub mod scan;
pub mod signal;
#[doc(hidden)]
pub mod sql;
pub mod status;
#[doc(hidden)]
pub mod store;
#[doc(hidden)]
pub mod stripe;
#[doc(hidden)]
pub mod throttle;
pub mod window;
