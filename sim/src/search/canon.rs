//! States made comparable: two worlds with the same key have the same future, up to names that do not matter.
//!
//! Abstracted away are slots and generations, absolute time, epochs, and deadlines that the scope never waits for. A
//! symmetric key also forgets which client is which.

use crate::reference::connection::{ExpectedConnection, ExpectedPhase, TokenPurpose};
use crate::reference::model::ReferenceModel;
use crate::subjects::subject::Subject;
use crate::world::World;
use crate::world::history_request::RecoverFrom;
use parlor_core::snapshot::{ConnView, PhaseView};
use parlor_core::{ClientId, ConnId, Snapshot};
use std::fmt;
use std::hash::{DefaultHasher, Hasher};

/// A state, as good as its canonical form: two different ones have the same key once in 2^64 pairs of pairs.
pub type StateKey = u128;

const SECOND: u64 = 1_000_000_000;
/// How a client id that is not the connection's own is written in a signature, before clients have their labels.
const OTHER_CLIENT: u8 = 0xFE;
const SELF: u8 = 0xFF;

/// The key of a world. `symmetric`: clients that could change places without consequence do not tell states apart.
/// `recalled`: a client may ask for an epoch that it knows; where none can, epochs do not tell states apart either.
#[must_use]
pub fn key<S: Subject>(world: &World<S>, symmetric: bool, recalled: bool) -> StateKey {
    let snapshot = world.subject().snapshot();
    let reader = Reader { world, reference: world.reference(), snapshot: &snapshot, recalled };
    let count = world.reference().conns.len();
    let mut order: Vec<usize> = (0..count).collect();
    if symmetric {
        let signatures: Vec<Vec<u8>> = order.iter().map(|client| reader.signature(*client, None)).collect();
        order.sort_by(|one, other| signatures[*one].cmp(&signatures[*other]));
    }
    let mut labels = vec![0; count];
    order.iter().zip(0..).for_each(|(client, label)| labels[*client] = label);
    let mut bytes = Vec::with_capacity(512);
    for client in order {
        bytes.extend(reader.signature(client, Some(&labels)));
    }
    reader.rooms(&labels, &mut bytes);
    reader.rest(&mut bytes);
    digest(&bytes)
}

/// The key of these bytes.
pub fn digest(bytes: &[u8]) -> StateKey {
    let mut digest = Digest::default();
    digest.write(bytes);
    digest.key()
}

/// A key that is made from bytes or text, part by part.
pub struct Digest([DefaultHasher; 2]);

impl Default for Digest {
    fn default() -> Self {
        Self([0, 1].map(|salt| {
            let mut hasher = DefaultHasher::new();
            hasher.write_u8(salt);
            hasher
        }))
    }
}

impl Digest {
    fn write(&mut self, bytes: &[u8]) {
        self.0.iter_mut().for_each(|half| half.write(bytes));
    }

    /// Returns the key of what was written.
    pub fn key(&self) -> StateKey {
        let [high, low] = [&self.0[0], &self.0[1]].map(|half| u128::from(half.finish()));
        high << 64 | low
    }
}

impl fmt::Write for Digest {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.write(text.as_bytes());
        Ok(())
    }
}

struct Reader<'a, S> {
    world: &'a World<S>,
    reference: &'a ReferenceModel,
    snapshot: &'a Snapshot,
    recalled: bool,
}

impl<S: Subject> Reader<'_, S> {
    fn view(&self, client: usize) -> Option<&ConnView> {
        let id = self.reference.conns[client].as_ref()?.id;
        self.snapshot.conns.iter().find(|view| view.id == id)
    }

    fn client_of(&self, id: ClientId) -> Option<usize> {
        self.reference.conns.iter().position(|conn| conn.as_ref().is_some_and(|conn| conn.client_id == id))
    }

    /// Everything about one client, without its name; `labels` are the names of all, once they have them.
    fn signature(&self, client: usize, labels: Option<&[u8]>) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        out.extend(self.world.habits(client).to_le_bytes());
        let (Some(conn), Some(view)) = (&self.reference.conns[client], self.view(client)) else {
            out.push(0);
            return out;
        };
        self.phase(view, &mut out);
        if let ExpectedPhase::Closing { client, cause, .. } = conn.phase {
            out.extend([client as u8, cause as u8]);
        }
        out.extend([conn.ready, conn.asked, conn.entry.json, conn.refused].map(u8::from));
        out.extend((conn.turned_down && conn.phase == ExpectedPhase::Open).then_some(0xFC));
        self.entry(conn, &mut out);
        out.push(u8::try_from(conn.waiting.iter().map(|text| text.messages.len()).sum::<usize>()).expect("a few"));
        out.push(match conn.ask {
            TokenPurpose::Identity => 0,
            TokenPurpose::Refresh(_) => 1,
            TokenPurpose::Subscribe(..) => 2,
            TokenPurpose::SubRefresh(..) => 3,
        });
        for ((room, _), membership) in self.reference.memberships.iter().filter(|((_, of), _)| *of == client) {
            out.extend([
                u8::try_from(*room).expect("a few rooms"),
                u8::from(membership.watches),
                u8::from(membership.info.is_some()),
            ]);
            out.extend(membership.wanted.iter().map(|reason| *reason as u8));
        }
        for entering in &conn.entering {
            out.extend([0xFD, u8::try_from(entering.room).expect("a few rooms")]);
            out.extend(entering.membership.wanted.iter().map(|reason| *reason as u8));
            self.want(&entering.want, &mut out);
        }
        out.extend(conn.granted.iter().map(|room| u8::try_from(*room).expect("a few rooms")));
        for (room, want) in &conn.kept_out {
            out.extend([0xFC, u8::try_from(*room).expect("a few rooms")]);
            self.want(want, &mut out);
        }
        out.extend([0xFB, u8::from(conn.info.is_some()), self.reference.age_among_equals(client)]);
        conn.coming().for_each(|expect| out.extend(expect.tag.to_le_bytes()));
        let half = u32::try_from(view.half_written).expect("a frame");
        let committed = u32::try_from(view.committed).expect("a few frames");
        out.extend(half.to_le_bytes());
        out.extend(committed.to_le_bytes());
        for frame in &view.outbox {
            self.frame(conn.client_id, frame, labels, &mut out);
        }
        for (timer, at) in &view.deadlines {
            out.extend(timer.bytes().take(2));
            out.extend(self.ahead(at.0).to_le_bytes());
        }
        let place = |ids: &[ConnId]| {
            ids.iter().position(|id| *id == conn.id).map_or(0xFF, |at| u8::try_from(at).unwrap_or(0xFE))
        };
        for room in &self.snapshot.rooms {
            out.extend([name_tag(&room.name), place(&room.members)]);
        }
        out
    }

    /// How it came in: how it is spoken to while it is open, and until it is ready what it will get and be in then.
    fn entry(&self, conn: &ExpectedConnection, out: &mut Vec<u8>) {
        let entry = &conn.entry;
        if matches!(conn.phase, ExpectedPhase::Closing { .. }) {
            return;
        }
        out.extend([entry.frame_pings, entry.greeting, entry.positions].map(u8::from));
        if conn.ready {
            return;
        }
        out.push(u8::from(entry.token.is_some()));
        out.extend(entry.rooms.iter().map(|room| u8::try_from(*room).expect("a few rooms")));
        self.want(&entry.want, out);
    }

    fn want(&self, want: &RecoverFrom, out: &mut Vec<u8>) {
        match want {
            RecoverFrom::Nothing => out.push(0),
            RecoverFrom::Last(count) => out.extend([1, u8::try_from(*count).unwrap_or(u8::MAX)]),
            RecoverFrom::Since { epoch, offset, refuse } => {
                out.extend([2, self.epoch(epoch), u8::from(epoch.is_empty()), u8::from(*refuse)]);
                out.extend(offset.to_le_bytes());
            }
        }
    }

    fn phase(&self, view: &ConnView, out: &mut Vec<u8>) {
        match &view.phase {
            PhaseView::Handshaking => out.push(1),
            PhaseView::Open { stage, user, rooms, events } => {
                out.push(2);
                out.extend(stage.bytes().take(6));
                out.push(name_tag(user));
                for (room, confirmed) in rooms {
                    out.extend([name_tag(room), u8::from(*confirmed)]);
                }
                events.iter().for_each(|event| out.push(name_tag(event)));
            }
            PhaseView::Closing { cause, code } => {
                out.push(3);
                out.extend([*cause as u8].into_iter().chain(code.to_le_bytes()));
            }
        }
    }

    /// A frame with labels for client ids and one sign for epochs that are of now and another for those that are not.
    fn frame(&self, own: ClientId, frame: &[u8], labels: Option<&[u8]>, out: &mut Vec<u8>) {
        const CLIENT: &[u8] = br#""client":""#;
        const SESSION: &[u8] = br#""session":""#;
        const EPOCH: &[u8] = br#""epoch":""#;
        let mut rest = frame;
        while let Some((first, tail)) = rest.split_first() {
            let known = [CLIENT, SESSION, EPOCH].into_iter().find(|field| rest.starts_with(field));
            let Some(field) = known else {
                out.push(*first);
                rest = tail;
                continue;
            };
            let value = &rest[field.len()..];
            let end = value.iter().position(|byte| *byte == b'"').unwrap_or(value.len());
            let text = std::str::from_utf8(&value[..end]).unwrap_or_default();
            out.extend(field);
            out.push(if field == EPOCH { self.epoch(text) } else { self.client(own, text, labels) });
            rest = &value[end..];
        }
    }

    fn epoch(&self, epoch: &str) -> u8 {
        if !self.recalled {
            return 0;
        }
        let log = self.snapshot.logs.iter().find(|log| log.epoch == epoch);
        let room = log.map(|log| log.name.as_str()).or_else(|| self.reference.quiet_room(epoch));
        room.map_or(0, name_tag)
    }

    fn client(&self, own: ClientId, text: &str, labels: Option<&[u8]>) -> u8 {
        match (ClientId::parse(text), labels) {
            (Some(id), _) if id == own => SELF,
            (Some(id), Some(labels)) => self.client_of(id).map_or(OTHER_CLIENT, |client| labels[client]),
            _ => OTHER_CLIENT,
        }
    }

    fn rooms(&self, labels: &[u8], out: &mut Vec<u8>) {
        let label = |client: Option<usize>| client.map_or(OTHER_CLIENT, |client| labels[client]);
        let of =
            |id: &ConnId| self.reference.conns.iter().position(|conn| conn.as_ref().is_some_and(|conn| conn.id == *id));
        for room in &self.snapshot.rooms {
            out.push(name_tag(&room.name));
            out.extend(room.members.iter().map(|id| label(of(id))));
        }
        for log in &self.snapshot.logs {
            out.extend([0xFD, name_tag(&log.name)]);
            out.extend(log.top.to_le_bytes());
            for (offset, line) in &log.entries {
                out.extend(offset.to_le_bytes());
                out.extend(line.bytes());
            }
            out.extend(log.ages_out.map_or(0, |at| self.ahead(at.0)).to_le_bytes());
            out.extend(self.reference.remembered_until(&log.name).map_or(0, |at| self.ahead(at)).to_le_bytes());
            out.extend(log.members.iter().map(|id| label(self.client_of(*id))));
        }
        for absence in &self.snapshot.absences {
            out.extend([0xFE, name_tag(&absence.room), name_tag(&absence.user), label(self.client_of(absence.client))]);
            out.extend(self.ahead(absence.until.0).to_le_bytes());
        }
    }

    fn rest(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.snapshot.shutting_down));
        for (room, key, until) in self.reference.known_keys() {
            out.extend([0xFC, room, key]);
            out.extend(self.ahead(until).to_le_bytes());
        }
        // Who comes back asks for the epoch that it knows, and else for any.
        out.push(0xFB);
        if self.recalled {
            out.extend(self.reference.quiet_rooms());
        }
        out.extend(self.world.messages().to_le_bytes());
        let (behind, calendar) = self.world.misleads();
        out.extend(behind.to_le_bytes());
        out.extend(calendar.to_le_bytes());
        self.world.subject().notes().iter().for_each(|note| out.extend(note.bytes()));
    }

    /// How far ahead an instant is, where it is near enough to be waited for.
    fn ahead(&self, at: u64) -> u64 {
        let ahead = at.saturating_sub(self.reference.clock);
        if ahead > self.world.patience().saturating_mul(SECOND) { u64::MAX } else { ahead }
    }
}

/// One byte for a name of the scenario: `r0`, `#u1` and the like differ in how they begin and how they end.
fn name_tag(name: &str) -> u8 {
    let (first, last) = (name.bytes().next().unwrap_or(0), name.bytes().last().unwrap_or(0));
    first.wrapping_mul(31) ^ last
}
