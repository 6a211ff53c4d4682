//! An engine that two sites share, as a model between the requests and events of its contract: small enough that all that can
//! happen is searched.
//!
//! The sites have the follower that a home has; no server has an engine yet. What becomes of it is judged by [`tree`], which knows
//! neither the follower nor the model, but what was executed and what each client was told.
//!
//! | | |
//! |---|---|
//! | [`tree`] | the properties: the tree of histories, and the clients' places in it |
//! | [`server`] | the model of the engine: a log, and a link to each site |
//! | [`site`] | a site: the follower, and the copy of the log that a home would have |
//! | [`defects`] | what can be wrong on purpose, and has to be found |
//! | [`world`] | all of it together, and what can happen |
//! | [`scope`] | the search for everything that can happen |
//! | [`nodes`] | the homes of two nodes in place of the sites, with clients, in random steps |

pub mod defects;
pub mod nodes;
pub mod scope;
pub mod server;
pub mod site;
pub mod tree;
pub mod world;
