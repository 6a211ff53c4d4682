//! What a server says of itself.

use super::answers::{bulk, seventeen_digits};
use parlor_core::redis::RespValue;

/// Which server is imagined: the two say some things differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavor {
    /// Redis 7.
    Redis,
    /// Valkey 9.
    Valkey,
}

/// A process of a server, and its place among others.
#[derive(Clone, Debug)]
pub struct ServerIdentity {
    /// Which server.
    pub flavor: Flavor,
    /// Its own version, which HELLO says.
    pub version: String,
    /// `redis_version` of INFO: the version of Redis that it stands for.
    pub redis_version: String,
    /// The name of the process, 40 hexadecimal digits: another one after each start.
    pub run_id: String,
    /// The name of the history before the last promotion: another one after each.
    pub master_replid2: String,
    /// Replicas say that they are.
    pub is_replica: bool,
}

impl ServerIdentity {
    /// The history, as a greeting has it from INFO.
    #[must_use]
    pub fn history(&self) -> String {
        format!("{} {}", self.run_id, self.master_replid2)
    }

    /// The lines of INFO, of these sections; all for none. Those that nobody reads are left out.
    #[must_use]
    pub fn info(&self, sections: &[&[u8]], now_us: u64) -> String {
        let wants =
            |name: &str| sections.is_empty() || sections.iter().any(|one| one.eq_ignore_ascii_case(name.as_bytes()));
        let mut text = String::new();
        if wants("server") {
            let Self { redis_version, run_id, .. } = self;
            text += &format!(
                "# Server\r\nredis_version:{redis_version}\r\nrun_id:{run_id}\r\nserver_time_usec:{now_us}\r\n"
            );
        }
        if wants("replication") {
            let separator = if text.is_empty() { "" } else { "\r\n" };
            let (role, replid2) = (self.role(), &self.master_replid2);
            text += &format!("{separator}# Replication\r\nrole:{role}\r\nmaster_replid2:{replid2}\r\n");
        }
        text
    }

    /// The role in INFO. HELLO says `replica` for `slave`.
    fn role(&self) -> &'static str {
        if self.is_replica { "slave" } else { "master" }
    }

    /// The reply to HELLO 3.
    #[must_use]
    pub fn hello(&self, connection: usize) -> RespValue {
        let name = if self.flavor == Flavor::Redis { "redis" } else { "valkey" };
        let id = i64::try_from(connection).expect("a number of connections");
        let fields = [
            ("server", bulk(name)),
            ("version", bulk(&self.version)),
            ("proto", RespValue::Integer(3)),
            ("id", RespValue::Integer(id)),
            ("mode", bulk("standalone")),
            ("role", bulk(if self.is_replica { "replica" } else { "master" })),
            ("modules", RespValue::Array(Vec::new())),
        ];
        RespValue::Map(fields.into_iter().map(|(field, value)| (bulk(field), value)).collect())
    }

    /// The words behind an error of a script.
    #[must_use]
    pub fn script_place(&self, sha: &str, line: usize) -> String {
        match self.flavor {
            Flavor::Redis => format!(" script: {sha}, on @user_script:{line}."),
            Flavor::Valkey => format!(" script: on @user_script:{line}."),
        }
    }

    /// The error about a SHA-1 that names no script.
    #[must_use]
    pub fn no_script(&self) -> String {
        let hint = if self.flavor == Flavor::Redis { " Please use EVAL." } else { "" };
        format!("NOSCRIPT No matching script.{hint}")
    }

    /// The error that a script raises with a command that there is not.
    #[must_use]
    pub fn unknown_in_script(&self) -> String {
        format!("ERR Unknown {}command called from script", self.of_redis())
    }

    /// The error that a script raises with a command of too many words, or too few.
    #[must_use]
    pub fn wrong_number_in_script(&self) -> String {
        format!("ERR Wrong number of args calling {}command from script", self.of_redis())
    }

    /// What becomes of a number that a script gives a command: Valkey writes the shortest that reads as the same.
    #[must_use]
    pub fn script_number(&self, number: f64) -> String {
        match self.flavor {
            Flavor::Valkey if number.abs() < 1e17 => number.to_string(),
            _ => seventeen_digits(number),
        }
    }

    /// The error that a script raises with a command that has something else in it than strings and numbers.
    #[must_use]
    pub fn wrong_words_in_script(&self) -> &'static str {
        match self.flavor {
            Flavor::Redis => "ERR Lua redis lib command arguments must be strings or integers",
            Flavor::Valkey => "ERR Command arguments must be strings or integers",
        }
    }

    /// The word that Valkey leaves out.
    fn of_redis(&self) -> &'static str {
        if self.flavor == Flavor::Redis { "Redis " } else { "" }
    }
}
