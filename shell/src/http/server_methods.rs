//! The methods of the API that are about the server itself, of which the core knows nothing.

/// A method of `POST /api/<name>` that cannot be in a batch.
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
    /// The last connections that ended are listed.
    Closes,
    /// The connections that most bytes wait for are listed.
    Outboxes,
    /// It is told what is known of a connection, a publication or a room.
    Explain,
    /// A ticket is given with which the console listens to a room.
    ConsoleTicket,
    /// The server writes its input log to a file.
    InputLog,
}

impl ServerMethodKind {
    /// Whether the method may be about a room, which its parameter `channel` names.
    pub(crate) fn is_about_a_room(self) -> bool {
        matches!(self, Self::ConsoleTicket | Self::Explain)
    }

    /// The method of the core that has the same parameters.
    pub(crate) fn like(self) -> &'static str {
        if self == Self::ConsoleTicket { "presence" } else { "info" }
    }

    /// Whether a call has a line in the log: those that only tell have none.
    pub(crate) fn is_logged(self) -> bool {
        !matches!(self, Self::Closes | Self::Outboxes | Self::Explain)
    }
}

/// All of them.
pub(crate) static SERVER_METHODS: [ServerMethod; 7] = [
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
    ServerMethod {
        name: "closes",
        summary: "Lists the last connections that ended",
        failures: &[],
        kind: ServerMethodKind::Closes,
    },
    ServerMethod {
        name: "outboxes",
        summary: "Lists the connections that most bytes wait for",
        failures: &[],
        kind: ServerMethodKind::Outboxes,
    },
    ServerMethod {
        name: "explain",
        summary: "Tells what is known of a connection, of a publication and whom it reached, or of a room",
        failures: &[(404, "There is no such namespace: 102.")],
        kind: ServerMethodKind::Explain,
    },
    ServerMethod {
        name: "console_ticket",
        summary: "Gives a ticket with which the console listens to a room",
        failures: &[
            (404, "There is no such namespace: 102."),
            (413, "So many tickets wait to be used that there is none: 106."),
        ],
        kind: ServerMethodKind::ConsoleTicket,
    },
    ServerMethod {
        name: "input_log",
        summary: "Has the server write its input log to a new file in input_log_dir",
        failures: &[(400, "The log cannot be written, and the message says why: 108.")],
        kind: ServerMethodKind::InputLog,
    },
];

impl ServerMethod {
    /// The method with this name.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        SERVER_METHODS.iter().find(|method| method.name == name)
    }
}
