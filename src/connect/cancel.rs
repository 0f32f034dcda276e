//! Asks the server to stop a statement, on a connection of its own, and waits until the request has been
//! taken.
//!
//! tokio-postgres hangs up as soon as the request is sent. `PgBouncer` then drops it, because it has first to
//! find a connection to pass it on by; 1.18 even crashes if the client is gone when the answer comes. So we
//! stay until the other side hangs up, as libpq does.
//!
//! Must not know: whose statement it is.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_postgres::{CancelToken, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{Error, backend};

/// Which route the request takes.
#[derive(Clone)]
pub(super) enum Route {
    Socket(PathBuf),
    Plain(SocketAddr),
    /// Where TLS is demanded, for the request, too.
    Tls(MakeRustlsConnect),
}

/// Stops the statement that a session is running.
#[derive(Clone)]
pub struct Canceller {
    pub(super) token: CancelToken,
    pub(super) route: Route,
}

impl Canceller {
    /// Asks the server to cancel the statement; it answers on the session itself, with SQLSTATE 57014.
    pub async fn cancel(&self) -> Result<(), Error> {
        let lost = |error: io::Error| Error::Connection(error.to_string());
        match &self.route {
            Route::Socket(path) => self.ask(UnixStream::connect(path).await.map_err(lost)?).await,
            Route::Plain(address) => self.ask(TcpStream::connect(address).await.map_err(lost)?).await,
            Route::Tls(tls) => Ok(self.token.cancel_query(tls.clone()).await?),
        }
    }

    /// The backend whose statement it stops, as the other side of the connection named it: a pooler names
    /// none of the server's.
    pub async fn backend(&self) -> Option<i32> {
        backend::backend(&self.token).await
    }

    async fn ask<S: AsyncRead + AsyncWrite + Unpin>(&self, mut stream: S) -> Result<(), Error> {
        self.token.cancel_query_raw(StaysOpen(&mut stream), NoTls).await?;
        // Nothing is answered; that the other side hangs up, however it does that, is all there is to wait
        // for.
        let _ = stream.read(&mut [0]).await;
        Ok(())
    }
}

/// A stream that is not closed by the function that uses it.
struct StaysOpen<'a, S>(&'a mut S);

impl<S: AsyncRead + Unpin> AsyncRead for StaysOpen<'_, S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_read(cx, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for StaysOpen<'_, S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
