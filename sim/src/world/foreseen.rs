//! Which worlds the reference model foresees, and which actions it knows: the one place that decides what it is told to
//! begin with. Where something else comes up it gives up, and everything is judged by the property checkers alone.

use super::setup::{CheckedBy, Setup};
use crate::world::action::{Action, Credential, Endpoint, Verdict};
use parlor_core::Limit;

/// Limits that a world has by default where it is foreseen: checkers judge better what comes of them.
const LEFT_OUT: [Limit; 20] = [
    Limit::NewConnections,
    Limit::NewConnectionsPerIp,
    Limit::Connections,
    Limit::ConnectionsPerIp,
    Limit::ConnectionsPerUser,
    Limit::ClientFrames,
    Limit::ClientCommands,
    Limit::ClientPublishes,
    Limit::ClientJoins,
    Limit::CapsBytes,
    Limit::InboundBytesTotal,
    Limit::FrameBytes,
    Limit::OutboxBytes,
    Limit::PublicationBytes,
    Limit::ReplyBytes,
    Limit::ReplyMessages,
    Limit::HistoryBytes,
    Limit::HistoryBytesPerRoom,
    Limit::Logs,
    Limit::RoomsPerConnection,
];

impl Setup {
    /// The same world without what is not foreseen.
    #[must_use]
    pub fn foreseeable(&self) -> Self {
        let plain =
            Self { shards: 1, slow_links: 0, encrypts: 0, has_grace: 0, namespaces: 0, refuse_user: 0, ..self.clone() };
        let mut small = LEFT_OUT.iter().fold(plain, |setup, limit| setup.with_default(*limit));
        // With its user's own, a connection can be in all rooms.
        let most = (self.limits.rooms_per_connection as u64).saturating_sub(1);
        small.rooms = small.rooms.min(most.max(1));
        small
    }

    /// Whether there is a reference model that foresees each turn, until it gives up. Where checkers judge alone there is none.
    #[must_use]
    pub fn is_foreseen(&self) -> bool {
        let has_room = self.rooms < self.limits.rooms_per_connection as u64;
        let is_small = self.encrypts == 0
            && self.namespaces == 0
            && self.has_grace == 0
            && self.refuse_user == 0
            && self.shards == 1;
        let is_default = |limit: &Limit| *limit == Limit::RoomsPerConnection || self.has_default(*limit);
        let is_judged = self.foreseen == 1 && self.checked_by == CheckedBy::All;
        is_judged && is_small && has_room && LEFT_OUT.iter().all(is_default)
    }
}

impl Action {
    /// Whether the reference model foresees what comes of it, in most cases.
    #[must_use]
    pub fn is_foreseen(&self) -> bool {
        match self {
            Self::Accept(_, endpoint, _) => {
                !endpoint.has_places() && !matches!(endpoint, Endpoint::PlainHeader | Endpoint::JsonHeader)
            }
            Self::Connect(_, credential) => matches!(credential, Credential::Nothing | Credential::Token),
            Self::Decide(_, verdict, _) => verdict.is_foreseen(),
            Self::ApiRevoke(..)
            | Self::AcceptSince(..)
            | Self::JoinByToken(..)
            | Self::RecoverByToken(..)
            | Self::RecoverAndWatch(..)
            | Self::Watch(..)
            | Self::Presence(..)
            | Self::PresenceStats(..)
            | Self::Select(..)
            | Self::SubRefresh(..)
            | Self::Refresh(..)
            | Self::ApiBatch(..)
            | Self::ApiSend(..)
            | Self::ApiRefresh(..)
            | Self::ApiRefreshSome(..)
            | Self::ApiSubscribeSome(..)
            | Self::ApiUnsubscribeSome(..)
            | Self::ApiDisconnectSome(..)
            | Self::ApiList(..)
            | Self::ApiSubscribe(..)
            | Self::ApiUnsubscribe(..)
            | Self::ApiMuch(..) => false,
            _ => true,
        }
    }
}

impl Verdict {
    /// Whether what a token says is foreseen.
    #[must_use]
    pub fn is_foreseen(self) -> bool {
        matches!(self, Self::Good | Self::Placed | Self::Expired | Self::Forged | Self::Nobody | Self::Renamed)
    }
}
