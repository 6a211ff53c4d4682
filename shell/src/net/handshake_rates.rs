//! The rates of TLS handshakes: `new_handshakes` and `new_handshakes_per_ip`.

use super::address_rates::AddressRates;
use parlor_core::limits::Gcra;
use parlor_core::{Address, Instant, Limit, Limits};

/// The handshakes that have begun lately, of all addresses and of each.
#[derive(Debug, Default)]
pub(crate) struct HandshakeRates {
    all: Gcra,
    by_address: AddressRates,
}

impl HandshakeRates {
    /// Counts a handshake that begins. `address` is None where limits by address do not apply.
    ///
    /// # Errors
    /// The limit that is exceeded. An address that exceeds its own takes nothing of what all have.
    pub(crate) fn take(&mut self, now: Instant, address: Option<Address>, limits: &Limits) -> Result<(), Limit> {
        if address.is_some_and(|address| !self.by_address.take(now, address, limits.new_handshakes_per_ip)) {
            return Err(Limit::NewHandshakesPerIp);
        }
        if !self.all.take(now, limits.new_handshakes) {
            return Err(Limit::NewHandshakes);
        }
        Ok(())
    }
}
