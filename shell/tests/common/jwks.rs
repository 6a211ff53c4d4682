//! The server of a JWKS, which answers as its test wants it to, and keys to sign tokens with.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A pair of keys with a name.
pub struct Key {
    pub kid: String,
    pair: Ed25519KeyPair,
}

impl Key {
    pub fn new(kid: &str) -> Self {
        Self { kid: kid.into(), pair: Ed25519KeyPair::generate().unwrap() }
    }

    /// The public key, as a set has it.
    pub fn x(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.pair.public_key())
    }

    pub fn jwk(&self) -> Value {
        json!({"kty": "OKP", "crv": "Ed25519", "kid": self.kid, "use": "sig", "alg": "EdDSA", "x": self.x()})
    }

    /// A token that names the key.
    pub fn token(&self, claims: &Value) -> String {
        self.sign(Some(&self.kid), claims)
    }

    pub fn sign(&self, kid: Option<&str>, claims: &Value) -> String {
        let header = Header { kid: kid.map(String::from), ..Header::new(Algorithm::EdDSA) };
        let key = EncodingKey::from_ed_der(self.pair.to_pkcs8v1().unwrap().as_ref());
        jsonwebtoken::encode(&header, claims, &key).unwrap()
    }
}

/// A set of these keys.
pub fn set(keys: &[&Key]) -> String {
    json!({"keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>()}).to_string()
}

/// What the server does next.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Answers 200 with this body.
    Body(String),
    /// Answers with this status and more headers.
    Status(u16, String),
    /// Says nothing until it may say something else.
    Silence,
}

/// A server on a port of its own.
pub struct Endpoint {
    pub address: SocketAddr,
    reply: Arc<Mutex<Reply>>,
    paths: Arc<Mutex<Vec<String>>>,
}

impl Endpoint {
    pub fn new(reply: Reply) -> Self {
        Self::with_tls(reply, None)
    }

    pub fn with_tls(reply: Reply, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (reply, paths) = (Arc::new(Mutex::new(reply)), Arc::new(Mutex::new(Vec::new())));
        let shared = (reply.clone(), paths.clone());
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
        Self { address, reply, paths }
    }

    pub fn url(&self) -> String {
        format!("http://{}/jwks.json", self.address)
    }

    pub fn replies(&self, reply: Reply) {
        *self.reply.lock().unwrap() = reply;
    }

    pub fn serves(&self, keys: &[&Key]) {
        self.replies(Reply::Body(set(keys)));
    }

    /// The paths that it was asked for.
    pub fn paths(&self) -> Vec<String> {
        self.paths.lock().unwrap().clone()
    }

    pub fn requests(&self) -> usize {
        self.paths().len()
    }
}

/// Answers one request. A client that does not trust the certificate, or has gone, is nothing to this side.
fn serve(mut socket: impl Read + Write, reply: &Mutex<Reply>, paths: &Mutex<Vec<String>>) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        if !matches!(socket.read(&mut byte), Ok(1)) {
            return;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    paths.lock().unwrap().push(head.split(' ').nth(1).unwrap().into());
    let answer = loop {
        let reply = reply.lock().unwrap().clone();
        match reply {
            Reply::Silence => thread::sleep(Duration::from_millis(5)),
            Reply::Body(body) => break format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
            Reply::Status(status, headers) => {
                break format!("HTTP/1.1 {status} So\r\nContent-Length: 0\r\n{headers}\r\n");
            }
        }
    };
    let _ = socket.write_all(answer.as_bytes()).and_then(|()| socket.flush());
}
