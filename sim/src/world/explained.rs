//! The question of an operator: what became of this publication?

use crate::checkers::observation::{ExplainedPublication, Observed};
use crate::guarantees::Failure;
use crate::subjects::subject::Subject;
use crate::world::action::Client;
use crate::world::state::World;
use crate::world::turn::caught;
use parlor_core::ClientId;
use parlor_core::snapshot::PhaseView;

/// The question is asked after every so many inputs.
const EVERY: u64 = 4;

impl<S: Subject> World<S> {
    /// Asks what became of one of the publications that are retained, each in its turn.
    pub(super) fn ask_what_became_of_one(&mut self) -> Result<(), Failure> {
        // An id that comes again may be that of a connection before.
        if self.setup.ids_repeat == 1 {
            return Ok(());
        }
        self.explained += 1;
        if self.checkers.is_none() || !self.explained.is_multiple_of(EVERY) {
            return Ok(());
        }
        let retained = self.seen.logs.iter().map(|log| log.entries.len() as u64).sum::<u64>();
        let Some(nth) = (self.explained / EVERY).checked_rem(retained) else { return Ok(()) };
        let mut all = self.seen.logs.iter().flat_map(|log| log.entries.iter().map(move |entry| (log, entry)));
        let Some((log, (offset, data))) = all.nth(usize::try_from(nth).unwrap_or(0)) else { return Ok(()) };
        let (room, epoch, offset) = (log.name.clone(), log.epoch.clone(), *offset);
        let data = serde_json::from_str(data).unwrap_or_default();
        let Some(deliveries) = caught(|| self.subject.explain(&room, &epoch, offset))? else { return Ok(()) };
        let what = ExplainedPublication {
            room: room.to_string(),
            epoch,
            offset,
            data,
            deliveries,
            behind: self.clients().filter_map(|client| self.is_behind(client)).collect(),
        };
        self.check(Observed::Explained(&what))
    }

    /// The connection of a client, if something that it was sent waits, or was dropped since it closes.
    fn is_behind(&self, client: Client) -> Option<ClientId> {
        let conn = self.conn(client)?;
        let view = self.seen.conns.iter().find(|view| view.id == conn)?;
        let is_closing = matches!(view.phase, PhaseView::Closing { .. });
        self.public_id(client).filter(|_| is_closing || self.subject.pending(conn).is_some())
    }
}
