//! The accept loop: one task for each listening socket.

use crate::http::connection;
use crate::runtime::shard::ShardRuntime;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::yield_now;
use tokio::time::sleep;
use tracing::warn;

/// How long the listener rests when the system has no more sockets to give.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// Accepts sockets for as long as it is polled.
pub(crate) async fn accept(shard: Rc<ShardRuntime>, listener: Rc<TcpListener>) {
    let mut warned = false;
    loop {
        match listener.accept().await {
            Ok((socket, address)) => {
                warned = false;
                // An IPv4 address is one address, whichever kind of socket it came through.
                connection::accept(&shard, socket, address.ip().to_canonical());
                if shard.sockets.len() >= shard.settings.limits.http_connections {
                    // The next one takes a place: those that have just come show first what they want.
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
