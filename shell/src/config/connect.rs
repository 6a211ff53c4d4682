//! `config check --connect`: asks the servers that the settings name, as the server would.

use super::Settings;
use crate::auth::{JwkSet, Secret};
use crate::net::http_client;
use crate::net::http_url::HttpUrl;
use crate::runtime::key_fetcher::JWKS_BYTES;
use std::time::Duration;
use tokio::runtime;
use tokio::time::timeout;

/// The time for one server, at most.
const PATIENCE: Duration = Duration::from_secs(5);

/// A line for each server that was asked: what came of it, or what is wrong with it.
pub(super) fn lines(settings: &Settings) -> Vec<Result<String, String>> {
    match runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let lines = runtime.block_on(ask_all(settings));
            // A name that is still being looked up does not hold up the end.
            runtime.shutdown_background();
            lines
        }
        Err(error) => vec![Err(format!("nobody can be asked: {error}"))],
    }
}

async fn ask_all(settings: &Settings) -> Vec<Result<String, String>> {
    let mut lines = Vec::new();
    if let Some(url) = &settings.token_jwks {
        lines.push(fetch_keys(url).await);
    }
    let mut asked: Vec<&HttpUrl> = Vec::new();
    for entry in &settings.alerts {
        let Some(url) = entry.url.as_ref().map(Secret::expose).filter(|url| !asked.contains(url)) else { continue };
        asked.push(url);
        // A notification would be taken for an alert: it is only connected to.
        let (place, server) = (&entry.place, url.server());
        lines.push(match timeout(PATIENCE, http_client::open(url, PATIENCE)).await {
            Ok(Ok(_)) => Ok(format!("{place}: {server} can be connected to")),
            Ok(Err(why)) => Err(format!("{place}: {server} {why}")),
            Err(_) => Err(format!("{place}: {server} cannot be spoken TLS with in time")),
        });
    }
    lines
}

async fn fetch_keys(url: &HttpUrl) -> Result<String, String> {
    let body = http_client::get(url, JWKS_BYTES, PATIENCE).await;
    match body.and_then(|body| JwkSet::read(&body)) {
        Ok(JwkSet { keys, skipped }) => {
            Ok(format!("token_jwks: {url} has keys that can be used: {}, others: {skipped}", keys.len()))
        }
        Err(why) => Err(format!("token_jwks: {url} {why}")),
    }
}
