//! The search of a scope to its end.

use super::engine::{ENGINE_FLAGS, exhaustive_engine};
use super::failure::{NamedSubject, tell};
use super::flags::Flags;
use super::output::{ProgressLine, wall_clock};
use parlor_core::Shard;
use parlor_sim::search::explore::{Explored, Scope, ScopeProtocol, explore_watched};
use parlor_sim::search::report::COMMAND;
use parlor_sim::search::shrink::Minimality;
use parlor_sim::world::action::Action;
use std::process::ExitCode;

/// Of a scope that is larger than it may be.
const UNFINISHED: u8 = 5;

/// Every scope by its name, and what can be said about it.
const SCOPES: [(&str, &[&str]); 7] = [
    ("rooms", &["scope", "states", "raw", "protocol", "conns", "rooms", "queue", "messages"]),
    ("ends", &["scope", "states", "raw", "protocol", "conns", "queue"]),
    ("users", &["scope", "states", "raw", "protocol", "conns", "queue"]),
    ("pings", &["scope", "states", "raw", "protocol", "conns", "queue"]),
    ("home", &["scope", "states", "raw", "protocol", "conns", "history", "messages"]),
    // Its clients have names anyway.
    ("presence", &["scope", "states", "conns", "queue"]),
    ("engine", ENGINE_FLAGS),
];

/// A search of more states is given up, where nothing else is said.
const STATES: u64 = 3_000_000;

pub fn exhaustive(words: &[&str]) -> Result<ExitCode, String> {
    let (name, flags) = named(words)?;
    let cap = usize::try_from(flags.within("states", 1..=u32::MAX.into(), STATES)?).expect("below 2^32");
    if name == "engine" {
        return exhaustive_engine(&flags, cap, UNFINISHED);
    }
    let scope = Scope { cap, ..scope(name, &flags)? };
    say!("scope {name}: {}", introduction(&scope));
    let started = wall_clock();
    let mut pace = ProgressLine::new();
    let mut watch = |found: &Explored, waiting| pace.tell(|elapsed| found.progress(waiting, elapsed));
    match explore_watched::<Shard>(&scope, &mut watch) {
        Ok(found) => {
            let seconds = started.elapsed().as_secs_f64();
            say!("{found}\nclean: {}, the scope was searched to its end in {seconds:.1} s", found.size());
            Ok(ExitCode::SUCCESS)
        }
        Err(broken) if broken.unfinished => {
            let states = scope.cap;
            say!(
                "not ended: the scope has more than {states} states. In those nothing is wrong, beyond them nobody knows"
            );
            Ok(ExitCode::from(UNFINISHED))
        }
        Err(broken) => {
            let origin = format!("{COMMAND} exhaustive {}", words.join(" "));
            let proof = Minimality::Minimal(broken.states);
            let subject = NamedSubject::new::<Shard>("parlor");
            Ok(tell::<Shard>(subject, &broken.failure, &broken.trace, proof, &origin))
        }
    }
}

/// Names the scope that is searched.
fn introduction(scope: &Scope) -> String {
    let kinds = Action::WORDS.iter().enumerate();
    let kinds = kinds.filter(|(kind, _)| scope.actions.iter().any(|action| action.kind() == *kind));
    let kinds: Vec<&str> = kinds.map(|(_, word)| *word).collect();
    format!(
        "every order in which {} actions can happen, and every state that they lead to, {} at most\n{}\nactions: {}",
        scope.actions.len(),
        scope.cap,
        scope.setup,
        kinds.join(" ")
    )
}

/// The name of the scope, and what is said about it.
fn named<'a>(words: &[&'a str]) -> Result<(&'a str, Flags<'a>), String> {
    let flags = Flags::parse(words)?;
    let name = flags.text("scope").unwrap_or("rooms");
    let names: Vec<&str> = SCOPES.iter().map(|(name, _)| *name).collect();
    let known = SCOPES.iter().find(|(known, _)| *known == name);
    let (_, takes) = known.ok_or_else(|| format!("{name:?} is no scope: there are {}", names.join(", ")))?;
    Ok((name, flags.only(&format!("exhaustive --scope {name}"), takes)?))
}

fn scope(name: &str, flags: &Flags<'_>) -> Result<Scope, String> {
    let protocol = match flags.text("protocol") {
        None | Some("plain") => ScopeProtocol::Plain,
        Some("json") => ScopeProtocol::Json,
        Some(other) => return Err(format!("{other:?} is no protocol: there are plain and json")),
    };
    let few = |number: u64| u8::try_from(number).expect("8 at most");
    let (conns, rooms) = (few(flags.within("conns", 1..=8, 2)?), few(flags.within("rooms", 1..=7, 2)?));
    let (queue, history) = (flags.within("queue", 1..=8, 1)?, flags.within("history", 0..=8, 1)?);
    let messages = flags.within("messages", 0..=8, 3)?;
    let scope = match name {
        "rooms" => Scope::rooms(protocol, conns, rooms, queue, messages),
        "ends" => Scope::ends(protocol, conns, queue),
        "users" => Scope::users(protocol, conns, queue),
        "pings" => Scope::pings(protocol, conns, queue),
        "home" => Scope::home(protocol, conns, history, messages),
        _ => Scope::presence(conns, queue),
    };
    Ok(if flags.text("raw").is_some() { scope.raw() } else { scope })
}
