//! How Parlor is verified: a simulator that invents clients, sockets, time and backends around the server's state machine,
//! and checks every step of what comes of them.
//!
//! # How a run works
//!
//! 1. A [`Setup`](world::setup::Setup) fixes the size of the world and the configuration of the server. A seed draws it
//!    ([`search::swarm`]), a scope gives it ([`search::explore`]), or a [`Trace`](world::trace::Trace) has it as text.
//! 2. [`Action`](world::action::Action)s follow each other: the same sources choose them. One list of actions determines
//!    a run, and every subsequence of a list is a list.
//! 3. The [`World`](world::World) turns an action into inputs of a [`Subject`](subjects::subject::Subject): the machine
//!    itself, the server's own driver around it, or one that is wrong on purpose.
//! 4. The [reference model](mod@reference) is told of the input as a [`Stimulus`](world::stimulus::Stimulus), foresees what must come
//!    of it, and compares that with effects, state, figures and the next deadline.
//! 5. Clients read what their [sockets](world::socket) took with a [parser of their own](world::frames); the reference model
//!    says which frame was due. tungstenite reads every stream of a random run [once more](world::transcript).
//! 6. [Property checkers](checkers) see what a user could see, each judging one property alone.
//! 7. The first difference is a [`Failure`](guarantees::Failure), which names the [guarantee](guarantees) that is broken.
//!    The list of actions is [made short](search::shrink) and [reported](search::report).
//!
//! # The folders
//!
//! | | |
//! |---|---|
//! | [`world`] | what can happen, clients, sockets, the clock, calls of backends, and the healing at the end of a run |
//! | [`reference`](mod@reference) | the model that foresees each step; it shares no code with the core |
//! | [`checkers`] | properties over what is seen from outside; they share nothing with the model |
//! | [`search`] | exhaustive exploration, random runs, batches, shrinking, hunts for known defects |
//! | [`subjects`] | the machine, the driver, the historic managers, machines with a defect put in |
//! | [`engine`] | a store that sites share, as a model, and what the follower of a room does over it |
//! | `redis` | a Redis server as the simulator imagines it |
//! | [`fuzz`] | what a fuzzer runs: functions of bytes |
//! | `cli` | the commands of the program |
//!
//! Beside them stand [`guarantees`] and [`goals`], which everything names, and [`rng`], from which everything is drawn.
//! `sim/README.md` says what is claimed, what is not checked, and how to add to it.

pub mod checkers;
pub mod engine;
pub mod fuzz;
pub mod goals;
pub mod guarantees;
#[cfg(feature = "redis")]
pub mod redis;
pub mod reference;
pub mod rng;
pub mod search;
pub mod subjects;
pub mod world;
