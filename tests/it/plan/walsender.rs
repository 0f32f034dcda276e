//! A reader of the server's log that can be told to fall silent: the few messages of the replication protocol
//! that it takes.
//!
//! Must not know: what is replicated.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection that reads the WAL, or has stopped reading it.
pub(super) struct Walsender {
    stream: TcpStream,
}

impl Walsender {
    /// Enters; `replication` is `true` for the WAL itself, `database` for the changes of one.
    pub(super) async fn connect(port: u16, database: &str, replication: &str, name: &str) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let mut startup = vec![0, 3, 0, 0];
        let words =
            ["user", "postgres", "database", database, "replication", replication, "application_name", name];
        for word in words {
            startup.extend(word.as_bytes());
            startup.push(0);
        }
        startup.push(0);
        stream.write_u32(startup.len() as u32 + 4).await.unwrap();
        stream.write_all(&startup).await.unwrap();
        let mut walsender = Self { stream };
        walsender.until(b'Z').await;
        walsender
    }

    /// Starts what the command says and reads no further.
    pub(super) async fn start(&mut self, command: &str) {
        let mut text = command.as_bytes().to_vec();
        text.push(0);
        self.send(b'Q', &text).await;
        self.until(b'W').await;
    }

    /// Says that everything up to a position has been replayed.
    pub(super) async fn has_replayed(&mut self, lsn: u64) {
        let mut status = vec![b'r'];
        for position in [lsn, lsn, lsn, 0] {
            status.extend(position.to_be_bytes());
        }
        status.push(0);
        self.send(b'd', &status).await;
    }

    async fn send(&mut self, tag: u8, body: &[u8]) {
        self.stream.write_u8(tag).await.unwrap();
        self.stream.write_u32(body.len() as u32 + 4).await.unwrap();
        self.stream.write_all(body).await.unwrap();
    }

    /// Reads up to the first message of this kind.
    async fn until(&mut self, wanted: u8) {
        loop {
            let tag = self.stream.read_u8().await.unwrap();
            let length = self.stream.read_u32().await.unwrap() as usize - 4;
            let mut body = vec![0; length];
            self.stream.read_exact(&mut body).await.unwrap();
            assert_ne!(tag, b'E', "{}", String::from_utf8_lossy(&body));
            if tag == wanted {
                return;
            }
        }
    }
}
