//! The bounds of the answer to a backend's call.

use super::Hub;
use super::gather::{Caller, ReplyBudget, WRITE_BYTES, Whole};
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
        let reply = result.inspect_err(|error| self.end_of_reply(caller, error))?;
        let is_reserved = matches!(
            reply,
            Reply::Published(_) | Reply::Done | Reply::Revoked { .. } | Reply::Broadcast(_) | Reply::Batch(_)
        );
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
            Caller::Part { gather, .. } if self.is_of_backend(caller) => {
                self.gathers.get(&gather).map_or(0, |gathering| gathering.budget.left)
            }
            _ => self.config.limits.api_reply_bytes,
        }
    }

    fn take(&mut self, caller: Caller, bytes: usize) -> Result<(), Error> {
        let most = self.config.limits.api_reply_bytes;
        let fits = match caller {
            Caller::Part { gather, .. } if self.is_of_backend(caller) => {
                self.gathers.get_mut(&gather).is_none_or(|gathering| gathering.budget.take(bytes))
            }
            _ => ReplyBudget::new(most).take(bytes),
        };
        if fits { Ok(()) } else { Err(too_long(most)) }
    }

    /// Returns `true` for a call of a backend and a part of one as the backend has made it; `false` for the part of a shard, whose
    /// answer is one of several that are merged.
    pub(super) fn is_of_backend(&self, caller: Caller) -> bool {
        match caller {
            Caller::Whole(_) => true,
            Caller::Part { gather, .. } => self
                .gathers
                .get(&gather)
                .is_some_and(|gathering| !matches!(gathering.whole, Whole::Node(_) | Whole::EndOf(_))),
            _ => false,
        }
    }

    /// The answer does not fit.
    pub(super) fn over_reply(&self) -> Error {
        too_long(self.config.limits.api_reply_bytes)
    }

    /// In a batch nothing fits after an answer that does not.
    fn end_of_reply(&mut self, caller: Caller, error: &Error) {
        if error.limit == Some(Limit::ApiReplyBytes)
            && let Caller::Part { gather, .. } = caller
            && let Some(gathering) = self.gathers.get_mut(&gather)
        {
            gathering.budget.end();
        }
    }
}

fn too_long(most: usize) -> Error {
    let words = format!("the answer has more than {most} bytes: ask for less at once");
    Error::limit(ErrorCode::LimitExceeded, Limit::ApiReplyBytes, &words)
}
