//! Requests of a shard to its process: to stop, or to read files again. Both are carried out where signals are handled.

use crate::observe::reloads::Reloads;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// The requests that wait, at most.
const WAITING: usize = 16;

/// A request that the process carries out.
#[derive(Debug)]
pub enum ServerRequest {
    /// To stop, as at SIGTERM.
    Drain,
    /// To read files again, as at SIGHUP, and to say what came of it.
    Reload(oneshot::Sender<Result<Reload, String>>),
}

/// A reload that has succeeded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reload {
    /// The settings whose files were read again.
    pub reloaded: Vec<&'static str>,
    /// Those among them that were found changed, and are in use from now on.
    pub changed: Vec<&'static str>,
}

/// The link of a shard to the process that it runs in.
#[derive(Clone, Debug)]
pub(crate) struct ProcessLink {
    /// The last reload.
    pub(crate) reloads: Arc<Reloads>,
    /// The way of requests.
    pub(crate) requests: mpsc::Sender<ServerRequest>,
}

impl ProcessLink {
    /// The link of a shard, and the end at which its requests arrive.
    pub(crate) fn new(reloads: Arc<Reloads>) -> (Self, mpsc::Receiver<ServerRequest>) {
        let (requests, arriving) = mpsc::channel(WAITING);
        (Self { reloads, requests }, arriving)
    }
}
