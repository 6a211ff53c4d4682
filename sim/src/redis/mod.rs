//! A Redis server as the simulator imagines it: what Parlor uses of one, no more. It runs the scripts that Parlor ships.
//!
//! Nothing here is believed: [`compare`] puts the same random commands to this model and to a real server.
//!
//! | | |
//! |---|---|
//! | [`server`] | connections, what each is sent in which order, the commands that scripts cannot call |
//! | [`state`], [`commands`] | the commands that scripts can call, and the table of those about keys |
//! | [`dataset`] | keys, their types, their expiry; beside it a file for each type |
//! | [`channels`] | subscriptions |
//! | [`scripting`] | Lua, and what becomes of values on the way into a script and out of it |
//! | [`identity`] | which server and which process this is: INFO, HELLO, errors that are worded differently |
//! | [`wire`], [`requests`] | the bytes, written without the decoder of the core in mind |
//! | [`mistakes`] | mistakes that the comparison has to find |

pub mod answers;
pub mod channels;
pub mod commands;
pub mod compare;
pub mod dataset;
mod hashes;
pub mod identity;
mod keys;
pub mod mistakes;
pub mod requests;
pub mod scripting;
pub mod server;
mod sets;
mod sorted_sets;
pub mod state;
mod streams;
mod strings;
pub mod wire;
