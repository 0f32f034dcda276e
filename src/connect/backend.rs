//! Which backend a connection was given, as the other side named it. A pooler answers for itself, with a
//! number of its own, so this tells whether one stands between us and the server.
//!
//! tokio-postgres keeps the number to itself, but a request to cancel carries it: here one is written, and
//! read instead of sent.
//!
//! Must not know: what follows from a pooler.

use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use tokio_postgres::CancelToken;
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

/// More than is ever written at once.
const ROOM: usize = 64;
/// The second integer of a request for TLS (protocol chapter "Message Formats", `SSLRequest`).
const TLS_REQUEST: i32 = 80_877_103;

/// The number of the backend, if the token tells.
pub(super) async fn backend(token: &CancelToken) -> Option<i32> {
    let (near, far) = duplex(ROOM);
    let (_, backend) = tokio::join!(token.cancel_query_raw(near, Pretended), read(far));
    backend.ok()
}

/// A request is its length, its code, the backend and a secret; one for TLS may come before it, and is
/// granted.
async fn read(mut far: DuplexStream) -> io::Result<i32> {
    if code(&mut far).await? == TLS_REQUEST {
        far.write_all(b"S").await?;
        code(&mut far).await?;
    }
    far.read_i32().await
}

/// What kind of request begins here; its length goes before.
async fn code(far: &mut DuplexStream) -> io::Result<i32> {
    far.read_i32().await?;
    far.read_i32().await
}

/// TLS for a stream that goes nowhere.
struct Pretended;

/// What it makes of that stream.
struct Bare(DuplexStream);

impl TlsConnect<DuplexStream> for Pretended {
    type Stream = Bare;
    type Error = io::Error;
    type Future = Ready<io::Result<Bare>>;

    fn connect(self, stream: DuplexStream) -> Self::Future {
        ready(Ok(Bare(stream)))
    }
}

impl TlsStream for Bare {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Bare {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, into)
    }
}

impl AsyncWrite for Bare {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
