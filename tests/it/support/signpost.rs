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
struct Way {
    server: SocketAddr,
    /// How often all that were on the way have been cut off.
    cuts: u32,
}

impl Way {
    fn to(server: &Server) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, server.port()).into()
    }
}

pub(crate) struct Signpost {
    pub(crate) port: u16,
    way: watch::Sender<Way>,
    accepting: JoinHandle<()>,
}

impl Signpost {
    pub(crate) async fn to(server: &Server) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let way = watch::Sender::new(Way { server: Way::to(server), cuts: 0 });
        let seen = way.subscribe();
        let accepting = tokio::spawn(async move {
            let mut lines = JoinSet::new();
            loop {
                select! {
                    Ok((client, _)) = listener.accept() => { lines.spawn(lead(client, seen.clone())); }
                    Some(_) = lines.join_next() => {}
                }
            }
        });
        Self { port, way, accepting }
    }

    /// From now on it leads to this server; who is on the way to the other one is cut off.
    pub(crate) fn turn(&self, server: &Server) {
        self.turn_for_newcomers(server);
        self.cut();
    }

    /// From now on it leads to this server; who is on the way to the other one stays there.
    pub(crate) fn turn_for_newcomers(&self, server: &Server) {
        self.way.send_modify(|way| way.server = Way::to(server));
    }

    /// Whoever is on the way has to come again.
    pub(crate) fn cut(&self) {
        self.way.send_modify(|way| way.cuts += 1);
    }
}

impl Drop for Signpost {
    fn drop(&mut self) {
        // The lines belong to the task.
        self.accepting.abort();
    }
}

async fn lead(mut client: TcpStream, mut way: watch::Receiver<Way>) {
    let Way { server, cuts } = *way.borrow_and_update();
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    // As a server and its clients do among each other.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    select! {
        _ = copy_bidirectional(&mut client, &mut server) => {}
        _ = way.wait_for(|way| way.cuts != cuts) => {}
    }
}
