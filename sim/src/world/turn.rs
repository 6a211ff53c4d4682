//! One input and everything that is checked of it.

use crate::checkers::observation::Observed;
use crate::checkers::want::RecoveryRequest;
use crate::goals::Goal;
use crate::guarantees::{Failure, Guarantee};
use crate::reference::model::ReferenceModel;
use crate::reference::outcome::Outcome;
use crate::subjects::subject::{LinkWork, Subject, TurnReport, ask};
use crate::world::action::Client;
use crate::world::connection::{Connection, SimulatedClient};
use crate::world::setup::CheckedBy;
use crate::world::sights;
use crate::world::state::{START_UNIX_MS, World};
use crate::world::states;
use crate::world::stimulus::Stimulus;
use crate::world::tokens::room_of_token;
use parlor_core::api::json;
use parlor_core::{CallId, ConnId, Effect, Input, Instant, Now, Shard, Snapshot};
use serde_json::{Value, json};
use std::panic::{AssertUnwindSafe, catch_unwind};

impl<S: Subject> World<S> {
    /// Clock and calendar for the next input.
    pub(super) fn now(&mut self) -> Now {
        if self.behind > 0 {
            self.goals.reach(Goal::ClockBack);
        }
        let behind = std::mem::take(&mut self.behind);
        let now = self.moment(self.clock - behind);
        self.checkers.iter_mut().for_each(|checkers| checkers.time(now));
        now
    }

    /// Clock and calendar at an instant, in nanoseconds.
    pub(super) fn moment(&self, mono: u64) -> Now {
        let passed = if self.setup.calendar_stopped == 1 { 0 } else { mono / 1_000_000 };
        let unix_ms = (START_UNIX_MS + passed).checked_add_signed(self.calendar).expect("some year of this century");
        Now { mono: Instant(mono), unix_ms }
    }

    /// A result that is not a checker's. Where those judge alone, it is passed over.
    pub(crate) fn heed(&self, result: Result<(), Failure>) -> Result<(), Failure> {
        if self.is_silent() { Ok(()) } else { result }
    }

    /// Asks the reference model, as long as it foresees what comes.
    pub(super) fn refer(
        &mut self,
        compare: impl FnOnce(&mut ReferenceModel) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let judged = self.reference.as_mut().map_or(Ok(()), compare);
        self.reference.take_if(|reference| reference.has_given_up());
        judged
    }

    /// Sets the time of the input that comes next.
    pub(super) fn time(&mut self, now: Now) {
        self.reference.iter_mut().for_each(|reference| reference.time(now.mono.0, now.unix_ms));
    }

    pub(super) fn is_silent(&self) -> bool {
        self.setup.checked_by != CheckedBy::All
    }

    /// Passes a failure on, unless its guarantee is to be overlooked.
    fn overlook(&self, result: Result<(), Failure>) -> Result<(), Failure> {
        result.or_else(|failure| if self.setup.overlooked.has(failure.guarantee) { Ok(()) } else { Err(failure) })
    }

    /// Something that checkers see, if there are any.
    pub(crate) fn check(&mut self, what: Observed<'_>) -> Result<(), Failure> {
        self.checkers.as_mut().map_or(Ok(()), |checkers| checkers.saw(what))
    }

    /// One input, and everything that is judged of it.
    pub(super) fn turn(&mut self, input: Input, stimulus: &Stimulus<'_>) -> Result<(), Failure> {
        let now = self.now();
        let kept = self.checkers.as_ref().map(|_| input.clone());
        let conn = input.conn();
        let call = if let Input::Call { call, .. } = &input { Some(call.0) } else { None };
        self.note_meanwhile(&input);
        let window = self.window(now, Some(&input));
        let mut turns = caught(|| self.subject.turns(now, input))?;
        self.open_calls.extend(call.zip(turns.first().map(|first| first.shard)));
        // A driver does not ask a socket again that has refused, and writes many frames in more than one go.
        let is_written =
            matches!(stimulus, Stimulus::Flushed(client, bytes) if self.written_in_parts(*client, &turns) == *bytes);
        let is_missing = !is_written && turns.iter().all(|seen| seen.follow_up.is_some());
        self.check_turns(now, &turns, stimulus, kept.as_ref())?;
        let after = self.state(turns.pop())?;
        let before = std::mem::replace(&mut self.seen, after);
        // The frame that brings a text may be the one too many, which closes the connection before the text is there.
        if is_missing && !(S::HAS_DRIVER && self.is_forgotten(stimulus)) {
            let nothing =
                Failure::new(Guarantee::L1, format_args!("{stimulus:?} to be handed in"), "nothing of the kind");
            self.heed(Err(nothing))?;
        }
        let of = before.conns.iter().find(|view| Some(view.id) == conn);
        self.goals = self.goals | sights::in_states(&self.setup, stimulus, of, &before, &self.seen);
        let judged = states::check_fairness(stimulus, now.mono.0, &before, &self.seen);
        self.heed(self.overlook(judged))?;
        self.settled(now, &window)
    }

    /// Something happens to the links between shards.
    pub(super) fn on_links(&mut self, work: LinkWork) -> Result<(), Failure> {
        let now = self.now();
        let window = self.window(now, None);
        let ended = if let LinkWork::Lose(shard) = work { self.clients_of(shard) } else { Vec::new() };
        let turns = caught(|| self.subject.on_links(now, work))?;
        // The node has seen this time, even where no shard has.
        self.checkers.iter_mut().for_each(|checkers| checkers.happened());
        if let LinkWork::Lose(shard) = work {
            self.lose_shard(shard, &ended)?;
        }
        self.check_turns(now, &turns, &Stimulus::Stale, None)?;
        self.look()?;
        self.settled(now, &window)
    }

    fn clients_of(&self, shard: usize) -> Vec<usize> {
        let is_its = |client: &Client| self.conn(*client).is_some_and(|conn| self.subject.shard_of(conn) == shard);
        self.clients().filter(is_its).map(Client::index).collect()
    }

    /// The connections of a shard end without a word, and its calls have no answer.
    fn lose_shard(&mut self, shard: usize, clients: &[usize]) -> Result<(), Failure> {
        self.note(|| format!("shard {shard} is lost, with clients {clients:?}"));
        self.faulty = true;
        self.open_calls.retain(|_, of| *of != shard);
        if let Some(checkers) = &mut self.checkers {
            checkers.shard_lost(shard, clients)?;
        }
        for client in clients {
            let client = &mut self.clients[*client];
            let connection = client.connection.take().expect("it was there");
            client.former = Some((connection.id, connection.client_id));
            connection.check_stream()?;
        }
        Ok(())
    }

    fn check_turns(
        &mut self,
        now: Now,
        turns: &[TurnReport],
        stimulus: &Stimulus<'_>,
        input: Option<&Input>,
    ) -> Result<(), Failure> {
        for seen in turns {
            self.time(now);
            match &seen.follow_up {
                None => self.check_turn(seen, stimulus, input),
                Some(input) => self.check_follow_up(now, seen, input),
            }?;
        }
        Ok(())
    }

    /// What clients may recover in the turns that come now, and the history of that until now.
    fn window(&self, now: Now, input: Option<&Input>) -> Window {
        let Some(checkers) = &self.checkers else { return Window::default() };
        let wants = match input {
            _ if self.setup.shards > 1 => checkers.all_wants(input),
            Some(input) => checkers.wants(input),
            None => Vec::new(),
        };
        let before = self.histories(now, &wants);
        Window { wants, before }
    }

    /// Checks what is left of the turns of one input.
    fn settled(&mut self, now: Now, Window { wants, before }: &Window) -> Result<(), Failure> {
        let after = self.histories(now, wants);
        for (want, (before, after)) in wants.iter().zip(before.iter().zip(&after)) {
            self.check(Observed::Histories { want, before, after })?;
        }
        self.ask_what_became_of_one()?;
        let canary = self.release_canary(now);
        self.heed(self.overlook(canary))?;
        self.heed(self.overlook(states::check_bounds(&self.setup, &self.seen)))?;
        let audit = caught(|| self.subject.audit());
        self.heed(self.overlook(audit))?;
        self.heed(self.check_handles())
    }

    /// Sees the state as it is now.
    pub(super) fn look(&mut self) -> Result<(), Failure> {
        self.seen = self.state(None)?;
        Ok(())
    }

    /// The state as it is now, which the last turn of one shard tells.
    fn state(&self, last: Option<TurnReport>) -> Result<Snapshot, Failure> {
        match last.filter(|_| self.setup.shards == 1) {
            Some(last) => Ok(last.after),
            None => caught(|| self.subject.snapshot()),
        }
    }

    /// The history after each of these positions. A copy of the machine is asked, since reading forgets what is too old.
    fn histories(&self, now: Now, wants: &[RecoveryRequest]) -> Vec<Value> {
        if self.setup.shards > 1 {
            return wants.iter().map(|want| self.retained(want)).collect();
        }
        let mut twin = if wants.is_empty() { None } else { self.subject.twin() };
        wants.iter().map(|want| self.history(now, want, twin.as_mut())).collect()
    }

    /// What a room retains after a position, wherever on the node it is.
    fn retained(&self, want: &RecoveryRequest) -> Value {
        let Some(log) = self.seen.logs.iter().find(|log| *log.name == *want.room) else {
            return json!({ "result": { "publications": [], "offset": 0, "epoch": "" } });
        };
        let publication = |(offset, data): &(u64, String)| {
            let data: Value = serde_json::from_str(data).unwrap_or_default();
            json!({ "offset": offset, "data": data })
        };
        let all: Vec<Value> = log.entries.iter().filter(|(offset, _)| *offset > want.offset).map(publication).collect();
        json!({ "result": { "publications": all, "offset": log.top, "epoch": log.epoch } })
    }

    pub(super) fn history(&self, now: Now, want: &RecoveryRequest, twin: Option<&mut Shard>) -> Value {
        // An empty epoch is any.
        let since = json!({ "epoch": want.epoch, "offset": want.offset });
        let body = json!({ "channel": want.room, "limit": -1, "since": since }).to_string();
        let command = json::parse("history", body.as_bytes(), &self.setup.config());
        let answer = command.ok().zip(twin).and_then(|(command, twin)| ask(twin, now, command));
        let nothing = json!({ "error": "it cannot be asked" });
        answer.and_then(|body| serde_json::from_str(&body).ok()).unwrap_or(nothing)
    }

    /// Whether a driver looks for nothing but the Close frame of the client that sends this.
    fn is_forgotten(&self, stimulus: &Stimulus<'_>) -> bool {
        match stimulus {
            Stimulus::Text(client, ..)
            | Stimulus::Fragment(client, _)
            | Stimulus::HalfFrame(client, _)
            | Stimulus::Ping(client, _)
            | Stimulus::Pong(client)
            | Stimulus::Violated(client, _) => self.is_closing(numbered(*client)),
            _ => false,
        }
    }

    /// How much was written to this client in these turns, beside what was expected.
    fn written_in_parts(&self, client: usize, turns: &[TurnReport]) -> usize {
        let id = self.clients[client].connection.as_ref().map(|connection| connection.id);
        let bytes = |seen: &TurnReport| match seen.follow_up {
            Some(Input::Flushed { conn, bytes }) if Some(conn) == id => bytes,
            _ => 0,
        };
        turns.iter().map(bytes).sum()
    }

    fn check_turn(&mut self, seen: &TurnReport, stimulus: &Stimulus<'_>, input: Option<&Input>) -> Result<(), Failure> {
        if let Stimulus::Flushed(client, _) = stimulus
            && S::HAS_DRIVER
        {
            self.receive(numbered(*client), &seen.written)?;
        }
        let TurnReport { effects, after, timeout, stats, .. } = seen;
        self.note(|| format!("{effects:?}"));
        let bound = 64 + 32 * self.clients.len();
        if effects.len() > bound {
            let many = Failure::new(Guarantee::G10, format_args!("at most {bound} effects of a turn"), effects.len());
            self.heed(Err(many))?;
        }
        let answers = self.answers(effects)?;
        let answer = answers.last().map(|(_, body)| body.as_str());
        let outcome = Outcome { effects, answer, after, timeout: *timeout };
        self.heed(self.overlook(states::check_nothing_is_empty(after)))?;
        self.refer(|reference| reference.turn(stimulus, &outcome))?;
        self.heed(self.overlook(states::check_gauges(&self.setup, &stats.gauges, after)))?;
        if let (Some(checkers), Some(input)) = (&mut self.checkers, input) {
            checkers.turned(input, seen, &answers)?;
        }
        let answer = answers.into_iter().find(|(call, _)| call.0 == self.calls);
        self.answered = answer.map(|(_, body)| body).unwrap_or_default();
        self.carry_out(effects)
    }

    /// Checks an input that a driver hands in by itself: the result of a write, a token's claims, or a part of a message.
    fn check_follow_up(&mut self, now: Now, seen: &TurnReport, input: &Input) -> Result<(), Failure> {
        let is_of_all = matches!(input, Input::Configured { .. } | Input::Tick | Input::Shutdown);
        if S::HAS_SHARDS && (is_of_all || matches!(input, Input::Link { .. } | Input::ShardLost { .. })) {
            return self.check_turn(seen, &Stimulus::Stale, Some(input));
        }
        let unasked = || Failure::new(Guarantee::P1, "no input that nothing led to", format_args!("{input:?}"));
        let (Input::Flushed { conn, .. }
        | Input::Authenticated { conn, .. }
        | Input::Fragment { conn, .. }
        | Input::HalfFrame { conn, .. }
        | Input::Unread { conn, .. }
        | Input::Committed { conn, .. }
        | Input::Pong { conn }) = input
        else {
            return Err(unasked());
        };
        let is_its =
            |client: &SimulatedClient| client.connection.as_ref().is_some_and(|connection| connection.id == *conn);
        let client = self.clients.iter().position(is_its).ok_or_else(unasked)?;
        match input {
            Input::Flushed { bytes, .. } => self.check_turn(seen, &Stimulus::Flushed(client, *bytes), Some(input)),
            Input::Fragment { bytes, .. } => self.check_turn(seen, &Stimulus::Fragment(client, *bytes), Some(input)),
            Input::HalfFrame { bytes, .. } => self.check_turn(seen, &Stimulus::HalfFrame(client, *bytes), Some(input)),
            Input::Unread { bytes, .. } => self.check_turn(seen, &Stimulus::Unread(client, *bytes), Some(input)),
            Input::Committed { .. } => self.check_turn(seen, &Stimulus::Stale, Some(input)),
            Input::Pong { .. } => self.check_turn(seen, &Stimulus::Pong(client), Some(input)),
            Input::Authenticated { verdict, .. } => {
                let outcome = self.outcome_of(now, client, verdict)?;
                self.check_turn(seen, &Stimulus::Decided(client, outcome), Some(input))
            }
            _ => Err(unasked()),
        }
    }

    /// The bodies of the answers to calls.
    fn answers(&mut self, effects: &[Effect]) -> Result<Vec<(CallId, String)>, Failure> {
        let mut answers = Vec::new();
        for effect in effects {
            if let Effect::Reply { call, result } = effect {
                if self.open_calls.remove(&call.0).is_none() {
                    self.heed(Err(Failure::new(
                        Guarantee::P1,
                        format_args!("one answer to each call of {:?}", self.open_calls),
                        format_args!("{effect:?}"),
                    )))?;
                }
                if call.0 != self.calls {
                    self.goals.reach(Goal::AnsweredLater);
                }
                answers.push((*call, self.subject.answer(result)));
            }
        }
        Ok(answers)
    }

    fn carry_out(&mut self, effects: &[Effect]) -> Result<(), Failure> {
        for effect in effects {
            match effect {
                Effect::Authenticate { conn, token } => {
                    for (number, client) in self.clients.iter_mut().enumerate() {
                        let Some(connection) = client.connection.as_mut().filter(|known| known.id == *conn) else {
                            continue;
                        };
                        (connection.asked, connection.asked_for) = (true, room_of_token(token));
                        if S::HAS_DRIVER {
                            self.checked.insert(number, String::clone(token));
                        }
                    }
                }
                Effect::Closed { conn, end } => self.hang_up(*conn, end.clean)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn hang_up(&mut self, conn: ConnId, is_clean: bool) -> Result<(), Failure> {
        let ended = self
            .clients
            .iter_mut()
            .find(|client| client.connection.as_ref().is_some_and(|connection| connection.id == conn));
        let twice = || Failure::new(Guarantee::G7, "an end of whoever is there", conn);
        let Some(client) = ended else { return self.heed(Err(twice())) };
        let connection = client.connection.take().expect("it was found by its connection");
        client.former = Some((connection.id, connection.client_id));
        let encrypted = &connection.socket.encrypted;
        if is_clean && !encrypted.is_empty() {
            let words = format_args!("{encrypted:02x?}, which is encrypted, to come before a clean end");
            return Err(Failure::new(Guarantee::G1, words, conn));
        }
        connection.check_stream()
    }

    /// G1: nothing waits for a connection that has ended.
    fn check_handles(&self) -> Result<(), Failure> {
        for (id, _) in self.clients.iter().filter_map(|client| client.former) {
            if let Some(bytes) = caught(|| self.subject.pending(id))? {
                return Err(Failure::new(
                    Guarantee::G1,
                    format_args!("nothing to write for {id}, which has ended"),
                    format_args!("{bytes:02x?}"),
                ));
            }
        }
        Ok(())
    }

    pub(super) fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(transcript) = &mut self.transcript {
            transcript.note(line().as_bytes());
        }
    }

    pub(super) fn note_bytes(&mut self, bytes: &[u8]) {
        if let Some(transcript) = &mut self.transcript {
            transcript.note(bytes);
        }
    }

    /// CheckedBy the streams of everybody who is still there.
    ///
    /// # Errors
    /// One of them is not what its client took it for.
    pub fn check_streams(&self) -> Result<(), Failure> {
        self.clients.iter().flat_map(|client| &client.connection).try_for_each(Connection::check_stream)
    }
}

fn numbered(client: usize) -> Client {
    Client(u8::try_from(client).expect("a few clients"))
}

/// What clients may recover in the turns of one input, and the history of each before.
#[derive(Default)]
pub(super) struct Window {
    wants: Vec<RecoveryRequest>,
    before: Vec<Value>,
}

/// Runs the subject. A panic becomes a failure.
pub(super) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let literal = panic.downcast_ref::<&str>().map(ToString::to_string);
        let words = literal.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        let guarantee = Guarantee::named_in(&words).unwrap_or(Guarantee::G10);
        let expected = if guarantee == Guarantee::G10 { "no panic" } else { "its own checks to hold" };
        Failure::new(guarantee, expected, words)
    })
}
