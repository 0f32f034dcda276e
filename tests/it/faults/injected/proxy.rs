//! A proxy between a client and PostgreSQL that knows where a message of the protocol ends, writes down each
//! of them, and does a fault at some of them.
//!
//! It speaks no TLS: connect with `sslmode=disable`. Messages are framed as in the manual, 55.2 and 55.7: the
//! first of a client is a length and a body, every other message of either side a type, a length and a body.
//!
//! Must not know: who talks to whom about what.

mod refuse;

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex as AsyncMutex;
use tokio::task::{JoinHandle, JoinSet};
use tokio::{select, time};

use refuse::Talk;

/// How long a message is held.
const HOLD: Duration = Duration::from_secs(3);

/// What happens to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// It is lost, and both sides get a reset.
    Reset,
    /// It is lost, and both sides see the end of the stream.
    Close,
    /// It is lost, and all that follows in its direction, the end of the stream too; nobody is told.
    Swallow,
    /// It comes late.
    Hold,
    /// It comes, and then the connection is reset before anything answers it.
    DeliverAndCut,
    /// The server never gets the request that begins with it; its client gets an error of this SQLSTATE, as
    /// if the server had failed there.
    Refuse(&'static str),
}

impl Fault {
    /// What can befall any message.
    pub(crate) const OF_THE_WIRE: [Self; 5] =
        [Self::Reset, Self::Close, Self::Swallow, Self::Hold, Self::DeliverAndCut];
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refuse(code) => write!(f, "error {code}"),
            of_the_wire => write!(f, "{of_the_wire:?}"),
        }
    }
}

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    ToServer,
    ToClient,
}

/// One message: of which connection, which way, and its number among those, all from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) connection: usize,
    pub(crate) direction: Direction,
    pub(crate) message: usize,
}

/// A message that was seen.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) spot: Spot,
    /// Its type; `-` stands for a first one.
    pub(crate) tag: char,
    /// The beginning of its body.
    pub(crate) head: String,
}

impl Seen {
    /// Whether it is a request that begins with this text.
    pub(crate) fn asks(&self, text: &str) -> bool {
        // An extended one begins with the name of the statement, which is empty.
        let is_request = self.spot.direction == Direction::ToServer && refuse::begins_a_request(self.tag);
        is_request && self.head.trim_start_matches('\0').starts_with(text)
    }
}

/// A listening proxy; when it is dropped, so are all its connections.
pub(crate) struct Proxy {
    port: u16,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

struct State {
    server: SocketAddr,
    faults: Vec<(Spot, Fault)>,
    connections: AtomicUsize,
    fired: AtomicUsize,
    seen: Mutex<Vec<Seen>>,
}

/// How a connection ends for both sides.
enum End {
    Closed,
    Reset,
}

impl Proxy {
    /// In front of a server, with these faults to come.
    pub(crate) async fn before(server: SocketAddr, faults: &[(Spot, Fault)]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            server,
            faults: faults.to_vec(),
            connections: AtomicUsize::new(0),
            fired: AtomicUsize::new(0),
            seen: Mutex::default(),
        });
        let accepting = tokio::spawn(accept(listener, state.clone()));
        Self { port, state, accepting }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Whether the message of each fault has come.
    pub(crate) fn fired(&self) -> bool {
        self.state.fired.load(Ordering::SeqCst) == self.state.faults.len()
    }

    /// Every message so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // The connections belong to the task.
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.unwrap();
        let number = state.connections.fetch_add(1, Ordering::SeqCst);
        connections.spawn(serve(client, number, state.clone()));
        // Those that have ended are let go.
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(client: TcpStream, number: usize, state: Arc<State>) {
    // A server that is gone hangs up on the client, as it should.
    let Ok(server) = TcpStream::connect(state.server).await else { return };
    for stream in [&client, &server] {
        stream.set_nodelay(true).unwrap();
    }
    let (from_client, to_client) = halves(client);
    let (from_server, to_server) = halves(server);
    let talk = Talk::default();
    let mut up = Pump {
        state: &state,
        talk: &talk,
        connection: number,
        direction: Direction::ToServer,
        from: from_client,
        to: to_server.clone(),
        back: to_client.clone(),
        failed: false,
    };
    let mut down = Pump {
        state: &state,
        talk: &talk,
        connection: number,
        direction: Direction::ToClient,
        from: from_server,
        to: to_client,
        back: to_server,
        failed: false,
    };
    let end = select! {
        end = up.run() => end,
        end = down.run() => end,
    };
    if let End::Reset = end {
        for side in [&up.to, &down.to] {
            side.lock().await.as_ref().set_zero_linger().unwrap();
        }
    }
}

type WriteHalf = Arc<AsyncMutex<OwnedWriteHalf>>;

fn halves(stream: TcpStream) -> (BufReader<OwnedReadHalf>, WriteHalf) {
    let (read, write) = stream.into_split();
    (BufReader::new(read), Arc::new(AsyncMutex::new(write)))
}

/// One direction of a connection.
struct Pump<'a> {
    state: &'a State,
    talk: &'a Talk,
    connection: usize,
    direction: Direction,
    from: BufReader<OwnedReadHalf>,
    to: WriteHalf,
    /// To whom the messages come from.
    back: WriteHalf,
    /// For the client, its transaction has failed.
    failed: bool,
}

impl Pump<'_> {
    /// Passes messages on until one side hangs up or the fault ends it.
    async fn run(&mut self) -> End {
        for message in 0.. {
            let spot = Spot { connection: self.connection, direction: self.direction, message };
            let Ok((tag, bytes)) = self.read(message == 0 && self.direction == Direction::ToServer).await
            else {
                return End::Closed;
            };
            let head = String::from_utf8_lossy(&bytes[bytes.len().min(5)..bytes.len().min(69)]).into_owned();
            self.state.seen.lock().unwrap().push(Seen { spot, tag, head });
            let fault = self.state.faults.iter().find(|(at, _)| *at == spot).map(|(_, fault)| *fault);
            self.state.fired.fetch_add(usize::from(fault.is_some()), Ordering::SeqCst);
            match fault {
                Some(Fault::Reset) => return End::Reset,
                Some(Fault::Close) => return End::Closed,
                Some(Fault::Swallow) => return self.swallow().await,
                Some(Fault::Hold) => time::sleep(HOLD).await,
                Some(Fault::Refuse(code)) => match self.refuse(tag, &bytes, code).await {
                    Ok(true) => continue,
                    Ok(false) | Err(_) => return End::Closed,
                },
                Some(Fault::DeliverAndCut) | None => {}
            }
            if self.failed && refuse::begins_a_request(tag) {
                if self.refuse_in_failed(tag, &bytes).await.is_err() {
                    return End::Closed;
                }
                continue;
            }
            if !self.talk.passes(self.direction, tag, &bytes) {
                continue;
            }
            if self.to.lock().await.write_all(&bytes).await.is_err() {
                return End::Closed;
            }
            if fault == Some(Fault::DeliverAndCut) {
                return End::Reset;
            }
        }
        unreachable!("nobody sends so many messages")
    }

    /// One message as it is on the wire.
    async fn read(&mut self, first: bool) -> io::Result<(char, Vec<u8>)> {
        let tag = if first { None } else { Some(self.from.read_u8().await?) };
        let length = self.from.read_u32().await?;
        let mut bytes: Vec<u8> = tag.into_iter().chain(length.to_be_bytes()).collect();
        let start = bytes.len();
        // The length counts itself.
        bytes.resize(start + length as usize - 4, 0);
        self.from.read_exact(&mut bytes[start..]).await?;
        Ok((tag.map_or('-', char::from), bytes))
    }

    /// Takes everything and passes on nothing, not even the end.
    async fn swallow(&mut self) -> End {
        let mut sink = [0; 4096];
        while self.from.read(&mut sink).await.is_ok_and(|read| read > 0) {}
        std::future::pending().await
    }
}
