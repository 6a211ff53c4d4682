//! Authentication: tokens of clients, the API key of backends, and values that must not be printed.

mod keys;
mod secret;
mod token_key;
mod tokens;

pub use keys::{generate_key, is_key, random};
pub use secret::Secret;
pub use token_key::TokenKey;
pub use tokens::TokenVerifier;
