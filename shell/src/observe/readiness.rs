//! Whether the server is ready: a list of named checks, judged by figures alone. A server that starts, stops or is broken is not
//! ready. One that is full is ready and degraded, since the next server would be full, too.

use parlor_core::stats::Gauges;
use parlor_core::{Limit, Limits};
use std::fmt;

/// Descriptors of which so few are free that the server counts as full: with none it could not even be asked.
const SPARE_DESCRIPTORS: u64 = 32;

/// The figures that are judged.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ReadinessFigures {
    /// Whether the server was told to stop.
    pub(crate) is_leaving: bool,
    /// Whether an invariant broke and the next shard has not begun.
    pub(crate) is_restarting: bool,
    /// Whether no key of tokens has been fetched yet, and there is no other.
    pub(crate) is_starting: bool,
    /// Whether what the canary publishes does not come back.
    pub(crate) is_stalled: bool,
    pub(crate) gauges: Gauges,
    /// Sockets that count for `http_connections` and that no other one can displace, without the one that asks.
    pub(crate) busy_sockets: usize,
    /// Open descriptors, and those that may be open; None where the system does not tell.
    pub(crate) descriptors: Option<(u64, u64)>,
}

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    Passed,
    /// Not ready: the word for it, and the reason.
    Unready(&'static str, &'static str),
    /// Ready, but at a limit: the reason.
    Full(String),
}

/// A check and its result.
#[derive(Clone, Debug)]
pub(crate) struct Check {
    pub(crate) name: &'static str,
    verdict: Verdict,
    is_excluded: bool,
}

/// All checks at one time.
#[derive(Clone, Debug)]
pub(crate) struct Readiness {
    checks: Vec<Check>,
    /// Whether being degraded is not to be ready (`ready_strict`).
    is_strict: bool,
}

impl Readiness {
    /// Judges the figures.
    pub(crate) fn judge(figures: &ReadinessFigures, limits: &Limits, is_strict: bool) -> Self {
        let ReadinessFigures { is_leaving, is_restarting, is_starting, is_stalled, gauges, busy_sockets, descriptors } =
            *figures;
        let unready = |name, is_so, word, why| {
            let verdict = if is_so { Verdict::Unready(word, why) } else { Verdict::Passed };
            Check { name, verdict, is_excluded: false }
        };
        // The first that is not ready gives the word.
        let mut checks = vec![
            unready("shutdown", is_leaving, "stopping", "the server was told to stop"),
            unready(
                "shard",
                is_restarting,
                "restarting",
                "an invariant did not hold, and the next shard has not begun",
            ),
            unready(
                "token_keys",
                is_starting,
                "starting",
                "no key of token_jwks has been fetched, and there is no other",
            ),
            unready(
                "canary",
                is_stalled,
                "stalled",
                "the server's own publication was due two seconds ago, and has not come back",
            ),
        ];
        checks.extend([
            full(Limit::Connections, gauges.connections, limits.connections, "are open"),
            // Those that wait make way for who comes, so that nobody is refused.
            full(Limit::HttpConnections, busy_sockets, limits.http_connections, "have a request under way"),
            full(Limit::Logs, gauges.rooms, limits.logs, "rooms have members"),
            no_room(Limit::InboundBytesTotal, gauges.inbound_bytes, limits.api_body_bytes, limits.inbound_bytes_total),
            no_room(Limit::OutboxBytesTotal, gauges.refused_bytes, limits.frame_bytes, limits.outbox_bytes_total),
            open_files(descriptors),
        ]);
        Self { checks, is_strict }
    }

    /// Leaves a check out. Returns `false` where none has this name.
    pub(crate) fn exclude(&mut self, name: &str) -> bool {
        let found = self.checks.iter_mut().find(|check| check.name == name);
        found.map(|check| check.is_excluded = true).is_some()
    }

    /// The state in a word: `stopping`, `restarting`, `starting`, `stalled`, `degraded` or `ok`.
    pub(crate) fn word(&self) -> &'static str {
        self.unready().unwrap_or(if self.is_degraded() { "degraded" } else { "ok" })
    }

    /// Whether clients may be sent here.
    pub(crate) fn is_ready(&self) -> bool {
        self.unready().is_none() && !(self.is_strict && self.is_degraded())
    }

    /// Whether a limit of the whole server is reached.
    pub(crate) fn is_degraded(&self) -> bool {
        self.failed().any(|check| matches!(check.verdict, Verdict::Full(_)))
    }

    /// All checks.
    pub(crate) fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// The checks that count and have not passed.
    pub(crate) fn failed(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| !check.is_excluded && check.verdict != Verdict::Passed)
    }

    fn unready(&self) -> Option<&'static str> {
        self.failed().find_map(|check| match check.verdict {
            Verdict::Unready(word, _) => Some(word),
            _ => None,
        })
    }
}

impl Check {
    /// `ok`, or the reason for which it has not passed.
    pub(crate) fn result(&self) -> &str {
        match &self.verdict {
            Verdict::Passed => "ok",
            Verdict::Unready(_, why) => why,
            Verdict::Full(why) => why,
        }
    }
}

/// As a line of Kubernetes' `healthz?verbose`.
impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, verdict, is_excluded } = self;
        match verdict {
            _ if *is_excluded => write!(f, "[+]{name} excluded: ok"),
            Verdict::Passed => write!(f, "[+]{name} ok"),
            _ => write!(f, "[-]{name} {}", self.result()),
        }
    }
}

/// Whether so many are all that a limit allows.
fn full(limit: Limit, used: usize, most: usize, are: &str) -> Check {
    let why = || format!("{used} {are}, of at most {most}");
    let verdict = if used >= most { Verdict::Full(why()) } else { Verdict::Passed };
    Check { name: limit.name(), verdict, is_excluded: false }
}

/// Whether a budget of bytes is in use so far that the largest call, or frame, has no room.
fn no_room(limit: Limit, used: usize, largest: usize, most: usize) -> Check {
    let why = || format!("{used} bytes are in use, of at most {most}: there is no room for {largest}");
    // A budget that nothing uses is not full, however small it is.
    let is_full = used > 0 && used.saturating_add(largest) > most;
    let verdict = if is_full { Verdict::Full(why()) } else { Verdict::Passed };
    Check { name: limit.name(), verdict, is_excluded: false }
}

/// Whether the process may open no further descriptors to speak of.
fn open_files(descriptors: Option<(u64, u64)>) -> Check {
    let verdict = match descriptors {
        Some((open, most)) if open.saturating_add(SPARE_DESCRIPTORS) > most => {
            Verdict::Full(format!("{open} descriptors are open, of at most {most} (ulimit -n)"))
        }
        _ => Verdict::Passed,
    };
    Check { name: "open_files", verdict, is_excluded: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(figures: &ReadinessFigures) -> Readiness {
        Readiness::judge(figures, &Limits::default(), false)
    }

    fn with_gauges(gauges: Gauges) -> ReadinessFigures {
        ReadinessFigures { gauges, ..ReadinessFigures::default() }
    }

    /// The names of the checks that have failed.
    fn failed(readiness: &Readiness) -> Vec<&'static str> {
        readiness.failed().map(|check| check.name).collect()
    }

    #[test]
    fn each_check_fails_at_its_bound_and_not_before() {
        let (limits, none) = (Limits::default(), ReadinessFigures::default());
        let budget = |total: usize, largest: usize| [total - largest, total - largest + 1];
        let connections = |connections| with_gauges(Gauges { connections, ..Gauges::default() });
        let rooms = |rooms| with_gauges(Gauges { rooms, ..Gauges::default() });
        let inbound = |inbound_bytes| with_gauges(Gauges { inbound_bytes, ..Gauges::default() });
        let refused = |refused_bytes| with_gauges(Gauges { refused_bytes, ..Gauges::default() });
        let table = [
            ("shutdown", "stopping", none, ReadinessFigures { is_leaving: true, ..none }),
            ("shard", "restarting", none, ReadinessFigures { is_restarting: true, ..none }),
            ("token_keys", "starting", none, ReadinessFigures { is_starting: true, ..none }),
            ("canary", "stalled", none, ReadinessFigures { is_stalled: true, ..none }),
            ("connections", "degraded", connections(99_999), connections(100_000)),
            ("logs", "degraded", rooms(249_999), rooms(250_000)),
            (
                "http_connections",
                "degraded",
                ReadinessFigures { busy_sockets: 9_999, ..none },
                ReadinessFigures { busy_sockets: 10_000, ..none },
            ),
            (
                "open_files",
                "degraded",
                ReadinessFigures { descriptors: Some((992, 1024)), ..none },
                ReadinessFigures { descriptors: Some((993, 1024)), ..none },
            ),
        ];
        let [below, above] = budget(limits.inbound_bytes_total, limits.api_body_bytes).map(inbound);
        let inbound = ("inbound_bytes_total", "degraded", below, above);
        let [below, above] = budget(limits.outbox_bytes_total, limits.frame_bytes).map(refused);
        let outbox = ("outbox_bytes_total", "degraded", below, above);
        let table: Vec<_> = table.into_iter().chain([inbound, outbox]).collect();
        assert_eq!(table.len(), judge(&none).checks().len(), "each is here");
        for (name, word, below, at) in &table {
            assert_eq!((judge(below).word(), failed(&judge(below))), ("ok", vec![]), "{name}");
            assert_eq!((judge(at).word(), failed(&judge(at))), (*word, vec![*name]));
            assert_eq!(judge(at).is_ready(), *word == "degraded", "{name}");
            assert!(!Readiness::judge(at, &limits, true).is_ready(), "{name}, and ready_strict");
        }
    }

    #[test]
    fn what_ends_the_server_gives_the_word_before_what_fills_it() {
        let everything = ReadinessFigures {
            is_leaving: true,
            is_restarting: true,
            is_starting: true,
            is_stalled: true,
            busy_sockets: 10_000,
            ..ReadinessFigures::default()
        };
        let mut readiness = judge(&everything);
        for (name, word) in
            [("shutdown", "stopping"), ("shard", "restarting"), ("token_keys", "starting"), ("canary", "stalled")]
        {
            assert_eq!(readiness.word(), word);
            assert!(readiness.exclude(name));
        }
        assert_eq!((readiness.word(), readiness.is_ready()), ("degraded", true));
        assert!(readiness.exclude("http_connections"));
        assert_eq!((readiness.word(), readiness.is_degraded()), ("ok", false));
        assert!(!readiness.exclude("http") && !readiness.exclude(""));
    }

    #[test]
    fn a_budget_that_is_smaller_than_one_call_is_not_full_while_nothing_uses_it() {
        let limits = Limits { inbound_bytes_total: 1, ..Limits::default() };
        assert_eq!(Readiness::judge(&ReadinessFigures::default(), &limits, true).word(), "ok");
    }

    #[test]
    fn a_check_is_written_as_kubernetes_writes_it() {
        let figures = ReadinessFigures { busy_sockets: 10_000, ..ReadinessFigures::default() };
        let mut readiness = judge(&figures);
        readiness.exclude("shard");
        let lines: Vec<String> = readiness.checks().iter().take(6).map(Check::to_string).collect();
        let full = "[-]http_connections 10000 have a request under way, of at most 10000";
        assert_eq!(
            lines,
            ["[+]shutdown ok", "[+]shard excluded: ok", "[+]token_keys ok", "[+]canary ok", "[+]connections ok", full]
        );
    }
}
