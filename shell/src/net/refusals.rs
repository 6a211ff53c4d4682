//! Refusals of what never became a connection or a call, counted by reason and reported to the log. The first refusal of a
//! kind is a line at once; those that follow are one line a minute together, however many there are.

use crate::observe::log;
use parlor_core::Instant;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;
use tracing::warn;

/// The reason of a refusal, as `/health` counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RefusalReason {
    /// The page's origin is not allowed.
    Origin,
    /// The path leads nowhere, or to no valid room.
    Path,
    /// The API key is missing or wrong.
    Key,
    /// The token is invalid, or missing where one is required.
    Token,
    /// The path does not allow the HTTP method.
    Method,
    /// `Host` is missing, invalid, or there more than once.
    Host,
    /// The request for a WebSocket is incomplete.
    Upgrade,
    /// A limit of connections, sockets or requests is reached.
    Limit,
    /// The bytes are no HTTP request.
    Request,
    /// The TLS handshake failed.
    Tls,
}

/// One refusal, for the log. Text from outside is cut to [`TEXT_CHARACTERS`]; keys and tokens are never in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RefusalDetails {
    /// The error, in the server's own words.
    pub(crate) why: String,
    pub(crate) address: Option<IpAddr>,
    pub(crate) origin: Option<String>,
    pub(crate) host: Option<String>,
    pub(crate) path: Option<String>,
}

/// All refusals of a server.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    tallies: RefCell<[Tally; REASONS.len()]>,
}

/// The refusals of one reason.
#[derive(Debug, Default)]
struct Tally {
    count: u64,
    /// One kind for each error and origin, at most [`KINDS`], so that a frequent one does not hide the others.
    kinds: Vec<RefusalKind>,
    /// Refusals of kinds beyond [`KINDS`].
    rest: RefusalKind,
}

/// Refusals with the same reason, error and origin.
#[derive(Debug, Default)]
struct RefusalKind {
    /// The time of the last line of the log about this kind.
    reported: Option<Instant>,
    /// Number of refusals that no line has reported; the last of them is `last`.
    unreported: u64,
    last: RefusalDetails,
}

const REASONS: [(RefusalReason, &str); 10] = [
    (RefusalReason::Origin, "origin"),
    (RefusalReason::Path, "path"),
    (RefusalReason::Key, "key"),
    (RefusalReason::Token, "token"),
    (RefusalReason::Method, "method"),
    (RefusalReason::Host, "host"),
    (RefusalReason::Upgrade, "upgrade"),
    (RefusalReason::Limit, "limit"),
    (RefusalReason::Request, "request"),
    (RefusalReason::Tls, "tls"),
];

/// The most kinds of one reason. A kind that was quiet for [`REPORT_INTERVAL`] is replaced by a new one.
const KINDS: usize = 16;
/// The most characters of a text from outside in the log.
const TEXT_CHARACTERS: usize = 200;
/// The least time between two lines about the same kind.
const REPORT_INTERVAL: Duration = Duration::from_secs(60);

impl Refusals {
    /// Counts a refusal, and reports it at once or with those that follow.
    pub(crate) fn record(&self, now: Instant, reason: RefusalReason, refused: RefusalDetails) {
        self.record_many(now, reason, 1, refused);
    }

    /// Counts `count` refusals, of which `refused` is the last.
    pub(crate) fn record_many(&self, now: Instant, reason: RefusalReason, count: u64, refused: RefusalDetails) {
        let mut tallies = self.tallies.borrow_mut();
        let tally = &mut tallies[reason as usize];
        tally.count += count;
        let kind = tally.kind(now, &refused);
        kind.unreported += count;
        kind.last = refused;
        if kind.reported.is_none_or(|reported| now.since(reported) >= REPORT_INTERVAL) {
            kind.report(now, REASONS[reason as usize].1);
        }
    }

    /// Reports every kind whose last line is a minute old, or `all` of them.
    pub(crate) fn report(&self, now: Instant, all: bool) {
        for (tally, (_, name)) in self.tallies.borrow_mut().iter_mut().zip(REASONS) {
            for kind in tally.kinds.iter_mut().chain([&mut tally.rest]) {
                let is_due = all || kind.reported.is_some_and(|reported| now.since(reported) >= REPORT_INTERVAL);
                if kind.unreported > 0 && is_due {
                    kind.report(now, name);
                }
            }
        }
    }

    /// Number of refusals.
    pub(crate) fn total(&self) -> u64 {
        self.tallies.borrow().iter().map(|tally| tally.count).sum()
    }

    /// Number of refusals, by the name of the reason.
    pub(crate) fn counts(&self) -> BTreeMap<&'static str, u64> {
        let tallies = self.tallies.borrow();
        REASONS.iter().map(|(reason, name)| (*name, tallies[*reason as usize].count)).collect()
    }
}

impl Tally {
    /// The kind of a refusal. O(kinds), of which there are at most [`KINDS`].
    fn kind(&mut self, now: Instant, refused: &RefusalDetails) -> &mut RefusalKind {
        if let Some(known) = self.kinds.iter().position(|kind| kind.is_like(refused)) {
            return &mut self.kinds[known];
        }
        if self.kinds.len() < KINDS {
            self.kinds.push(RefusalKind::default());
            return self.kinds.last_mut().expect("it was just put there");
        }
        match self.kinds.iter().position(|kind| kind.is_quiet(now)) {
            Some(quiet) => {
                self.kinds[quiet] = RefusalKind::default();
                &mut self.kinds[quiet]
            }
            None => &mut self.rest,
        }
    }
}

impl RefusalKind {
    fn is_like(&self, refused: &RefusalDetails) -> bool {
        (&self.last.why, &self.last.origin) == (&refused.why, &refused.origin)
    }

    fn is_quiet(&self, now: Instant) -> bool {
        self.unreported == 0 && self.reported.is_some_and(|reported| now.since(reported) >= REPORT_INTERVAL)
    }

    fn report(&mut self, now: Instant, reason: &str) {
        let RefusalDetails { why, address, origin, host, path } = &self.last;
        let address = address.map(tracing::field::display);
        let [origin, host, path] = [origin, host, path].map(Option::as_deref);
        // One line stands for all of them and shows the last.
        warn!(target: log::REFUSALS, reason, count = self.unreported, why = &**why, address, origin, host, path, "refused");
        self.unreported = 0;
        self.reported = Some(now);
    }
}

/// The part of a text from outside that the log shows.
pub(crate) fn truncated(text: &[u8]) -> String {
    // A character takes at most four bytes; one more character shows whether the text goes on.
    let text = String::from_utf8_lossy(&text[..text.len().min(4 * (TEXT_CHARACTERS + 1))]);
    match text.char_indices().nth(TEXT_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant(0).after(Duration::from_secs(seconds))
    }

    /// Number of unreported refusals, by reason.
    fn unreported(refusals: &Refusals) -> [u64; REASONS.len()] {
        let of = |tally: &Tally| tally.kinds.iter().chain([&tally.rest]).map(|kind| kind.unreported).sum();
        refusals.tallies.borrow().each_ref().map(of)
    }

    #[test]
    fn reasons_are_in_the_order_of_their_tallies() {
        for (index, (reason, name)) in REASONS.iter().enumerate() {
            assert_eq!(*reason as usize, index);
            let refusals = Refusals::default();
            refusals.record(at(0), *reason, RefusalDetails::default());
            let counts = refusals.counts();
            assert_eq!(counts.len(), REASONS.len());
            let counted: Vec<_> = counts.into_iter().filter(|(_, count)| *count > 0).collect();
            assert_eq!(counted, [(*name, 1)]);
        }
    }

    #[test]
    fn the_first_refusal_is_logged_at_once_and_the_others_once_a_minute() {
        let refusals = Refusals::default();
        let note = |seconds, reason| refusals.record(at(seconds), reason, RefusalDetails::default());
        note(0, RefusalReason::Origin);
        assert_eq!(unreported(&refusals), [0; REASONS.len()]);
        (1..=59).for_each(|second| note(second, RefusalReason::Origin));
        note(59, RefusalReason::Path);
        assert_eq!(unreported(&refusals)[..2], [59, 0]);
        refusals.report(at(59), false);
        assert_eq!(unreported(&refusals)[0], 59);
        refusals.report(at(60), false);
        assert_eq!(unreported(&refusals)[0], 0);
        note(61, RefusalReason::Origin);
        assert_eq!(unreported(&refusals)[0], 1);
        refusals.report(at(61), true);
        assert_eq!(unreported(&refusals)[0], 0);
        note(200, RefusalReason::Origin);
        assert_eq!(unreported(&refusals)[0], 0, "after a quiet time it is told at once again");
        let counted: Vec<_> = refusals.counts().into_iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [("origin", 62), ("path", 1)]);
    }

    #[test]
    fn a_frequent_refusal_does_not_hide_a_rare_one() {
        let refusals = Refusals::default();
        let note = |why: &str| {
            refusals.record(
                at(0),
                RefusalReason::Limit,
                RefusalDetails { why: why.into(), ..RefusalDetails::default() },
            );
            unreported(&refusals)[RefusalReason::Limit as usize]
        };
        assert_eq!(["header_bytes", "header_bytes", "connections", "header_bytes"].map(note), [0, 1, 1, 2]);
        for number in 0..1000 {
            note(&number.to_string());
        }
        assert_eq!(refusals.tallies.borrow()[RefusalReason::Limit as usize].kinds.len(), KINDS);
        assert_eq!(refusals.counts()["limit"], 1004);
        refusals.report(at(60), false);
        assert_eq!(unreported(&refusals)[RefusalReason::Limit as usize], 0);
    }

    #[test]
    fn every_refused_origin_is_logged_beside_other_refusals() {
        let refusals = Refusals::default();
        let note = |seconds, origin: &str| {
            let origin = Some(origin.into());
            refusals.record(
                at(seconds),
                RefusalReason::Origin,
                RefusalDetails { why: "it is not allowed".into(), origin, ..RefusalDetails::default() },
            );
            unreported(&refusals)[RefusalReason::Origin as usize]
        };
        assert_eq!(note(0, "http://evil.example"), 0);
        (1..50).for_each(|second| assert_eq!(note(second, "http://evil.example"), second));
        assert_eq!(note(50, "https://www.example.com"), 49, "it has a line of its own, at once");
        (0..1000).for_each(|number| {
            note(51, &number.to_string());
        });
        refusals.report(at(111), false);
        refusals.report(at(200), true);
        assert_eq!(note(200, "https://app.example.com"), 0, "and does so when the others are quiet");
    }

    #[test]
    fn text_from_outside_is_cut() {
        assert_eq!(truncated(b"https://a.example"), "https://a.example");
        for text in ["x".repeat(100_000), "👩".repeat(100_000)] {
            assert_eq!(truncated(text.as_bytes()).chars().count(), TEXT_CHARACTERS + 1);
        }
        assert_eq!(truncated(b"a\xffb"), "a\u{fffd}b");
    }
}
