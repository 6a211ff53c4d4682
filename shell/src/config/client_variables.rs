//! The variables of the environment that are for commands which speak with a server. The server leaves them alone.

/// The URL of the server.
pub(crate) const URL: &str = "PARLOR_URL";
/// The token of a client.
pub(crate) const TOKEN: &str = "PARLOR_TOKEN";
/// The file that the token is read from.
pub(crate) const TOKEN_FILE: &str = "PARLOR_TOKEN_FILE";

/// All of them. Those of the API key are also settings of the server.
pub(super) const ALL: [&str; 3] = [URL, TOKEN, TOKEN_FILE];
