//! A service around one version of the manager, as a subject.

use crate::subjects::naive::endpoint::EndpointTask;
use crate::subjects::naive::ids::TaskId;
use crate::subjects::naive::ledger::NaiveLedger;
use crate::subjects::naive::manager::Manager;
use crate::subjects::naive::task::Task;
use crate::subjects::naive::websocket::WebSockets;
use parlor_core::{Config, ConnId, Instant};
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;
/// A service around one version of the manager.
#[derive(Clone)]
pub struct Naive<V> {
    pub(super) config: Arc<Config>,
    pub(super) sockets: WebSockets,
    pub(super) endpoints: BTreeMap<ConnId, EndpointTask>,
    pub(super) manager: Manager,
    pub(super) tasks: BTreeMap<TaskId, Task>,
    pub(super) started: TaskId,
    pub(super) ledger: NaiveLedger,
    /// Coroutines and connections that have ended in this turn, and how.
    pub(super) endings: Vec<String>,
    /// Exceptions in this turn that were not caught, each with the guarantee that it breaks.
    pub(super) uncaught: Vec<String>,
    pub(super) now: Instant,
    pub(super) version: PhantomData<V>,
}
