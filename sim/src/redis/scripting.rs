//! Scripts: loaded by their text, known by its SHA-1, and run by a real Lua 5.1 with what Redis makes of values on the way.

use super::answers::Answer;
use super::commands;
use super::identity::ServerIdentity;
use super::mistakes::ModelMistake;
use super::state::ServerState;
use mlua::{Function, Lua, LuaOptions, MultiValue, StdLib, Table, Value};
use parlor_core::redis::RespValue;
use sha1::{Digest, Sha1};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;

/// The Lua of a server, and the scripts that it knows.
pub struct ScriptEngine {
    lua: Lua,
    scripts: BTreeMap<String, Function>,
}

impl fmt::Debug for ScriptEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.scripts.keys()).finish()
    }
}

/// An error that `redis.call` raises: the text, without what is said of the script.
#[derive(Debug)]
struct RaisedError {
    text: String,
    line: usize,
}

impl fmt::Display for RaisedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for RaisedError {}

impl Default for ScriptEngine {
    fn default() -> Self {
        let lua = Lua::new_with(StdLib::TABLE | StdLib::STRING | StdLib::MATH, LuaOptions::default());
        let lua = lua.expect("safe libraries");
        let redis = lua.create_table().expect("memory for a table");
        let single = |lua: &Lua, field: &'static str, text: mlua::LuaString| -> mlua::Result<Table> {
            let table = lua.create_table()?;
            table.set(field, text)?;
            Ok(table)
        };
        let error = lua.create_function(move |lua, text: mlua::LuaString| {
            let text = lua.create_string(error_text(&text.as_bytes()))?;
            single(lua, "err", text)
        });
        let status = lua.create_function(move |lua, text| single(lua, "ok", text));
        redis.set("error_reply", error.expect("a function")).expect("a field");
        redis.set("status_reply", status.expect("a function")).expect("a field");
        lua.globals().set("redis", redis).expect("a global");
        Self { lua, scripts: BTreeMap::new() }
    }
}

/// What `redis.error_reply` makes of a text: an error without a code has the code ERR.
fn error_text(text: &[u8]) -> Vec<u8> {
    let text = text.strip_prefix(b"-").unwrap_or(text);
    if text.contains(&b' ') { text.to_vec() } else { [b"ERR ", text].concat() }
}

impl ScriptEngine {
    /// Loads a script, and returns its SHA-1.
    ///
    /// # Errors
    /// If it is no Lua.
    pub fn load(&mut self, text: &[u8]) -> Result<String, String> {
        let sha: String = Sha1::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
        if !self.scripts.contains_key(&sha) {
            let function = self.lua.load(text).set_name("@user_script").into_function();
            let function = function.map_err(|error| {
                let text = first_line(&error);
                format!("ERR Error compiling script (new function): {text}")
            })?;
            self.scripts.insert(sha.clone(), function);
        }
        Ok(sha)
    }

    /// Whether there is a script with this SHA-1.
    #[must_use]
    pub fn knows(&self, sha: &[u8]) -> bool {
        std::str::from_utf8(sha).is_ok_and(|sha| self.scripts.contains_key(&sha.to_ascii_lowercase()))
    }

    /// Forgets all scripts.
    pub fn flush(&mut self) {
        self.scripts.clear();
    }

    /// Runs a script.
    ///
    /// # Errors
    /// If there is none with this SHA-1, or it raises an error.
    pub fn run(&self, state: &mut ServerState, sha: &[u8], keys: &[&[u8]], arguments: &[&[u8]]) -> Answer {
        let sha = String::from_utf8_lossy(sha).to_ascii_lowercase();
        let Some(script) = self.scripts.get(&sha) else { return Err(state.identity.no_script()) };
        let identity = state.identity.clone();
        let raised = |error: &mlua::Error| raised_text(error, &identity, &sha);
        let state = RefCell::new(state);
        let result = self.lua.scope(|scope| {
            let call = scope.create_function(|lua, words| called(lua, &mut state.borrow_mut(), words))?;
            let pcall = scope.create_function(|lua, words| {
                called(lua, &mut state.borrow_mut(), words).or_else(|error| caught(lua, &error))
            })?;
            let globals = self.lua.globals();
            let redis: Table = globals.get("redis")?;
            redis.set("call", call)?;
            redis.set("pcall", pcall)?;
            globals.set("KEYS", self.lua.create_sequence_from(strings(&self.lua, keys)?)?)?;
            globals.set("ARGV", self.lua.create_sequence_from(strings(&self.lua, arguments)?)?)?;
            script.call::<Value>(())
        });
        match result {
            Ok(value) => reply(&value).map_err(|error| raised(&error)),
            Err(error) => Err(raised(&error)),
        }
    }
}

fn strings(lua: &Lua, words: &[&[u8]]) -> mlua::Result<Vec<mlua::LuaString>> {
    words.iter().map(|word| lua.create_string(word)).collect()
}

/// `redis.call`: what it returns, or the error that it raises.
fn called(lua: &Lua, state: &mut ServerState, words: MultiValue) -> mlua::Result<Value> {
    // The script's own line: level 0 is this function.
    let line = lua.inspect_stack(1, |frame| frame.current_line()).flatten().unwrap_or(0);
    let raise = |text: String| mlua::Error::external(RaisedError { text, line });
    let words: Option<Vec<Vec<u8>>> = words.iter().map(|word| argument(word, &state.identity)).collect();
    let words = words.ok_or_else(|| raise(state.identity.wrong_words_in_script().into()))?;
    let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    if commands::has_wrong_number(&words) {
        return Err(raise(state.identity.wrong_number_in_script()));
    }
    match state.run(&words) {
        None => Err(raise(state.identity.unknown_in_script())),
        Some(Err(text)) => Err(raise(text)),
        Some(Ok(value)) => to_lua(lua, &value, state.mistake),
    }
}

/// `redis.pcall`: an error as a table.
fn caught(lua: &Lua, error: &mlua::Error) -> mlua::Result<Value> {
    let table = lua.create_table()?;
    let text = error.downcast_ref::<RaisedError>().map_or_else(|| error.to_string(), |raised| raised.text.clone());
    table.set("err", lua.create_string(text)?)?;
    Ok(Value::Table(table))
}

/// A word of a command: a string or a number.
fn argument(value: &Value, identity: &ServerIdentity) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.as_bytes().to_vec()),
        Value::Integer(number) => Some(number.to_string().into_bytes()),
        Value::Number(number) => Some(identity.script_number(*number).into_bytes()),
        _ => None,
    }
}

/// What a script sees of a command's answer: scripts speak RESP2 with the server.
fn to_lua(lua: &Lua, value: &RespValue, mistake: Option<ModelMistake>) -> mlua::Result<Value> {
    let table_of = |values: &[RespValue]| -> mlua::Result<Value> {
        let table = lua.create_table()?;
        for (at, value) in values.iter().enumerate() {
            table.raw_set(at + 1, to_lua(lua, value, mistake)?)?;
        }
        Ok(Value::Table(table))
    };
    Ok(match value {
        RespValue::Null if mistake == Some(ModelMistake::NullAsNil) => Value::Nil,
        RespValue::Null => Value::Boolean(false),
        #[expect(clippy::cast_precision_loss, reason = "numbers of Lua 5.1 are doubles")]
        RespValue::Integer(number) => Value::Number(*number as f64),
        RespValue::Boolean(value) => Value::Number(f64::from(u8::from(*value))),
        RespValue::Bulk(bytes) | RespValue::Double(bytes) => Value::String(lua.create_string(bytes)?),
        RespValue::Verbatim(bytes) => Value::String(lua.create_string(&bytes[4..])?),
        RespValue::Simple(text) | RespValue::Error(text) => {
            let table = lua.create_table()?;
            let field = if matches!(value, RespValue::Simple(_)) { "ok" } else { "err" };
            table.set(field, lua.create_string(text)?)?;
            Value::Table(table)
        }
        RespValue::Array(values) if values.iter().any(is_scored) => {
            let flat = values.iter().flat_map(|pair| if let RespValue::Array(pair) = pair { &pair[..] } else { &[] });
            table_of(&flat.cloned().collect::<Vec<_>>())?
        }
        RespValue::Array(values) | RespValue::Set(values) | RespValue::Push(values) => table_of(values)?,
        RespValue::Map(pairs) => {
            let flat: Vec<RespValue> = pairs.iter().flat_map(|(key, value)| [key.clone(), value.clone()]).collect();
            table_of(&flat)?
        }
    })
}

/// Whether this is a member with its score, which only RESP3 has in an array of its own.
fn is_scored(value: &RespValue) -> bool {
    matches!(value, RespValue::Array(pair) if matches!(pair[..], [_, RespValue::Double(_)]))
}

/// What a client sees of a script's result: numbers lose their fractions, an array ends with its first nil.
fn reply(value: &Value) -> mlua::Result<RespValue> {
    Ok(match value {
        Value::String(text) => RespValue::Bulk(text.as_bytes().to_vec()),
        Value::Integer(number) => RespValue::Integer(*number),
        #[expect(clippy::cast_possible_truncation, reason = "so does Redis")]
        Value::Number(number) => RespValue::Integer(*number as i64),
        Value::Boolean(true) => RespValue::Integer(1),
        Value::Table(table) => {
            if let Value::String(text) = table.raw_get("err")? {
                return Ok(RespValue::Error(one_line(&text.as_bytes())));
            }
            if let Value::String(text) = table.raw_get("ok")? {
                return Ok(RespValue::Simple(one_line(&text.as_bytes())));
            }
            let mut values = Vec::new();
            loop {
                match table.raw_get(values.len() + 1)? {
                    Value::Nil => break RespValue::Array(values),
                    value => values.push(reply(&value)?),
                }
            }
        }
        _ => RespValue::Null,
    })
}

fn one_line(text: &[u8]) -> Vec<u8> {
    text.iter().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte }).collect()
}

/// The text of an error that a script raised, as it is replied.
fn raised_text(error: &mlua::Error, identity: &ServerIdentity, sha: &str) -> String {
    if let Some(RaisedError { text, line }) = error.downcast_ref() {
        return format!("{text}{}", identity.script_place(sha, *line));
    }
    let text = first_line(error);
    let line = text.strip_prefix("user_script:").and_then(|rest| rest.split(':').next()?.parse().ok()).unwrap_or(0);
    format!("ERR {text}{}", identity.script_place(sha, line))
}

/// Lua's own words: the library puts its own before them, and the stack behind.
fn first_line(error: &mlua::Error) -> String {
    let text = match error {
        mlua::Error::RuntimeError(text) | mlua::Error::SyntaxError { message: text, .. } => text.clone(),
        mlua::Error::CallbackError { cause, .. } => return first_line(cause),
        other => other.to_string(),
    };
    text.lines().next().unwrap_or_default().to_owned()
}
