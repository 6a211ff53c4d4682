//! The keys and channels of a sequence, which no other sequence uses.

/// What all of them begin with. The braces are those of a partition.
#[derive(Clone, Debug)]
pub struct KeyNames {
    /// The prefix with its partition.
    pub start: String,
}

/// The rooms of a sequence.
pub const ROOMS: [&str; 2] = ["a", "b"];
/// The sites of a sequence, each with a connection of its own, and one that is only talked about.
pub const SITES: [&str; 3] = ["x", "y", "z"];
/// Keys that no script uses.
const PLAIN: [&str; 4] = ["k1", "k2", "k3", "k4"];

impl KeyNames {
    /// Those of the sequence of this seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        Self { start: format!("parlor{{{seed:x}}}") }
    }

    /// Site terms and counts.
    #[must_use]
    pub fn fence(&self) -> String {
        format!("{}f", self.start)
    }

    /// Site leases.
    #[must_use]
    pub fn leases(&self) -> String {
        format!("{}l", self.start)
    }

    /// A key of a room: `m`, `s` or `w`; or its channel `c`.
    #[must_use]
    pub fn of_room(&self, kind: char, room: &str) -> String {
        format!("{}{kind}:{room}", self.start)
    }

    /// The members of a room at a site.
    #[must_use]
    pub fn members(&self, room: &str, site: &str) -> String {
        format!("{}p:{room}:{site}", self.start)
    }

    /// The rooms of a site, `r`; or its channel `n`.
    #[must_use]
    pub fn of_site(&self, kind: char, site: &str) -> String {
        format!("{}{kind}:{site}", self.start)
    }

    /// What is remembered of an idempotency key.
    #[must_use]
    pub fn once(&self, room: &str) -> String {
        format!("{}i:{room}:once", self.start)
    }

    /// Every key that a sequence may make.
    #[must_use]
    pub fn all(&self) -> Vec<String> {
        let mut all = vec![self.fence(), self.leases()];
        all.extend(PLAIN.iter().map(|name| format!("{}{name}", self.start)));
        for room in ROOMS {
            all.extend(['m', 's', 'w'].map(|kind| self.of_room(kind, room)));
            all.extend(SITES.map(|site| self.members(room, site)));
            all.push(self.once(room));
        }
        all.extend(SITES.map(|site| self.of_site('r', site)));
        all
    }

    /// Every channel.
    #[must_use]
    pub fn channels(&self) -> Vec<String> {
        let mut all: Vec<String> = ROOMS.iter().map(|room| self.of_room('c', room)).collect();
        all.extend(SITES.map(|site| self.of_site('n', site)));
        all
    }
}
