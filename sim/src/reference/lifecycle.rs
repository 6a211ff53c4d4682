//! The lifecycle of a connection, from the 101 to its end.

use super::connection::{ClientSide, ExpectedConnection, ExpectedEnd, ExpectedPhase, ExpectedTimer};
use super::expect::ExpectedFrame;
use super::model::{ReferenceModel, nanos};
use parlor_core::CloseCause;

impl ReferenceModel {
    pub(super) fn upgraded(&mut self, client: usize) {
        let authenticate = self.clock + nanos(self.config.limits.authenticate_timeout);
        let ping = self.clock + nanos(self.config.limits.ping_interval);
        let Some(conn) = self.conn(client).filter(|conn| conn.phase == ExpectedPhase::Handshaking) else { return };
        conn.phase = ExpectedPhase::Open;
        conn.disarm(ExpectedTimer::Handshake);
        conn.arm(ExpectedTimer::Authenticate, authenticate);
        if !conn.entry.json {
            conn.arm(ExpectedTimer::Ping, ping);
            self.opened_plain(client);
        }
    }

    pub(super) fn client_closed(&mut self, client: usize, code: Option<u16>) {
        let Some(conn) = self.conn(client) else { return };
        match conn.phase {
            ExpectedPhase::Handshaking => self.end(client, ExpectedEnd::aborted(CloseCause::PeerClose)),
            ExpectedPhase::Open => {
                self.close_with(client, CloseCause::PeerClose, code.unwrap_or(1005), ExpectedFrame::Close(code));
            }
            ExpectedPhase::Closing { client: ClientSide::Closed | ClientSide::Ended, .. } => {}
            ExpectedPhase::Closing { cause, code, client: ClientSide::Open } => {
                conn.phase = ExpectedPhase::Closing { cause, code, client: ClientSide::Closed };
                self.drop_all_but_close(client);
            }
        }
    }

    /// A client ends its stream. It still gets the rest of what was begun, and the Close where one was decided on.
    pub(super) fn client_ended(&mut self, client: usize) {
        let Some(conn) = self.conn(client) else { return };
        match conn.phase {
            ExpectedPhase::Handshaking => {
                self.end(client, ExpectedEnd::aborted(CloseCause::PeerEof));
            }
            ExpectedPhase::Open => {
                self.close_without_words(client);
            }
            ExpectedPhase::Closing { client: ClientSide::Ended, .. } => {}
            ExpectedPhase::Closing { cause, code, .. } if conn.is_idle() => {
                self.end(client, ExpectedEnd { cause, code, clean: true });
            }
            ExpectedPhase::Closing { cause, code, .. } => {
                conn.phase = ExpectedPhase::Closing { cause, code, client: ClientSide::Ended };
                self.drop_all_but_close(client);
            }
        }
    }

    /// Ends a connection whose client has ended its stream without a Close: only a half-written frame is finished.
    fn close_without_words(&mut self, client: usize) {
        self.leave_everything(client);
        self.drop_unsent(client);
        let (cause, code) = (CloseCause::PeerEof, 1006);
        let deadline = self.clock + nanos(self.config.limits.close_timeout);
        let conn = self.conn(client).expect("it is open");
        if !conn.half {
            return self.end(client, ExpectedEnd { cause, code, clean: true });
        }
        conn.is_closing(ExpectedPhase::Closing { cause, code, client: ClientSide::Ended }, deadline);
    }

    /// Leaves nothing to be sent but the rest of a half-written frame and the Close.
    fn drop_all_but_close(&mut self, client: usize) {
        let conn = self.conn(client).expect("it is closing");
        if conn.half && conn.queue.len() == 1 {
            return;
        }
        let Some(close) = conn.queue.pop_back() else { return };
        self.drop_unsent(client);
        self.conn(client).expect("it is closing").queue.push_back(close);
    }

    pub(super) fn violated(&mut self, client: usize, cause: CloseCause) {
        let Some(conn) = self.conn(client) else { return };
        match conn.phase {
            ExpectedPhase::Handshaking => self.end(client, ExpectedEnd::aborted(cause)),
            ExpectedPhase::Open => self.close(client, cause),
            ExpectedPhase::Closing { .. } => {}
        }
    }

    pub(super) fn lost(&mut self, client: usize, cause: CloseCause) {
        if cause == CloseCause::PeerEof {
            return self.client_ended(client);
        }
        let Some(conn) = self.conn(client) else { return };
        let ending = match conn.phase {
            ExpectedPhase::Closing { cause, code, .. } => ExpectedEnd { cause, code, clean: false },
            _ => ExpectedEnd::aborted(cause),
        };
        self.end(client, ending);
    }

    pub(super) fn shutdown(&mut self) {
        if self.shutting_down {
            return;
        }
        self.shutting_down = true;
        for client in 0..self.conns.len() {
            match self.conn(client).map(|conn| conn.phase.clone()) {
                Some(ExpectedPhase::Handshaking) => self.end(client, ExpectedEnd::aborted(CloseCause::Shutdown)),
                Some(ExpectedPhase::Open) => self.close(client, CloseCause::Shutdown),
                _ => {}
            }
        }
    }

    pub(super) fn conn(&mut self, client: usize) -> Option<&mut ExpectedConnection> {
        self.conns[client].as_mut()
    }

    /// Closes an open connection by the server's decision.
    pub(super) fn close(&mut self, client: usize, cause: CloseCause) {
        self.close_saying(client, cause, own_code(cause));
    }

    /// The same with a code that a backend has chosen.
    pub(super) fn close_saying(&mut self, client: usize, cause: CloseCause, code: u16) {
        self.close_with(client, cause, code, ExpectedFrame::Close(Some(code)));
    }

    fn close_with(&mut self, client: usize, cause: CloseCause, code: u16, close: ExpectedFrame) {
        self.leave_everything(client);
        let side = if cause == CloseCause::PeerClose { ClientSide::Closed } else { ClientSide::Open };
        // What was queued goes out first where the server ends in peace, whatever number a backend says it with.
        let orderly = matches!(cause, CloseCause::Shutdown | CloseCause::Backend);
        if !orderly {
            self.drop_unsent(client);
        }
        let deadline = self.clock + nanos(self.config.limits.close_timeout);
        let conn = self.conn(client).expect("it is open");
        conn.queue.push_back(close);
        conn.is_closing(ExpectedPhase::Closing { cause, code, client: side }, deadline);
    }

    pub(super) fn end(&mut self, client: usize, ending: ExpectedEnd) {
        if self.conns[client].as_ref().is_some_and(ExpectedConnection::is_open) {
            self.leave_everything(client);
        }
        let conn = self.conns[client].take().expect("it has not ended yet");
        self.turn.ended.push((client, conn.id, ending));
    }

    /// The one way out of being open: every room and the user.
    pub(super) fn leave_everything(&mut self, client: usize) {
        for room in 0..self.rooms.len() {
            self.leave(client, room);
        }
        if let Some(conn) = self.conn(client) {
            conn.user = None;
        }
    }
}

/// The code of a cause for which the server closes a foreseen connection, as the README lists them.
fn own_code(cause: CloseCause) -> u16 {
    match cause {
        CloseCause::Protocol => 1002,
        CloseCause::Binary => 1003,
        CloseCause::Utf8 => 1007,
        CloseCause::TooLarge => 1009,
        CloseCause::Shutdown => 3001,
        CloseCause::Slow => 3008,
        CloseCause::WriteTimeout => 3009,
        CloseCause::NoPong | CloseCause::Unfinished => 3012,
        CloseCause::TokenRequired | CloseCause::InvalidToken => 3500,
        CloseCause::BadRequest => 3501,
        CloseCause::Stale => 3502,
        cause => panic!("the model closes no connection for {cause:?}"),
    }
}
