//! Who hears which channel.

use super::answers::{bulk, count};
use parlor_core::redis::RespValue;
use std::collections::BTreeSet;

/// The two kinds of channels of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChannelKind {
    /// Of SUBSCRIBE and PUBLISH.
    Plain,
    /// Of SSUBSCRIBE and SPUBLISH.
    Sharded,
}

impl ChannelKind {
    /// A word of pub/sub with the letter of this kind before it.
    fn word(self, word: &str) -> RespValue {
        bulk(format!("{}{word}", if self == Self::Sharded { "s" } else { "" }))
    }
}

/// All subscriptions.
#[derive(Clone, Debug, Default)]
pub struct Subscriptions(BTreeSet<(ChannelKind, Vec<u8>, usize)>);

impl Subscriptions {
    /// Subscribes a connection to a channel. What it is told.
    pub fn subscribe(&mut self, connection: usize, kind: ChannelKind, channel: &[u8]) -> RespValue {
        self.0.insert((kind, channel.to_vec(), connection));
        RespValue::Push(vec![kind.word("subscribe"), bulk(channel), count(self.number(connection, kind))])
    }

    /// Ends that again.
    pub fn unsubscribe(&mut self, connection: usize, kind: ChannelKind, channel: &[u8]) -> RespValue {
        self.0.remove(&(kind, channel.to_vec(), connection));
        RespValue::Push(vec![kind.word("unsubscribe"), bulk(channel), count(self.number(connection, kind))])
    }

    /// What a connection is told that ends all its subscriptions.
    pub fn unsubscribe_all(&mut self, connection: usize, kind: ChannelKind) -> Vec<RespValue> {
        let is_its = |(of, _, by): &&(ChannelKind, Vec<u8>, usize)| (*of, *by) == (kind, connection);
        let channels: Vec<Vec<u8>> = self.0.iter().filter(is_its).map(|(_, channel, _)| channel.clone()).collect();
        if channels.is_empty() {
            return vec![RespValue::Push(vec![kind.word("unsubscribe"), RespValue::Null, count(0)])];
        }
        channels.iter().map(|channel| self.unsubscribe(connection, kind, channel)).collect()
    }

    /// Who is sent a message, and what.
    #[must_use]
    pub fn published(&self, kind: ChannelKind, channel: &[u8], message: &[u8]) -> (Vec<usize>, RespValue) {
        let hears = |(of, name, _): &&(ChannelKind, Vec<u8>, usize)| *of == kind && name == channel;
        let push = RespValue::Push(vec![kind.word("message"), bulk(channel), bulk(message)]);
        (self.0.iter().filter(hears).map(|(_, _, connection)| *connection).collect(), push)
    }

    /// Plain and sharded channels are counted apart.
    fn number(&self, connection: usize, kind: ChannelKind) -> usize {
        self.0.iter().filter(|(of, _, by)| (*of, *by) == (kind, connection)).count()
    }
}
