//! One sequence, and many.

use super::data::MEMBERS;
use super::draw::Draw;
use super::endpoint::{ComparedServer, Words, decoder, with_ping};
use super::judge::{difference, is_subscription};
use super::names::KeyNames;
use super::sequence::next;
use crate::redis::identity::ServerIdentity;
use crate::redis::mistakes::ModelMistake;
use crate::redis::server::RedisServer;
use crate::rng::Rng;
use parlor_core::redis::RespValue;
use parlor_core::redis::scripts::SCRIPTS;
use std::collections::BTreeMap;
use std::fmt;

/// What the model and a server did differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// The sequence.
    pub seed: u64,
    /// All commands up to the difference, each with the number of its connection.
    pub commands: Vec<(usize, Words)>,
    /// What the model sent at the place of the difference; None if nothing.
    pub model: Option<RespValue>,
    /// What the server sent there.
    pub server: Option<RespValue>,
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "sequence {}:", self.seed)?;
        for (connection, words) in &self.commands {
            let words: Vec<String> = words.iter().map(|word| word.escape_ascii().to_string()).collect();
            writeln!(f, "  {connection}> {}", words.join(" | "))?;
        }
        let shown = |value: &Option<RespValue>| value.as_ref().map_or("nothing".into(), |value| format!("{value:?}"));
        writeln!(f, "the model sends  {}", shown(&self.model))?;
        write!(f, "the server sends {}", shown(&self.server))
    }
}

/// How a comparison ends that does not come to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Something was different.
    Different(Box<Divergence>),
    /// The server could not be asked.
    Failed(String),
}

impl From<String> for Stopped {
    fn from(error: String) -> Self {
        Self::Failed(error)
    }
}

/// What was compared.
#[derive(Clone, Debug, Default)]
pub struct Compared {
    /// Commands.
    pub commands: u64,
    /// Pushes.
    pub pushes: u64,
    /// By the name of a script, its calls that were answered by no error, and those that were.
    pub calls: BTreeMap<&'static str, (u64, u64)>,
}

/// A model beside a server.
#[derive(Debug)]
pub struct Comparison<'a, E> {
    model: RedisServer,
    server: &'a mut E,
    shas: BTreeMap<&'static str, String>,
    /// What has been compared so far.
    pub compared: Compared,
}

impl<'a, E: ComparedServer> Comparison<'a, E> {
    /// Loads the scripts into both.
    ///
    /// # Errors
    /// If they are answered differently.
    pub fn begin(identity: ServerIdentity, server: &'a mut E, mistake: Option<ModelMistake>) -> Result<Self, Stopped> {
        let history = identity.history();
        let mut model = RedisServer::new(identity, mistake);
        for _ in 0..2 {
            model.connect();
        }
        let mut comparison = Self { model, server, shas: BTreeMap::new(), compared: Compared::default() };
        for script in SCRIPTS {
            let load: Words = vec!["SCRIPT".into(), "LOAD".into(), script.text(&history).into()];
            let log = &mut SequenceLog { seed: 0, commands: Vec::new() };
            let replies = comparison.burst(log, 0, vec![load])?;
            let [RespValue::Bulk(sha)] = &replies[..] else {
                return Err(format!("{} is no script: {replies:?}", script.name).into());
            };
            comparison.shas.insert(script.name, String::from_utf8_lossy(sha).into_owned());
        }
        Ok(comparison)
    }

    /// Compares one sequence.
    ///
    /// # Errors
    /// If something is different, or the server cannot be asked.
    pub fn sequence(&mut self, seed: u64) -> Result<(), Stopped> {
        let mut rng = Rng::stream(seed, "redis");
        let names = KeyNames::of(seed);
        let mut log = SequenceLog { seed, commands: Vec::new() };
        let mut has_begun = [false; 2];
        // A comparison that was stopped has left something.
        self.clean_up(&names)?;
        for _ in 0..rng.between(3, 8) {
            let connection = usize::from(rng.chance(40));
            let (mut sent, mut called, mut expires_soon) = (Vec::new(), Vec::new(), false);
            self.model.set_clock(self.server.clock());
            for _ in 0..rng.between(1, 6) {
                let is_first = !std::mem::replace(&mut has_begun[connection], true);
                let mut draw = Draw { rng: &mut rng, model: &mut self.model };
                let command = next(&mut draw, &names, &self.shas, connection, is_first);
                // The model is asked at once: what comes next follows from what it holds.
                self.model.receive(connection, &with_ping(std::slice::from_ref(&command.words)).0);
                called.push(command.script);
                sent.push(command.words);
                if command.expires_soon {
                    expires_soon = true;
                    break;
                }
            }
            self.count(&sent, &called, connection, &mut log)?;
            if expires_soon {
                self.server.pause();
            }
        }
        self.compare_keys(&names, &mut log)?;
        self.clean_up(&names)
    }

    /// Compares what the model has already sent for these commands, and counts it.
    fn count(
        &mut self,
        sent: &[Words],
        called: &[Option<&'static str>],
        connection: usize,
        log: &mut SequenceLog,
    ) -> Result<(), Stopped> {
        let replies = self.compare(log, connection, sent)?;
        let is_reply = |value: &&RespValue| !matches!(value, RespValue::Push(_));
        self.compared.commands += sent.len() as u64;
        self.compared.pushes += (replies.len() - replies.iter().filter(is_reply).count()) as u64;
        let replied = sent.iter().zip(called).filter(|(words, _)| !is_subscription(&words[0]));
        for ((_, script), reply) in replied.zip(replies.iter().filter(is_reply)) {
            if let Some(script) = script {
                let (good, bad) = self.compared.calls.entry(script).or_default();
                *if matches!(reply, RespValue::Error(_)) { bad } else { good } += 1;
            }
        }
        Ok(())
    }

    /// Carries commands out on both.
    fn burst(
        &mut self,
        log: &mut SequenceLog,
        connection: usize,
        commands: Vec<Words>,
    ) -> Result<Vec<RespValue>, Stopped> {
        self.model.set_clock(self.server.clock());
        for command in &commands {
            self.model.receive(connection, &with_ping(std::slice::from_ref(command)).0);
        }
        self.compare(log, connection, &commands)
    }

    /// Carries commands out on the server, and compares what it sends with what the model has sent for them.
    fn compare(
        &mut self,
        log: &mut SequenceLog,
        connection: usize,
        commands: &[Words],
    ) -> Result<Vec<RespValue>, Stopped> {
        log.commands.extend(commands.iter().map(|words| (connection, words.clone())));
        let (_, ping) = with_ping(&[]);
        let mut decoder = decoder();
        decoder.feed(&self.model.sent(connection));
        let mut model = Vec::new();
        while let Some(value) = decoder.next_value().map_err(|error| format!("the model: {error}"))? {
            if value != ping {
                model.push(value);
            }
        }
        let server = self.server.exchange(connection, commands)?;
        match difference(commands, &model, &server, self.server.clock()) {
            None => Ok(model),
            Some((model, server)) => Err(Stopped::Different(Box::new(Divergence {
                seed: log.seed,
                commands: log.commands.clone(),
                model,
                server,
            }))),
        }
    }

    /// Compares the type, the expiry and the content of each key.
    fn compare_keys(&mut self, names: &KeyNames, log: &mut SequenceLog) -> Result<(), Stopped> {
        let mut commands: Vec<Words> = Vec::new();
        for key in names.all() {
            let mut ask = |words: &[&str]| commands.push(words.iter().map(|word| word.as_bytes().to_vec()).collect());
            ask(&["TYPE", &key]);
            self.model.set_clock(self.server.clock());
            match self.model.data().type_of(key.as_bytes()) {
                "none" => continue,
                "string" => ask(&["GET", &key]),
                "hash" => ask(&["HGETALL", &key]),
                "set" => ask(&["SMEMBERS", &key]),
                // Two times of the clock may be in either order: members are asked for one by one.
                "zset" => {
                    ask(&["ZCARD", &key]);
                    MEMBERS.iter().for_each(|member| ask(&["ZSCORE", &key, member]));
                }
                _ => ask(&["XRANGE", &key, "-", "+"]),
            }
            ask(&["PTTL", &key]);
        }
        // Pushes that still wait for the other connection are compared with it.
        self.burst(log, 1, Vec::new())?;
        self.burst(log, 0, commands)?;
        Ok(())
    }

    /// Leaves nothing of a sequence behind. What is replied is not compared: a server ends subscriptions in any order.
    fn clean_up(&mut self, names: &KeyNames) -> Result<(), Stopped> {
        let word = |text: &str| text.as_bytes().to_vec();
        let mut delete = vec![word("DEL")];
        delete.extend(names.all().into_iter().map(String::into_bytes));
        let commands = [delete, vec![word("UNSUBSCRIBE")], vec![word("SUNSUBSCRIBE")]];
        for connection in 0..2 {
            self.model.receive(connection, &with_ping(&commands).0);
            self.model.sent(connection);
            self.server.exchange(connection, &commands)?;
        }
        self.model.data().clear();
        Ok(())
    }
}

/// The commands of a sequence so far.
struct SequenceLog {
    seed: u64,
    commands: Vec<(usize, Words)>,
}
