//! The server: connections, the commands that are no scripts' to call, and the order of what each connection is sent.

use super::answers::{Answer, NO_INTEGER, bulk, count, integer, simple, wrong_number};
use super::channels::ChannelKind;
use super::dataset::Dataset;
use super::identity::{Flavor, ServerIdentity};
use super::mistakes::ModelMistake;
use super::requests::RequestParser;
use super::scripting::ScriptEngine;
use super::state::ServerState;
use super::wire;
use parlor_core::redis::RespValue;

/// A server in memory. Its connections speak RESP3 from the beginning.
#[derive(Debug)]
pub struct RedisServer {
    state: ServerState,
    scripts: ScriptEngine,
    inputs: Vec<RequestParser>,
}

impl RedisServer {
    /// A server that has just been started.
    #[must_use]
    pub fn new(identity: ServerIdentity, mistake: Option<ModelMistake>) -> Self {
        let mut data = Dataset::default();
        data.keeps_expired = mistake == Some(ModelMistake::ExpiryForgotten);
        let state = ServerState {
            identity,
            data,
            channels: super::channels::Subscriptions::default(),
            outputs: Vec::new(),
            own_messages_wait: None,
            waiting: Vec::new(),
            mistake,
        };
        Self { state, scripts: ScriptEngine::default(), inputs: Vec::new() }
    }

    /// A new connection: its number.
    pub fn connect(&mut self) -> usize {
        self.inputs.push(RequestParser::default());
        self.state.outputs.push(Vec::new());
        self.inputs.len() - 1
    }

    /// Sets the clock, in milliseconds since 1970.
    pub fn set_clock(&mut self, now_ms: u64) {
        self.state.data.now_ms = now_ms;
    }

    /// What it says of itself.
    #[must_use]
    pub fn identity(&self) -> &ServerIdentity {
        &self.state.identity
    }

    /// What it holds.
    pub fn data(&mut self) -> &mut Dataset {
        &mut self.state.data
    }

    /// Takes bytes of a connection in, and carries out every command that is whole.
    pub fn receive(&mut self, connection: usize, bytes: &[u8]) {
        for command in self.inputs[connection].feed(bytes) {
            let words: Vec<&[u8]> = command.iter().map(Vec::as_slice).collect();
            self.carry_out(connection, &words);
        }
    }

    /// Takes out what was sent to a connection.
    pub fn sent(&mut self, connection: usize) -> Vec<u8> {
        std::mem::take(&mut self.state.outputs[connection])
    }

    /// Carries out a command. A subscription is answered by a push alone.
    fn carry_out(&mut self, connection: usize, words: &[&[u8]]) {
        let waits = self.state.identity.flavor == Flavor::Valkey;
        let waits = waits != (self.state.mistake == Some(ModelMistake::OwnMessageMisplaced));
        self.state.own_messages_wait = waits.then_some(connection);
        let answers = match self.subscription(connection, words) {
            Some(pushes) => pushes,
            None => vec![self.answer(connection, words).unwrap_or_else(|error| RespValue::Error(error.into()))],
        };
        let output = &mut self.state.outputs[connection];
        answers.iter().for_each(|value| wire::encode(value, output));
        output.append(&mut self.state.waiting);
    }

    fn subscription(&mut self, connection: usize, words: &[&[u8]]) -> Option<Vec<RespValue>> {
        let (name, names) = words.split_first()?;
        let channels = &mut self.state.channels;
        let name = name.to_ascii_uppercase();
        let is_sharded = name.starts_with(b"SS") || name.starts_with(b"SUN");
        let kind = if is_sharded { ChannelKind::Sharded } else { ChannelKind::Plain };
        Some(match name.as_slice() {
            b"SUBSCRIBE" | b"SSUBSCRIBE" if !names.is_empty() => {
                names.iter().map(|channel| channels.subscribe(connection, kind, channel)).collect()
            }
            b"UNSUBSCRIBE" | b"SUNSUBSCRIBE" if names.is_empty() => channels.unsubscribe_all(connection, kind),
            b"UNSUBSCRIBE" | b"SUNSUBSCRIBE" => {
                names.iter().map(|channel| channels.unsubscribe(connection, kind, channel)).collect()
            }
            _ => return None,
        })
    }

    fn answer(&mut self, connection: usize, words: &[&[u8]]) -> Answer {
        let (name, arguments) = words.split_first().expect("no command is empty");
        match (name.to_ascii_uppercase().as_slice(), arguments) {
            (b"PING", arguments) => ping(arguments),
            (b"HELLO", [version, ..]) if **version == *b"3" => Ok(self.state.identity.hello(connection)),
            (b"CLIENT", [what, _])
                if what.eq_ignore_ascii_case(b"SETNAME") || what.eq_ignore_ascii_case(b"NO-EVICT") =>
            {
                Ok(simple("OK"))
            }
            (b"SCRIPT", [what, rest @ ..]) => self.script(what, rest),
            (b"EVALSHA", [sha, number, rest @ ..]) => {
                let (keys, arguments) = keys_and_arguments(number, rest)?;
                self.scripts.run(&mut self.state, sha, keys, arguments)
            }
            (b"EVAL", [text, number, rest @ ..]) => {
                let (keys, arguments) = keys_and_arguments(number, rest)?;
                let sha = self.scripts.load(text)?;
                self.scripts.run(&mut self.state, sha.as_bytes(), keys, arguments)
            }
            (b"EVAL" | b"EVALSHA" | b"SUBSCRIBE" | b"SSUBSCRIBE", _) => {
                Err(wrong_number(&String::from_utf8_lossy(name)))
            }
            _ => self.state.run(words).unwrap_or_else(|| Err(unknown(name))),
        }
    }

    fn script(&mut self, what: &[u8], words: &[&[u8]]) -> Answer {
        match (what.to_ascii_uppercase().as_slice(), words) {
            (b"LOAD", [text]) => self.scripts.load(text).map(bulk),
            (b"EXISTS", [_, ..]) => {
                Ok(RespValue::Array(words.iter().map(|sha| count(usize::from(self.scripts.knows(sha)))).collect()))
            }
            (b"FLUSH", _) => {
                self.scripts.flush();
                Ok(simple("OK"))
            }
            (what, _) => Err(wrong_number(&format!("script|{}", String::from_utf8_lossy(what)))),
        }
    }
}

fn ping(words: &[&[u8]]) -> Answer {
    match words {
        [] => Ok(simple("PONG")),
        [text] => Ok(bulk(text)),
        _ => Err(wrong_number("ping")),
    }
}

fn unknown(name: &[u8]) -> String {
    format!("ERR unknown command '{}'", String::from_utf8_lossy(name))
}

type Words<'a> = &'a [&'a [u8]];

fn keys_and_arguments<'a>(number: &[u8], words: Words<'a>) -> Result<(Words<'a>, Words<'a>), String> {
    let number = integer(number).map_err(|_| NO_INTEGER)?;
    let number = usize::try_from(number).map_err(|_| "ERR Number of keys can't be negative")?;
    words.split_at_checked(number).ok_or_else(|| "ERR Number of keys can't be greater than number of args".into())
}
