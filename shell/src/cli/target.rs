//! The server that a command speaks with: its URL, the key for it, and each of them from a flag or from the environment.

use super::outcome::CommandError;
use crate::auth::Secret;
use crate::config::client_variables::URL;
use crate::net::http_client;
use crate::net::http_url::HttpUrl;
use clap::{Arg, ArgMatches, Command};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::http::request::Builder;
use hyper::{Request, StatusCode};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::time::Duration;

const DEFAULT_URL: &str = "http://127.0.0.1:8000";
const URL_FLAG: &str = "url";
const KEY: &str = "PARLOR_API_KEY";
const KEY_FILE: &str = "PARLOR_API_KEY_FILE";
const KEY_FILE_FLAG: &str = "api-key-file";
/// The bytes of an answer, at most.
const ANSWER_BYTES: usize = 16 << 20;

/// The variables of the environment that are text.
#[derive(Debug, Default)]
pub(super) struct Variables(BTreeMap<String, String>);

impl Variables {
    pub(super) fn new(environment: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let text = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
        Self(environment.into_iter().filter_map(text).collect())
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = (OsString, OsString)> {
        self.0.iter().map(|(name, value)| (name.into(), value.into()))
    }

    /// A variable that is set, and not empty: a container has no other way to leave one out.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A secret of this variable, or of the file that a flag or the other variable names, with the name of its place.
    pub(super) fn secret(
        &self,
        variable: &'static str,
        file_variable: &'static str,
        file_flag: Option<&String>,
    ) -> Result<Option<(Secret<String>, String)>, CommandError> {
        let by_flag = file_flag.map(|file| (file.as_str(), "the flag"));
        let by_variable = self.get(file_variable).map(|file| (file, file_variable));
        // A flag is nearer than the environment.
        let by_file = by_flag.or_else(|| by_variable.filter(|_| self.get(variable).is_none()));
        let Some((file, place)) = by_file else {
            return Ok(self.get(variable).map(|value| (Secret::from(value.trim_end()), variable.into())));
        };
        let text = fs::read_to_string(file).map_err(|error| format!("cannot read {file} ({place}): {error}"))?;
        let text = text.trim_end();
        if text.is_empty() {
            return Err(CommandError::Failed(format!("{file} ({place}) is empty; a secret was expected")));
        }
        Ok(Some((Secret::from(text), file.into())))
    }
}

/// A server, and the key for it.
#[derive(Debug)]
pub(super) struct RemoteServer {
    url: HttpUrl,
    /// The place that the URL comes from.
    place: String,
    /// The key, with the place that it comes from.
    key: Option<(Secret<String>, String)>,
}

impl RemoteServer {
    /// A command with the flag of the URL.
    pub(super) fn url_argument(command: Command) -> Command {
        let help = format!("URL of the server [default: {DEFAULT_URL}] [env: {URL}]");
        command.arg(Arg::new(URL_FLAG).long(URL_FLAG).value_name("URL").help(help))
    }

    /// A command with the flags of the URL and of the key.
    pub(super) fn arguments(command: Command) -> Command {
        let help = format!("File with the API key; the key itself is read from {KEY} only [env: {KEY_FILE}]");
        Self::url_argument(command).arg(Arg::new(KEY_FILE_FLAG).long(KEY_FILE_FLAG).value_name("FILE").help(help))
    }

    /// The server that the flags and the environment name, without a key.
    ///
    /// # Errors
    /// Usage, where the URL is none.
    pub(super) fn without_key(flags: &ArgMatches, variables: &Variables) -> Result<Self, CommandError> {
        let by_flag = flags.get_one::<String>(URL_FLAG).map(|url| (url.as_str(), format!("--{URL_FLAG}")));
        let by_variable = || variables.get(URL).map(|url| (url, URL.into()));
        let default = || (DEFAULT_URL, format!("the default; --{URL_FLAG} or {URL} names another"));
        let (written, place) = by_flag.or_else(by_variable).unwrap_or_else(default);
        let wrong = |why: &str| {
            // It may have a password or a token in it, which nobody needs to see.
            CommandError::Usage(format!("the URL of {place} cannot be asked: {why}; expected one as {DEFAULT_URL}"))
        };
        let url: HttpUrl = written.parse().map_err(|why: String| wrong(&why))?;
        if written.contains('?') {
            return Err(wrong("it has a query (?)"));
        }
        Ok(Self { url, place, key: None })
    }

    /// The same with the key, where there is one.
    ///
    /// # Errors
    /// Usage, where the URL is none; failed, where the key's file cannot be read.
    pub(super) fn with_key(flags: &ArgMatches, variables: &Variables) -> Result<Self, CommandError> {
        let key = variables.secret(KEY, KEY_FILE, flags.get_one(KEY_FILE_FLAG))?;
        Ok(Self { key, ..Self::without_key(flags, variables)? })
    }

    /// The URL of a path, which begins with a slash.
    pub(super) fn url(&self, path: &str) -> Result<HttpUrl, CommandError> {
        let url = format!("{}{path}", self.url.written().trim_end_matches('/'));
        url.parse().map_err(|why| CommandError::Usage(format!("the URL of {} with {path}: {why}", self.place)))
    }

    /// A sentence about the server that ends with these words.
    pub(super) fn sentence(&self, words: &str) -> String {
        format!("the server at {} ({}) {words}", self.url, self.place)
    }

    /// Gets a path: the status and the text.
    ///
    /// # Errors
    /// Failed, where there is no answer.
    pub(super) async fn get(&self, path: &str, patience: Duration) -> Result<(StatusCode, String), CommandError> {
        self.ask(Request::get(self.url(path)?.path_and_query()), path, Bytes::new(), patience).await
    }

    /// Calls a method of the API: the result.
    ///
    /// # Errors
    /// Failed, where there is no answer, or the answer is an error.
    pub(super) async fn call(&self, method: &str, body: String, patience: Duration) -> Result<Value, CommandError> {
        let path = format!("/api/{method}");
        let request = Request::post(self.url(&path)?.path_and_query()).header(CONTENT_TYPE, "application/json");
        let (status, text) = self.ask(request, &path, body.into(), patience).await?;
        let mut answer: Value = serde_json::from_str(&text).unwrap_or_default();
        match answer.get_mut("result") {
            Some(result) if status == StatusCode::OK => Ok(result.take()),
            _ => Err(self.refused(status, &text)),
        }
    }

    /// The error of an answer that is none that was asked for.
    pub(super) fn refused(&self, status: StatusCode, text: &str) -> CommandError {
        let answer: Value = serde_json::from_str(text).unwrap_or_default();
        let message = answer["error"]["message"].as_str().map(String::from);
        CommandError::Failed(match (&self.key, status) {
            (None, StatusCode::UNAUTHORIZED) => self.sentence(&format!(
                "wants an API key (401): set {KEY}, or {KEY_FILE} or --{KEY_FILE_FLAG} to a file that holds it"
            )),
            (Some((_, place)), StatusCode::UNAUTHORIZED) => {
                self.sentence(&format!("does not know the API key of {place} (401)"))
            }
            _ => match message {
                Some(message) => format!("{message} ({})", status.as_u16()),
                None => self.sentence(&format!("answered {status}, and not as a Parlor does: is it one?")),
            },
        })
    }

    async fn ask(
        &self,
        mut request: Builder,
        path: &str,
        body: Bytes,
        patience: Duration,
    ) -> Result<(StatusCode, String), CommandError> {
        if let Some((key, place)) = &self.key {
            let wrong = || CommandError::Failed(format!("the API key of {place} has characters that no key has"));
            let mut value = HeaderValue::from_str(key.expose()).map_err(|_| wrong())?;
            value.set_sensitive(true);
            request = request.header("x-api-key", value);
        }
        let answer = http_client::send(&self.url(path)?, request, body, ANSWER_BYTES, patience).await;
        let answer = answer.map_err(|words| self.sentence(&words))?;
        Ok((answer.status(), String::from_utf8_lossy(answer.body()).into_owned()))
    }
}
