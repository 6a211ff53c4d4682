//! The same random commands for the model and for a server, and a comparison of everything that both reply.
//!
//! A sequence of commands follows from its seed, and from what the model has replied before. It is sent in bursts, each over
//! one of two connections, so that the order of what a connection is sent is compared, too: replies and pushes are one
//! sequence. At the end all keys are compared that the sequence may have made.
//!
//! | | |
//! |---|---|
//! | [`endpoint`], [`real`] | what is compared with the model: another model, or a server |
//! | `sequence` | what a sequence does next; beside it a file for each family of commands |
//! | [`judge`] | what may differ, and why |
//! | [`runner`] | a sequence, and many |

pub mod endpoint;
pub mod judge;
pub mod names;
pub mod real;
pub mod runner;

mod calls;
mod data;
mod draw;
mod sequence;
mod snippets;
