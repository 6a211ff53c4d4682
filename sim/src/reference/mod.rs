//! The reference model: what must come of each input, worked out in sets and queues of its own.
//!
//! It shares nothing with the core but the types that go in and come out, and reads neither the state nor the counts of a
//! subject before it compares them. It may be wrong, but not together with the core.
//!
//! 1. [`stimulus`] tells it of an input, [`arrival`] of what comes with a connection. An [`api_call`] of a backend comes with what
//!    it does in the model; [`calls`] has those that several actions make.
//! 2. `foresee` works out what must come of it, in [`model`]: connections (`connection`, `lifecycle`, `deadlines`, `outbox`,
//!    `identity`, `tokens`), rooms (`membership`, `rooms`, `presence`, `absences`), logs (`log`, `logs`, `retained`, `recovery`), what
//!    clients say (`messages`, `replies`, `subscribe`, `publish`, `plain`), calls (`calls`, `lists`) and rates.
//! 3. `compare` compares that with the [`outcome`]: effects, state, figures and deadlines. Where the rules leave the subject
//!    free, `choices` reads which way it has gone, and `alternatives` tries every way that nothing tells.
//! 4. `delivery` compares each frame that a client reads with the one that was due ([`expect`]).
//!
//! A file has either types or what the model does with them, so that no two files import each other.

mod absences;
mod admission;
mod alternatives;
mod answer;
pub mod api_call;
pub mod arrival;
mod bucket;
pub mod calls;
mod choices;
mod compare;
pub(crate) mod connection;
mod deadlines;
mod delivery;
pub mod expect;
mod foresee;
mod identity;
mod inbound;
mod keys;
mod lifecycle;
mod lists;
mod log;
mod logs;
mod membership;
mod messages;
pub mod model;
mod names;
mod outbox;
pub mod outcome;
mod pending_joins;
mod permissions;
mod plain;
mod presence;
mod publish;
mod rates;
mod recovery;
mod replies;
mod retained;
mod rooms;
pub mod selection;
pub mod stimulus;
mod subscribe;
mod time;
mod tokens;
mod turn;
