//! Replies of the json protocol.

use super::connection::ExpectedPhase;
use super::expect::{ExpectedFrame, WORDS};
use super::model::ReferenceModel;
use parlor_core::CloseCause;
use serde_json::{Value, json};
use std::sync::Arc;

impl ReferenceModel {
    pub(super) fn reply(&mut self, client: usize, id: u64, method: &str, result: Value) {
        self.reply_with(client, id, method, result, Vec::new());
    }

    /// A reply with these payloads in it.
    pub(super) fn reply_with(&mut self, client: usize, id: u64, method: &str, result: Value, payloads: Vec<Arc<str>>) {
        let tag = 6 << 56 | id << 32 | result["offset"].as_u64().unwrap_or_default();
        self.tell(client, ExpectedFrame::replayed(json!({ "id": id, method: result }), payloads, tag));
    }

    /// An error counts while its connection can be told it. An outbox that has overflowed ends the connection when all of the turn
    /// is said, and not before.
    pub(super) fn count_error(&mut self, client: usize) {
        let phase = self.conns[client].as_ref().map(|conn| &conn.phase);
        self.counted.errors += u64::from(matches!(
            phase,
            Some(ExpectedPhase::Open | ExpectedPhase::Closing { cause: CloseCause::Slow, .. })
        ));
    }

    pub(super) fn refuse(&mut self, client: usize, id: u64, code: u16) {
        self.count_error(client);
        if !self.is_open(client) {
            return;
        }
        let mut error = json!({ "code": code, "message": WORDS });
        if matches!(code, 100 | 111) {
            error["temporary"] = true.into();
        }
        self.tell(
            client,
            ExpectedFrame::json(json!({ "id": id, "error": error }), 7 << 56 | id << 32 | u64::from(code)),
        );
    }
}
