//! The model of an engine: the log of one room, and a link to each site. It executes one command at a time; commands of a link
//! are executed in their order, and all that a site is sent is one sequence.

use super::defects::EngineDefect;
use super::tree::{EntryName, SeenEntry};
use parlor_core::Payload;
use parlor_core::engine::{Draft, EngineError, EngineEvent, EnginePage, EngineRequest, EngineTicket};
use parlor_core::engine::{FollowStart, LogPosition, Missed, Publication};
use parlor_core::{RoomName, api::Position};
use std::collections::VecDeque;
use std::sync::Arc;

/// An entry as the server stores and sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ModelEntry {
    /// The epoch of its log.
    pub epoch: u64,
    /// Its name there.
    pub offset: u64,
    /// The name of the entry before it; 0 for the first.
    pub prev: u64,
    /// What it says, which is different for each.
    pub content: u8,
}

/// What was executed, for those who watch the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Executed {
    /// A log has begun, with this epoch.
    Begun(u64),
    /// An entry was appended.
    Appended(SeenEntry),
    /// A publication that says this was sent to who follows the room, and is in no log.
    Sent(u8),
}

/// An engine with one room.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ModelEngine {
    log: Option<ModelLog>,
    /// The logs that have been begun, which gives each its epoch.
    logs: u64,
    /// The entries that it retains at most.
    history: usize,
    /// The entries of an answer to who follows the room at most.
    answer: usize,
    links: Vec<ModelLink>,
    defect: Option<EngineDefect>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ModelLog {
    epoch: u64,
    top: u64,
    entries: Vec<ModelEntry>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct ModelLink {
    is_up: bool,
    is_subscribed: bool,
    commands: VecDeque<ModelCommand>,
    sent: VecDeque<ModelReply>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum ModelCommand {
    Subscribe,
    Unsubscribe,
    /// What there is after a position, for who follows.
    ReadMissed(Option<EntryName>),
    ReadPage {
        ticket: u64,
        since: EntryName,
    },
    Append {
        ticket: u64,
        content: u8,
    },
    /// Sends a publication that no log numbers.
    Send {
        ticket: u64,
        content: u8,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum ModelReply {
    Entry(ModelEntry),
    Missed { at: EntryName, missed: ModelMissed },
    NotFollowed,
    Page { ticket: u64, at: EntryName, entries: Vec<ModelEntry> },
    NotRead { ticket: u64 },
    Appended { ticket: u64, at: EntryName },
    NotAppended { ticket: u64 },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum ModelMissed {
    NotAsked,
    All(Vec<ModelEntry>),
    Cut(Vec<ModelEntry>),
    Unknown,
}

impl ModelEngine {
    /// An engine without a log, which is linked with so many sites.
    #[must_use]
    pub fn new(sites: usize, history: usize, answer: usize, defect: Option<EngineDefect>) -> Self {
        let link = ModelLink { is_up: true, ..ModelLink::default() };
        Self { log: None, logs: 0, history, answer, links: vec![link; sites], defect }
    }

    /// Whether the site has a link.
    #[must_use]
    pub fn is_up(&self, site: usize) -> bool {
        self.links[site].is_up
    }

    /// Whether a command of the site waits to be executed.
    #[must_use]
    pub fn has_commands(&self, site: usize) -> bool {
        !self.links[site].commands.is_empty()
    }

    /// Whether the first command of the site can be refused. Who unfollows is not answered.
    #[must_use]
    pub fn can_refuse(&self, site: usize) -> bool {
        self.links[site].commands.front().is_some_and(|command| *command != ModelCommand::Unsubscribe)
    }

    /// Whether the first command of the site asks for what it has missed.
    #[must_use]
    pub fn is_asked_for_missed(&self, site: usize) -> bool {
        matches!(self.links[site].commands.front(), Some(ModelCommand::ReadMissed(Some(_))))
    }

    /// Whether the site has not read all that it was sent.
    #[must_use]
    pub fn has_sent(&self, site: usize) -> bool {
        !self.links[site].sent.is_empty()
    }

    /// Whether the site is sent each entry.
    #[must_use]
    pub fn is_followed(&self, site: usize) -> bool {
        self.links[site].is_subscribed
    }

    /// Whether there is a log.
    #[must_use]
    pub fn has_log(&self) -> bool {
        self.log.is_some()
    }

    /// Takes a request of a site. It is lost where there is no link.
    pub fn send(&mut self, site: usize, request: &EngineRequest) {
        let defect = self.defect;
        let link = &mut self.links[site];
        if !link.is_up {
            return;
        }
        match request {
            EngineRequest::Follow { since, .. } => {
                let since = since.map(|since| EntryName { epoch: since.epoch, offset: since.offset });
                let mut commands = [ModelCommand::Subscribe, ModelCommand::ReadMissed(since)];
                if defect == Some(EngineDefect::ReadBeforeSubscribe) {
                    commands.reverse();
                }
                let is_late = |command: &ModelCommand| *command == ModelCommand::Unsubscribe;
                let late = link.commands.back().is_some_and(is_late) && defect == Some(EngineDefect::UnfollowOvertakes);
                let late = late.then(|| link.commands.pop_back()).flatten();
                link.commands.extend(commands.into_iter().chain(late));
            }
            EngineRequest::Unfollow { .. } => link.commands.push_back(ModelCommand::Unsubscribe),
            EngineRequest::Append { ticket, draft, .. } => {
                let (ticket, content) = (ticket.0, draft.data.bytes()[0]);
                link.commands.push_back(if draft.skip_history {
                    ModelCommand::Send { ticket, content }
                } else {
                    ModelCommand::Append { ticket, content }
                });
            }
            EngineRequest::Forget { .. } => unreachable!("no site removes a history"),
            EngineRequest::Read { ticket, query, .. } => {
                let since = query.since.as_ref().map_or(EntryName { epoch: 0, offset: 0 }, named);
                link.commands.push_back(ModelCommand::ReadPage { ticket: ticket.0, since });
            }
        }
    }

    /// Executes the first command of a site.
    pub fn execute(&mut self, site: usize) -> Vec<Executed> {
        self.execute_within(site, self.answer)
    }

    /// Executes the first command of a site, whose answer has no entries, since other rooms have used up the bound of it.
    pub fn spend(&mut self, site: usize) -> Vec<Executed> {
        self.execute_within(site, 0)
    }

    /// Refuses the first command of a site.
    pub fn refuse(&mut self, site: usize) -> Vec<Executed> {
        let is_empty_answer = self.defect == Some(EngineDefect::RefusalTakenAsEmptyAnswer);
        let mut executed = Vec::new();
        let at = if is_empty_answer { self.log(&mut executed).position() } else { EntryName { epoch: 0, offset: 0 } };
        let link = &mut self.links[site];
        let command = link.commands.pop_front();
        if command == Some(ModelCommand::Subscribe)
            && let Some(ModelCommand::ReadMissed(_)) = link.commands.front()
        {
            // Both are one request.
            link.commands.pop_front();
        }
        link.sent.extend(command.and_then(|command| match command {
            ModelCommand::Unsubscribe => None,
            ModelCommand::Subscribe | ModelCommand::ReadMissed(_) if is_empty_answer => {
                Some(ModelReply::Missed { at, missed: ModelMissed::All(Vec::new()) })
            }
            ModelCommand::ReadPage { ticket, .. } if is_empty_answer => {
                Some(ModelReply::Page { ticket, at, entries: Vec::new() })
            }
            ModelCommand::Subscribe | ModelCommand::ReadMissed(_) => Some(ModelReply::NotFollowed),
            ModelCommand::ReadPage { ticket, .. } => Some(ModelReply::NotRead { ticket }),
            ModelCommand::Append { ticket, .. } | ModelCommand::Send { ticket, .. } => {
                Some(ModelReply::NotAppended { ticket })
            }
        }));
        executed
    }

    fn execute_within(&mut self, site: usize, answer: usize) -> Vec<Executed> {
        let Some(command) = self.links[site].commands.pop_front() else { return Vec::new() };
        let mut executed = Vec::new();
        match command {
            ModelCommand::Subscribe => self.links[site].is_subscribed = true,
            ModelCommand::Unsubscribe => self.links[site].is_subscribed = false,
            ModelCommand::ReadMissed(since) => {
                let defect = self.defect;
                let log = self.log(&mut executed);
                let missed = since.map_or(ModelMissed::NotAsked, |since| log.missed(since, answer, defect));
                let reply = ModelReply::Missed { at: log.position(), missed };
                self.links[site].sent.push_back(reply);
            }
            ModelCommand::ReadPage { ticket, since } => {
                let is_taken_as_whole = self.defect == Some(EngineDefect::TrimmedPageTakenAsWhole);
                let log = self.log(&mut executed);
                let is_behind = |entry: &&ModelEntry| since.epoch == log.epoch && entry.offset > since.offset;
                let mut entries: Vec<ModelEntry> = log.entries.iter().filter(is_behind).copied().collect();
                if is_taken_as_whole && let Some(first) = entries.first_mut() {
                    first.prev = since.offset;
                }
                let reply = ModelReply::Page { ticket, at: log.position(), entries };
                self.links[site].sent.push_back(reply);
            }
            ModelCommand::Append { ticket, content } => {
                let history = self.history;
                let entry = self.log(&mut executed).append(content, history);
                executed.push(Executed::Appended(entry.seen()));
                for link in self.links.iter_mut().filter(|link| link.is_subscribed) {
                    link.sent.push_back(ModelReply::Entry(entry));
                }
                let at = entry.seen().name;
                self.links[site].sent.push_back(ModelReply::Appended { ticket, at });
            }
            ModelCommand::Send { ticket, content } => {
                let at = EntryName { epoch: self.log.as_ref().map_or(0, |log| log.epoch), offset: 0 };
                let entry = ModelEntry { epoch: at.epoch, offset: 0, prev: 0, content };
                executed.push(Executed::Sent(content));
                for link in self.links.iter_mut().filter(|link| link.is_subscribed) {
                    link.sent.push_back(ModelReply::Entry(entry));
                }
                self.links[site].sent.push_back(ModelReply::Appended { ticket, at });
            }
        }
        executed
    }

    /// Hands out what a site was sent first.
    pub fn read(&mut self, site: usize, room: &RoomName) -> Option<EngineEvent> {
        self.links[site].sent.pop_front().map(|reply| reply.event(room.clone()))
    }

    /// Ends the link of a site, with all that is on its way.
    pub fn cut(&mut self, site: usize) {
        let link = &mut self.links[site];
        let sent = std::mem::take(&mut link.sent);
        *link = ModelLink::default();
        if self.defect == Some(EngineDefect::EndedLinkHeard) {
            link.sent = sent;
        }
    }

    /// Begins the next link of a site.
    pub fn connect(&mut self, site: usize) {
        self.links[site].is_up = true;
    }

    /// Loses the log.
    pub fn forget(&mut self) {
        self.log = None;
    }

    /// The log, which is begun where there is none.
    fn log(&mut self, executed: &mut Vec<Executed>) -> &mut ModelLog {
        self.log.get_or_insert_with(|| {
            self.logs += 1;
            executed.push(Executed::Begun(self.logs));
            ModelLog { epoch: self.logs, top: 0, entries: Vec::new() }
        })
    }
}

impl ModelLog {
    fn position(&self) -> EntryName {
        EntryName { epoch: self.epoch, offset: self.top }
    }

    fn append(&mut self, content: u8, history: usize) -> ModelEntry {
        let entry = ModelEntry { epoch: self.epoch, offset: self.top + 1, prev: self.top, content };
        self.top = entry.offset;
        self.entries.push(entry);
        self.entries.drain(..self.entries.len().saturating_sub(history));
        entry
    }

    /// What there is after a position, for who follows: so many entries at most.
    fn missed(&self, since: EntryName, answer: usize, defect: Option<EngineDefect>) -> ModelMissed {
        match self.after(since) {
            _ if defect == Some(EngineDefect::GapWithoutLoss) => ModelMissed::Unknown,
            None if defect == Some(EngineDefect::UnretainedTakenAsCut) && since.epoch == self.epoch => {
                ModelMissed::Cut(Vec::new())
            }
            None => ModelMissed::Unknown,
            Some(after) if after.len() <= answer => ModelMissed::All(after),
            Some(after) => {
                let first = after[..answer].to_vec();
                if defect == Some(EngineDefect::CutTakenAsWhole) {
                    ModelMissed::All(first)
                } else {
                    ModelMissed::Cut(first)
                }
            }
        }
    }

    /// All entries after a position, if it names one that is retained, the one before those, or the newest.
    fn after(&self, since: EntryName) -> Option<Vec<ModelEntry>> {
        let after: Vec<ModelEntry> = self.entries.iter().filter(|entry| entry.offset > since.offset).copied().collect();
        let before = after.first().map_or(self.top, |first| first.prev);
        (since.epoch == self.epoch && before == since.offset).then_some(after)
    }
}

impl ModelEntry {
    /// The entry as clients see it.
    #[must_use]
    pub fn seen(self) -> SeenEntry {
        SeenEntry { name: EntryName { epoch: self.epoch, offset: self.offset }, content: self.content }
    }

    fn publication(self) -> Arc<Publication> {
        let Self { epoch, offset, prev, content } = self;
        Arc::new(Publication { epoch, offset, prev, draft: draft(content) })
    }
}

impl ModelReply {
    fn event(self, room: RoomName) -> EngineEvent {
        let refused = || EngineError::Refused("OOM".into());
        let publications = |entries: Vec<ModelEntry>| entries.into_iter().map(ModelEntry::publication).collect();
        match self {
            Self::Entry(entry) => EngineEvent::Entry { room, publication: entry.publication() },
            Self::Missed { at, missed } => {
                let missed = match missed {
                    ModelMissed::NotAsked => Missed::NotAsked,
                    ModelMissed::All(entries) => Missed::All(publications(entries)),
                    ModelMissed::Cut(entries) => Missed::Cut(publications(entries)),
                    ModelMissed::Unknown => Missed::Unknown,
                };
                EngineEvent::Followed { room, result: Ok(FollowStart { position: position(at), missed }) }
            }
            Self::NotFollowed => EngineEvent::Followed { room, result: Err(refused()) },
            Self::Page { ticket, at, entries } => {
                let page = EnginePage { publications: publications(entries), position: position(at) };
                EngineEvent::Read { ticket: EngineTicket(ticket), room, result: Ok(page) }
            }
            Self::NotRead { ticket } => {
                EngineEvent::Read { ticket: EngineTicket(ticket), room, result: Err(refused()) }
            }
            Self::Appended { ticket, at } => {
                EngineEvent::Appended { ticket: EngineTicket(ticket), result: Ok(position(at)) }
            }
            Self::NotAppended { ticket } => {
                EngineEvent::Appended { ticket: EngineTicket(ticket), result: Err(refused()) }
            }
        }
    }
}

/// A draft with this content.
#[must_use]
pub fn draft(content: u8) -> Draft {
    Draft { data: Payload::from(vec![content]), tags: None, info: None, skip_history: false, shared: false }
}

/// A position in the form of the contract.
#[must_use]
pub fn position(name: EntryName) -> LogPosition {
    LogPosition { epoch: name.epoch, offset: name.offset }
}

/// The name that a client's position is. No log has the epoch 0.
fn named(position: &Position) -> EntryName {
    EntryName { epoch: u64::from_str_radix(&position.epoch, 16).unwrap_or(0), offset: position.offset }
}
