//! The answer of `/health/ready`: a status and a word, and for who may know the reasons, or with `?verbose` all checks. The
//! parameters are those of Kubernetes' `readyz`; others mean nothing here.

use super::response::{self, ResponseBody, SOON, retry_after};
use crate::observe::readiness::Readiness;
use crate::runtime::shard::ShardRuntime;
use hyper::{Response, StatusCode};

/// Says whether the server is ready, and if not, when to ask again. Only the word goes to who may not know more: the one of all
/// checks, or leaving out one after the other would tell which has not passed.
pub(super) fn answer(shard: &ShardRuntime, query: &str, may_know: bool) -> Response<ResponseBody> {
    let mut readiness = shard.readiness(shard.gauges());
    let word = readiness.word();
    let unknown: Vec<&str> = values(query, "exclude").filter(|name| !readiness.exclude(name)).collect();
    let body = match () {
        () if !may_know => word.into(),
        () if values(query, "verbose").next().is_some() => verbose(&readiness, &unknown),
        () => brief(&readiness, &unknown),
    };
    if readiness.is_ready() {
        return response::plain_text(StatusCode::OK, body);
    }
    let wait = if shard.is_restarting() { shard.restarts_in() } else { SOON };
    retry_after(response::plain_text(StatusCode::SERVICE_UNAVAILABLE, body), wait)
}

/// The word, with the reasons where it is not `ok`.
fn brief(readiness: &Readiness, unknown: &[&str]) -> String {
    let reasons: Vec<String> = readiness.failed().map(|check| format!("{} ({})", check.name, check.result())).collect();
    let colon = if reasons.is_empty() { "" } else { ": " };
    format!("{}{colon}{}{}", readiness.word(), reasons.join(", "), warnings(readiness, unknown))
}

/// A line for each check, and the word.
fn verbose(readiness: &Readiness, unknown: &[&str]) -> String {
    let lines: String = readiness.checks().iter().map(|check| format!("{check}\n")).collect();
    format!("{lines}{}{}", readiness.word(), warnings(readiness, unknown))
}

/// A line about the excluded names that no check has.
fn warnings(readiness: &Readiness, unknown: &[&str]) -> String {
    if unknown.is_empty() {
        return String::new();
    }
    let unknown: Vec<String> = unknown.iter().map(|name| format!("{name:?}")).collect();
    let names: Vec<&str> = readiness.checks().iter().map(|check| check.name).collect();
    let (unknown, names) = (unknown.join(" or "), names.join(", "));
    format!("\nwarning: no check is called {unknown}, so that none is left out; there are {names}")
}

/// The values of a parameter, in their order. Names of checks have no character that would be encoded.
fn values<'q>(query: &'q str, name: &str) -> impl Iterator<Item = &'q str> {
    let parts = query.split('&').map(|part| part.split_once('=').unwrap_or((part, "")));
    parts.filter(move |(key, _)| *key == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::readiness::ReadinessFigures;
    use parlor_core::Limits;

    #[test]
    fn parameters_are_found_wherever_they_stand() {
        let of = |query: &'static str, name: &str| values(query, name).collect::<Vec<_>>();
        assert_eq!(of("exclude=a&x&exclude=b&exclude", "exclude"), ["a", "b", ""]);
        assert_eq!((of("a&verbose&b=1", "verbose"), of("verbose=0", "verbose")), (vec![""], vec!["0"]));
        for query in ["", "&", "=verbose", "verbosely", "x=verbose"] {
            assert!(of(query, "verbose").is_empty(), "{query}");
        }
    }

    #[test]
    fn reasons_have_the_names_of_what_is_full() {
        let figures = ReadinessFigures { busy_sockets: 10_000, ..ReadinessFigures::default() };
        let readiness = |figures: &ReadinessFigures| Readiness::judge(figures, &Limits::default(), false);
        assert_eq!(brief(&readiness(&ReadinessFigures::default()), &[]), "ok");
        let full = readiness(&figures);
        assert_eq!(brief(&full, &[]), "degraded: http_connections (10000 have a request under way, of at most 10000)");
        assert!(verbose(&full, &[]).starts_with("[+]shutdown ok\n[+]shard ok\n"), "{}", verbose(&full, &[]));
        assert!(verbose(&full, &[]).ends_with(" ok\ndegraded"), "{}", verbose(&full, &[]));
        let warned = brief(&readiness(&ReadinessFigures::default()), &["a\"\n", "b"]);
        assert!(warned.starts_with("ok\nwarning: no check is called \"a\\\"\\n\" or \"b\", so"), "{warned}");
        assert_eq!(warned.matches("token_keys").count(), 1, "the list comes once: {warned}");
        assert!(
            warned.ends_with(
                "there are shutdown, shard, token_keys, canary, connections, http_connections, logs, \
            inbound_bytes_total, outbox_bytes_total, open_files"
            ),
            "{warned}"
        );
    }
}
