//! Listening sockets that a service manager hands over (`sd_listen_fds(3)`): they are there before the server, and stay while
//! it is replaced.

use crate::config::ListenerKind;
use listenfd::ListenFd;
use socket2::SockRef;
use std::env;
use std::io;
use std::net::{SocketAddr, TcpListener};

/// The name (`FileDescriptorName=`) of a socket for backends and operators. Any other name is of one for clients.
const INTERNAL: &str = "internal";

/// The sockets that were handed over, none where the server was started in any other way.
#[derive(Debug, Default)]
pub struct HandedSockets(Vec<(ListenerKind, TcpListener)>);

impl HandedSockets {
    /// Takes them. They are gone from the environment then.
    ///
    /// # Errors
    /// A sentence that says which of them is no listening socket of TCP.
    pub fn take() -> Result<Self, String> {
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut handed = ListenFd::from_env();
        let count = handed.len();
        let take = |at| {
            let name = names.next().unwrap_or_default();
            let kind = if name == INTERNAL { ListenerKind::Internal } else { ListenerKind::Public };
            let socket = listening(&mut handed, at);
            let socket = socket.map_err(|why| format!("socket {} of the service manager ({name:?}): {why}", at + 1))?;
            Ok((kind, socket))
        };
        (0..count).map(take).collect::<Result<_, _>>().map(Self)
    }

    /// The addresses of those of a kind; empty where the server has to bind its own.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn addresses(&self, kind: ListenerKind) -> io::Result<Vec<SocketAddr>> {
        self.0.iter().filter(|(own, _)| *own == kind).map(|(_, socket)| socket.local_addr()).collect()
    }

    /// Takes those of a kind out.
    pub(crate) fn take_all(&mut self, kind: ListenerKind) -> Vec<TcpListener> {
        self.0.extract_if(.., |(own, _)| *own == kind).map(|(_, socket)| socket).collect()
    }
}

/// A socket by its number, if it listens.
fn listening(handed: &mut ListenFd, at: usize) -> Result<TcpListener, String> {
    let no_socket = |error: io::Error| error.to_string();
    let socket = handed.take_tcp_listener(at).map_err(no_socket)?.ok_or("it is not there")?;
    if !SockRef::from(&socket).is_listener().map_err(no_socket)? {
        return Err("it does not listen; expected ListenStream= with a port".into());
    }
    socket.set_nonblocking(true).map_err(no_socket)?;
    Ok(socket)
}
