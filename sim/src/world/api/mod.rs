//! The calls of backends that are more than a row in the table of actions: what is asked before them, and those that are about
//! some of many. What each is that is foreseen, and what must come of it, is in [`calls`](crate::reference::calls), and the others are in
//! `unforeseen`.

mod batches;
mod calls;
pub(super) mod selected;
pub(super) mod unforeseen;
