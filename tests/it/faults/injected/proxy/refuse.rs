//! Errors in the server's place: the request never gets there, and the client meets what a server does after
//! an error, the failed transaction with it. What the server has open of that transaction is rolled back when
//! the client ends it.
//!
//! Must not know: which request it is.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};

use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;

use super::{Direction, Pump};

/// `in_failed_sql_transaction`.
const IN_FAILED: &str = "25P02";

/// How far a connection's two sides are.
pub(super) struct Talk {
    /// Requests that the server got; the start of the connection is one.
    asked: AtomicUsize,
    answered: AtomicUsize,
    /// Of the transaction, by the last answer: `I`dle, in a `T`ransaction, or `E`rror.
    status: AtomicU8,
    /// The next answer is to a request of our own.
    mute: AtomicBool,
    news: Notify,
}

impl Default for Talk {
    fn default() -> Self {
        Self {
            asked: AtomicUsize::new(1),
            answered: AtomicUsize::new(0),
            status: AtomicU8::new(b'I'),
            mute: AtomicBool::new(false),
            news: Notify::new(),
        }
    }
}

impl Talk {
    /// Takes note of a message; whether it is to be passed on.
    pub(super) fn passes(&self, direction: Direction, tag: char, bytes: &[u8]) -> bool {
        match (direction, tag) {
            (Direction::ToServer, 'Q' | 'S') => {
                self.asked.fetch_add(1, Ordering::SeqCst);
                true
            }
            (Direction::ToServer, _) => true,
            (Direction::ToClient, 'Z') => {
                let muted = self.mute.swap(false, Ordering::SeqCst);
                self.status.store(bytes[5], Ordering::SeqCst);
                self.answered.fetch_add(1, Ordering::SeqCst);
                self.news.notify_one();
                !muted
            }
            (Direction::ToClient, _) => !self.mute.load(Ordering::SeqCst),
        }
    }

    async fn all_answered(&self) {
        while self.answered.load(Ordering::SeqCst) < self.asked.load(Ordering::SeqCst) {
            self.news.notified().await;
        }
    }

    fn is_idle(&self) -> bool {
        self.status.load(Ordering::SeqCst) == b'I'
    }
}

/// A simple query, or the first message of an extended one.
pub(super) fn begins_a_request(tag: char) -> bool {
    matches!(tag, 'Q' | 'P')
}

/// After these codes a server closes the connection.
fn is_fatal(code: &str) -> bool {
    matches!(code, "57P01" | "57P02" | "57P03" | "57P05" | "25P03" | "53300")
}

impl Pump<'_> {
    /// Answers a request with an error; false if that ends the connection.
    pub(super) async fn refuse(&mut self, tag: char, bytes: &[u8], code: &str) -> io::Result<bool> {
        if is_fatal(code) {
            if tag != '-' {
                self.talk.all_answered().await;
            }
            self.answer(&error("FATAL", code)).await?;
            return Ok(false);
        }
        let request = self.whole_request(tag, bytes).await?;
        let status = if ends(&request) {
            self.roll_back().await?;
            b'I'
        } else if begins(&request) || !self.talk.is_idle() {
            b'E'
        } else {
            b'I'
        };
        self.failed = status == b'E';
        self.answer(&[error("ERROR", code), ready(status)].concat()).await?;
        Ok(true)
    }

    /// Answers a request as a server does whose transaction has failed.
    pub(super) async fn refuse_in_failed(&mut self, tag: char, bytes: &[u8]) -> io::Result<()> {
        let request = self.whole_request(tag, bytes).await?;
        if !ends(&request) {
            return self.answer(&[error("ERROR", IN_FAILED), ready(b'E')].concat()).await;
        }
        self.roll_back().await?;
        self.failed = false;
        self.answer(&[message(b'C', b"ROLLBACK\0"), ready(b'I')].concat()).await
    }

    /// Its statement, when all of it has come and all before it has been answered.
    async fn whole_request(&mut self, tag: char, bytes: &[u8]) -> io::Result<String> {
        let mut last = tag;
        while !matches!(last, 'Q' | 'S') {
            last = self.read(false).await?.0;
        }
        self.talk.all_answered().await;
        let body = &bytes[5..];
        // An extended one begins with the name of the statement, which is empty.
        let text = if tag == 'P' { &body[1..] } else { body };
        Ok(String::from_utf8_lossy(text).trim_start().to_owned())
    }

    /// Ends what the server has open.
    async fn roll_back(&self) -> io::Result<()> {
        if self.talk.is_idle() {
            return Ok(());
        }
        self.talk.mute.store(true, Ordering::SeqCst);
        self.talk.asked.fetch_add(1, Ordering::SeqCst);
        self.to.lock().await.write_all(&message(b'Q', b"ROLLBACK\0")).await?;
        self.talk.all_answered().await;
        Ok(())
    }

    async fn answer(&self, bytes: &[u8]) -> io::Result<()> {
        self.back.lock().await.write_all(bytes).await
    }
}

fn begins(statement: &str) -> bool {
    statement.starts_with("BEGIN")
}

fn ends(statement: &str) -> bool {
    statement.starts_with("COMMIT") || statement.starts_with("ROLLBACK")
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    // The length counts itself.
    let length = (body.len() as u32 + 4).to_be_bytes();
    [&[tag][..], &length, body].concat()
}

/// Fields as in the manual, 55.8.
fn error(severity: &str, code: &str) -> Vec<u8> {
    let text = "refused on purpose";
    message(b'E', format!("S{severity}\0V{severity}\0C{code}\0M{text}\0\0").as_bytes())
}

fn ready(status: u8) -> Vec<u8> {
    message(b'Z', &[status])
}
