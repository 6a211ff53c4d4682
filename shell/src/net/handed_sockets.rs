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
pub struct HandedSockets {
    public: Vec<TcpListener>,
    internal: Vec<TcpListener>,
}

impl HandedSockets {
    /// Takes them. They are gone from the environment then.
    ///
    /// # Errors
    /// A sentence that says which of them is no listening socket of TCP.
    pub fn take() -> Result<Self, String> {
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut handed = ListenFd::from_env();
        let mut sockets = Self::default();
        for at in 0..handed.len() {
            let name = names.next().unwrap_or_default();
            let wrong = |why: String| format!("socket {} of the service manager ({name:?}): {why}", at + 1);
            let taken = handed.take_tcp_listener(at).map_err(|error| wrong(error.to_string()))?;
            let socket = taken.ok_or_else(|| wrong("it is not there".into()))?;
            if !SockRef::from(&socket).is_listener().map_err(|error| wrong(error.to_string()))? {
                return Err(wrong("it does not listen; expected ListenStream= with a port".into()));
            }
            socket.set_nonblocking(true).map_err(|error| wrong(error.to_string()))?;
            if name == INTERNAL { sockets.internal.push(socket) } else { sockets.public.push(socket) }
        }
        Ok(sockets)
    }

    /// The addresses of those of a kind; empty where the server has to bind its own.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn addresses(&self, kind: ListenerKind) -> io::Result<Vec<SocketAddr>> {
        let sockets = match kind {
            ListenerKind::Public => &self.public,
            ListenerKind::Internal => &self.internal,
        };
        sockets.iter().map(TcpListener::local_addr).collect()
    }

    /// Those of a kind.
    pub(crate) fn of(&mut self, kind: ListenerKind) -> Vec<TcpListener> {
        std::mem::take(match kind {
            ListenerKind::Public => &mut self.public,
            ListenerKind::Internal => &mut self.internal,
        })
    }
}
