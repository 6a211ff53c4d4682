//! The methods of the HTTP API: one row for each, and the JSON of what they answer.

use super::body::{Body, Fields, bad};
use super::{answers, requests, schema};
use crate::api::{Command, Position, Reply};
use crate::config::Config;
use crate::error::{Error, ErrorCode};
use crate::limits::{Limit, Limits};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

/// A method of `POST /api/<name>`.
#[derive(Debug)]
pub struct Method {
    /// The name.
    pub name: &'static str,
    /// Summary in a few words, third person.
    pub summary: &'static str,
    /// Fields of its answer, and its effect, as the README's table has them.
    pub result: &'static str,
    /// The statuses that not all methods have, each with its meaning.
    pub failures: &'static [(u16, &'static str)],
    parse: fn(Body<'_>, &Config) -> Result<Command, Error>,
    request: fn(&Limits) -> Value,
    answer: fn() -> Value,
}

impl Method {
    /// Returns the schema of the request's body.
    #[must_use]
    pub fn request(&self, limits: &Limits) -> Value {
        (self.request)(limits)
    }

    /// Returns the schema of the whole answer to a call that succeeds.
    #[must_use]
    pub fn answer(&self) -> Value {
        (self.answer)()
    }
}

/// The failure of a call about a room whose name has a prefix that is no namespace.
const NO_NAMESPACE: (u16, &str) = (404, "There is no such namespace: 102.");

/// All methods, in the order in which they are documented.
pub static METHODS: &[Method] = &[
    Method {
        name: "publish",
        summary: "Publishes to a room",
        result: "`offset`, `epoch`: the position in the room's log; with `skip_history` the offset is 0, and where nobody is there and nothing is retained the epoch is empty too",
        failures: &[NO_NAMESPACE],
        parse: |mut body, config| {
            let command = Command::Publish { channel: body.room(config)?, message: body.message(config)? };
            body.finish(command)
        },
        request: |_| schema::publish(),
        answer: || schema::result(schema::reference("position")),
    },
    Method {
        name: "broadcast",
        summary: "Publishes to several rooms",
        result: "`responses`: a result or an error for each room",
        failures: &[],
        parse: requests::broadcast,
        request: schema::broadcast,
        answer: || schema::result(schema::broadcast_result()),
    },
    Method {
        name: "publish_user",
        summary: "Publishes to the personal room of a user",
        result: "as `publish`, in the user's personal room",
        failures: &[],
        parse: |mut body, config| {
            let command = Command::PublishUser { user: body.user(config)?, message: body.message(config)? };
            body.finish(command)
        },
        request: |_| schema::publish_user(),
        answer: || schema::result(schema::reference("position")),
    },
    Method {
        name: "publish_all",
        summary: "Sends a payload to every connection",
        result: "nothing; goes to every connection",
        failures: &[],
        parse: |mut body, config| {
            let data = body.data(config)?;
            body.finish(Command::PublishAll { data })
        },
        request: |_| schema::publish_all(),
        answer: schema::done,
    },
    Method {
        name: "send",
        summary: "Sends a payload to one connection",
        result: "nothing; goes to one connection",
        failures: &[(404, "There is no such connection: 102.")],
        parse: requests::send,
        request: |_| schema::send(),
        answer: schema::done,
    },
    Method {
        name: "batch",
        summary: "Makes several calls, one after the other",
        result: r#"`replies`, beside no `result`: one `{"<method>": …}` or `{"error": …}` for each of the `commands`, which are objects `{"<method>": {…}}` and are carried out one after the other"#,
        failures: &[],
        parse: batch,
        request: batch_schema,
        answer: schema::replies,
    },
    Method {
        name: "subscribe",
        summary: "Subscribes the connections of a user to a room",
        result: "nothing; puts the user's connections into a room, and with `recover_since` `{epoch, offset}` sends what they missed there",
        failures: &[(403, "The room is reserved: 103."), NO_NAMESPACE],
        parse: requests::subscribe,
        request: |_| schema::subscribe(),
        answer: schema::done,
    },
    Method {
        name: "unsubscribe",
        summary: "Unsubscribes the connections of a user from a room",
        result: "nothing; takes them out",
        failures: &[(403, "The room is reserved: 103."), NO_NAMESPACE],
        parse: |mut body, config| {
            let (user, client) = body.user_and_selection(config)?;
            let channel = body.client_room(config)?;
            body.finish(Command::Unsubscribe { user, client, channel })
        },
        request: |_| schema::unsubscribe(),
        answer: schema::done,
    },
    Method {
        name: "disconnect",
        summary: "Closes connections of a user",
        result: "nothing; needs `user` or `client`; `disconnect` is `{code, reason}` of the Close frame, `whitelist` the clients that stay",
        failures: &[],
        parse: requests::disconnect,
        request: |_| schema::disconnect(),
        answer: schema::done,
    },
    Method {
        name: "refresh",
        summary: "Changes the expiry of connections of a user",
        result: "nothing; the connections end at `expire_at`, in seconds since 1970, at once where `expired` is true, and not at all without either",
        failures: &[],
        parse: requests::refresh,
        request: |_| schema::refresh(),
        answer: schema::done,
    },
    Method {
        name: "revoke_token",
        summary: "Revokes a token by its id",
        result: "`expire_at`: until then a token with the `uid` as its claim `jti` is refused, and what was opened with it has ended; by default until the token's end where a connection has shown it, else for 30 days",
        failures: &[],
        parse: requests::revoke_token,
        request: schema::revoke_token,
        answer: || schema::result(schema::revoked()),
    },
    Method {
        name: "invalidate_user_tokens",
        summary: "Revokes the tokens of a user that were issued before some time",
        result: "`expire_at`: until then, by default for 30 days, tokens of the user are refused whose claim `iat` is below `issued_before`, by default the next whole second, or absent, and what was opened with them has ended",
        failures: &[],
        parse: requests::invalidate_user_tokens,
        request: |_| schema::invalidate_user_tokens(),
        answer: || schema::result(schema::revoked()),
    },
    Method {
        name: "revoked_tokens",
        summary: "Lists the revoked tokens",
        result: "`tokens`: by `jti`, with `expire_at`; `cursor`?",
        failures: &[],
        parse: |body, _| requests::keyed_page(body, |page| Command::RevokedTokens { page }),
        request: |_| schema::page(),
        answer: || schema::result(schema::paged_result("tokens", schema::revoked())),
    },
    Method {
        name: "invalidated_users",
        summary: "Lists the users whose tokens were invalidated",
        result: "`users`: by user, with `issued_before` and `expire_at`; `cursor`?",
        failures: &[],
        parse: |body, _| requests::keyed_page(body, |page| Command::InvalidatedUsers { page }),
        request: |_| schema::page(),
        answer: || schema::result(schema::paged_result("users", schema::invalidated_user())),
    },
    Method {
        name: "presence",
        summary: "Lists the members of a room",
        result: "`presence`: by client id, with `user` and what the tokens say",
        failures: &[NO_NAMESPACE],
        parse: |body, config| body.only_room(config, |channel| Command::Presence { channel }),
        request: |_| schema::in_room(),
        answer: || schema::result(schema::presence_result()),
    },
    Method {
        name: "presence_stats",
        summary: "Counts the members of a room",
        result: "`num_clients`, `num_users`",
        failures: &[NO_NAMESPACE],
        parse: |body, config| body.only_room(config, |channel| Command::PresenceStats { channel }),
        request: |_| schema::in_room(),
        answer: || schema::result(schema::count_fields(&["num_clients", "num_users"])),
    },
    Method {
        name: "history",
        summary: "Reads a part of a room's log",
        result: "`publications`, `offset`, `epoch`; without `limit` only the position; `since` is `{epoch, offset}`",
        failures: &[NO_NAMESPACE, (416, "The position is in another log: 112.")],
        parse: requests::history,
        request: |_| schema::history(),
        answer: || schema::result(schema::history_result()),
    },
    Method {
        name: "history_remove",
        summary: "Drops what a room's log retains",
        result: "nothing; the log forgets what it retains",
        failures: &[NO_NAMESPACE],
        parse: |body, config| body.only_room(config, |channel| Command::HistoryRemove { channel }),
        request: |_| schema::in_room(),
        answer: schema::done,
    },
    Method {
        name: "channels",
        summary: "Lists the rooms that have members",
        result: "`channels`: rooms that have members, with `num_clients`; `cursor`?; a `pattern` has `*` and `?`",
        failures: &[],
        parse: requests::channels,
        request: schema::channels,
        answer: || schema::result(schema::paged_result("channels", schema::count_fields(&["num_clients"]))),
    },
    Method {
        name: "connections",
        summary: "Lists the connections",
        result: "`connections`: by client id, with user and rooms; `cursor`?",
        failures: &[NO_NAMESPACE],
        parse: requests::connections,
        request: |_| schema::connections(),
        answer: || schema::result(schema::paged_result("connections", schema::connection())),
    },
    Method {
        name: "info",
        summary: "Returns the counts of the node",
        result: "`nodes`: name, version and counts",
        failures: &[],
        parse: |body, _| body.finish(Command::Info),
        request: |_| schema::nothing(),
        answer: || schema::result(schema::nodes()),
    },
    Method {
        name: "limits",
        summary: "Lists all limits",
        result: "`limits`: every limit with its value",
        failures: &[],
        parse: |body, _| body.finish(Command::Limits),
        request: |_| schema::nothing(),
        answer: || schema::result(schema::map_of("limits", schema::text_fields(&["value", "answer"]))),
    },
];

/// The method that no batch has.
const BATCH: &str = "batch";

/// Reads the body of `POST /api/<method>`.
///
/// # Errors
/// Returns 104 (method not found) for a method that is not in [`METHODS`]; 107 (bad request) for a body that is not a JSON
/// object and for a field that is missing, malformed or unknown; 106 (limit exceeded) for a payload over
/// `publication_bytes` and for a list over its limit; 103 (permission denied) for a reserved room where clients could
/// not join it; 102 (unknown) for a `send` to what is no public id.
pub fn parse(method: &str, body: &[u8], config: &Config) -> Result<Command, Error> {
    let Some(known) = METHODS.iter().find(|known| known.name == method) else {
        let known: Vec<&str> = METHODS.iter().map(|method| method.name).collect();
        let words = format!("unknown method {method:?}; the methods are {}", known.join(", "));
        return Err(Error::new(ErrorCode::MethodNotFound, words));
    };
    // A method without parameters may be called without a body.
    let body = if body.is_empty() { b"{}" } else { body };
    let body = core::str::from_utf8(body).map_err(|_| bad("the body is not UTF-8"))?;
    (known.parse)(Body::read(body)?, config)
}

/// Encodes the body of the answer: `{"result": …}` or `{"error": {"code", "message"}}`; for a batch `{"replies": […]}`.
#[must_use]
pub fn encode(result: &Result<Reply, Error>) -> String {
    let mut out = String::new();
    match result {
        Ok(batch @ Reply::Batch(_)) => push_reply(&mut out, batch),
        _ => push_outcome(&mut out, "result", result),
    }
    out
}

/// Returns the bytes of a reply as [`encode`] writes it, without the object around it. O(n) in the reply.
pub(crate) fn reply_bytes(reply: &Reply) -> usize {
    let mut out = String::new();
    push_reply(&mut out, reply);
    out.len()
}

fn push_reply(out: &mut String, reply: &Reply) {
    let value = match reply {
        Reply::Published(Position { epoch, offset }) => json!({ "offset": offset, "epoch": epoch }),
        Reply::Done => json!({}),
        Reply::PresenceStats { clients, users } => json!({ "num_clients": clients, "num_users": users }),
        Reply::Channels { rooms, next } => return answers::push_rooms(out, rooms, next.as_deref()),
        Reply::Connections { connections, next } => return answers::push_connections(out, connections, *next),
        Reply::Revoked { until } => json!({ "expire_at": until }),
        Reply::RevokedTokens { tokens, next } => return answers::push_revoked_tokens(out, tokens, next.as_deref()),
        Reply::InvalidatedUsers { users, next } => {
            return answers::push_invalidated_users(out, users, next.as_deref());
        }
        Reply::Limits(rows) => return answers::push_limits(out, rows),
        Reply::Info(info) => json!({ "nodes": [answers::info_value(info)] }),
        Reply::Presence(members) => return answers::push_presence(out, members),
        Reply::History { publications, position } => return answers::push_history(out, publications, position),
        Reply::Broadcast(responses) => {
            out.push_str("{\"responses\":");
            answers::push_list(out, responses, |out, response| push_outcome(out, "result", response));
            return out.push('}');
        }
        Reply::Batch(replies) => {
            out.push_str("{\"replies\":");
            answers::push_list(out, replies, |out, (method, reply)| push_outcome(out, method, reply));
            return out.push('}');
        }
    };
    out.push_str(&value.to_string());
}

fn push_outcome(out: &mut String, key: &str, outcome: &Result<Reply, Error>) {
    match outcome {
        Ok(reply) => {
            out.push_str("{\"");
            out.push_str(key);
            out.push_str("\":");
            push_reply(out, reply);
            out.push('}');
        }
        Err(error) => {
            let mut fields = json!({ "code": error.code.number(), "message": error.message });
            if let Some(limit) = error.limit {
                fields["limit"] = limit.name().into();
            }
            out.push_str(&json!({ "error": fields }).to_string());
        }
    }
}

fn batch(mut body: Body<'_>, config: &Config) -> Result<Command, Error> {
    let commands: Vec<Fields<&RawValue>> = body.list("commands", Limit::BatchCommands, config.limits.batch_commands)?;
    // The calls run one after the other, which is a valid order for `parallel` too.
    body.optional::<bool>("parallel")?;
    let commands = commands.iter().map(|command| batched(command, config)).collect::<Result<_, _>>()?;
    body.finish(Command::Batch(commands))
}

type Batched = (&'static str, Result<Command, Error>);

fn batched(command: &Fields<&RawValue>, config: &Config) -> Result<Batched, Error> {
    // Typed clients send `null` for the methods that are not called; a single method is called even with `null`
    // parameters.
    let is_null = |params: &RawValue| params.get() == "null";
    let mut named = command.0.iter().filter(|(_, params)| command.0.len() == 1 || !is_null(params));
    let (Some((method, params)), None) = (named.next(), named.next()) else {
        return Err(bad("commands: each entry must be an object with exactly one method"));
    };
    let params = if is_null(params) { "{}" } else { params.get() };
    let known = METHODS.iter().find(|known| known.name == method && known.name != BATCH);
    let known = known.ok_or_else(|| bad(format!("commands: {method:?} cannot be part of a batch")))?;
    Ok((known.name, Body::read(params).and_then(|body| (known.parse)(body, config))))
}

fn batch_schema(limits: &Limits) -> Value {
    let one = |method: &str| {
        let params = json!({
            "anyOf": [schema::reference(&format!("{method}_request")), {}],
            "description": "What is wrong with it is answered in its place.",
        });
        let mut command = schema::request(&[method], Map::from_iter([(method.into(), params)]).into());
        // The method's field is the only one, and may be null; or the only one that is not null.
        let is_meant = Map::from_iter([(method.into(), json!({"not": {"type": "null"}}))]);
        command["anyOf"] = json!([{"maxProperties": 1}, {"properties": is_meant}]);
        command
    };
    let methods = METHODS.iter().filter(|method| method.name != BATCH);
    let command = json!({"oneOf": methods.map(|method| one(method.name)).collect::<Vec<_>>()});
    let commands = schema::at_most(limits.batch_commands, command);
    schema::request(&["commands"], json!({"commands": commands, "parallel": schema::optional_boolean()}))
}
