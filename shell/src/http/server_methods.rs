//! The methods of the API that are about the server itself, of which the core knows nothing.

/// A method of `POST /api/<name>` without parameters, which is about no room and cannot be in a batch.
#[derive(Debug)]
pub(crate) struct ServerMethod {
    pub(crate) name: &'static str,
    pub(crate) summary: &'static str,
    /// The statuses that not all methods have, each with its meaning.
    pub(crate) failures: &'static [(u16, &'static str)],
    pub(crate) kind: ServerMethodKind,
}

/// The effect of a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServerMethodKind {
    /// The server stops as it does at SIGTERM.
    Drain,
    /// The server reads settings and certificate again as it does at SIGHUP.
    Reload,
}

/// All of them.
pub(crate) static SERVER_METHODS: [ServerMethod; 2] = [
    ServerMethod {
        name: "drain",
        summary: "Stops the server as SIGTERM does",
        failures: &[],
        kind: ServerMethodKind::Drain,
    },
    ServerMethod {
        name: "reload",
        summary: "Has the server read settings and certificate again as SIGHUP does",
        failures: &[(400, "Something is wrong, which the message names, and nothing changes: 108.")],
        kind: ServerMethodKind::Reload,
    },
];

impl ServerMethod {
    /// The method with this name.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        SERVER_METHODS.iter().find(|method| method.name == name)
    }
}
