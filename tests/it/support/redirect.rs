//! An address that leads to one server and later to another, as a name or a load balancer does.
//!
//! Must not know: what the servers are.

use std::net::{Ipv4Addr, SocketAddr};

use pgbackfill::sandbox::Server;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::select;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

#[derive(Clone, Copy)]
struct Destination {
    server: SocketAddr,
    /// How often all its connections have been cut off.
    cuts: u32,
}

fn address_of(server: &Server) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, server.port()).into()
}

pub(crate) struct Redirect {
    pub(crate) port: u16,
    destination: watch::Sender<Destination>,
    accepting: JoinHandle<()>,
}

impl Redirect {
    pub(crate) async fn to(server: &Server) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let destination = watch::Sender::new(Destination { server: address_of(server), cuts: 0 });
        let seen = destination.subscribe();
        let accepting = tokio::spawn(async move {
            let mut lines = JoinSet::new();
            loop {
                select! {
                    Ok((client, _)) = listener.accept() => { lines.spawn(lead(client, seen.clone())); }
                    Some(_) = lines.join_next() => {}
                }
            }
        });
        Self { port, destination, accepting }
    }

    /// From now on it leads to this server; connections to the other one are cut off.
    pub(crate) fn lead_to(&self, server: &Server) {
        self.lead_newcomers_to(server);
        self.cut();
    }

    /// From now on it leads to this server; connections to the other one stay.
    pub(crate) fn lead_newcomers_to(&self, server: &Server) {
        self.destination.send_modify(|destination| destination.server = address_of(server));
    }

    /// All connections end, and have to be made again.
    pub(crate) fn cut(&self) {
        self.destination.send_modify(|destination| destination.cuts += 1);
    }
}

impl Drop for Redirect {
    fn drop(&mut self) {
        // The lines belong to the task.
        self.accepting.abort();
    }
}

async fn lead(mut client: TcpStream, mut destination: watch::Receiver<Destination>) {
    let Destination { server, cuts } = *destination.borrow_and_update();
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    // As a server and its clients do among each other.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    select! {
        _ = copy_bidirectional(&mut client, &mut server) => {}
        _ = destination.wait_for(|destination| destination.cuts != cuts) => {}
    }
}
