//! JSON Web Tokens (RFC 7519): their claims and the validation of the claims. Signatures are verified outside of the core.

mod claims;
pub(crate) mod revocation;
pub(crate) mod validate;

pub use claims::{BadToken, Claims, VerifiedClaims};
