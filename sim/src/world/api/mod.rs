//! The calls of backends in one place: what each action of theirs asks for ([`bodies`]), and what it means to the reference
//! model ([`ApiCall`](crate::reference::api_call::ApiCall)).

mod batches;
pub mod bodies;
mod calls;
pub(super) mod selected;
