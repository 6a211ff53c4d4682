//! A server that this one asks, and that answers as its test wants it to.

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// The next answer of the server.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Answers 200 with this body.
    Body(String),
    /// Answers with this status and more headers.
    Status(u16, String),
    /// Answers 500 to a request whose body has this, and 200 to all others.
    FailureOf(String),
    /// Says nothing until it may say something else.
    Silence,
}

/// A request.
#[derive(Clone, Debug)]
pub struct Asked {
    pub head: String,
    pub body: String,
}

impl Asked {
    /// The path and the query.
    pub fn path(&self) -> String {
        self.head.split(' ').nth(1).unwrap().into()
    }
}

/// A server on a port of its own.
pub struct Endpoint {
    pub address: SocketAddr,
    reply: Arc<Mutex<Reply>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Endpoint {
    pub fn new(reply: Reply) -> Self {
        Self::with_tls(reply, None)
    }

    pub fn with_tls(reply: Reply, tls: Option<Arc<ServerConfig>>) -> Self {
        Self::at(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap(), reply, tls)
    }

    pub fn at(listener: TcpListener, reply: Reply, tls: Option<Arc<ServerConfig>>) -> Self {
        let address = listener.local_addr().unwrap();
        let (reply, asked) = (Arc::new(Mutex::new(reply)), Arc::new(Mutex::new(Vec::new())));
        let shared = (reply.clone(), asked.clone());
        thread::spawn(move || {
            for socket in listener.incoming() {
                let (socket, shared, tls) = (socket.unwrap(), shared.clone(), tls.clone());
                thread::spawn(move || match tls {
                    None => serve(socket, &shared.0, &shared.1),
                    Some(config) => {
                        serve(StreamOwned::new(ServerConnection::new(config).unwrap(), socket), &shared.0, &shared.1)
                    }
                });
            }
        });
        Self { address, reply, asked }
    }

    pub fn url(&self) -> String {
        format!("http://{}/jwks.json", self.address)
    }

    pub fn replies(&self, reply: Reply) {
        *self.reply.lock().unwrap() = reply;
    }

    /// The paths that it was asked for.
    pub fn paths(&self) -> Vec<String> {
        self.asked().iter().map(Asked::path).collect()
    }

    /// The requests that have come.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub fn requests(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

/// Answers one request. A client that does not trust the certificate, or has gone, is nothing to this side.
fn serve(mut socket: impl Read + Write, reply: &Mutex<Reply>, asked: &Mutex<Vec<Asked>>) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        if !matches!(socket.read(&mut byte), Ok(1)) {
            return;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    if socket.read_exact(&mut body).is_err() {
        return;
    }
    let body = String::from_utf8(body).unwrap();
    asked.lock().unwrap().push(Asked { head, body: body.clone() });
    let answer = loop {
        let reply = reply.lock().unwrap().clone();
        match reply {
            Reply::Silence => thread::sleep(Duration::from_millis(5)),
            Reply::Body(body) => break format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
            Reply::FailureOf(part) => {
                let status = if body.contains(&part) { 500 } else { 200 };
                break format!("HTTP/1.1 {status} So\r\nContent-Length: 0\r\n\r\n");
            }
            Reply::Status(status, headers) => {
                break format!("HTTP/1.1 {status} So\r\nContent-Length: 0\r\n{headers}\r\n");
            }
        }
    };
    let _ = socket.write_all(answer.as_bytes()).and_then(|()| socket.flush());
}
