//! The runtime of the command line.
//!
//! Must not know: what runs on it.

/// Two threads: the server does the work, and memory is for others.
pub(crate) fn new() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
}
