//! Listening sockets: bound as the settings `listen` and `internal_listen` say, each with a task that accepts.

use crate::config::{ListenAddress, ListenerKind};
use crate::http::connection;
use crate::net::certificate::ServerCertificate;
use crate::runtime::shard::ShardRuntime;
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, ErrorKind};
use std::net::{self, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::yield_now;
use tokio::time::sleep;
use tracing::warn;

/// Connections that the system queues until they are accepted.
const BACKLOG: i32 = 4096;
/// Attempts to find a port that is free for IPv4 and for IPv6.
const FREE_PORT_ATTEMPTS: usize = 16;

/// Pause after a failed accept, such as when file descriptors have run out.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// A listening socket and how it is spoken to.
#[derive(Clone, Debug)]
pub(crate) struct Listener<T> {
    pub(crate) socket: T,
    /// The certificate by which it speaks TLS; None where it does not.
    pub(crate) certificate: Option<Arc<ServerCertificate>>,
    /// The setting that it is bound for.
    pub(crate) kind: ListenerKind,
}

/// Accepts sockets until the task is dropped.
pub(crate) async fn accept(shard: Rc<ShardRuntime>, listener: Listener<Rc<TcpListener>>) {
    let mut warned = false;
    loop {
        match listener.socket.accept().await {
            Ok((socket, address)) => {
                warned = false;
                // An IPv4 address is the same one where a socket for IPv6 has accepted it.
                let address = address.ip().to_canonical();
                connection::accept(&shard, socket, address, listener.kind, listener.certificate.as_deref());
                if shard.sockets.len() >= shard.settings().limits.http_connections {
                    // The next socket displaces one. Those accepted just now first have their requests read.
                    yield_now().await;
                }
            }
            Err(error) => {
                if !warned {
                    warn!(%error, "cannot accept connections; trying again until it works");
                }
                warned = true;
                sleep(ACCEPT_REST).await;
            }
        }
    }
}

/// Binds the sockets of an entry of either setting: one, or one for IPv4 and one for IPv6 with the same port.
pub(crate) fn bind_all(listen: ListenAddress) -> io::Result<Vec<net::TcpListener>> {
    match listen {
        ListenAddress::Address(address) => Ok(vec![bind(address, None)?]),
        ListenAddress::Everywhere(port) => {
            // One socket for both families; one for IPv4 alone on a system without IPv6.
            let both = bind((Ipv6Addr::UNSPECIFIED, port).into(), Some(false));
            Ok(vec![if_supported(both)?.map_or_else(|| bind((Ipv4Addr::UNSPECIFIED, port).into(), None), Ok)?])
        }
        ListenAddress::Localhost(port) => {
            for _ in 0..FREE_PORT_ATTEMPTS {
                let four = bind((Ipv4Addr::LOCALHOST, port).into(), None)?;
                let same = four.local_addr()?.port();
                match if_supported(bind((Ipv6Addr::LOCALHOST, same).into(), Some(true))) {
                    Ok(six) => return Ok([four].into_iter().chain(six).collect()),
                    // A port that is free for IPv4 may be taken for IPv6.
                    Err(error) if port == 0 && error.kind() == ErrorKind::AddrInUse => {}
                    Err(error) => return Err(error),
                }
            }
            Err(ErrorKind::AddrInUse.into())
        }
    }
}

/// None where the system has no IPv6, or none on loopback.
fn if_supported(bound: io::Result<net::TcpListener>) -> io::Result<Option<net::TcpListener>> {
    match bound {
        Ok(listener) => Ok(Some(listener)),
        Err(error) if matches!(error.kind(), ErrorKind::AddrInUse | ErrorKind::PermissionDenied) => Err(error),
        Err(_) => Ok(None),
    }
}

/// Binds one socket and listens on it.
fn bind(address: SocketAddr, only_v6: Option<bool>) -> io::Result<net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if let Some(only_v6) = only_v6 {
        socket.set_only_v6(only_v6)?;
    }
    // A restarted server need not wait for the sockets of the last run to time out.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
