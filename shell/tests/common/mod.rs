//! A server and its clients over real sockets. The client is raw on purpose: it can say what no library would.
#![allow(dead_code, reason = "every test uses a part of it")]
#![allow(clippy::disallowed_methods, reason = "tests have their own clock")]

pub mod endpoint;
pub mod jwks;
pub mod observed;
pub mod program;
pub mod settings;

use jsonwebtoken::{EncodingKey, Header};
use parlor::config::{LogLevel, Settings};
use parlor::server::Server;
use parlor_core::CloseCause;
pub use parlor_core::test_support::client_frame as frame;
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Long enough for a noisy machine. Only a failing test waits this long.
pub const PATIENCE: Duration = Duration::from_secs(20);
pub const KEY: &str = "test-key-test-key";
pub const SECRET: &str = "test-secret-test-secret-test-secret";

pub const TEXT: u8 = 0x1;
pub const BINARY: u8 = 0x2;
pub const CLOSE: u8 = 0x8;
pub const PING: u8 = 0x9;
pub const PONG: u8 = 0xa;
const FIN: u8 = 0x80;

/// Starts a server in this process, on a free port, with the settings of the tests and `change` on top.
pub fn start(change: impl FnOnce(&mut Settings)) -> Server {
    let mut settings = Settings {
        listen: "127.0.0.1:0".parse().unwrap(),
        api_key: Some(KEY.into()),
        token_secret: Some(SECRET.into()),
        dev: Some(true),
        log_level: LogLevel::Warn.into(),
        ..Settings::default()
    };
    change(&mut settings);
    Server::start(settings).unwrap()
}

/// Seconds since 1970, `offset` from now.
pub fn unix(offset: i64) -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_secs()).unwrap() + offset
}

pub fn token(claims: &Value) -> String {
    jsonwebtoken::encode(&Header::default(), claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}

/// Waits until something is true.
pub fn wait_until(what: &str, mut is_true: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_true() {
        assert!(start.elapsed() < PATIENCE, "{what} did not happen");
        thread::sleep(Duration::from_millis(5));
    }
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_nodelay(true).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_write_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// An HTTP response.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// The value of a header whose name is given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let of = |line: &'_ str| line.split_once(':').filter(|(key, _)| key.eq_ignore_ascii_case(name)).is_some();
        self.head.lines().find(|line| of(line)).map(|line| line.split_once(':').unwrap().1.trim())
    }
}

/// A socket from another address of this machine.
pub fn connect_from(from: [u8; 4], address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
    socket.connect(&address.into()).unwrap();
    let socket = TcpStream::from(socket);
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Sends bytes on a socket of their own and reads the answer, until the server closes the socket or the answer is whole.
pub fn raw_http(address: SocketAddr, request: &[u8]) -> Answer {
    ask(&mut connect(address), request)
}

/// The same on a socket that may be asked again.
pub fn ask(socket: &mut (impl Read + Write), request: &[u8]) -> Answer {
    socket.write_all(request).unwrap();
    let head = read_head(socket);
    let length = Answer { status: 0, head: head.clone(), body: String::new() };
    let length = length.header("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; if request.starts_with(b"HEAD ") { 0 } else { length }];
    socket.read_exact(&mut body).unwrap();
    assert!(head.starts_with("HTTP/1."), "{head:?}");
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let answer = Answer { status, head, body: String::from_utf8(body).unwrap() };
    observed::note_answer(&answer);
    answer
}

pub fn read_head(socket: &mut impl Read) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        let read = socket.read(&mut byte);
        assert!(matches!(read, Ok(1)), "{read:?} after {:?}", String::from_utf8_lossy(&head));
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// A socket with a call whose body the server has asked for. From then on its request is being answered, and no other socket
/// displaces it.
pub fn half_a_call(address: SocketAddr) -> TcpStream {
    let mut call = connect(address);
    let head = "POST /api/info HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n";
    call.write_all(format!("{head}X-API-Key: {KEY}\r\n\r\n").as_bytes()).unwrap();
    assert!(read_head(&mut call).starts_with("HTTP/1.1 100 "));
    call
}

pub fn http(address: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\n{headers}\r\n");
    raw_http(address, &[head.as_bytes(), body.as_bytes()].concat())
}

pub fn get(address: SocketAddr, path: &str) -> Answer {
    http(address, "GET", path, "", "")
}

/// Calls the API with the key.
pub fn api(address: SocketAddr, method: &str, body: &Value) -> Answer {
    http(address, "POST", &format!("/api/{method}"), &format!("X-API-Key: {KEY}\r\n"), &body.to_string())
}

/// Publishes through the API and makes sure that it was done.
pub fn publish(address: SocketAddr, room: &str, data: &Value) {
    let answer = api(address, "publish", &json!({"channel": room, "data": data}));
    assert_eq!(answer.status, 200, "{answer:?}");
}

pub fn health(address: SocketAddr) -> Value {
    let health = http(address, "GET", "/health", &format!("X-API-Key: {KEY}\r\n"), "").json();
    observed::note_health(&health);
    health
}

/// Number of connections that ended for this cause.
pub fn closed(address: SocketAddr, cause: CloseCause) -> u64 {
    health(address)["totals"]["closed"][cause.name()].as_u64().unwrap_or(0)
}

/// Number of refusals by this limit.
pub fn hits(address: SocketAddr, limit: &str) -> u64 {
    health(address)["totals"]["limits"][limit].as_u64().unwrap_or(0)
}

/// A request for a WebSocket.
pub fn upgrade_request(path: &str, headers: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    )
    .into_bytes()
}

/// A WebSocket, from the client's side.
#[derive(Debug)]
pub struct Client<S = TcpStream> {
    pub socket: S,
    /// The head of the 101.
    pub head: String,
}

impl Client {
    pub fn connect(address: SocketAddr, path: &str) -> Self {
        Self::connect_with(address, path, "", b"")
    }

    /// Connects with more headers, and with bytes right behind the request.
    pub fn connect_with(address: SocketAddr, path: &str, headers: &str, early: &[u8]) -> Self {
        Self::over(connect(address), path, headers, early)
    }

    /// A `json` client that has said who it is.
    pub fn json(address: SocketAddr, token: &str) -> Self {
        let mut client = Self::connect(address, "/connection/websocket");
        let connect = if token.is_empty() { json!({}) } else { json!({"token": token}) };
        client.send(&json!({"id": 1, "connect": connect}));
        let reply = client.receive();
        assert_eq!(reply["id"], 1, "{reply}");
        assert!(reply["connect"]["client"].is_string(), "{reply}");
        client
    }

    /// No more bytes will come from this side.
    pub fn half_close(&self) {
        self.socket.shutdown(Shutdown::Write).unwrap();
    }
}

impl<S: Read + Write> Client<S> {
    /// Connects on a socket, with more headers, and with bytes right behind the request.
    pub fn over(mut socket: S, path: &str, headers: &str, early: &[u8]) -> Self {
        let mut request = upgrade_request(path, headers);
        request.extend(early);
        socket.write_all(&request).unwrap();
        let head = read_head(&mut socket);
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        observed::note(observed::Observed::Http(101));
        Self { socket, head }
    }

    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap();
    }

    pub fn send_text(&mut self, text: &str) {
        self.send_raw(&frame(FIN | TEXT, text.as_bytes()));
    }

    pub fn send(&mut self, message: &Value) {
        self.send_text(&message.to_string());
    }

    pub fn send_close(&mut self, code: u16) {
        self.send_raw(&frame(FIN | CLOSE, code.to_be_bytes()));
    }

    /// Sends a command and returns its reply.
    pub fn ask(&mut self, command: &Value) -> Value {
        self.send(command);
        let reply = self.receive();
        assert_eq!(reply["id"], command["id"], "{reply}");
        reply
    }

    /// The same behind pushes, which are passed over.
    pub fn ask_behind(&mut self, command: &Value) -> Value {
        self.send(command);
        loop {
            let text = self.text();
            // The server puts several replies and pushes into one frame.
            for line in text.lines() {
                let message: Value = serde_json::from_str(line).unwrap();
                if message["id"] == command["id"] {
                    return message;
                }
            }
        }
    }

    /// The next frame: its opcode and payload.
    pub fn frame(&mut self) -> std::io::Result<(u8, Vec<u8>)> {
        let mut head = [0; 2];
        self.socket.read_exact(&mut head)?;
        assert_eq!(head[0] & 0xf0, FIN, "the server sends whole messages without extensions");
        let length = match head[1] {
            126 => {
                let mut length = [0; 2];
                self.socket.read_exact(&mut length)?;
                u64::from(u16::from_be_bytes(length))
            }
            127 => {
                let mut length = [0; 8];
                self.socket.read_exact(&mut length)?;
                u64::from_be_bytes(length)
            }
            length => {
                assert!(length < 126, "the server does not mask");
                u64::from(length)
            }
        };
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        self.socket.read_exact(&mut payload)?;
        Ok((head[0] & 0x0f, payload))
    }

    /// The next message, which must be text.
    pub fn text(&mut self) -> String {
        let (opcode, payload) = self.frame().unwrap();
        let payload = String::from_utf8(payload).unwrap();
        assert_eq!(opcode, TEXT, "{payload:?}");
        payload
    }

    /// The next message, which must be JSON.
    pub fn receive(&mut self) -> Value {
        let text = self.text();
        let message = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"));
        observed::note_message(&message);
        message
    }

    /// Reads on to the Close frame and returns its code and reason.
    pub fn close(&mut self) -> (u16, String) {
        loop {
            let (opcode, payload) = self.frame().unwrap();
            if opcode == CLOSE {
                let (code, reason) = payload.split_at(2);
                let code = u16::from_be_bytes(code.try_into().unwrap());
                observed::note(observed::Observed::Close(code));
                return (code, String::from_utf8(reason.into()).unwrap());
            }
        }
    }

    /// Reads on to the end of the stream.
    pub fn end(&mut self) {
        let mut ignored = [0; 4096];
        loop {
            match self.socket.read(&mut ignored) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// A server, and a member of a room who must not notice what others do to it.
pub struct World {
    /// Dropped first, while the server is there.
    _last_look: observed::LastLook,
    pub server: Server,
    pub address: SocketAddr,
    bystander: Receiver<Value>,
    published: u64,
}

const BYSTANDERS: &str = "bystanders";

impl World {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let server = start(change);
        // Where the others speak TLS, the internal ones do not.
        let address = server.internal_addresses().first().copied().unwrap_or_else(|| server.address());
        let token = token(&json!({"sub": "bystander"}));
        let mut client = Client::connect(address, &format!("/ws/{BYSTANDERS}?token={token}"));
        assert_eq!(client.receive()["authenticated"], true);
        let (heard, bystander) = channel();
        thread::spawn(move || {
            // It ends with its connection, and that with the world.
            while let Ok((opcode, payload)) = client.frame() {
                match opcode {
                    PING => client.send_raw(&frame(FIN | PONG, &payload)),
                    TEXT => drop(heard.send(serde_json::from_slice(&payload).unwrap())),
                    _ => return,
                }
            }
        });
        Self { _last_look: observed::LastLook(address), server, address, bystander, published: 0 }
    }

    /// Checks that publications reach the bystander, once and in order, and that nothing else does.
    pub fn is_unaffected(&mut self) {
        self.published += 1;
        let message = json!({"message": self.published});
        publish(self.address, BYSTANDERS, &message);
        match self.bystander.recv_timeout(PATIENCE) {
            Ok(heard) => assert_eq!(heard, message),
            Err(RecvTimeoutError::Timeout) => panic!("the bystander hears nothing"),
            Err(RecvTimeoutError::Disconnected) => panic!("the bystander lost its connection"),
        }
    }

    pub fn client(&self) -> Client {
        Client::json(self.address, &token(&json!({"sub": "client"})))
    }
}
