//! Tickets by which the console listens to a room: each is given for an API key, is used once, and is good for a short time. A
//! WebSocket of a browser has no header for a key, and its URL is no place for one.

use super::keys::random;
use super::secret::Secret;
use aws_lc_rs::constant_time;
use parlor_core::{Claims, Instant, Json, RoomName, VerifiedClaims};
use std::sync::Arc;
use std::time::Duration;

/// The time for which a ticket is good.
pub const TICKET_TIME: Duration = Duration::from_secs(30);
/// The tickets that wait to be used, at most.
pub const CONSOLE_TICKETS: usize = 64;
/// Those of one key, so that it leaves others some.
pub const CONSOLE_TICKETS_PER_KEY: usize = 8;
/// The random bytes of a ticket, which has two digits for each.
const TICKET_BYTES: usize = 32;

/// The tickets that wait to be used.
#[derive(Debug, Default)]
pub struct ConsoleTickets(Vec<ConsoleTicket>);

#[derive(Debug)]
struct ConsoleTicket {
    text: Secret<String>,
    /// The name of the key that it was given for.
    key: Arc<str>,
    room: RoomName,
    until: Instant,
}

impl ConsoleTickets {
    /// A new ticket for a room, for a key of this name. None where [`CONSOLE_TICKETS`] wait already, or
    /// [`CONSOLE_TICKETS_PER_KEY`] of the key.
    #[must_use]
    pub fn issue(&mut self, now: Instant, key: &Arc<str>, room: RoomName) -> Option<Secret<String>> {
        self.0.retain(|ticket| now < ticket.until);
        let of_key = self.0.iter().filter(|ticket| ticket.key == *key).count();
        if self.0.len() >= CONSOLE_TICKETS || of_key >= CONSOLE_TICKETS_PER_KEY {
            return None;
        }
        let digits: String = random::<TICKET_BYTES>().iter().map(|byte| format!("{byte:02x}")).collect();
        let text = Secret::new(digits);
        self.0.push(ConsoleTicket { text: text.clone(), key: key.clone(), room, until: now.after(TICKET_TIME) });
        Some(text)
    }

    /// The room of a ticket, which is used up. None for one that is unknown, used or too old. The time tells nothing of any
    /// ticket: each is compared as a whole, whichever is found.
    #[must_use]
    pub fn redeem(&mut self, now: Instant, sent: &[u8]) -> Option<RoomName> {
        let is_sent = |ticket: &ConsoleTicket| {
            constant_time::verify_slices_are_equal(ticket.text.expose().as_bytes(), sent).is_ok()
        };
        let mut found = None;
        for (at, ticket) in self.0.iter().enumerate() {
            if is_sent(ticket) {
                found = Some(at);
            }
        }
        let ticket = self.0.remove(found?);
        (now < ticket.until).then_some(ticket.room)
    }
}

/// The claims of who listens to a room with a ticket: the server subscribes the connection to it, whatever its policy says. It
/// has no user, since every name may be a user's; `info` tells other members what it is.
#[must_use]
pub fn listener_claims(room: &RoomName) -> VerifiedClaims {
    let info = Json::parse(r#"{"console":true}"#).ok();
    let claims = Claims { channels: vec![room.to_string()], info, ..Claims::default() };
    #[expect(clippy::disallowed_methods, reason = "the ticket was verified, and given for a key that may listen there")]
    VerifiedClaims::vouched_for_by_verifier(claims)
}

#[cfg(test)]
mod tests {
    use super::*;
    use parlor_core::Config;

    fn at(seconds: u64) -> Instant {
        Instant(0).after(Duration::from_secs(seconds))
    }

    fn room(name: &str) -> RoomName {
        Config::default().room(name).expect("it is a name")
    }

    fn issue(tickets: &mut ConsoleTickets, now: Instant) -> Option<String> {
        issue_for(tickets, now, "one")
    }

    fn issue_for(tickets: &mut ConsoleTickets, now: Instant, key: &str) -> Option<String> {
        tickets.issue(now, &key.into(), room("a")).map(|ticket| ticket.expose().clone())
    }

    #[test]
    fn a_ticket_is_used_once_and_before_its_time_is_over() {
        let mut tickets = ConsoleTickets::default();
        let [first, second, third] = [0; 3].map(|_| issue(&mut tickets, at(0)).expect("there is space"));
        assert!(first != second && first.len() == 2 * TICKET_BYTES);
        assert_eq!(tickets.redeem(at(29), first.as_bytes()), Some(room("a")));
        assert_eq!(tickets.redeem(at(29), first.as_bytes()), None, "it is used");
        assert_eq!(tickets.redeem(at(30), second.as_bytes()), None, "it is too old");
        assert_eq!(tickets.redeem(at(0), second.as_bytes()), None, "an attempt uses it up");
        for part in ["", &third[1..], &third[..third.len() - 1], &(third.clone() + "0")] {
            assert_eq!(tickets.redeem(at(0), part.as_bytes()), None, "{part}");
        }
        assert_eq!(tickets.redeem(at(0), third.as_bytes()), Some(room("a")));
    }

    #[test]
    fn few_tickets_wait_and_old_ones_make_way() {
        let mut tickets = ConsoleTickets::default();
        for key in 0..CONSOLE_TICKETS / CONSOLE_TICKETS_PER_KEY {
            let key = key.to_string();
            assert!((0..CONSOLE_TICKETS_PER_KEY).all(|_| issue_for(&mut tickets, at(0), &key).is_some()));
            assert_eq!(issue_for(&mut tickets, at(0), &key), None, "the others are for other keys");
        }
        assert_eq!(issue(&mut tickets, at(29)), None);
        assert!(issue(&mut tickets, at(30)).is_some());
        assert_eq!(tickets.0.len(), 1);
    }

    #[test]
    fn tickets_are_not_printed() {
        let mut tickets = ConsoleTickets::default();
        let ticket = issue(&mut tickets, at(0)).expect("there is space");
        assert!(!format!("{tickets:?}").contains(&ticket));
    }
}
