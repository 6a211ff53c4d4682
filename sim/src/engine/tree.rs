//! The properties of what clients are told: a room's histories are a tree, and a client is somewhere in it.
//!
//! Each publication that a server executes is a node. Its parent is the one before it on that server, or the beginning of the
//! log. It has a name, its epoch and offset, which no other one ever has. Of a client is known where it was told to be, and what it
//! has received since:
//!
//! - Between two gaps it receives a path, each publication a child of the one before (G5).
//! - Where it is told that it has recovered, that goes on from where it was (G5).
//! - It is told that it has not, or of a gap, only if the server does not retain any more what comes after its place, so that
//!   announcing everything always is no way out (P1).
//! - A publication that no log numbers comes once at most while a client stays, between those of the log that were made
//!   before and after it (G5). A client that comes from another site may have had it there.
//! - When nothing is on its way any more, each member has what there is, and nobody waits (L1).
//!
//! Nothing here is taken from the core or from the model of the engine.

use crate::guarantees::{Failure, Guarantee};

/// The name of a publication, or, with the offset 0, of the beginning of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EntryName {
    /// The log.
    pub epoch: u64,
    /// The name in it.
    pub offset: u64,
}

/// A publication as a client sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SeenEntry {
    /// Its name.
    pub name: EntryName,
    /// What it says, which is different for each.
    pub content: u8,
}

/// What a client is told of its join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToldStart {
    /// It begins at a position, as it did not ask for more.
    Fresh,
    /// It has recovered, by these.
    Recovered(Vec<SeenEntry>),
    /// It has missed something.
    Unrecovered,
}

/// The histories of a room, and where its clients are in them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HistoryTree {
    nodes: Vec<TreeNode>,
    /// The newest of the log that the server has.
    tip: Option<usize>,
    /// How many publications the server retains.
    retained: usize,
    /// Those that no log numbers.
    unlogged: Vec<Unlogged>,
    clients: Vec<ClientInTree>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct TreeNode {
    entry: SeenEntry,
    parent: Option<usize>,
}

/// A publication that no log numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Unlogged {
    content: u8,
    /// The newest of the log when it was made.
    after: Option<usize>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct ClientInTree {
    /// Where it was told to be, or what it has received last. A client that leaves remembers it.
    at: Option<usize>,
    /// How many of those that no log numbers were made up to the last of them that it has received since it joined.
    unlogged: usize,
    is_member: bool,
    waits: bool,
}

impl HistoryTree {
    /// A room that has said nothing, with so many clients, on a server that retains so much.
    #[must_use]
    pub fn new(clients: usize, retained: usize) -> Self {
        let clients = vec![ClientInTree::default(); clients];
        Self { nodes: Vec::new(), tip: None, retained, unlogged: Vec::new(), clients }
    }

    /// The server begins a log.
    ///
    /// # Errors
    /// There was one of this epoch.
    pub fn begun(&mut self, epoch: u64) -> Result<(), Failure> {
        self.tip = None;
        self.executed(SeenEntry { name: EntryName { epoch, offset: 0 }, content: 0 })
    }

    /// The server has executed a publication, behind all others of its log.
    ///
    /// # Errors
    /// Another one has that name.
    pub fn executed(&mut self, entry: SeenEntry) -> Result<(), Failure> {
        if self.find(entry.name).is_some() {
            return Err(Failure::new(Guarantee::G5, "a name that nothing else has had", format_args!("{entry:?}")));
        }
        self.nodes.push(TreeNode { entry, parent: self.tip });
        self.tip = Some(self.nodes.len() - 1);
        Ok(())
    }

    /// The server has sent a publication that no log numbers.
    pub fn executed_unlogged(&mut self, content: u8) {
        self.unlogged.push(Unlogged { content, after: self.tip });
    }

    /// The server has lost the log.
    pub fn ended(&mut self) {
        self.tip = None;
    }

    /// A client asks to join.
    pub fn joins(&mut self, client: usize) {
        (self.clients[client].waits, self.clients[client].unlogged) = (true, 0);
    }

    /// A client leaves, or gives up to join.
    pub fn leaves(&mut self, client: usize) {
        (self.clients[client].is_member, self.clients[client].waits) = (false, false);
    }

    /// A client is told that it is a member, at this place.
    ///
    /// # Errors
    /// It is told something that is not so.
    pub fn joined(&mut self, client: usize, at: EntryName, start: &ToldStart) -> Result<(), Failure> {
        match start {
            ToldStart::Fresh => {
                let place = self.clients[client].at;
                if place.is_some() {
                    let expected = format_args!("client {client} to be told what there is after {}", self.named(place));
                    return Err(Failure::new(Guarantee::G5, expected, format_args!("it begins at {at:?}")));
                }
                self.clients[client].at = Some(self.known(at)?);
            }
            ToldStart::Recovered(entries) => {
                entries.iter().try_for_each(|entry| self.goes_on(client, *entry))?;
                let place = self.clients[client].at;
                if place != Some(self.known(at)?) {
                    let expected = format_args!("client {client} to recover all up to {at:?}");
                    return Err(Failure::new(Guarantee::G5, expected, self.named(place)));
                }
            }
            ToldStart::Unrecovered => self.begins_anew(client, at, "to recover")?,
        }
        self.clients[client] = ClientInTree { is_member: true, waits: false, ..self.clients[client] };
        Ok(())
    }

    /// A member receives a publication.
    ///
    /// # Errors
    /// It is not the one after the last.
    pub fn received(&mut self, client: usize, entry: SeenEntry) -> Result<(), Failure> {
        self.goes_on(client, entry)
    }

    /// A member receives a publication that no log numbers.
    ///
    /// # Errors
    /// It is in the wrong place, or comes again.
    pub fn received_unlogged(&mut self, client: usize, content: u8) -> Result<(), Failure> {
        let ClientInTree { at, unlogged, .. } = self.clients[client];
        let found = self.unlogged.iter().position(|unlogged| unlogged.content == content);
        let Some(found) = found.filter(|found| *found >= unlogged) else {
            return Err(Failure::new(Guarantee::G5, "a publication that it has not had", format_args!("{content}")));
        };
        let log = |node: usize| self.nodes[node].entry.name.epoch;
        // Of a log that has said nothing the client need not have been told.
        let is_elsewhere = |after: usize| self.nodes[after].parent.is_none() && at.map(log) != Some(log(after));
        if self.unlogged[found].after.is_some_and(|after| at != Some(after) && !is_elsewhere(after)) {
            let expected =
                format_args!("client {client} to get {content} after {}", self.named(self.unlogged[found].after));
            return Err(Failure::new(Guarantee::G5, expected, self.named(at)));
        }
        self.clients[client].unlogged = found + 1;
        Ok(())
    }

    /// A member is told that it may have missed something, and goes on at this place.
    ///
    /// # Errors
    /// The server has all that the member had not.
    pub fn gap(&mut self, client: usize, at: EntryName) -> Result<(), Failure> {
        self.begins_anew(client, at, "not to be told of a gap")
    }

    /// Nothing is on its way any more.
    ///
    /// # Errors
    /// A client waits, or a member has not received something.
    pub fn rests(&self) -> Result<(), Failure> {
        for (number, client) in self.clients.iter().enumerate() {
            if client.waits {
                return Err(Failure::new(Guarantee::L1, format_args!("client {number} to be answered"), "nothing"));
            }
            let has_news = self.tip.is_some_and(|tip| self.nodes[tip].parent.is_some());
            if client.is_member && has_news && client.at != self.tip {
                let expected = format_args!("client {number} to have {}", self.named(self.tip));
                return Err(Failure::new(Guarantee::L1, expected, self.named(client.at)));
            }
        }
        Ok(())
    }

    fn goes_on(&mut self, client: usize, entry: SeenEntry) -> Result<(), Failure> {
        let at = self.clients[client].at;
        let node = self.known(entry.name)?;
        if self.nodes[node].entry != entry || self.nodes[node].parent.is_none() || self.nodes[node].parent != at {
            let expected = format_args!("client {client} to get what follows {}", self.named(at));
            return Err(Failure::new(Guarantee::G5, expected, format_args!("{entry:?}")));
        }
        self.clients[client].at = Some(node);
        Ok(())
    }

    /// A member is told that it may have missed something, and is none any longer.
    ///
    /// # Errors
    /// The server has all that the member had not.
    pub fn expelled(&mut self, client: usize) -> Result<(), Failure> {
        self.is_lost(client, "to stay")?;
        self.leaves(client);
        Ok(())
    }

    fn begins_anew(&mut self, client: usize, at: EntryName, what: &str) -> Result<(), Failure> {
        self.is_lost(client, what)?;
        let (place, begins) = (self.clients[client].at, self.known(at)?);
        if place.is_some_and(|place| begins <= place) {
            let expected = format_args!("client {client} to go on behind {}", self.named(place));
            return Err(Failure::new(Guarantee::G5, expected, format_args!("{at:?}")));
        }
        self.clients[client].at = Some(begins);
        Ok(())
    }

    fn is_lost(&self, client: usize, what: &str) -> Result<(), Failure> {
        let place = self.clients[client].at;
        if place.is_some_and(|place| self.is_recoverable(place)) {
            let expected = format_args!("client {client} {what}, as the server has what follows {}", self.named(place));
            return Err(Failure::new(Guarantee::P1, expected, "it is told that it has missed something"));
        }
        Ok(())
    }

    /// Whether the server still has all that was executed after a node.
    fn is_recoverable(&self, node: usize) -> bool {
        let mut walk = self.tip;
        for _ in 0..=self.retained {
            let Some(at) = walk else { return false };
            if at == node {
                return true;
            }
            walk = self.nodes[at].parent;
        }
        false
    }

    fn find(&self, name: EntryName) -> Option<usize> {
        self.nodes.iter().position(|node| node.entry.name == name)
    }

    fn known(&self, name: EntryName) -> Result<usize, Failure> {
        let unknown = || Failure::new(Guarantee::G5, "a place in a history of the room", format_args!("{name:?}"));
        self.find(name).ok_or_else(unknown)
    }

    fn named(&self, node: Option<usize>) -> String {
        node.map_or_else(|| "nothing".into(), |node| format!("{:?}", self.nodes[node].entry.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(epoch: u64, offset: u64) -> EntryName {
        EntryName { epoch, offset }
    }

    fn entry(epoch: u64, offset: u64) -> SeenEntry {
        SeenEntry { name: name(epoch, offset), content: u8::try_from(10 * epoch + offset).expect("a small one") }
    }

    /// A log of three, of which two are retained, and a client that was told to be at this offset.
    fn told(offset: u64) -> HistoryTree {
        let mut tree = HistoryTree::new(1, 2);
        tree.begun(1).expect("the first");
        (1..=3).for_each(|offset| tree.executed(entry(1, offset)).expect("a new name"));
        tree.joins(0);
        tree.joined(0, name(1, offset), &ToldStart::Fresh).expect("a place");
        tree
    }

    fn breaks(result: Result<(), Failure>) -> Option<Guarantee> {
        result.err().map(|failure| failure.guarantee)
    }

    #[test]
    fn what_is_received_is_a_path() {
        let mut tree = told(1);
        assert_eq!(breaks(tree.received(0, entry(1, 3))), Some(Guarantee::G5), "a hole");
        assert_eq!(breaks(tree.received(0, entry(1, 1))), Some(Guarantee::G5), "a repeat");
        assert_eq!(
            breaks(tree.received(0, SeenEntry { content: 0, ..entry(1, 2) })),
            Some(Guarantee::G5),
            "another content"
        );
        assert_eq!(breaks(tree.received(0, entry(2, 1))), Some(Guarantee::G5), "a name that nothing has");
        assert_eq!(breaks(tree.received(0, entry(1, 2))), None);
        tree.begun(2).expect("a new log");
        tree.executed(entry(2, 1)).expect("a new name");
        assert_eq!(breaks(tree.received(0, entry(2, 1))), Some(Guarantee::G5), "of another log");
        assert_eq!(
            breaks(tree.received(0, SeenEntry { name: name(2, 0), content: 0 })),
            Some(Guarantee::G5),
            "a beginning"
        );
    }

    #[test]
    fn a_name_is_given_once() {
        let mut tree = told(1);
        assert_eq!(breaks(tree.executed(entry(1, 3))), Some(Guarantee::G5));
        assert_eq!(breaks(tree.begun(1)), Some(Guarantee::G5));
    }

    #[test]
    fn who_has_recovered_has_all_from_its_place_to_the_one_that_it_is_told() {
        let recovered = |entries: &[SeenEntry], at| {
            let mut tree = told(1);
            tree.leaves(0);
            tree.joins(0);
            breaks(tree.joined(0, at, &ToldStart::Recovered(entries.to_vec())))
        };
        assert_eq!(recovered(&[entry(1, 2), entry(1, 3)], name(1, 3)), None);
        assert_eq!(recovered(&[entry(1, 2)], name(1, 2)), None, "later ones may come");
        assert_eq!(recovered(&[entry(1, 3)], name(1, 3)), Some(Guarantee::G5), "one is missing");
        assert_eq!(recovered(&[entry(1, 2)], name(1, 3)), Some(Guarantee::G5), "the last is missing");
        assert_eq!(recovered(&[], name(2, 0)), Some(Guarantee::G5), "there is no such place");
    }

    #[test]
    fn who_names_a_place_is_told_what_follows_it() {
        assert_eq!(breaks(told(1).joined(0, name(1, 3), &ToldStart::Fresh)), Some(Guarantee::G5));
    }

    #[test]
    fn nobody_is_told_of_a_loss_that_is_none() {
        assert_eq!(breaks(told(1).gap(0, name(1, 3))), Some(Guarantee::P1), "2 and 3 are retained");
        assert_eq!(breaks(told(3).joined(0, name(1, 3), &ToldStart::Unrecovered)), Some(Guarantee::P1));
        assert_eq!(breaks(told(0).gap(0, name(1, 3))), None, "1 is not");
        assert_eq!(breaks(told(0).gap(0, name(2, 3))), Some(Guarantee::G5), "there is no such place");
        let mut tree = told(3);
        tree.ended();
        tree.begun(2).expect("a new log");
        assert_eq!(breaks(tree.gap(0, name(2, 0))), None, "the log has ended");
    }

    #[test]
    fn nobody_begins_anew_before_its_place() {
        let mut tree = told(2);
        (4..=5).for_each(|offset| tree.executed(entry(1, offset)).expect("a new name"));
        assert_eq!(breaks(tree.clone().gap(0, name(1, 1))), Some(Guarantee::G5), "it would get 2 again");
        assert_eq!(breaks(tree.clone().gap(0, name(1, 2))), Some(Guarantee::G5), "that is no gap");
        assert_eq!(breaks(tree.gap(0, name(1, 4))), None);
    }

    #[test]
    fn what_no_log_numbers_comes_once_and_in_its_place() {
        let mut tree = told(2);
        tree.executed_unlogged(101);
        tree.executed_unlogged(102);
        assert_eq!(breaks(tree.received_unlogged(0, 101)), Some(Guarantee::G5), "3 comes first");
        tree.received(0, entry(1, 3)).expect("the next");
        assert_eq!(breaks(tree.clone().received_unlogged(0, 102)), None, "the first may be missed");
        assert_eq!(breaks(tree.received_unlogged(0, 103)), Some(Guarantee::G5), "nobody has said that");
        tree.received_unlogged(0, 101).expect("its place");
        assert_eq!(breaks(tree.received_unlogged(0, 101)), Some(Guarantee::G5), "it has had that");
        let mut elsewhere = tree.clone();
        elsewhere.joins(0);
        assert_eq!(breaks(elsewhere.received_unlogged(0, 101)), None, "another site may be behind");
        tree.executed(entry(1, 4)).expect("a new name");
        tree.received(0, entry(1, 4)).expect("the next");
        assert_eq!(breaks(tree.received_unlogged(0, 102)), Some(Guarantee::G5), "it was made before 4");
        tree.begun(2).expect("a new log");
        tree.executed_unlogged(103);
        assert_eq!(breaks(tree.received_unlogged(0, 103)), None, "the new log has said nothing");
    }

    #[test]
    fn at_rest_everyone_is_answered_and_has_everything() {
        let mut tree = told(2);
        assert_eq!(breaks(tree.rests()), Some(Guarantee::L1));
        tree.received(0, entry(1, 3)).expect("the next");
        assert_eq!(breaks(tree.rests()), None);
        tree.begun(2).expect("a new log");
        assert_eq!(breaks(tree.rests()), None, "the new log has nothing to tell");
        tree.executed(entry(2, 1)).expect("a new name");
        assert_eq!(breaks(tree.rests()), Some(Guarantee::L1));
        tree.leaves(0);
        assert_eq!(breaks(tree.rests()), None, "it has left");
        tree.joins(0);
        assert_eq!(breaks(tree.rests()), Some(Guarantee::L1));
    }
}
