//! The commands of the program: a file for each. Without a name, it is the server.

mod command;
mod completions;
mod drain;
mod explain;
mod followed_room;
mod health;
mod input_log;
mod listen;
mod outcome;
mod publish;
mod reload;
mod run;
mod serve;
mod settings_source;
mod signals;
mod target;
mod token;

pub use run::run;
