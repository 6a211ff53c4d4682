//! Authentication: tokens of clients, API keys of backends with their rights, tickets of the console, and values that must not
//! be printed.

mod api_keys;
mod console_tickets;
mod jwk_set;
mod key_source;
mod keys;
mod rights;
mod secret;
mod token_key;
mod tokens;

pub use api_keys::{ApiKey, ApiKeys};
pub use console_tickets::{CONSOLE_TICKETS, CONSOLE_TICKETS_PER_KEY, ConsoleTickets, TICKET_TIME, listener_claims};
pub use jwk_set::JWK_SET_KEYS;
pub(crate) use jwk_set::JwkSet;
pub use key_source::{FetchedKeys, KeyFeed, KeySource};
pub use keys::{generate_key, random};
pub use rights::{KeyRights, ROOM_PATTERNS};
pub use secret::Secret;
pub use token_key::TokenKey;
pub use tokens::TokenVerifier;
