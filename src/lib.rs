//! Batched backfills for PostgreSQL: every row changed exactly once, whatever is killed.
//!
//! A [`job::Job`] says which table, which SET expressions, which rows. [`engine::run`] takes part in its run: it claims key
//! ranges with `FOR UPDATE SKIP LOCKED`, changes them in short batches, and commits each batch together with its checkpoint. Any
//! number of processes can call it at the same time, on any hosts; each helps, and each can leave or be killed at any instant.
//!
//! ```text
//!  job file ──► Job ──► preflight ──► enter the run ──► workers ──────────────► complete
//!  (TOML)       job      plan          engine, store     engine   ▲        │
//!                        asks the      makes it, joins   │        │        └─ events ──► observe: bar, lines, JSON
//!                        catalog and   it, or goes on    │        └─ orders: state, knobs, shares (a heartbeat)
//!                        the server                      ▼
//!                          ┌──────────────── one batch, one transaction ────────────────┐
//!                          │ BEGIN → lock the range's row → UPDATE → move cursor → COMMIT │ ◄─ pace: may I go?
//!                          └─────────────────────────────────────────────────────────────┘
//! ```
//!
//! The whole path in code:
//!
//! ```no_run
//! use pgbackfill::connect::ConnectParams;
//! use pgbackfill::db::Pool;
//! use pgbackfill::engine::{self, Options, Stop, Which};
//! use pgbackfill::event::Event;
//! use pgbackfill::job::{Job, JobName};
//! use tokio::sync::{mpsc, watch};
//!
//! # async fn backfill() -> Result<(), Box<dyn std::error::Error>> {
//! let job = Job::from_toml(
//!     JobName::new("orders_status_v2")?,
//!     "orders_status_v2.toml",
//!     "table = 'orders'\n\
//!      set.status_v2 = 'upper(status)'\n\
//!      where = 'status_v2 IS NULL'",
//! )?;
//! // The library reads no environment: whoever wants PGHOST and the like passes std::env::var here.
//! let params = ConnectParams::resolve("postgresql://app@localhost/shop", &|_| None)?;
//! let pool = Pool::new(&params, 3)?;
//! let options = Options {
//!     which: Which::Current,
//!     workers: None,
//!     max_rows: None,
//!     turns: vec![],
//!     host: "app1".into(),
//!     by: "deploy@app1".into(),
//! };
//! let (events, mut received) = mpsc::unbounded_channel();
//! // Sending Stop::Drain finishes the batch in hand and leaves.
//! let (_stopper, stop) = watch::channel(Stop::NotYet);
//! let watching = tokio::spawn(async move {
//!     while let Some(event) = received.recv().await {
//!         if let Event::BatchCommitted { rows_changed, .. } = event {
//!             println!("{rows_changed} rows");
//!         }
//!     }
//! });
//! let summary = engine::run(&pool, &job, &options, &events, stop).await?;
//! drop(events);
//! watching.await?;
//! println!("{:?}", summary.outcome);
//! # Ok(())
//! # }
//! ```
//!
//! The library never prints, never exits and reads no environment; the command line in the same package does.

pub mod catalog;
pub mod connect;
pub mod db;
pub mod engine;
pub mod event;
pub mod human;
pub mod job;
pub mod key;
pub mod observe;
pub mod pace;
pub mod plan;
pub mod run;
pub mod sandbox;
pub mod signal;
pub mod sql;
pub mod store;
pub mod stripe;
pub mod window;
