//! Requests of a shard to its process: to stop, or to read settings and certificate again. Both are carried out where signals are handled.

use crate::config::Settings;
use crate::observe::reloads::Reloads;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// The requests that wait, at most.
const WAITING: usize = 16;

/// A request that the process carries out.
#[derive(Debug)]
pub enum ServerRequest {
    /// To stop, as at SIGTERM.
    Drain,
    /// To read settings and certificate again, as at SIGHUP, and to say what came of it.
    Reload(oneshot::Sender<Result<Reload, String>>),
}

/// A reload that has succeeded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reload {
    /// The settings that were found changed, and are in use from now on.
    pub changed: Vec<String>,
    /// Those that were found changed, and are in use after a restart.
    pub needs_restart: Vec<String>,
}

/// The link of a shard to the process that it runs in.
#[derive(Clone, Debug)]
pub(crate) struct ProcessLink {
    /// The last reload.
    pub(crate) reloads: Arc<Reloads>,
    /// The settings that are to be in use.
    pub(crate) settings: watch::Receiver<Arc<Settings>>,
    /// The way of requests.
    pub(crate) requests: mpsc::Sender<ServerRequest>,
}

impl ProcessLink {
    /// The link of a shard, and the end at which its requests arrive.
    pub(crate) fn new(
        reloads: Arc<Reloads>,
        settings: watch::Receiver<Arc<Settings>>,
    ) -> (Self, mpsc::Receiver<ServerRequest>) {
        let (requests, arriving) = mpsc::channel(WAITING);
        (Self { reloads, settings, requests }, arriving)
    }
}
