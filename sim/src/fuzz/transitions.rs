//! The machine alone, transition by transition: inputs that no driver would hand in too, in any order, and each of them
//! judged without a reference model, by what one input may change at all.

use super::moves::{self, Step};
use super::taken::Taken;
use super::target::Teller;
use super::texts::{self, Places};
use super::traces;
use crate::subjects::subject::{TurnReport, go_on, vouch};
use crate::world::names;
use crate::world::setup::Setup;
use parlor_core::api::{Command, json};
use parlor_core::{
    BadToken, CallId, Claims, Config, ConnId, Input, Instant, Json, Lost, Now, Shard, Upgrade, VerifiedClaims,
    Violation,
};
use std::net::IpAddr;

const MOST_STEPS: usize = 250;
const START_UNIX_MS: u64 = 1_795_352_400_000;
const SECOND: u64 = 1_000_000_000;

/// Reads these bytes as limits, and then as inputs of four bytes each: any input, for any connection that there is or
/// was, at any time. Before each, the machine is cloned, and the clone handles the same: effects, state and counts must
/// be equal (G9). What differs between before and after must be something that this input can change: a connection
/// goes through its phases one way, what waits for a socket only grows at its end and shrinks at its front, rooms and
/// users follow their events, logs only go on. Then the machine audits itself.
///
/// # Panics
/// When one of these does not hold.
pub fn transitions(bytes: &[u8]) {
    run(bytes, &mut |_| {});
}

/// The setup, and every input before it is judged.
pub(super) fn tell(bytes: &[u8], tell: Teller<'_>) {
    run(bytes, tell);
}

fn run(bytes: &[u8], tell: Teller<'_>) {
    let mut taken = Taken(bytes);
    let setup = traces::setup(&mut taken);
    tell(format_args!("{setup}"));
    let mut bench = Bench::new(&setup, tell);
    taken.steps().take(MOST_STEPS).for_each(|step| bench.step(step));
}

/// The machine, and what it takes to make up inputs for it.
struct Bench<'a> {
    shard: Shard,
    config: Config,
    /// Every id that it has given.
    ids: Vec<ConnId>,
    ledger: moves::EventLedger,
    clock: u64,
    calls: u64,
    tell: Teller<'a>,
}

impl<'a> Bench<'a> {
    fn new(setup: &Setup, tell: Teller<'a>) -> Self {
        let config = setup.config();
        let shard = Shard::new(config.clone(), setup.subject_seed());
        let ledger = moves::EventLedger::default();
        Self { shard, config, ids: Vec::new(), ledger, clock: SECOND, calls: 0, tell }
    }

    fn now(&self) -> Now {
        Now { mono: Instant(self.clock), unix_ms: START_UNIX_MS + self.clock / 1_000_000 }
    }

    fn step(&mut self, [kind, who, what, which]: [u8; 4]) {
        let conn = self.ids.get(usize::from(who) % self.ids.len().max(1)).copied();
        let conn = conn.unwrap_or(ConnId::from_parts(usize::from(who), 0));
        let input = match kind % 16 {
            0 | 1 => return self.accept(what, which),
            2 => Input::Upgraded { conn },
            3..=5 => {
                let text = texts::message(what, &Places::new(which, who, &self.shard.snapshot()));
                Input::Message { conn, message: text.into() }
            }
            6 => Input::Ping { conn, payload: vec![what; usize::from(what).min(125)] },
            7 => match what % 4 {
                0 | 1 => Input::Pong { conn },
                2 => Input::Fragment { conn, bytes: usize::from(what) },
                _ => Input::HalfFrame { conn, bytes: usize::from(what) * 100 },
            },
            8 => Input::PeerClosed { conn, code: [None, Some(1000), Some(1001), Some(4321)][usize::from(what % 4)] },
            9 => match what % 4 {
                0 => Input::Violation { conn, rule: Violation::Protocol },
                1 => Input::Message { conn, message: vec![which; usize::from(who)].into() },
                2 => Input::Violation { conn, rule: Violation::Utf8 },
                _ => Input::Violation { conn, rule: Violation::TooLarge },
            },
            10 => Input::Lost { conn, cause: [Lost::Eof, Lost::Read, Lost::Write][usize::from(what % 3)] },
            11 => Input::Flushed { conn, bytes: self.portion(conn, what) },
            12 => self.written(conn, what, which),
            13 => Input::Authenticated { conn, verdict: self.verdict(what, which) },
            14 => match self.call(who, what, which) {
                Some(call) => call,
                None => return,
            },
            _ => self.time(what),
        };
        self.check(input);
    }

    fn check(&mut self, input: Input) {
        let before = TurnReport::of(&self.shard, Vec::new());
        let now = self.now();
        (self.tell)(format_args!("at {} ns: {input:?}", self.clock));
        let mut twin = self.shard.clone();
        let step = Step { now, input: input.clone(), before, after: turn(&mut self.shard, now, input.clone()) };
        let other = turn(&mut twin, now, input);
        assert_eq!(format!("{:?}", step.after), format!("{other:?}"), "G9: a clone does the same");
        self.shard.audit();
        self.ledger.check(&step, &self.config.limits);
    }

    fn accept(&mut self, what: u8, which: u8) {
        let rooms: Vec<String> =
            (0..3).filter(|room| which & 1 << room != 0).map(|room| format!("room=r{room}")).collect();
        let rooms = rooms.join("&");
        let target = match (what % 8, rooms.is_empty()) {
            (0..=2, _) | (_, true) => "/connection/websocket".into(),
            (3, _) => "/connection/websocket?cf_ws_frame_ping_pong=true".into(),
            (4, _) => format!("/ws?{rooms}"),
            (5, _) => format!("/ws?{rooms}&token=t"),
            (6, _) => format!("/ws?{rooms}&greeting=off&positions=on&history={}", which >> 4),
            _ => format!("/ws/r0?since=x:{}", which >> 4),
        };
        // What a URL may not say is not this machine's business.
        let Ok(target) = self.config.resolve(&target) else { return };
        (self.tell)(format_args!("at {} ns: accept {target:?}", self.clock));
        let mut client = [0; 16];
        client[..8].copy_from_slice(&(self.ids.len() as u64).to_be_bytes());
        let peer = (which & 0x80 != 0).then(|| IpAddr::from([10, 0, 0, which & 1]));
        let before = self.shard.snapshot();
        let accepted = self.shard.accept(self.now(), Upgrade { client, target, token: None, address: peer });
        moves::check_accept(&before, &self.shard.snapshot(), accepted, &self.ids);
        self.shard.audit();
        self.ids.extend(accepted);
    }

    /// How many of the bytes that wait are written.
    /// A socket that takes something, or a transport that has something and cannot give it back.
    fn written(&self, conn: ConnId, what: u8, which: u8) -> Input {
        let bytes = self.portion(conn, what);
        if which & 1 == 0 {
            return Input::Flushed { conn, bytes };
        }
        let before = self.shard.snapshot().conns.into_iter().find(|view| view.id == conn);
        Input::Committed { conn, bytes: bytes.max(before.map_or(0, |view| view.committed)) }
    }

    fn portion(&self, conn: ConnId, what: u8) -> usize {
        let waits = self.shard.pending(conn).map_or(0, |pending| pending.len());
        match what {
            0..32 => waits,
            32..64 => waits / 2,
            _ => usize::from(what - 64).min(waits),
        }
    }

    fn verdict(&self, what: u8, which: u8) -> Result<VerifiedClaims, BadToken> {
        if what & 1 != 0 {
            return Err(BadToken::Signature);
        }
        let now = i64::try_from(self.now().unix_ms / 1000).expect("this century");
        vouch(Ok(Claims {
            sub: ["", "u0", "u1", "u2"][usize::from(which % 4)].into(),
            exp: [None, Some(now + 20), Some(now), Some(i64::MAX), Some(i64::MIN)]
                .get(usize::from(what >> 1 & 7))
                .copied()
                .flatten(),
            nbf: (what >> 4 == 15).then_some(now + 60),
            info: (which & 4 != 0).then(|| Json::parse(&format!(r#"{{"n":{which}}}"#)).expect("it is JSON")),
            channels: (0..3).filter(|room| which >> 3 & 1 << room != 0).map(names::room_name).collect(),
            channel: (which & 0x40 != 0).then(|| names::room_name(usize::from(which >> 7))),
            ..Claims::default()
        }))
    }

    fn call(&mut self, who: u8, what: u8, which: u8) -> Option<Input> {
        let (method, body) = texts::call(what, &Places::new(which, who, &self.shard.snapshot()));
        self.calls += 1;
        let mut command = json::parse(method, body.as_bytes(), &self.config).ok()?;
        if let Command::Publish { message, .. } | Command::Broadcast { message, .. } = &mut command
            && which >= 0xC0
        {
            message.data = message.data.bytes().to_vec().into();
        }
        Some(Input::Call { call: CallId(self.calls), command })
    }

    fn time(&mut self, what: u8) -> Input {
        let deadline = self.shard.poll_timeout().map_or(self.clock, |at| at.0);
        let to = match what % 8 {
            0 => deadline,
            1 => deadline + 1,
            2 => deadline.saturating_sub(1),
            3 => self.clock + SECOND / 10,
            4 => self.clock + SECOND,
            5 => self.clock + 3600 * SECOND,
            6 => self.clock,
            _ => return Input::Shutdown,
        };
        self.clock = self.clock.max(to);
        Input::Tick
    }
}

fn turn(shard: &mut Shard, now: Now, input: Input) -> TurnReport {
    let mut effects = shard.handle(now, input).collect();
    go_on(shard, now, &mut effects);
    TurnReport::of(shard as &Shard, effects)
}
