//! `parlor listen`: prints the messages of a room, one a line, for as long as it runs.

use super::followed_room::{Followed, FollowedRoom};
use super::outcome::{CommandError, block_on, print_lines};
use super::target::{RemoteServer, Variables};
use crate::config::client_variables::{TOKEN, TOKEN_FILE};
use crate::net::http_client::{self, ByteStream};
use crate::observe::log;
use crate::runtime::backoff::Backoff;
use crate::runtime::clock::Clock;
use clap::{Arg, ArgMatches, Command, value_parser};
use futures_util::{SinkExt, StreamExt};
use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, HeaderValue, USER_AGENT};
use parlor_core::Instant;
use std::io::{self, IsTerminal};
use std::pin::pin;
use std::time::Duration;
use tokio::signal::ctrl_c;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use tungstenite::client::IntoClientRequest;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tungstenite::{Error, Message};

const ROOM: &str = "ROOM";
const HISTORY: &str = "history";
const TOKEN_FILE_FLAG: &str = "token-file";
/// The time for a connection to be there, and for a Close to be answered.
const PATIENCE: Duration = Duration::from_secs(10);
/// The time after which a server that sends nothing, not even a ping, is taken for lost.
const SILENCE: Duration = Duration::from_secs(120);
/// The time in which the position of a message comes behind it.
const POSITION_DELAY: Duration = Duration::from_millis(500);
/// The bytes of a message, at most.
const MESSAGE_BYTES: usize = 16 << 20;

type Socket = WebSocketStream<Box<dyn ByteStream>>;

pub(super) fn arguments(command: Command) -> Command {
    let flag = |name, value, help| Arg::new(name).long(name).value_name(value).help(help);
    let token_file = format!(
        "File with the client's token, read again for each connection; the token itself is read from {TOKEN} only [env: {TOKEN_FILE}]"
    );
    RemoteServer::url_argument(command)
        .about("Prints the messages of a room, one a line, until Ctrl-C; a lost connection is made again, and goes on where it ended")
        .arg(Arg::new(ROOM).required(true).help("Name of the room, such as chat:7"))
        .arg(flag(TOKEN_FILE_FLAG, "FILE", "").help(token_file))
        .arg(flag(HISTORY, "COUNT", "Begins with the newest messages of the room").value_parser(value_parser!(u32)))
        .after_help(
            "What happens to the connection goes to standard error. What is sent to all connections, or to this one, looks \
             like a message of the room and is printed as one. The last message before a connection is lost may come twice.\n\n\
             Example:\n  parlor listen lobby --history 10 | jq .text",
        )
}

pub(super) fn run(flags: &ArgMatches, variables: &Variables) -> Result<(), CommandError> {
    let target = RemoteServer::without_key(flags, variables)?;
    let name = flags.get_one::<String>(ROOM).map(String::as_str).unwrap_or_default();
    let mut listener = RoomListener {
        target,
        variables,
        token_file: flags.get_one(TOKEN_FILE_FLAG),
        history: flags.get_one(HISTORY).copied(),
        room: FollowedRoom::new(name),
    };
    block_on(listener.listen())
}

/// The end of a connection.
enum ListenEnd {
    /// It can be made again, after this time where the server has named one.
    Lost(String, Option<Duration>),
    /// Nobody reads what is printed.
    Unread,
}

struct RoomListener<'a> {
    target: RemoteServer,
    variables: &'a Variables,
    token_file: Option<&'a String>,
    history: Option<u32>,
    room: FollowedRoom,
}

impl RoomListener<'_> {
    /// Listens until it is interrupted. The first connection has to succeed; later ones are tried again and again.
    async fn listen(&mut self) -> Result<(), CommandError> {
        let mut interrupted = pin!(ctrl_c());
        let mut backoff = Backoff::default();
        let mut has_connected = false;
        loop {
            let mut lived = Duration::ZERO;
            let connected = tokio::select! {
                biased;
                _ = &mut interrupted => return Ok(()),
                connected = self.connect(has_connected) => connected,
            };
            let (lost, after) = match connected {
                Ok(Ok(mut socket)) => {
                    has_connected = true;
                    self.room.connected();
                    let clock = Clock::new();
                    self.ask_position(&mut socket).await;
                    let end = tokio::select! {
                        biased;
                        _ = &mut interrupted => return close(&mut socket).await,
                        end = self.print_all(&mut socket) => end?,
                    };
                    lived = clock.since(Instant(0));
                    match end {
                        ListenEnd::Lost(why, after) => (why, after),
                        ListenEnd::Unread => return close(&mut socket).await,
                    }
                }
                Ok(Err(why)) if has_connected => (why, None),
                Ok(Err(why)) => return Err(why.into()),
                Err(wrong) => return Err(wrong),
            };
            let pause = after.unwrap_or_else(|| backoff.after(lived));
            if after.is_some() {
                backoff = Backoff::default();
            }
            say(&format!("{lost}; the next attempt is in {}", humantime::format_duration(pause)));
            tokio::select! {
                biased;
                _ = &mut interrupted => return Ok(()),
                () = sleep(pause) => {}
            }
        }
    }

    /// Connects once. The inner error is why it may succeed later.
    async fn connect(&self, has_connected: bool) -> Result<Result<Socket, String>, CommandError> {
        let url = self.target.url(&self.room.path(self.history))?;
        let scheme = if url.is_https() { "wss" } else { "ws" };
        let uri = format!("{scheme}://{}{}", url.authority(), url.path_and_query());
        let mut request = uri.into_client_request().map_err(|error| format!("{url}: {error}"))?;
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(crate::VERSION));
        if let Some((token, place)) = self.variables.secret(TOKEN, TOKEN_FILE, self.token_file)? {
            let value = HeaderValue::try_from(format!("Bearer {}", token.expose()));
            let mut value = value.map_err(|_| format!("the token of {place} has characters that no token has"))?;
            value.set_sensitive(true);
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        let stream = match timeout(PATIENCE, http_client::open(&url, PATIENCE)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(words)) => return Ok(Err(self.target.sentence(&words))),
            Err(_) => return Ok(Err(self.target.sentence("cannot be reached in time"))),
        };
        let config =
            WebSocketConfig::default().max_message_size(Some(MESSAGE_BYTES)).max_frame_size(Some(MESSAGE_BYTES));
        match timeout(PATIENCE, client_async_with_config(request, stream, Some(config))).await {
            Ok(Ok((socket, _))) => Ok(Ok(socket)),
            Ok(Err(Error::Http(answer))) => {
                self.refused(answer.status(), answer.body().as_deref().unwrap_or_default(), has_connected)
            }
            Ok(Err(error)) => Ok(Err(self.target.sentence(&format!("did not open a WebSocket: {error}")))),
            Err(_) => Ok(Err(self.target.sentence("did not open a WebSocket in time"))),
        }
    }

    /// Asks where the rooms' logs are. The server tells that by itself; but one that wants a token says so only when it is asked.
    async fn ask_position(&self, socket: &mut Socket) {
        if !self.room.has_position() {
            // Where it fails, reading does, too.
            let _ = socket.send(Message::text(r#"{"type":"position"}"#)).await;
        }
    }

    /// The answer to an upgrade that was refused: for now, or for good.
    fn refused<T>(
        &self,
        status: StatusCode,
        body: &[u8],
        has_connected: bool,
    ) -> Result<Result<T, String>, CommandError> {
        let refused = self.target.refused(status, &String::from_utf8_lossy(body));
        match refused {
            CommandError::Failed(why) if may_pass(status, has_connected) => Ok(Err(why)),
            refused => Err(refused),
        }
    }

    /// Prints what comes until the connection ends.
    async fn print_all(&mut self, socket: &mut Socket) -> Result<ListenEnd, CommandError> {
        let mut after = None;
        loop {
            let patience = if self.room.is_waiting() { POSITION_DELAY } else { SILENCE };
            let (came, end) = match timeout(patience, socket.next()).await {
                Ok(Some(Ok(Message::Text(text)))) => (self.room.take(text.to_string()), None),
                Ok(Some(Ok(Message::Close(frame)))) => (self.room.release(), Some(self.closed(frame))),
                Ok(Some(Ok(_))) => continue,
                Ok(Some(Err(error))) => (self.room.release(), Some(Ok(format!("the connection is lost: {error}")))),
                Ok(None) => (self.room.release(), Some(Ok("the connection has ended".into()))),
                Err(_) if self.room.is_waiting() => (self.room.release(), None),
                Err(_) => (None, Some(Ok("the server has been silent for too long".into()))),
            };
            match came {
                Some(Followed::Message(text)) if print(&text).is_err() => return Ok(ListenEnd::Unread),
                Some(Followed::Message(_)) | None => {}
                Some(Followed::Gap) => say("some messages are lost: the room's log does not retain them any more"),
                Some(Followed::Reconnect(absence)) => after = Some(absence),
                // It is the answer to the join, or what a backend has sent.
                Some(Followed::Refused(why)) if self.room.is_member() => say(&format!("the server says: {why}")),
                Some(Followed::Refused(why)) => return Err(self.not_in_room(&why)),
            }
            if let Some(end) = end {
                return end.map(|why| ListenEnd::Lost(why, after));
            }
        }
    }

    /// Tells why the server has closed a connection.
    ///
    /// # Errors
    /// Failed, with the codes after which SDKs do not come back: the server has closed it for good.
    fn closed(&self, frame: Option<CloseFrame>) -> Result<String, CommandError> {
        let Some(CloseFrame { code, reason }) = frame else {
            return Ok("the server has closed the connection".into());
        };
        let code = u16::from(code);
        if matches!(code, 3500..=3999 | 4500..=4999) {
            let hint = if code == 3500 { self.token_hint() } else { String::new() };
            return Err(format!("the server has closed the connection for good: {reason} ({code}){hint}").into());
        }
        Ok(format!("the server has closed the connection: {reason} ({code})"))
    }

    fn not_in_room(&self, why: &str) -> CommandError {
        CommandError::Failed(format!("{:?}: {why}{}", self.room.room(), self.token_hint()))
    }

    /// A hint at the place of the token, or at those where it could be.
    fn token_hint(&self) -> String {
        match self.variables.secret(TOKEN, TOKEN_FILE, self.token_file) {
            Ok(Some((_, place))) => format!("; the token was that of {place}"),
            _ => format!("; no token was sent: set {TOKEN}, or {TOKEN_FILE} or --{TOKEN_FILE_FLAG} to a file with one"),
        }
    }
}

/// Whether an upgrade that was refused with this status may succeed later: a proxy has its own ones while its server starts.
fn may_pass(status: StatusCode, has_connected: bool) -> bool {
    [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS].contains(&status)
        || (has_connected && status.is_server_error())
}

/// Ends a connection in order, so that the server counts no lost one.
async fn close(socket: &mut Socket) -> Result<(), CommandError> {
    let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
    let closing = async {
        socket.close(Some(frame)).await?;
        while socket.next().await.is_some_and(|came| came.is_ok()) {}
        Ok::<(), Error>(())
    };
    // It ends here anyway.
    let _ = timeout(PATIENCE, closing).await;
    Ok(())
}

/// Prints a message, at once. To a terminal without what could steer it: escaped as in JSON, it says the same.
fn print(text: &str) -> io::Result<()> {
    let text = if io::stdout().is_terminal() { log::escaped(text) } else { text.into() };
    print_lines(&text)
}

fn say(words: &str) {
    log::print(io::stderr(), format!("parlor listen: {}\n", log::escaped(words)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_whose_server_starts_again_is_asked_again() {
        let passes = |has_connected| {
            let statuses = [401, 403, 404, 429, 500, 502, 503, 504].map(|code| StatusCode::from_u16(code).unwrap());
            let passing = statuses.into_iter().filter(|status| may_pass(*status, has_connected));
            passing.map(|status| status.as_u16()).collect::<Vec<_>>()
        };
        assert_eq!(passes(false), [429, 503]);
        assert_eq!(passes(true), [429, 500, 502, 503, 504]);
    }
}
