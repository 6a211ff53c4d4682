//! A server with two connections, as the comparison uses one.

use crate::redis::identity::ServerIdentity;
use crate::redis::mistakes::ModelMistake;
use crate::redis::server::RedisServer;
use parlor_core::redis::{RespDecoder, RespLimits, RespValue, encode_command};

/// A command: its words.
pub type Words = Vec<Vec<u8>>;

/// A server that is asked over two connections.
pub trait ComparedServer {
    /// Sends commands over one of the connections in one piece, and returns all that comes over it up to the reply to a PING
    /// behind them.
    ///
    /// # Errors
    /// If the connection ends, or what comes is no RESP3.
    fn exchange(&mut self, connection: usize, commands: &[Words]) -> Result<Vec<RespValue>, String>;
    /// Its clock, in milliseconds since 1970.
    fn clock(&mut self) -> u64;
    /// Lets some milliseconds pass: what expires within one is gone.
    fn pause(&mut self);
}

/// What is sent for these commands, and what the last reply is.
#[must_use]
pub fn with_ping(commands: &[Words]) -> (Vec<u8>, RespValue) {
    let mut bytes = Vec::new();
    commands.iter().for_each(|command| encode_command(command, &mut bytes));
    let token = "what comes before this is all there is";
    encode_command(&["PING", token], &mut bytes);
    (bytes, RespValue::Bulk(token.into()))
}

/// A decoder for what a server sends in a comparison.
#[must_use]
pub fn decoder() -> RespDecoder {
    RespDecoder::new(RespLimits { bytes: 1 << 20, depth: 16 })
}

/// The model, with a clock of its own.
#[derive(Debug)]
pub struct ModelEndpoint {
    server: RedisServer,
    now_ms: u64,
}

impl ModelEndpoint {
    /// A model with two connections.
    #[must_use]
    pub fn new(identity: ServerIdentity, mistake: Option<ModelMistake>) -> Self {
        let mut server = RedisServer::new(identity, mistake);
        for _ in 0..2 {
            server.connect();
        }
        Self { server, now_ms: 1_795_914_000_000 }
    }
}

impl ComparedServer for ModelEndpoint {
    fn exchange(&mut self, connection: usize, commands: &[Words]) -> Result<Vec<RespValue>, String> {
        let (bytes, end) = with_ping(commands);
        self.server.set_clock(self.now_ms);
        self.server.receive(connection, &bytes);
        let mut decoder = decoder();
        decoder.feed(&self.server.sent(connection));
        let mut values = Vec::new();
        while let Some(value) = decoder.next_value().map_err(|error| error.to_string())? {
            values.push(value);
        }
        let last = values.pop();
        if last == Some(end) { Ok(values) } else { Err(format!("{last:?} comes last")) }
    }

    fn clock(&mut self) -> u64 {
        self.now_ms
    }

    fn pause(&mut self) {
        self.now_ms += 5;
    }
}
