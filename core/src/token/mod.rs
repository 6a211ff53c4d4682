//! JSON Web Tokens (RFC 7519): what they claim, and whether that holds at this moment. Signatures are checked outside.

mod claims;
pub(crate) mod validate;

pub use claims::{BadToken, Claims, VerifiedClaims};
