//! The reference model: what must come of each input in a small world of one shard, worked out in sets and queues of its own.
//!
//! It shares nothing with the core but the types that go in and come out, and reads neither the state nor the counts of a
//! subject before it compares them. It may be wrong, but not together with the core.
//!
//! It foresees connections from their upgrade to their end, with every deadline; who is in which room; publications, and in
//! which order each client reads them; logs, what they retain and what is recovered; and who waits for a client that does not
//! read. What checkers judge better it does not know: rates and other limits, what tokens grant, later tokens, presence and
//! absences, lists and selections, batches, filters, and places in plain. Where something of that comes up it gives up, and the
//! rest of the run is left to the checkers. So it does where a client says more than may wait, and where a log comes and goes
//! within a turn. What a call or a command is answered that only reads, and the date of a timestamp, it does not compare. [`Setup::is_foreseen`](crate::world::setup::Setup::is_foreseen) says which worlds it
//! begins with.
//!
//! 1. A [`stimulus`](crate::world::stimulus) tells it of an input, [`arrival`] of what comes with a connection. An [`api_call`] of a backend comes with what
//!    it does in the model; [`calls`] has those that several actions make.
//! 2. `foresee` works out what must come of it, in [`model`]: connections (`connection`, `lifecycle`, `deadlines`, `outbox`,
//!    `identity`), rooms (`rooms`), logs (`log`, `logs`, `recovery`, `keys`), and what clients say (`inbound`, `messages`, `subscribe`,
//!    `publish`, `plain`).
//! 3. `compare` compares that with the [`outcome`]: effects, state and deadlines.
//! 4. `delivery` compares each frame that a client reads with the one that was due ([`expect`]).

mod admission;
mod answer;
pub mod api_call;
pub mod arrival;
pub mod calls;
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
mod log;
mod logs;
mod messages;
pub mod model;
mod outbox;
pub mod outcome;
mod plain;
mod publish;
mod recovery;
mod rooms;
mod subscribe;
mod turn;
