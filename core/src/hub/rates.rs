//! The rates of what clients send, against their limits.

use super::Hub;
use crate::close::CloseCause;
use crate::error::{Error, ErrorCode};
use crate::ids::Slot;
use crate::limits::Limit;
use core::time::Duration;

/// Within this time `client_refusals` end a connection. A client that backs off for a few seconds is as good as new.
const REFUSALS_WITHIN: Duration = Duration::from_secs(10);

impl Hub {
    /// Counts a client's frame against `client_frames`. Returns false when it exceeds the rate, and ends the connection: to
    /// refuse a frame costs as much as to take it.
    pub(super) fn check_frame_rate(&mut self, slot: Slot) -> bool {
        let (now, rate) = (self.now.mono, self.config.limits.client_frames);
        let conforms = self.conns[slot].open_mut().is_none_or(|open| open.rates.frames.take(now, rate));
        if !conforms {
            self.close_over(slot, Limit::ClientFrames, CloseCause::Rate);
        }
        conforms
    }

    /// Counts a client's command against `client_commands`.
    ///
    /// # Errors
    /// 111 when it is one too many.
    pub(super) fn check_command_rate(&mut self, slot: Slot) -> Result<(), Error> {
        let (now, rate) = (self.now.mono, self.config.limits.client_commands);
        let conforms = self.conns[slot].open_mut().is_none_or(|open| open.rates.commands.take(now, rate));
        if conforms { Ok(()) } else { Err(self.refuse(slot, Limit::ClientCommands)) }
    }

    /// Counts a client's publication against `client_publishes`.
    ///
    /// # Errors
    /// 111 when it is one too many.
    pub(super) fn check_publish_rate(&mut self, slot: Slot) -> Result<(), Error> {
        let (now, rate) = (self.now.mono, self.config.limits.client_publishes);
        let conforms = self.conns[slot].open_mut().is_none_or(|open| open.rates.publishes.take(now, rate));
        if conforms { Ok(()) } else { Err(self.refuse(slot, Limit::ClientPublishes)) }
    }

    /// Counts a room that a client asks for against `client_joins`. An SDK that comes back asks for all of its rooms, and tries again where it
    /// is refused: that ends no connection.
    ///
    /// # Errors
    /// 111 when it is one too many.
    pub(super) fn check_join_rate(&mut self, slot: Slot) -> Result<(), Error> {
        let (now, rate) = (self.now.mono, self.config.limits.client_joins);
        let conforms = self.conns[slot].open_mut().is_none_or(|open| open.rates.joins.take(now, rate));
        let refusal = || Error::limit(ErrorCode::TooManyRequests, Limit::ClientJoins, "too many requests");
        if conforms { Ok(()) } else { Err(refusal()) }
    }

    fn refuse(&mut self, slot: Slot, limit: Limit) -> Error {
        let (now, most) = (self.now.mono, self.config.limits.client_refusals);
        if let Some(open) = self.conns[slot].open_mut() {
            let rates = &mut open.rates;
            if rates.refusals == 0 || now.since(rates.counting_since) >= REFUSALS_WITHIN {
                (rates.counting_since, rates.refusals) = (now, 0);
            }
            rates.refusals = rates.refusals.saturating_add(1);
            if most.is_some_and(|most| rates.refusals >= most.get()) {
                self.count_limit_of(slot, Limit::ClientRefusals);
                self.close_with(slot, CloseCause::Rate, CloseCause::Rate.reason().naming(limit));
            }
        }
        Error::limit(ErrorCode::TooManyRequests, limit, "too many requests")
    }

    /// Counts that a connection has exceeded a limit, if it is one that an error is about.
    pub(super) fn count_limit_of(&mut self, slot: Slot, limit: impl Into<Option<Limit>>) {
        if let Some(limit) = limit.into() {
            self.count_limit(limit);
            self.conns[slot].record.exceeded(limit);
        }
    }

    /// Counts that a limit was exceeded.
    pub(super) fn count_limit(&mut self, limit: Limit) {
        *self.totals.limits.entry(limit).or_default() += 1;
    }

    /// Counts the limit of an error that is answered.
    pub(super) fn count_error(&mut self, error: &Error) {
        if let Some(limit) = error.limit {
            self.count_limit(limit);
        }
    }
}
