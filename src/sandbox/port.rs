//! A port that is free.
//!
//! Must not know: what listens there.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use super::SandboxError;

/// Each attempt takes a port that was free a moment ago, so losing the race this often is not bad luck.
const PORT_ATTEMPTS: u32 = 5;

/// Starts something on a free port, on another one if the port is lost meanwhile.
pub(super) fn on_a_free_port<T>(
    mut start: impl FnMut(u16) -> Result<T, SandboxError>,
) -> Result<(T, u16), SandboxError> {
    let mut attempt = 1;
    loop {
        let port = free_port()?;
        match start(port) {
            Err(error) if error.port_taken() && attempt < PORT_ATTEMPTS => attempt += 1,
            other => return other.map(|started| (started, port)),
        }
    }
}

fn free_port() -> Result<u16, SandboxError> {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr());
    Ok(taken.map_err(SandboxError::io("find a free port on", Path::new("127.0.0.1")))?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken() -> SandboxError {
        SandboxError::NotReady { what: "ended".into(), log: "Address already in use".into() }
    }

    #[test]
    fn a_port_lost_to_somebody_else_is_replaced() {
        let mut ports = Vec::new();
        let (started, port) = on_a_free_port(|port| {
            ports.push(port);
            if ports.len() < 3 { Err(taken()) } else { Ok("up") }
        })
        .unwrap();
        assert_eq!((started, ports.len(), ports[2]), ("up", 3, port));
    }

    #[test]
    fn a_port_lost_every_time_is_an_error() {
        let mut attempts = 0;
        let lost: Result<((), u16), _> = on_a_free_port(|_| {
            attempts += 1;
            Err(taken())
        });
        assert!(lost.unwrap_err().port_taken());
        assert_eq!(attempts, PORT_ATTEMPTS);
    }
}
