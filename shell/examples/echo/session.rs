//! A connection that gets back every text that it sends: the server's driver, decoder and state machine, without rooms.

use parlor::net::driver::{Driver, Handshake, Ready, Transport, WriteBuffer, WriteOutcome};
use parlor_core::api::Command;
use parlor_core::{
    CallId, ClientId, Config, ConnId, Effect, Input, Json, Limits, Lost, Now, Shard, Upgrade, WebSocketMessage,
};
use std::task::{Context, Poll};

/// One connection, with a shard of its own. Time stands still in it: nothing is ever late.
pub struct Session<T> {
    shard: Shard,
    conn: ConnId,
    /// None once it has ended.
    driver: Option<Driver<T>>,
    write_buffer: WriteBuffer,
}

const CLIENT: [u8; 16] = [1; 16];

impl<T: Transport> Session<T> {
    /// A connection whose 101 is still to be written.
    pub fn new(limits: Limits, transport: T, handshake: Handshake) -> Self {
        let message_bytes = limits.message_bytes;
        let config = Config::from(limits);
        let target = config.resolve("/ws/echo?greeting=off").expect("a path of a room");
        let mut shard = Shard::new(config, [0; 32]);
        let upgrade = Upgrade { client: CLIENT, target, token: None, address: None };
        let conn = shard.accept(Now::default(), upgrade).expect("the first connection is within all limits");
        let driver = Driver::new(conn, transport, handshake, message_bytes);
        Self { shard, conn, driver: Some(driver), write_buffer: WriteBuffer::default() }
    }

    /// Does what the connection is ready for, until it is ready for nothing (pending) or has ended (ready).
    pub fn poll(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<()> {
        let conn = self.conn;
        while let Some(driver) = &mut self.driver {
            let Poll::Ready(ready) = driver.poll(cx, buffer, true) else { return Poll::Pending };
            match ready {
                Ready::Upgraded(early) => {
                    self.turn(Input::Upgraded { conn });
                    self.decode(&early);
                }
                Ready::Writable => self.write(),
                Ready::Read(bytes) => self.decode(&buffer[..bytes]),
                Ready::Lost(cause) => self.turn(Input::Lost { conn, cause }),
            }
        }
        Poll::Ready(())
    }

    fn decode(&mut self, mut bytes: &[u8]) {
        while let Some(input) = self.driver.as_mut().and_then(|driver| driver.decode(&mut bytes)) {
            self.turn(match input {
                Input::Message { message: WebSocketMessage::Text(text), .. } => Input::Call {
                    call: CallId(0),
                    command: Command::Send { client: ClientId(CLIENT), data: Json::unchecked(&text).into() },
                },
                other => other,
            });
            self.write();
        }
    }

    fn write(&mut self) {
        let conn = self.conn;
        while let (Some(driver), Some(pending)) = (&mut self.driver, self.shard.pending(conn)) {
            if driver.is_blocked() {
                return;
            }
            let input = match driver.write(&pending, &mut self.write_buffer) {
                WriteOutcome::All(bytes) | WriteOutcome::Part(bytes) => pending.consumed(bytes),
                WriteOutcome::Refused { .. } => pending.consumed(0),
                WriteOutcome::Failed => Input::Lost { conn, cause: Lost::Write },
            };
            self.turn(input);
        }
    }

    fn turn(&mut self, input: Input) {
        for effect in self.shard.handle(Now::default(), input) {
            match effect {
                Effect::Finish(_) => self.driver.iter_mut().for_each(Driver::finish),
                Effect::Closed { end, .. } => self.driver.take().into_iter().for_each(|driver| driver.close(end.clean)),
                _ => {}
            }
        }
    }
}
