//! The namespaces of rooms: which policy holds for which name.

use super::Policy;
use crate::map::{Keys, Map};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;
use serde::{Serialize, Serializer};

/// Identifies a policy among those of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub struct PolicyId(u16);

impl PolicyId {
    /// The policy of names without a prefix, and of all names where no namespace is configured.
    pub(crate) const UNPREFIXED: Self = Self(0);
    /// The policy of personal rooms.
    pub(crate) const PERSONAL: Self = Self(1);
}

/// The policies of a configuration: one for names without a prefix, one for personal rooms, and one for each namespace.
///
/// A name's prefix is what it has before its first `:`. A user is online while the personal room is occupied, so personal
/// rooms have the longest `presence_grace` of all rooms: who is absent from a room is online.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub struct Namespaces {
    policies: Vec<Policy>,
    /// `None` where no namespace is configured: prefixes mean nothing then.
    #[serde(serialize_with = "in_order")]
    #[cfg_attr(feature = "replay", serde(deserialize_with = "crate::replayed::prefixes"))]
    by_prefix: Option<Map<Box<str>, PolicyId>>,
}

/// Writes a map as a list, in its order.
fn in_order<S: Serializer>(map: &Option<Map<Box<str>, PolicyId>>, serializer: S) -> Result<S::Ok, S::Error> {
    map.as_ref().map(|map| map.iter().collect::<Vec<_>>()).serialize(serializer)
}

impl Namespaces {
    /// The greatest number of namespaces.
    pub const MOST: usize = 1000;

    /// Creates the policies of a configuration without namespaces: a name's prefix means nothing.
    #[must_use]
    pub fn none(all: Policy, personal: Policy) -> Self {
        Self { policies: alloc::vec![all, personal], by_prefix: None }.with_longest_grace()
    }

    /// Creates the policies of a configuration with namespaces: other prefixes than these are refused.
    ///
    /// # Panics
    /// Panics with more than [`Self::MOST`] namespaces, and when a prefix occurs twice.
    #[must_use]
    pub fn with(unprefixed: Policy, personal: Policy, namespaces: impl IntoIterator<Item = (String, Policy)>) -> Self {
        let mut policies = alloc::vec![unprefixed, personal];
        // The prefixes come from the operator, so nobody chooses them to collide.
        let mut by_prefix = Map::with_hasher(Keys(0, 0));
        for (prefix, policy) in namespaces {
            let id = u16::try_from(policies.len()).expect("there are at most MOST namespaces");
            assert!(by_prefix.len() < Self::MOST, "there are at most {} namespaces", Self::MOST);
            let before = by_prefix.insert(prefix.into_boxed_str(), PolicyId(id));
            assert!(before.is_none(), "a namespace is configured once");
            policies.push(policy);
        }
        Self { policies, by_prefix: Some(by_prefix) }.with_longest_grace()
    }

    /// Gives personal rooms the longest grace.
    fn with_longest_grace(mut self) -> Self {
        let longest = self.longest_grace();
        self.policies[usize::from(PolicyId::PERSONAL.0)].presence_grace = longest;
        self
    }

    /// Returns these policies for names that were parsed with those before: a prefix that was there keeps its id.
    ///
    /// # Panics
    /// Panics when a prefix that was there is not, and when there are namespaces now where there were none, or the other way
    /// round: a name would then have another policy than the same name before.
    #[must_use]
    pub(crate) fn following(mut self, before: &Self) -> Self {
        let (Some(by_prefix), Some(known)) = (&mut self.by_prefix, &before.by_prefix) else {
            assert!(self.by_prefix.is_none() && before.by_prefix.is_none(), "namespaces are there as before");
            return self;
        };
        let ids = known.iter().map(|(prefix, id)| (prefix.clone(), *id));
        let mut policies = alloc::vec![self.policies[0].clone(), self.policies[1].clone()];
        let mut ordered = Map::with_hasher(Keys(0, 0));
        for (prefix, id) in ids {
            let now = by_prefix.swap_remove(&prefix).expect("every namespace is there as before");
            assert_eq!(usize::from(id.0), policies.len(), "namespaces are numbered in their order");
            policies.push(self.policies[usize::from(now.0)].clone());
            ordered.insert(prefix, id);
        }
        for (prefix, now) in by_prefix.drain(..) {
            ordered.insert(prefix, PolicyId(u16::try_from(policies.len()).expect("there are at most MOST namespaces")));
            policies.push(self.policies[usize::from(now.0)].clone());
        }
        Self { policies, by_prefix: Some(ordered) }
    }

    /// Returns the policy of a name. O(length of the prefix).
    ///
    /// # Errors
    /// Returns the prefix when namespaces are configured, and this is not one of them.
    pub(crate) fn find<'n>(&self, name: &'n str) -> Result<PolicyId, &'n str> {
        if name.starts_with('#') {
            return Ok(PolicyId::PERSONAL);
        }
        match (&self.by_prefix, name.split_once(':')) {
            (None, _) | (_, None) => Ok(PolicyId::UNPREFIXED),
            (Some(by_prefix), Some((prefix, _))) => by_prefix.get(prefix).copied().ok_or(prefix),
        }
    }

    /// Returns the policy of a name; `None` for one with the prefix of no namespace. O(length of the prefix).
    #[must_use]
    pub fn of(&self, name: &str) -> Option<&Policy> {
        self.find(name).ok().map(|id| self.get(id))
    }

    /// Returns the policy with this id.
    ///
    /// # Panics
    /// Panics when the id is of a name that was parsed with other namespaces, of which there were more.
    #[must_use]
    pub fn get(&self, id: PolicyId) -> &Policy {
        &self.policies[usize::from(id.0)]
    }

    /// Returns the longest `presence_grace` of all policies.
    #[must_use]
    pub fn longest_grace(&self) -> Duration {
        self.policies().map(|policy| policy.presence_grace).max().unwrap_or_default()
    }

    /// Returns all policies, in no order that means anything.
    pub fn policies(&self) -> impl Iterator<Item = &Policy> {
        self.policies.iter()
    }

    /// Returns all policies, to change them.
    pub fn policies_mut(&mut self) -> impl Iterator<Item = &mut Policy> {
        self.policies.iter_mut()
    }
}
