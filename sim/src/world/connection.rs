//! A simulated client and its connection, as the client and the driver know them.

use crate::guarantees::Failure;
use crate::world::socket::Socket;
use parlor_core::{ClientId, ConnId};

/// One connection of a simulated client, as the client and the driver know it.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    pub(super) id: ConnId,
    pub(super) client_id: ClientId,
    pub(super) json: bool,
    pub(super) upgraded: bool,
    pub(super) socket: Socket,
    /// Its token waits to be checked.
    pub(super) asked: bool,
    /// The room that this token is for, where the token tells.
    pub(super) asked_for: Option<usize>,
    /// It has said who it is, whatever came of it.
    pub(super) introduced: bool,
    /// The driver decodes no more: the client has sent a Close, or broken a rule.
    pub(super) deaf: bool,
    /// The client has ended its stream.
    pub(super) ended: bool,
    /// Fragments of a message have come, and more is to come of it.
    pub(super) fragmented: bool,
    /// A part of a frame has come, and not all of it.
    pub(super) half: bool,
    /// The client is gone without a word.
    pub(super) vanished: bool,
    /// It has read a ping of its protocol, and not answered it.
    pub(super) pinged: bool,
    /// It has read a Ping frame, and not answered it.
    pub(super) frame_pinged: bool,
    /// It has read a Close frame, with this code.
    pub(super) close: Option<Option<u16>>,
    /// The number of the message that it has read last.
    pub(super) newest: Option<u64>,
}

impl Connection {
    pub(super) fn new(id: ConnId, client_id: ClientId, json: bool, socket: Socket) -> Self {
        Self {
            id,
            client_id,
            json,
            socket,
            upgraded: false,
            asked: false,
            asked_for: None,
            introduced: false,
            deaf: false,
            ended: false,
            fragmented: false,
            half: false,
            vanished: false,
            pinged: false,
            frame_pinged: false,
            close: None,
            newest: None,
        }
    }

    /// Whether it has read something that it ought to answer, and still can.
    pub(super) fn owes(&self) -> bool {
        let speaks = !self.deaf && (self.pinged || self.frame_pinged);
        !self.vanished && (speaks || (self.close.is_some() && !self.ended))
    }

    pub(super) fn check_stream(&self) -> Result<(), Failure> {
        self.socket.record.as_ref().map_or(Ok(()), |record| crate::world::second_reader::check(record))
    }
}

/// One simulated client through all its connections.
#[derive(Clone, Debug, Default)]
pub(super) struct SimulatedClient {
    pub(super) connection: Option<Connection>,
    /// The id and the public id of the connection before.
    pub(super) former: Option<(ConnId, ClientId)>,
    pub(super) connections_made: u64,
}
