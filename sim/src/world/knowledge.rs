//! What a world knows of its subject, to choose what makes sense: from the last state that was seen, and from what clients have
//! said.

use crate::subjects::subject::Subject;
use crate::world::action::Client;
use crate::world::history_request::KnownPosition;
use crate::world::names::{room_name, user_name};
use crate::world::state::World;
use parlor_core::ConnId;
use parlor_core::snapshot::{ConnView, LogView, PhaseView};

/// The stage of a connection that has not said who it is.
const UNKNOWN: &str = "unauthenticated";
/// The stage of one of which a token is being checked.
const ASKED: &str = "authenticating";
/// The stage of one that is known and in all of its rooms.
const READY: &str = "ready";

impl<S: Subject> World<S> {
    /// The state of this client's connection as it was seen last, if it is open.
    fn open(&self, client: Client) -> Option<(&'static str, &ConnView)> {
        let view = self.view(client)?;
        if let PhaseView::Open { stage, .. } = view.phase { Some((stage, view)) } else { None }
    }

    pub(super) fn view(&self, client: Client) -> Option<&ConnView> {
        let id = self.conn(client)?;
        self.seen.conns.iter().find(|view| view.id == id)
    }

    fn log(&self, room: usize) -> Option<&LogView> {
        let name = self.name_of(room);
        self.seen.logs.iter().find(|log| *log.name == *name)
    }

    /// The name of a room of the scenario: those that clients may name come before the users' own.
    pub(crate) fn name_of(&self, room: usize) -> String {
        let named = usize::from(self.room_count());
        if room < named { room_name(room) } else { format!("#{}", user_name(room - named)) }
    }

    /// The number of a user's own room.
    pub(crate) fn own_room(&self, user: usize) -> usize {
        usize::from(self.room_count()) + user
    }

    /// Where a room's log is: its epoch, if there is one, and its top.
    pub(crate) fn place(&self, room: usize) -> KnownPosition {
        self.log(room).map_or((None, 0), |log| (Some(log.epoch.as_str().into()), log.top))
    }

    /// Whether this client is in a room.
    pub(crate) fn is_in(&self, client: Client, room: usize) -> bool {
        let (name, id) = (self.name_of(room), self.conn(client));
        let is_it = |id: ConnId| self.seen.rooms.iter().any(|room| *room.name == *name && room.members.contains(&id));
        id.is_some_and(is_it)
    }

    /// Whether this client's connection has said who it is, and is in the rooms that come with that.
    pub(crate) fn is_ready(&self, client: Client) -> bool {
        self.open(client).is_some_and(|(stage, _)| stage == READY)
    }

    /// Whether this client is not listened to. In a world that is to be foreseen what it says comes also while a token is
    /// checked, as it does when the server has read it before; as long as little waits for it.
    pub(super) fn is_paused(&self, client: Client) -> bool {
        let is_asked =
            self.setup.shards == 1 && self.setup.foreseen == 1 && self.is(client, |connection| connection.asked);
        let most = (self.setup.limits.outbox_frames / 4).max(1);
        let may_speak = is_asked && self.view(client).is_some_and(|view| view.outbox.len() <= most);
        !may_speak && self.conn(client).is_some_and(|id| self.subject.is_paused(id))
    }

    /// Whether this client's connection is closing, or has ended.
    pub(super) fn is_closing(&self, client: Client) -> bool {
        self.view(client).is_none_or(|view| matches!(view.phase, PhaseView::Closing { .. }))
    }

    /// Whether this client's connection is open and has not said who it is.
    pub(crate) fn is_waited_for(&self, client: Client) -> bool {
        self.open(client).is_some_and(|(stage, _)| stage == UNKNOWN)
    }

    /// Whether this client's connection is a user's, or shows a token: also one that was let in without, whose stage does not tell.
    pub(crate) fn is_known(&self, client: Client) -> bool {
        self.open(client).is_some_and(|(stage, view)| match &view.phase {
            PhaseView::Open { user, .. } => stage == ASKED || !user.is_empty(),
            _ => false,
        }) || self.is(client, |connection| connection.asked)
    }

    /// Whether the last `connect` of this client was refused, or may have been.
    pub(super) fn was_turned_down(&self, client: Client) -> bool {
        self.is_waited_for(client) && self.connection(client).is_some_and(|connection| connection.introduced)
    }

    /// Whether something waits to be written to this client.
    pub(crate) fn waits(&self, client: Client) -> bool {
        let bytes = self.conn(client).and_then(|id| self.subject.pending(id));
        bytes.is_some_and(|bytes| !bytes.is_empty())
    }

    /// Whether this client is sent whatever there is for it: it is open, and filters by no events.
    pub(super) fn hears_all(&self, client: Client) -> bool {
        self.view(client).is_some_and(|view| match &view.phase {
            PhaseView::Open { events, .. } => events.is_empty(),
            _ => false,
        })
    }

    /// The number of the user of this client's connection.
    pub(super) fn user_of(&self, client: Client) -> Option<usize> {
        let PhaseView::Open { user, .. } = &self.view(client)?.phase else { return None };
        (0..usize::from(self.user_count())).find(|number| **user == *user_name(*number))
    }

    /// The room of the token that is being checked, if it is one for a room.
    pub(super) fn asked_room(&self, client: Client) -> Option<usize> {
        self.connection(client)?.asked_for
    }

    /// Whether the server was asked to stop.
    pub(super) fn is_shutting_down(&self) -> bool {
        self.seen.shutting_down
    }

    /// Whether a socket was not offered what waits for it, which is as much as may be kept for one that refuses: a host
    /// offers it before it hands in anything else.
    pub(crate) fn is_to_be_offered(&self, client: Client) -> bool {
        let most = self.setup.limits.outbox_frames;
        self.view(client).is_some_and(|view| !view.refused && view.outbox.len() >= most)
    }

    /// Where this client's connection is, in a few words.
    pub(super) fn describe_client(&self, client: Client) -> String {
        let Some(id) = self.conn(client) else { return "-".into() };
        let Some(view) = self.view(client) else { return format!("{id} accepted") };
        let phase = match &view.phase {
            PhaseView::Handshaking => "handshaking".into(),
            PhaseView::Closing { cause, code } => format!("closing {code} for {cause:?}"),
            PhaseView::Open { stage, rooms, .. } => {
                let sign = |is_confirmed: &bool| if *is_confirmed { "" } else { "?" };
                let rooms: Vec<String> = rooms.iter().map(|(name, is)| format!("{name}{}", sign(is))).collect();
                format!("{stage} [{}]", rooms.join(" "))
            }
        };
        format!("{phase} out {}{}", view.outbox.len(), if view.half_written > 0 { "½" } else { "" })
    }
}
