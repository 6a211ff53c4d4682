//! The bounds of the answer to a backend's call.

use super::Hub;
use super::gather::{Caller, ReplyBudget, WRITE_BYTES};
use crate::api::json::reply_bytes;
use crate::api::{Command, Reply};
use crate::error::{Error, ErrorCode};
use crate::limits::Limit;
use alloc::format;

impl Hub {
    /// Keeps room for the answer to a command before it is carried out. What is read takes its room when it is there.
    pub(super) fn reserve(&mut self, caller: Caller, command: &Command) -> Result<(), Error> {
        let bytes = match command {
            Command::Broadcast { channels, .. } => channels.len().saturating_mul(WRITE_BYTES),
            // Each of its parts keeps its own.
            Command::Batch(_) => 0,
            command if command.only_reads() => 0,
            _ => WRITE_BYTES,
        };
        self.take(caller, bytes)
    }

    /// Returns the result of a call, or an error where it does not fit into the answer.
    pub(super) fn within_reply(&mut self, caller: Caller, result: Result<Reply, Error>) -> Result<Reply, Error> {
        let reply = result?;
        let is_reserved = matches!(reply, Reply::Published(_) | Reply::Done | Reply::Broadcast(_) | Reply::Batch(_));
        if !is_reserved {
            let bytes = reply_bytes(&reply);
            self.budget.answer(bytes);
            self.take(caller, bytes)?;
        }
        Ok(reply)
    }

    /// Bytes that the answer to a call may still have.
    pub(super) fn left_of(&self, caller: Caller) -> usize {
        match caller {
            Caller::Part { gather, .. } => self.gathers.get(&gather).map_or(0, |gathering| gathering.budget.left),
            _ => self.config.limits.api_reply_bytes,
        }
    }

    fn take(&mut self, caller: Caller, bytes: usize) -> Result<(), Error> {
        let most = self.config.limits.api_reply_bytes;
        let fits = match caller {
            Caller::Part { gather, .. } => {
                self.gathers.get_mut(&gather).is_none_or(|gathering| gathering.budget.take(bytes))
            }
            _ => ReplyBudget::new(most).take(bytes),
        };
        if fits { Ok(()) } else { Err(too_long(most)) }
    }

    /// The answer does not fit, and in a batch nothing after it.
    pub(super) fn over_reply(&mut self, caller: Caller) -> Error {
        if let Caller::Part { gather, .. } = caller
            && let Some(gathering) = self.gathers.get_mut(&gather)
        {
            gathering.budget.end();
        }
        too_long(self.config.limits.api_reply_bytes)
    }
}

fn too_long(most: usize) -> Error {
    let words = format!("the answer has more than {most} bytes: ask for less at once");
    Error::limit(ErrorCode::LimitExceeded, Limit::ApiReplyBytes, &words)
}
