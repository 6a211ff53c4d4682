//! The types of the frames that the server sends to `plain` clients, which no publication may have.

macro_rules! message_types {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// The `type` of a frame of the server's own. Publications are sent between such frames as they were published,
        /// so a client's publication must not have one of these types.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum MessageType { $($(#[$doc])* $name,)* }

        impl MessageType {
            /// All types. A route may replace [`MessageType::Subscribed`] by one of its own.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Returns the type as it is sent.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

message_types! {
    /// The first frame of a connection.
    Connection = "connection",
    /// The answer to `ping`.
    Pong = "pong",
    /// The answer to `subscribe`.
    Subscribed = "subscribed",
    /// The answer to a later `auth` that was accepted.
    Authenticated = "authenticated",
    /// The answer to a `publish` that carried an `id`.
    Published = "published",
    /// A position of the connection in a room's log.
    Position = "position",
    /// The position after publications that the connection has missed.
    Gap = "gap",
    /// The request to come back after some time, before the server closes the connection.
    Reconnect = "reconnect",
    /// The report of an error in a client's message.
    Error = "error",
}
