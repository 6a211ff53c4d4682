//! Two sites that share an engine, their clients, and all that can happen to them.

use super::defects::EngineDefect;
use super::server::{Executed, ModelEngine, draft};
use super::site::{EngineSite, ToldBySite};
use super::tree::{EntryName, HistoryTree, SeenEntry, ToldStart};
use crate::guarantees::{Failure, Guarantee};
use parlor_core::engine::{Draft, EngineEvent, EngineRequest, EngineTicket, FollowStart, Missed};
use parlor_core::{Config, RoomName};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// The sites.
pub const SITES: usize = 2;
/// The client that changes sites; the others have the number of their site, and stay there.
const ROAMER: usize = SITES;
/// The tickets of appends, which nobody waits for, begin here.
const APPENDS: u64 = 100;
/// The contents of publications that no log numbers begin behind this.
const UNLOGGED: u8 = 100;

/// The steps in which everything that is on its way arrives. More of them are a loop.
const HEALING_STEPS: usize = 1000;

/// How often something happens, or may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct EngineTimes {
    /// Publications.
    pub publishes: u8,
    /// Publications that no log numbers.
    pub unlogged: u8,
    /// Links that end.
    pub cuts: u8,
    /// Times that the client that roams leaves.
    pub moves: u8,
    /// Times that the engine loses the log.
    pub losses: u8,
    /// Commands that the engine refuses.
    pub refusals: u8,
    /// Answers that have no room for this one.
    pub spent: u8,
}

/// How much happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineSetup {
    /// How often.
    pub times: EngineTimes,
    /// Whether each site has a client that stays.
    pub attended: bool,
    /// Entries that the engine retains.
    pub history: usize,
    /// Entries of an answer to a site that follows the room.
    pub answer: usize,
    /// Entries that a site has of them.
    pub copy: usize,
    /// What is wrong.
    pub defect: Option<EngineDefect>,
}

/// One thing that can happen, at a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EngineAction {
    /// The engine executes the first command of the site.
    Execute(usize),
    /// It executes that, but its answer has no room for what the site has missed.
    Spend(usize),
    /// It refuses that.
    Refuse(usize),
    /// The site asks again for what was refused.
    Retry(usize),
    /// The site reads the first of what it was sent.
    Read(usize),
    /// A publication is made at the site.
    Publish(usize),
    /// One is made there that no log numbers.
    PublishUnlogged(usize),
    /// The link of the site ends.
    Cut(usize),
    /// The next link of the site begins.
    Connect(usize),
    /// The client that roams comes to the site.
    Come(usize),
    /// It leaves.
    Leave,
    /// Nobody has been at the site for a time.
    End(usize),
    /// The engine loses the log.
    Lose,
}

impl fmt::Display for EngineAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Execute(site) => write!(f, "execute {site}"),
            Self::Spend(site) => write!(f, "spend {site}"),
            Self::Refuse(site) => write!(f, "refuse {site}"),
            Self::Retry(site) => write!(f, "retry {site}"),
            Self::Read(site) => write!(f, "read {site}"),
            Self::Publish(site) => write!(f, "publish {site}"),
            Self::PublishUnlogged(site) => write!(f, "publish-unlogged {site}"),
            Self::Cut(site) => write!(f, "cut {site}"),
            Self::Connect(site) => write!(f, "connect {site}"),
            Self::Come(site) => write!(f, "come {site}"),
            Self::Leave => write!(f, "leave"),
            Self::End(site) => write!(f, "end {site}"),
            Self::Lose => write!(f, "lose"),
        }
    }
}

impl EngineAction {
    /// All of them.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let link = [Self::Execute, Self::Spend, Self::Refuse, Self::Retry, Self::Read, Self::Cut, Self::Connect];
        let site = [Self::Publish, Self::PublishUnlogged, Self::Come, Self::End];
        let of_sites = link.into_iter().chain(site).flat_map(|action| (0..SITES).map(action));
        of_sites.chain([Self::Leave, Self::Lose]).collect()
    }

    /// Reads an action as it is written.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::all().into_iter().find(|action| action.to_string() == text)
    }
}

/// What has to happen somewhere in a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EngineGoal {
    /// A client became a member while the link was down.
    JoinedWhileDown,
    /// A client recovered what the copy of the log had.
    RecoveredFromCopy,
    /// A client recovered what only the engine had.
    RecoveredFromEngine,
    /// A client was told that it has not recovered.
    Unrecovered,
    /// A site got what it had missed while its link was down.
    Refilled,
    /// An entry came before the answer that it is in.
    CameTwice,
    /// An answer was cut at its bound.
    AnswerCut,
    /// An answer had no room for what a site had missed.
    AnswerSpent,
    /// Members stayed at their place while their site was refused what they had missed.
    FollowRefused,
    /// A join waited while what it needs was refused.
    ReadRefused,
    /// A client received what no log numbers.
    GotUnlogged,
    /// Members were told of a gap, since what they had missed was not retained any more.
    GapByTruncation,
    /// Members were told of a gap, since the log was another one.
    GapByEpoch,
    /// Nothing was on its way any more.
    Rested,
}

/// The whole of it.
#[derive(Clone, Debug)]
pub struct EngineWorld {
    engine: ModelEngine,
    sites: Vec<EngineSite>,
    tree: HistoryTree,
    clients: [SiteClient; SITES + 1],
    /// What may still happen.
    left: EngineTimes,
    /// The goals of the last action.
    goals: Vec<EngineGoal>,
    times: EngineTimes,
    room: RoomName,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct SiteClient {
    site: Option<usize>,
    ticket: u64,
    is_member: bool,
    last: Option<EntryName>,
}

impl Hash for EngineWorld {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (&self.engine, &self.sites, &self.tree, &self.clients, &self.left).hash(hasher);
    }
}

impl EngineWorld {
    /// Both links are up, and each client has just asked to join: the one that roams at the first site.
    ///
    /// # Panics
    /// Panics when there is a failure already.
    #[must_use]
    pub fn new(setup: &EngineSetup) -> Self {
        let room = RoomName::parse("r0", 2, &Config::default().namespaces).expect("a name");
        let site = EngineSite::new(room.clone(), setup.copy, setup.defect);
        let mut world = Self {
            engine: ModelEngine::new(SITES, setup.history, setup.answer, setup.defect),
            sites: vec![site; SITES],
            tree: HistoryTree::new(SITES + 1, setup.history),
            clients: [SiteClient::default(); SITES + 1],
            left: setup.times,
            goals: Vec::new(),
            times: setup.times,
            room,
        };
        let first = if setup.attended { 0 } else { ROAMER };
        for client in first..=ROAMER {
            world.join(client, client % SITES).expect("nobody is told anything yet");
        }
        world
    }

    /// Whether this can happen.
    #[must_use]
    pub fn can(&self, action: EngineAction) -> bool {
        let EngineTimes { publishes, unlogged, cuts, moves, losses, refusals, spent } = self.left;
        match action {
            EngineAction::Execute(site) => self.engine.has_commands(site),
            EngineAction::Spend(site) => spent > 0 && self.engine.is_asked_for_missed(site),
            EngineAction::Refuse(site) => refusals > 0 && self.engine.can_refuse(site),
            EngineAction::Retry(site) => self.sites[site].is_to_retry(),
            EngineAction::Read(site) => self.engine.has_sent(site),
            EngineAction::Publish(site) => publishes > 0 && self.engine.is_up(site),
            EngineAction::PublishUnlogged(site) => unlogged > 0 && self.engine.is_up(site),
            EngineAction::Cut(site) => cuts > 0 && self.engine.is_up(site),
            EngineAction::Connect(site) => !self.engine.is_up(site),
            EngineAction::Come(_) => self.clients[ROAMER].site.is_none(),
            EngineAction::Leave => moves > 0 && self.clients[ROAMER].site.is_some(),
            EngineAction::End(site) => self.clients.iter().all(|client| client.site != Some(site)),
            EngineAction::Lose => losses > 0 && self.engine.has_log(),
        }
    }

    /// Has this happen.
    ///
    /// # Errors
    /// What it breaks.
    pub fn act(&mut self, action: EngineAction) -> Result<(), Failure> {
        self.goals.clear();
        match action {
            EngineAction::Execute(site) => {
                let executed = self.engine.execute(site);
                self.executed(executed)?;
            }
            EngineAction::Spend(site) => {
                self.left.spent -= 1;
                let executed = self.engine.spend(site);
                self.executed(executed)?;
            }
            EngineAction::Refuse(site) => {
                self.left.refusals -= 1;
                let executed = self.engine.refuse(site);
                self.executed(executed)?;
            }
            EngineAction::Retry(site) => {
                let done = self.sites[site].retry();
                self.carry_out(site, done)?;
            }
            EngineAction::Read(site) => self.read(site)?,
            EngineAction::Publish(site) => {
                self.left.publishes -= 1;
                self.publish(site, draft(self.times.publishes - self.left.publishes));
            }
            EngineAction::PublishUnlogged(site) => {
                self.left.unlogged -= 1;
                let content = UNLOGGED + self.times.unlogged - self.left.unlogged;
                self.publish(site, Draft { skip_history: true, ..draft(content) });
            }
            EngineAction::Cut(site) => {
                self.left.cuts -= 1;
                self.engine.cut(site);
                self.tell(site, EngineEvent::Down)?;
            }
            EngineAction::Connect(site) => {
                self.engine.connect(site);
                self.tell(site, EngineEvent::Up)?;
            }
            EngineAction::Come(site) => self.join(ROAMER, site)?,
            EngineAction::Leave => self.leave(),
            EngineAction::End(site) => {
                let done = self.sites[site].end();
                self.carry_out(site, done)?;
            }
            EngineAction::Lose => {
                self.left.losses -= 1;
                self.engine.forget();
                self.tree.ended();
            }
        }
        if (0..SITES).all(|site| self.is_quiet(site)) {
            self.goals.push(EngineGoal::Rested);
            self.tree.rests()?;
        }
        Ok(())
    }

    /// Both links come up, and everything that is on its way arrives.
    ///
    /// # Errors
    /// What it breaks, or that there is always more to do.
    pub fn heal(&mut self) -> Result<(), Failure> {
        use EngineAction::{Connect, Execute, Read, Retry};
        let of_site = |site| [Connect(site), Execute(site), Read(site), Retry(site)];
        for _ in 0..HEALING_STEPS {
            let Some(action) = (0..SITES).flat_map(of_site).find(|action| self.can(*action)) else { return Ok(()) };
            self.act(action)?;
        }
        Err(Failure::new(Guarantee::L1, format_args!("rest within {HEALING_STEPS} steps"), "more to do"))
    }

    /// The goals that the last action has reached.
    #[must_use]
    pub fn goals(&self) -> &[EngineGoal] {
        &self.goals
    }

    fn is_quiet(&self, site: usize) -> bool {
        let is_to_come = self.engine.has_commands(site) || self.engine.has_sent(site) || self.sites[site].is_to_retry();
        self.engine.is_up(site) && !is_to_come
    }

    fn executed(&mut self, executed: Vec<Executed>) -> Result<(), Failure> {
        for executed in executed {
            match executed {
                Executed::Begun(epoch) => self.tree.begun(epoch)?,
                Executed::Appended(entry) => self.tree.executed(entry)?,
                Executed::Sent(content) => self.tree.executed_unlogged(content),
            }
        }
        Ok(())
    }

    fn read(&mut self, site: usize) -> Result<(), Failure> {
        let Some(event) = self.engine.read(site, &self.room) else { return Ok(()) };
        let is_live = self.sites[site].follower.is_live();
        self.goals.extend(match &event {
            EngineEvent::Entry { publication, .. } if !is_live && publication.offset > 0 => Some(EngineGoal::CameTwice),
            EngineEvent::Followed { result, .. } => match result {
                Ok(FollowStart { missed: Missed::All(all), .. }) if !all.is_empty() => Some(EngineGoal::Refilled),
                Ok(FollowStart { missed: Missed::Cut(some), .. }) if some.is_empty() => Some(EngineGoal::AnswerSpent),
                Ok(FollowStart { missed: Missed::Cut(_), .. }) => Some(EngineGoal::AnswerCut),
                Err(_) if self.has_members(site) => Some(EngineGoal::FollowRefused),
                _ => None,
            },
            EngineEvent::Read { result: Err(_), .. } if is_live => Some(EngineGoal::ReadRefused),
            _ => None,
        });
        self.tell(site, event)
    }

    fn has_members(&self, site: usize) -> bool {
        self.clients.iter().any(|client| client.site == Some(site) && client.is_member)
    }

    fn publish(&mut self, site: usize, draft: Draft) {
        let (ticket, room) = (EngineTicket(APPENDS + u64::from(draft.data.bytes()[0])), self.room.clone());
        self.engine.send(site, &EngineRequest::Append { ticket, room, draft: Arc::new(draft), key: None });
    }

    fn join(&mut self, number: usize, site: usize) -> Result<(), Failure> {
        // A number of its own for each time, so that a late answer is not taken for that to a later join.
        let moves = self.times.moves - self.left.moves;
        let ticket = number as u64 + u64::from(if number == ROAMER { moves } else { 0 });
        let client = &mut self.clients[number];
        *client = SiteClient { site: Some(site), ticket, is_member: false, last: client.last };
        let last = client.last;
        self.tree.joins(number);
        let done = self.sites[site].join(ticket, last);
        self.carry_out(site, done)
    }

    fn leave(&mut self) {
        self.left.moves -= 1;
        let client = &mut self.clients[ROAMER];
        if let Some(site) = client.site.filter(|_| !client.is_member) {
            self.sites[site].abandon(client.ticket);
        }
        (client.site, client.is_member) = (None, false);
        self.tree.leaves(ROAMER);
    }

    fn tell(&mut self, site: usize, event: EngineEvent) -> Result<(), Failure> {
        let done = self.sites[site].on_event(event);
        self.carry_out(site, done)
    }

    fn carry_out(&mut self, site: usize, done: (Vec<EngineRequest>, Vec<ToldBySite>)) -> Result<(), Failure> {
        let (asked, told) = done;
        asked.iter().for_each(|request| self.engine.send(site, request));
        told.into_iter().try_for_each(|told| self.hear(site, told))
    }

    /// The clients of a site are told something.
    fn hear(&mut self, site: usize, told: ToldBySite) -> Result<(), Failure> {
        match told {
            ToldBySite::Delivered(entry) => {
                self.of_members(site, |tree, number| tree.received(number, entry), entry.name)
            }
            ToldBySite::DeliveredUnlogged(content) => {
                for (number, client) in self.clients.iter().enumerate() {
                    if client.site == Some(site) && client.is_member {
                        self.goals.push(EngineGoal::GotUnlogged);
                        self.tree.received_unlogged(number, content)?;
                    }
                }
                Ok(())
            }
            ToldBySite::Restarted(at) => {
                let place = |client: &&SiteClient| client.site == Some(site) && client.is_member;
                let before = self.clients.iter().find(place).and_then(|client| client.last);
                let goal = |before: EntryName| {
                    if before.epoch == at.epoch { EngineGoal::GapByTruncation } else { EngineGoal::GapByEpoch }
                };
                self.goals.extend(before.map(goal));
                self.of_members(site, |tree, number| tree.gap(number, at), at)
            }
            ToldBySite::Joined { ticket, at, start: Some(start) } => self.joined(site, ticket, at, &start),
            ToldBySite::Joined { at, start: None, .. } => {
                let expected = "the copy of the log to hold the position that is answered from it";
                Err(Failure::new(Guarantee::G5, expected, format_args!("a join at {at:?}")))
            }
        }
    }

    fn of_members(
        &mut self,
        site: usize,
        tell: impl Fn(&mut HistoryTree, usize) -> Result<(), Failure>,
        last: EntryName,
    ) -> Result<(), Failure> {
        for (number, client) in self.clients.iter_mut().enumerate() {
            if client.site == Some(site) && client.is_member {
                tell(&mut self.tree, number)?;
                client.last = Some(last);
            }
        }
        Ok(())
    }

    fn joined(&mut self, site: usize, ticket: u64, at: EntryName, start: &ToldStart) -> Result<(), Failure> {
        let is_its = |client: &SiteClient| client.site == Some(site) && client.ticket == ticket && !client.is_member;
        let Some(number) = self.clients.iter().position(is_its) else { return Ok(()) };
        let has = |entries: &[SeenEntry]| !entries.is_empty();
        match start {
            _ if !self.engine.is_up(site) => self.goals.push(EngineGoal::JoinedWhileDown),
            ToldStart::Recovered(entries) if has(entries) && self.sites[site].has_all(entries) => {
                self.goals.push(EngineGoal::RecoveredFromCopy);
            }
            ToldStart::Recovered(entries) if has(entries) => self.goals.push(EngineGoal::RecoveredFromEngine),
            ToldStart::Unrecovered => self.goals.push(EngineGoal::Unrecovered),
            _ => {}
        }
        self.tree.joined(number, at, start)?;
        let client = &mut self.clients[number];
        (client.is_member, client.last) = (true, Some(at));
        Ok(())
    }
}
