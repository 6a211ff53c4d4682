//! States made comparable: two worlds with the same key have the same future, up to names that do not matter.
//!
//! Abstracted away are slots and generations, absolute time, epochs, and deadlines that the scope never waits for. A
//! symmetric key also forgets which client is which.

use crate::subjects::subject::Subject;
use crate::world::World;
use crate::world::action::Client;
use parlor_core::snapshot::{ConnView, PhaseView};
use parlor_core::{ClientId, ConnId, Snapshot};
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

/// A state, as good as its canonical form: two different ones have the same key once in 2^64 pairs of pairs.
pub type StateKey = u128;

const SECOND: u64 = 1_000_000_000;
/// How a client id that is not the connection's own is written in a signature, before clients have their labels.
const OTHER_CLIENT: u8 = 0xFE;
const SELF: u8 = 0xFF;
/// What stands in every token before the number of its client, which no one goes by.
const TOKEN: &[u8] = b"token-of-";
/// How many characters an epoch has.
const EPOCH_LENGTH: usize = 16;

/// The key of a world. `symmetric`: clients that could change places without consequence do not tell states apart.
/// `recalled`: a client may ask for an epoch that it knows; where none can, epochs do not tell states apart either.
#[must_use]
pub fn key<S: Subject>(world: &World<S>, symmetric: bool, recalled: bool) -> StateKey {
    let snapshot = world.subject().snapshot();
    let details = world.subject().details().into_iter().collect();
    let reader = Reader { world, snapshot: &snapshot, details, recalled };
    let mut order: Vec<Client> = world.clients().collect();
    let mut labels = vec![0; order.len()];
    if symmetric {
        let signatures: Vec<Vec<u8>> = order.iter().map(|client| reader.signature(*client, None)).collect();
        order.sort_by(|one, other| signatures[one.index()].cmp(&signatures[other.index()]));
    }
    order.iter().zip(0..).for_each(|(client, label)| labels[client.index()] = label);
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

/// The key of a state that hashes all that tells it apart.
pub fn hashed(state: &impl Hash) -> StateKey {
    let mut digest = Digest::default();
    digest.0.iter_mut().for_each(|half| state.hash(half));
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
    snapshot: &'a Snapshot,
    details: BTreeMap<ConnId, String>,
    recalled: bool,
}

impl<S: Subject> Reader<'_, S> {
    fn view(&self, client: Client) -> Option<&ConnView> {
        let id = self.world.conn(client)?;
        self.snapshot.conns.iter().find(|view| view.id == id)
    }

    fn client_of(&self, id: ClientId) -> Option<usize> {
        let is_its = |client: &Client| self.view(*client).is_some_and(|view| view.client == id);
        self.world.clients().find(is_its).map(Client::index)
    }

    /// Everything about one client, without its name; `labels` are the names of all, once they have them.
    fn signature(&self, client: Client, labels: Option<&[u8]>) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        out.extend(self.world.habits(client).to_le_bytes());
        let Some(view) = self.view(client) else {
            out.push(0);
            return out;
        };
        self.phase(view, &mut out);
        let details = self.details.get(&view.id).map_or("", String::as_str);
        self.text(view.client, details.as_bytes(), labels, &mut out);
        out.push(u8::from(view.refused));
        let half = u32::try_from(view.half_written).expect("a frame");
        let committed = u32::try_from(view.committed).expect("a few frames");
        out.extend(half.to_le_bytes());
        out.extend(committed.to_le_bytes());
        for frame in &view.outbox {
            out.push(0xFD);
            self.text(view.client, frame, labels, &mut out);
        }
        for (timer, at) in &view.deadlines {
            out.extend(timer.bytes().take(2));
            out.extend(self.ahead(at.0).to_le_bytes());
        }
        let place = |ids: &[ConnId]| {
            ids.iter().position(|id| *id == view.id).map_or(0xFF, |at| u8::try_from(at).unwrap_or(0xFE))
        };
        for room in &self.snapshot.rooms {
            out.extend([name_tag(&room.name), place(&room.members)]);
        }
        out
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

    /// A frame or a detail, with labels for client ids, without the client of a token, and without epochs where none is
    /// asked for.
    fn text(&self, own: ClientId, text: &[u8], labels: Option<&[u8]>, out: &mut Vec<u8>) {
        const CLIENT: &[u8] = br#""client":""#;
        const SESSION: &[u8] = br#""session":""#;
        let mut rest = text;
        let is_inside = |out: &Vec<u8>| out.last().is_some_and(u8::is_ascii_hexdigit);
        while let Some((first, tail)) = rest.split_first() {
            if let Some(field) = [CLIENT, SESSION].into_iter().find(|field| rest.starts_with(field)) {
                let value = &rest[field.len()..];
                let end = value.iter().position(|byte| *byte == b'"').unwrap_or(value.len());
                let id = std::str::from_utf8(&value[..end]).unwrap_or_default();
                out.extend(field);
                out.push(self.client(own, id, labels));
                rest = &value[end..];
            } else if let Some(token) = rest.strip_prefix(TOKEN) {
                out.extend(TOKEN);
                rest = &token[token.iter().take_while(|byte| byte.is_ascii_digit()).count()..];
            } else if !self.recalled && !is_inside(out) && begins_with_epoch(rest) {
                out.push(b'E');
                rest = &rest[EPOCH_LENGTH..];
            } else {
                out.push(*first);
                rest = tail;
            }
        }
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
        let of = |id: &ConnId| self.world.clients().find(|client| self.world.conn(*client) == Some(*id));
        for room in &self.snapshot.rooms {
            out.push(name_tag(&room.name));
            out.extend(room.members.iter().map(|id| label(of(id).map(Client::index))));
        }
        for log in &self.snapshot.logs {
            out.extend([0xFD, name_tag(&log.name)]);
            out.extend(log.top.to_le_bytes());
            for (offset, line) in &log.entries {
                out.extend(offset.to_le_bytes());
                out.extend(line.bytes());
            }
            out.extend(log.ages_out.map_or(0, |at| self.ahead(at.0)).to_le_bytes());
            let is_counting = log.members.is_empty();
            out.extend(if is_counting { self.memory_left(log.touched.0) } else { 0 }.to_le_bytes());
            out.extend(log.members.iter().map(|id| label(self.client_of(*id))));
            out.extend(log.epoch.bytes().filter(|_| self.recalled));
        }
        for absence in &self.snapshot.absences {
            out.extend([0xFE, name_tag(&absence.room), name_tag(&absence.user), label(self.client_of(absence.client))]);
            out.extend(self.ahead(absence.until.0).to_le_bytes());
        }
    }

    fn rest(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.snapshot.shutting_down));
        for key in &self.snapshot.keys {
            out.extend([0xFC, name_tag(&key.room)]);
            out.extend(key.key.bytes());
            out.extend(self.ahead(key.until.0).to_le_bytes());
        }
        // The epochs of the logs to come, of which a client may know one already.
        out.push(0xFB);
        for (counter, count) in self.snapshot.evicted.iter().filter(|_| self.recalled) {
            out.extend(counter.to_le_bytes());
            out.extend(count.to_le_bytes());
        }
        out.extend(self.world.messages().to_le_bytes());
        let (behind, calendar) = self.world.misleads();
        out.extend(behind.to_le_bytes());
        out.extend(calendar.to_le_bytes());
        self.world.subject().notes().iter().for_each(|note| out.extend(note.bytes()));
    }

    /// For how long a log that was touched then is remembered without members.
    fn memory_left(&self, touched: u64) -> u64 {
        let memory = self.world.limits().log_memory.as_nanos();
        self.ahead(touched.saturating_add(u64::try_from(memory).unwrap_or(u64::MAX)))
    }

    /// How far ahead an instant is, where it is near enough to be waited for.
    fn ahead(&self, at: u64) -> u64 {
        let ahead = at.saturating_sub(self.world.clock());
        if ahead > self.world.patience().saturating_mul(SECOND) { u64::MAX } else { ahead }
    }
}

/// Whether an epoch stands here: digits that are neither more nor less.
fn begins_with_epoch(text: &[u8]) -> bool {
    text.iter().take_while(|byte| byte.is_ascii_hexdigit()).count() == EPOCH_LENGTH
}

/// One byte for a name of the scenario: `r0`, `#u1` and the like differ in how they begin and how they end.
fn name_tag(name: &str) -> u8 {
    let (first, last) = (name.bytes().next().unwrap_or(0), name.bytes().last().unwrap_or(0));
    first.wrapping_mul(31) ^ last
}
